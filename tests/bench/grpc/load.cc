// A closed loop of CreatePanic calls over gRPC's callback client, as tests/bench/load is for nng: a number of calls is
// kept in flight, each answer starts the next one; what ends in the window behind the warm-up is counted. Calls, and
// the messages in them, are used again. Prints one line of JSON, in the words of bench_load.
//
//     bench_grpc_load ADDRESS IN_FLIGHT CONNECTIONS WARM_UP SECONDS SERVER_PID
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "panic/v1/panic_service.grpc.pb.h"

namespace {

constexpr int64_t ns_per_s = 1000000000;

int64_t now_ns(clockid_t clock)
{
    timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * ns_per_s + now.tv_nsec;
}

struct Load {
    int64_t begin_ns = 0;
    int64_t end_ns = 0;
    std::atomic<uint64_t> started{0};
    std::atomic<uint64_t> failed{0};
    std::atomic<size_t> request_bytes{0};
    std::atomic<size_t> answer_bytes{0};
    std::mutex lock;
    std::condition_variable changed;
    // Under lock.
    unsigned running = 0;
};

class Slot {
public:
    Slot(Load &load, panic::v1::PanicService::Stub &stub) : load_(load), stub_(stub)
    {
        request_.set_subject_id("bench");
        request_.set_mode(panic::v1::PANIC_MODE_TEST);
        request_.mutable_location()->set_lat(-33.9);
        request_.mutable_location()->set_lng(18.4);
    }

    void start()
    {
        char id[37];
        const uint64_t number = load_.started.fetch_add(1);
        snprintf(id, sizeof(id), "0190b8e2-7c3b-7d10-9a55-%012llx", static_cast<unsigned long long>(number));
        request_.set_id(id);
        context_.emplace();
        context_->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
        start_ns_ = now_ns(CLOCK_MONOTONIC);
        stub_.async()->CreatePanic(&*context_, &request_, &response_,
                                   [this](const grpc::Status &status) { on_answer(status); });
    }

    const std::vector<int64_t> &latencies() const
    {
        return latencies_;
    }

private:
    void on_answer(const grpc::Status &status)
    {
        const int64_t now = now_ns(CLOCK_MONOTONIC);
        if (!status.ok() || response_.panic().id() != request_.id()) {
            load_.failed++;
        } else if (now >= load_.begin_ns && now < load_.end_ns) {
            latencies_.push_back(now - start_ns_);
        }
        if (now < load_.end_ns) {
            start();
            return;
        }
        load_.request_bytes = request_.ByteSizeLong();
        load_.answer_bytes = response_.ByteSizeLong();
        const std::lock_guard<std::mutex> guard(load_.lock);
        load_.running--;
        load_.changed.notify_one();
    }

    Load &load_;
    panic::v1::PanicService::Stub &stub_;
    panic::v1::CreatePanicRequest request_;
    panic::v1::CreatePanicResponse response_;
    std::optional<grpc::ClientContext> context_;
    int64_t start_ns_ = 0;
    std::vector<int64_t> latencies_;
};

std::vector<std::unique_ptr<panic::v1::PanicService::Stub>> connect(const char *address, unsigned connections)
{
    std::vector<std::unique_ptr<panic::v1::PanicService::Stub>> stubs;
    for (unsigned i = 0; i < connections; i++) {
        grpc::ChannelArguments arguments;
        // Otherwise all channels share a connection.
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        const auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
        if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
            std::cerr << "bench_grpc_load: no connection to " << address << "\n";
            exit(1);
        }
        stubs.push_back(panic::v1::PanicService::NewStub(channel));
    }
    return stubs;
}

double quantile_us(const std::vector<int64_t> &sorted, double quantile)
{
    if (sorted.empty()) {
        return 0;
    }
    const size_t i = static_cast<size_t>(quantile * static_cast<double>(sorted.size()));
    return static_cast<double>(sorted[std::min(i, sorted.size() - 1)]) / 1000;
}

}  // namespace

int main(int argc, char **argv)
{
    if (argc != 7) {
        std::cerr << "Usage: bench_grpc_load ADDRESS IN_FLIGHT CONNECTIONS WARM_UP SECONDS SERVER_PID\n";
        return 64;
    }
    const unsigned in_flight = static_cast<unsigned>(strtoul(argv[2], nullptr, 10));
    const unsigned connections = std::min(in_flight, static_cast<unsigned>(strtoul(argv[3], nullptr, 10)));
    const double warm_up_s = strtod(argv[4], nullptr);
    const double seconds = strtod(argv[5], nullptr);
    clockid_t server;
    if (in_flight == 0 || connections == 0 || seconds <= 0 ||
        clock_getcpuclockid(static_cast<pid_t>(strtol(argv[6], nullptr, 10)), &server) != 0) {
        std::cerr << "bench_grpc_load: bad argument\n";
        return 64;
    }
    const auto stubs = connect(argv[1], connections);
    Load load;
    std::vector<std::unique_ptr<Slot>> slots;
    for (unsigned i = 0; i < in_flight; i++) {
        slots.push_back(std::make_unique<Slot>(load, *stubs[i % connections]));
    }
    load.running = in_flight;
    load.begin_ns = now_ns(CLOCK_MONOTONIC) + static_cast<int64_t>(warm_up_s * ns_per_s);
    load.end_ns = load.begin_ns + static_cast<int64_t>(seconds * ns_per_s);
    for (const auto &slot : slots) {
        slot->start();
    }
    std::this_thread::sleep_for(std::chrono::nanoseconds(load.begin_ns - now_ns(CLOCK_MONOTONIC)));
    const int64_t client_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    const int64_t server_ns = now_ns(server);
    std::this_thread::sleep_for(std::chrono::nanoseconds(load.end_ns - now_ns(CLOCK_MONOTONIC)));
    const int64_t client_took_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - client_ns;
    const int64_t server_took_ns = now_ns(server) - server_ns;
    {
        std::unique_lock<std::mutex> guard(load.lock);
        load.changed.wait(guard, [&load] { return load.running == 0; });
    }
    std::vector<int64_t> all;
    for (const auto &slot : slots) {
        all.insert(all.end(), slot->latencies().begin(), slot->latencies().end());
    }
    std::sort(all.begin(), all.end());
    const double completed = static_cast<double>(all.size());
    const double each = completed > 0 ? 1 / completed / 1000 : 0;
    printf("{\"method\":\"grpc\",\"loop\":\"closed\",\"in_flight\":%u,\"connections\":%u,\"seconds\":%.3f,"
           "\"started\":%llu,\"completed\":%.0f,\"failed\":%llu,\"per_second\":%.1f,\"client_cpu_us\":%.3f,"
           "\"server_cpu_us\":%.3f,\"request_bytes\":%zu,\"answer_bytes\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"p999_us\":%.1f,\"max_us\":%.1f}\n",
           in_flight, connections, seconds, static_cast<unsigned long long>(load.started.load()), completed,
           static_cast<unsigned long long>(load.failed.load()), completed / seconds,
           static_cast<double>(client_took_ns) * each, static_cast<double>(server_took_ns) * each,
           load.request_bytes.load(), load.answer_bytes.load(), quantile_us(all, 0.5), quantile_us(all, 0.99),
           quantile_us(all, 0.999), quantile_us(all, 1));
    fflush(stdout);
    _exit(0);
}
