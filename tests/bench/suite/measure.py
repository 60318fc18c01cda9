"""One measurement each: runs a load program against a server and gives back what it says."""

import json
import subprocess

from servers import PROGRAMS, ROOT

CONNECTIONS = 4
HTTP_CONNECTIONS = 64


def run_json(command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(str(word) for word in command)}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def load_command(method, server, in_flight, seconds, warm_up, rate=0, **options):
    command = [PROGRAMS / "bench_load", method, "--url", server.url, "--server", server.pid]
    command += ["--in-flight", in_flight, "--connections", CONNECTIONS, "--seconds", seconds, "--warm-up", warm_up]
    if rate:
        command += ["--rate", f"{rate:.1f}"]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), value]
    return command


def load(method, server, in_flight, seconds, warm_up, rate=0, **options):
    return run_json(load_command(method, server, in_flight, seconds, warm_up, rate, **options))


def grpc_load(server, in_flight, seconds, warm_up):
    command = [PROGRAMS / "grpc/bench_grpc_load", server.url, in_flight, CONNECTIONS, warm_up, seconds, server.pid]
    return run_json(command)


def wrk(server, argument, seconds):
    """wrk keeps its connections open and one request under way on each: a closed loop."""
    before_us = server.cpu_us()
    command = ["wrk", "--threads", 2, "--connections", HTTP_CONNECTIONS, "--duration", f"{seconds}s"]
    command += ["--script", ROOT / "tests/bench/express/wrk.lua", server.http, "--", argument]
    result = run_json(command)
    result["in_flight"] = HTTP_CONNECTIONS
    result["loop"] = "closed"
    result["server_cpu_us"] = (server.cpu_us() - before_us) / max(1, result["completed"])
    return result


def fdatasync(folder, n):
    return run_json([PROGRAMS / "bench_probe", "fdatasync", folder, n])


def fill(store, panics, pending=0, responders=0, first=0):
    numbers = [str(number) for number in (panics, pending, responders, first)]
    subprocess.run([PROGRAMS / "bench_fill", store, *numbers], check=True)


def syscalls_each(method, server, seconds, **options):
    """System calls of the server for each request, or None and why not."""
    perf = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(server.pid), "--"]
    command = perf + [str(word) for word in load_command(method, server, 64, seconds, 0, **options)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None, "perf is not installed"
    for line in done.stderr.splitlines():
        words = line.split(",")
        if len(words) > 2 and "sys_enter" in words[2] and words[0].isdigit():
            return int(words[0]) / json.loads(done.stdout)["started"], None
    return None, "perf may not count system calls here: " + (done.stderr.strip().splitlines() or ["no output"])[-1]
