"""The comparison: rounds, and in each round everything in turn, so that what changes with time changes for all."""

import os
import sys
import urllib.request
import json
from pathlib import Path

import mallocs
import measure
from servers import PROGRAMS, ROOT, Express, GrpcEcho, Panicd, RawEcho

# Further gets that miss the cache are refused, which is another thing to measure.
MISSES_IN_FLIGHT_MAX = 64
HIT_SPAN = 1000
RATES = (0.25, 0.5, 0.75)
OPEN_SLOTS = 512
OPEN_TARGETS = ("raw", "create", "get_hit")


class Plan:
    def __init__(self, quick):
        self.rounds = 3 if quick else 5
        self.levels = (1, 64, 256) if quick else (1, 16, 64, 256, 1024)
        self.seconds = 0.3 if quick else 1.0
        self.warm_up = 0.1 if quick else 0.25
        # wrk counts whole seconds.
        self.http_seconds = 1 if quick else 3
        self.rates = (0.5,) if quick else RATES
        self.syncs = 100 if quick else 400
        self.stored = 200000 if quick else 1000000


class Core:
    def __init__(self, plan, folder, say):
        self.plan = plan
        self.folder = Path(folder)
        self.say = say
        self.runs = []
        self.disk = []
        self.skipped = {}
        self.extra = {}
        self.next_miss = 0
        self.peak_kib = 0
        self.has_grpc = (PROGRAMS / "grpc/bench_grpc_echo").exists()
        self.has_express = (ROOT / "build/bench/express/node_modules/express").exists()
        if not self.has_grpc:
            self.skip("grpc", "gRPC for C++ is not installed (libgrpc++-dev, protobuf-compiler-grpc)")
        if not self.has_express:
            self.skip("express", "npm could not get express; see build/bench/express/npm.log")

    def skip(self, what, why):
        self.skipped[what] = why
        print(f"skipped: {what}: {why}", file=sys.stderr)

    def note(self, round_, target, result, fraction=None):
        result.update(round=round_, target=target)
        if fraction:
            result["fraction_of_peak"] = fraction
        if result.get("failed"):
            self.skip(f"{target} at {result['in_flight']} in flight, round {round_}",
                      f"{result['failed']} calls failed, the first with {result.get('first_failure', 'an HTTP error')}")
        self.runs.append(result)

    def store(self, name):
        return f"sqlite:{self.folder}/{name}.db"

    def remove(self, name):
        for path in self.folder.glob(name + ".db*"):
            os.unlink(path)

    # ---- one target ----

    def lengths(self, create, read):
        """Of the messages whose like the raw echo sends: those of a create and of a get."""
        first = measure.load("create", create, 1, 0.05, 0)
        second = measure.load("get", read, 1, 0.05, 0, first=0, span=HIT_SPAN)
        return tuple({"request_bytes": r["request_bytes"], "answer_bytes": r["answer_bytes"]} for r in (first, second))

    def get_misses(self, read, in_flight):
        result = measure.load("get", read, in_flight, self.plan.seconds, self.plan.warm_up,
                              first=self.next_miss, span=self.plan.stored)
        self.next_miss = (self.next_miss + result["started"]) % self.plan.stored
        return result

    def level(self, round_, in_flight, echo, grpc, read):
        plan = self.plan
        times = (in_flight, plan.seconds, plan.warm_up)
        with Panicd(self.store("create")) as durable, Panicd("memory:") as memory:
            self.note(round_, "raw", measure.load("raw", echo, *times, **self.as_create))
            self.note(round_, "create", measure.load("create", durable, *times))
            self.note(round_, "create_memory", measure.load("create", memory, *times))
            self.note(round_, "raw_get", measure.load("raw", echo, *times, **self.as_get))
            # Once to fill the cache.
            measure.load("get", read, 16, 0.1, 0, first=0, span=HIT_SPAN)
            self.note(round_, "get_hit", measure.load("get", read, *times, first=0, span=HIT_SPAN))
            if in_flight <= MISSES_IN_FLIGHT_MAX:
                self.note(round_, "get_miss", self.get_misses(read, in_flight))
            if grpc:
                self.note(round_, "grpc", measure.grpc_load(grpc, *times))
            self.peak_kib = max(self.peak_kib, durable.peak_kib())
        self.remove("create")

    def peak(self, round_, target):
        return max(run["per_second"] for run in self.runs
                   if run["round"] == round_ and run["target"] == target and run["loop"] == "closed")

    def open_loops(self, round_, echo, read):
        methods = {"raw": ("raw", echo, self.as_create), "get_hit": ("get", read, {"first": 0, "span": HIT_SPAN})}
        for fraction in self.plan.rates:
            for target in OPEN_TARGETS:
                rate = fraction * self.peak(round_, target)
                seconds = 2 * self.plan.seconds
                if target == "create":
                    with Panicd(self.store("open")) as durable:
                        result = measure.load("create", durable, OPEN_SLOTS, seconds, self.plan.warm_up, rate)
                    self.remove("open")
                else:
                    method, server, options = methods[target]
                    result = measure.load(method, server, OPEN_SLOTS, seconds, self.plan.warm_up, rate, **options)
                self.note(round_, target, result, fraction)

    def http(self, round_):
        with Panicd(self.store("http"), http=True) as durable:
            self.http_one(round_, "http", durable)
        self.remove("http")
        if self.has_express:
            with Express() as express:
                # Until its code is compiled.
                measure.wrk(express, "create", 1)
                self.http_one(round_, "express", express)

    def http_one(self, round_, name, server):
        self.note(round_, name + "_create", measure.wrk(server, "create", self.plan.http_seconds))
        body = json.dumps({"location": {"lat": -33.9, "lng": 18.4}}).encode()
        request = urllib.request.Request(server.http + "/panic", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            panic = json.load(answer)["id"]
        self.note(round_, name + "_get", measure.wrk(server, panic, self.plan.http_seconds))

    # ---- what is measured once ----

    def costs(self, echo, read):
        """System calls a request, and bytes on disk a panic: counts, not times."""
        seconds = 0.5
        self.extra["syscalls"] = {}
        with Panicd(self.store("costs")) as durable, Panicd("memory:") as memory:
            targets = {"raw": ("raw", echo, self.as_create), "create": ("create", durable, {}),
                       "create_memory": ("create", memory, {}),
                       "get_hit": ("get", read, {"first": 0, "span": HIT_SPAN})}
            for target, (method, server, options) in targets.items():
                each, why = measure.syscalls_each(method, server, seconds, **options)
                if each is None:
                    self.skip("syscalls", why)
                    break
                self.extra["syscalls"][target] = each
        self.remove("costs")
        with Panicd(self.store("costs")) as durable:
            panics = measure.load("create", durable, 64, 2 * seconds, 0)["started"]
        store = self.folder / "costs.db"
        self.extra["disk_bytes_a_panic"] = store.stat().st_size / panics
        self.remove("costs")

    def mallocs(self):
        measure.fill(self.store("mallocs"), 10 * HIT_SPAN)
        self.extra["malloc"] = mallocs.measure_mallocs(self.store("mallocs"), self.folder, self.plan.seconds)
        self.remove("mallocs")

    def run(self):
        plan = self.plan
        self.say(f"filling a store with {plan.stored:,} panics")
        measure.fill(self.store("read"), plan.stored)
        with RawEcho() as echo, Panicd(self.store("read")) as read:
            with Panicd("memory:") as memory:
                self.as_create, self.as_get = self.lengths(memory, read)
            grpc = GrpcEcho() if self.has_grpc else None
            for round_ in range(plan.rounds):
                self.disk.append(dict(measure.fdatasync(self.folder, plan.syncs), round=round_))
                for in_flight in plan.levels:
                    self.say(f"round {round_ + 1} of {plan.rounds}, {in_flight} in flight")
                    self.level(round_, in_flight, echo, grpc, read)
                self.say(f"round {round_ + 1} of {plan.rounds}, fixed rates and HTTP")
                self.open_loops(round_, echo, read)
                self.http(round_)
            self.say("system calls, calls of malloc, bytes")
            self.costs(echo, read)
            self.mallocs()
            if grpc:
                grpc.end()
        self.remove("read")
        self.extra["peak_resident_kib"] = self.peak_kib
