"""What the figures were measured on."""

import os
import platform
import subprocess
from pathlib import Path


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return (done.stdout.strip().splitlines() or ["unknown"])[0]


def field(path, name):
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return "unknown"


def package(name):
    return first_line(["dpkg-query", "-W", "-f", "${Version}", name])


def describe(folder, root):
    memory_kib = int(field("/proc/meminfo", "MemTotal").split()[0])
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {
        "processor": f"{field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, shared by server and load",
        "memory": f"{memory_kib / 1024 / 1024:.0f} GiB",
        "system": f"{system.get('PRETTY_NAME', '').strip(chr(34))}, Linux {platform.release()}",
        "file system": first_line(["findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", "-T", str(folder)]),
        "libraries": f"nng {package('libnng1')}, SQLite {package('libsqlite3-0')}, "
                     f"protobuf-c {package('libprotobuf-c1')}, glibc {package('libc6')}, gRPC {package('libgrpc++-dev')}",
        "programs": f"{first_line(['gcc', '--version'])}; Node {first_line(['node', '--version'])}, "
                    f"Express {express_version(root)}",
        "revision": first_line(["git", "-C", str(root), "describe", "--always", "--dirty"]),
    }


def express_version(root):
    path = root / "build/bench/express/node_modules/express/package.json"
    return field(path, '  "version"').strip('", ') if path.exists() else "not installed"
