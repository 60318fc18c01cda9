"""What needs a store that years have filled: the cost of a create by panics stored, memory, the restart, a backlog."""

import shutil
import subprocess
import time
import urllib.request

import goals
import measure
from servers import Panicd

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
ROUNDS = 5
PENDING = 100_000
CREATES_IN_FLIGHT = 256
GETS_IN_FLIGHT = 64
SECONDS = 1.5
POLL_S = 0.01
PATIENCE_S = 120
ASSIGNED = "panicd_dispatch_assigned_total"


class Grown:
    def __init__(self, folder, say):
        self.folder = folder
        self.say = say
        self.runs = []

    def path(self, name):
        return self.folder / f"{name}.db"

    def store(self, name):
        return f"sqlite:{self.path(name)}"

    def remove(self, name):
        for path in self.folder.glob(name + ".db*"):
            path.unlink()

    # ---- by panics stored ----

    def fill(self, sizes):
        for size in sizes:
            self.say(f"filling a store with {size:,} panics")
            measure.fill(self.store(size), size)

    def one_size(self, size, largest):
        """A copy where one is cheap: what the creates add counts for nothing in the largest only."""
        name = size
        if size != largest:
            name = "copy"
            shutil.copy(self.path(size), self.path(name))
        subprocess.run(["sync", "-f", str(self.folder)], check=True)
        with Panicd(self.store(name)) as panicd:
            run = measure.load("create", panicd, CREATES_IN_FLIGHT, SECONDS, 0.25)
            gets = measure.load("get", panicd, GETS_IN_FLIGHT, SECONDS, 0.25, first=0, span=size)
            run["resident_mib"] = panicd.peak_kib() / 1024
        run["stored"] = size
        run["gets_per_second"] = gets["per_second"]
        self.remove("copy")
        return run

    def by_size(self, sizes):
        for round_ in range(ROUNDS):
            for size in sizes:
                self.say(f"round {round_ + 1} of {ROUNDS}, {size:,} stored")
                self.runs.append(self.one_size(size, sizes[-1]) | {"round": round_})
        table = []
        for size in sizes:
            runs = [run for run in self.runs if run["stored"] == size]
            names = ("per_second", "p50_us", "p99_us", "server_cpu_us", "gets_per_second")
            row = {name: goals.median([run[name] for run in runs]) for name in names}
            table.append(row | {"stored": size, "resident_mib": max(run["resident_mib"] for run in runs)})
        return table

    def rate_ratio(self, small, large):
        """Of each round; the median."""
        rates = {(run["round"], run["stored"]): run["per_second"] for run in self.runs}
        return goals.median([rates[round_, large] / rates[round_, small] for round_ in range(ROUNDS)])

    # ---- the restart ----

    def kill_under_load(self, size):
        """kill -9 while creates are under way; what the load program says of that does not matter."""
        with Panicd(self.store(size)) as panicd:
            command = measure.load_command("create", panicd, CREATES_IN_FLIGHT, 10, 0)
            load = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            time.sleep(1)
            panicd.kill()
            load.kill()
            load.wait()

    def restarts(self, size):
        """Seconds from exec to ready, each after a kill."""
        measure.fill(self.store(size), PENDING, PENDING, 0, first=size)
        took = []
        for round_ in range(ROUNDS):
            self.say(f"restart {round_ + 1} of {ROUNDS} after kill -9")
            self.kill_under_load(size)
            begin = time.monotonic()
            with Panicd(self.store(size)):
                took.append(time.monotonic() - begin)
        return took

    # ---- a backlog ----

    def drain(self):
        """Assignments a second, from the first look to the last, of a backlog for which there are responders."""
        measure.fill(self.store("backlog"), PENDING, PENDING, PENDING)
        with Panicd(self.store("backlog"), http=True) as panicd:
            seen = []
            end = time.monotonic() + PATIENCE_S
            while not seen or seen[-1][1] < PENDING:
                if time.monotonic() > end:
                    raise RuntimeError(f"after {PATIENCE_S} s {seen[-1][1] if seen else 0} of {PENDING} were assigned")
                seen.append((time.monotonic(), assigned(panicd)))
                time.sleep(POLL_S)
        self.remove("backlog")
        first = next(point for point in seen if point[1] < PENDING)
        last = next(point for point in seen if point[1] >= PENDING)
        return (last[1] - first[1]) / (last[0] - first[0])

    def drains(self):
        rates = []
        for round_ in range(ROUNDS):
            self.say(f"backlog {round_ + 1} of {ROUNDS}")
            rates.append(self.drain())
        return rates

    def run(self, sizes=SIZES):
        drains = self.drains()
        self.fill(sizes)
        table = self.by_size(sizes)
        restarts = self.restarts(sizes[-1])
        return {"stored": table, "rate_ratio": self.rate_ratio(sizes[0], sizes[-1]),
                "resident_mib": table[-1]["resident_mib"], "ready_s": goals.median(restarts), "restarts_s": restarts,
                "drain_per_second": goals.median(drains), "drains_per_second": drains, "runs": self.runs}


def assigned(panicd):
    with urllib.request.urlopen(panicd.http + "/metrics") as page:
        for line in page.read().decode().splitlines():
            if line.startswith(ASSIGNED + " "):
                return int(float(line.split()[1]))
    raise RuntimeError(f"/metrics has no {ASSIGNED}")
