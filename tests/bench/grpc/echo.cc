// The same CreatePanic over gRPC's callback server: it answers at once with what a create's answer holds, and stores
// nothing. Prints its address, and serves until its standard input ends.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>

#include "panic/v1/panic_service.grpc.pb.h"

namespace {

void set_now(google::protobuf::Timestamp *time)
{
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    time->set_seconds(us / 1000000);
    time->set_nanos(static_cast<int>(us % 1000000 * 1000));
}

class Echo final : public panic::v1::PanicService::CallbackService {
    grpc::ServerUnaryReactor *CreatePanic(grpc::CallbackServerContext *context,
                                          const panic::v1::CreatePanicRequest *request,
                                          panic::v1::CreatePanicResponse *response) override
    {
        panic::v1::Panic *panic = response->mutable_panic();
        panic->set_id(request->id());
        panic->set_status(panic::v1::PANIC_STATUS_PROCESSING);
        panic->set_stage(panic::v1::PANIC_STAGE_UNASSIGNED);
        panic->set_durable(true);
        panic->set_version(1);
        set_now(panic->mutable_create_time());
        *panic->mutable_update_time() = panic->create_time();
        *panic->mutable_location() = request->location();
        panic->set_subject_id(request->subject_id());
        panic->set_mode(request->mode());
        grpc::ServerUnaryReactor *reactor = context->DefaultReactor();
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }
};

}  // namespace

int main()
{
    Echo echo;
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&echo);
    const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr) {
        std::cerr << "bench_grpc_echo: cannot listen\n";
        return 1;
    }
    std::cout << "ready 127.0.0.1:" << port << std::endl;
    while (std::cin.get() != EOF) {
    }
    return 0;
}
