"""Calls of malloc by the object that they come from, read from what libbench_malloc.so counts (malloc/counts.h)."""

import struct
from pathlib import Path

import measure
from servers import PROGRAMS, Panicd

OBJECTS_MAX = 64
ENTRY = struct.Struct("<56sQ")
IN_FLIGHT = 64
IDLE_WINDOWS = 4
IDLE_RATE = 10


def read(path):
    data = Path(path).read_bytes()
    entries = [ENTRY.unpack_from(data, 8 + i * ENTRY.size) for i in range(OBJECTS_MAX)]
    return {name.rstrip(b"\0").decode(): calls for name, calls in entries if name[0]}


def called(path, run):
    """What is called, by object, while `run` does; and what `run` gives back."""
    before = read(path)
    result = run()
    return {name: calls - before[name] for name, calls in read(path).items()}, result


def most_idle(path, run):
    """What connections, scans and the watchdog call when there are next to no requests: the most in a few windows."""
    windows = [called(path, run)[0] for _ in range(IDLE_WINDOWS)]
    return {name: max(window[name] for window in windows) for name in windows[0]}


def each(path, run, idle):
    """The same for each of the requests that `run` makes, without what is called when there are next to none."""
    calls, result = called(path, run)
    more = {name: n - idle.get(name, 0) for name, n in calls.items()}
    return {name: n / result["started"] for name, n in more.items() if n > 0}


def measure_mallocs(store, folder, seconds):
    """After a warm-up that is longer than what is measured, so that what is there for good is there."""
    path = f"{folder}/mallocs"
    environment = {"LD_PRELOAD": str(PROGRAMS / "libbench_malloc.so"), "BENCH_MALLOC_FILE": path}
    with Panicd(store, environment=environment) as panicd:
        def create(window):
            return measure.load("create", panicd, IN_FLIGHT, window, 0)

        def get(window, rate=0):
            return measure.load("get", panicd, IN_FLIGHT, window, 0, rate, first=0, span=1000)

        create(2 * seconds)
        get(2 * seconds)
        idle = most_idle(path, lambda: get(seconds, IDLE_RATE))
        creates = each(path, lambda: create(seconds), idle)
        gets = each(path, lambda: get(seconds), idle)
    own = {"create": creates.get("program", 0), "get": gets.get("program", 0)}
    return own | {"by_object": {"create": creates, "get": gets}}
