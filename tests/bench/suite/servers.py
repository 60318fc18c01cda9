"""The servers that are measured: each its own process, on a free port of loopback, ended with the suite."""

import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "build" / "release"
PROGRAMS = BUILD / "tests" / "bench"
PATIENCE_S = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that says on one of its streams when it is ready."""

    def __init__(self, command, stream, environment=None):
        others = subprocess.DEVNULL
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if stream == "stdout" else others,
            stderr=subprocess.PIPE if stream == "stderr" else None,
            env=environment,
            text=True,
        )
        self.pid = self.process.pid
        self.said = self.process.stdout if stream == "stdout" else self.process.stderr

    def lines_until(self, is_last):
        lines = []
        for line in self.said:
            lines.append(line)
            if is_last(line):
                # What is said from now on is read, so that the server can say it.
                threading.Thread(target=self.said.read, daemon=True).start()
                return lines
        raise RuntimeError(f"{self.process.args[0]} did not become ready:\n{''.join(lines)}")

    def peak_kib(self):
        """VmHWM: the most that was resident so far."""
        return self.status_kib("VmHWM")

    def resident_kib(self):
        return self.status_kib("VmRSS")

    def status_kib(self, name):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise RuntimeError(f"no {name}")

    def cpu_us(self):
        command = [PROGRAMS / "bench_probe", "cpu", str(self.pid)]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Panicd(Server):
    def __init__(self, store, http=False, environment=None):
        own = {name: value for name, value in os.environ.items() if not name.startswith("PANICD_")}
        own.update(environment or {})
        command = [BUILD / "src/panicd/panicd", "--listen", "tcp://127.0.0.1:0", "--store", store]
        command += ["--http", "127.0.0.1:0" if http else "", "--log-level", "info"]
        super().__init__(command, "stderr", own)
        self.url = self.http = None
        for line in self.lines_until(lambda line: '"event":"ready"' in line):
            url = json.loads(line).get("url", "") if line.startswith("{") else ""
            if url.startswith("tcp:"):
                self.url = url
            elif url.startswith("http:"):
                self.http = url


class RawEcho(Server):
    def __init__(self):
        self.url = f"tcp://127.0.0.1:{free_port()}"
        super().__init__([PROGRAMS / "bench_raw_echo", self.url], "stdout")
        self.lines_until(lambda line: line == "ready\n")


class GrpcEcho(Server):
    def __init__(self):
        super().__init__([PROGRAMS / "grpc/bench_grpc_echo"], "stdout")
        self.url = self.lines_until(lambda line: line.startswith("ready "))[-1].split()[1]


class Express(Server):
    def __init__(self):
        super().__init__(["node", ROOT / "build/bench/express/server.mjs"], "stdout")
        self.http = self.lines_until(lambda line: line.startswith("http:"))[-1].strip()
