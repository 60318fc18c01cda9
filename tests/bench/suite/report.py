"""From results to tables in Markdown, and to the data of the plots."""

import goals

NAMES = {
    "raw": "raw nng echo, as long as a create",
    "create": "create, SQLite, durable",
    "create_memory": "create, memory",
    "raw_get": "raw nng echo, as long as a get",
    "get_hit": "get, cache hit",
    "get_miss": "get, cache miss",
    "grpc": "gRPC C++ callback echo of a create",
    "http_create": "POST /panic, SQLite, durable",
    "express_create": "POST /panic, Express + Map",
    "http_get": "GET /panic/{id}",
    "express_get": "GET /panic/{id}, Express + Map",
}
BASELINE = {"create": "raw", "create_memory": "raw", "grpc": "raw", "get_hit": "raw_get", "get_miss": "raw_get",
            "http_create": "express_create", "http_get": "express_get"}


def table(head, rows, left=1):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * left + "--:|" * (len(head) - left)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}"


def medians(runs, name):
    return goals.median([run.get(name) for run in runs])


def ratio(results, target, **wanted):
    """To the baseline, round by round; the median."""
    base = BASELINE.get(target)
    ratios = []
    for round_ in goals.rounds(results):
        own = goals.select(results, target, round=round_, **wanted)
        other = goals.select(results, base, round=round_, **wanted) if base else []
        if own and other and other[0]["per_second"]:
            ratios.append(own[0]["per_second"] / other[0]["per_second"])
    return goals.median(ratios)


def goal_table(results):
    rows = []
    words = {True: "reached", False: "**not reached**", None: "not measured"}
    for goal in results["goals"]:
        figure = goals.shown(goal["figure"], goal["sense"])
        rows.append((goal["name"], figure, f"{goal['sense']} {goal['goal']:g} {goal['unit']}".strip(),
                     words[goal["reached"]]))
    return table(("goal", "figure", "wanted", ""), rows)


def closed_table(results):
    rows = []
    levels = sorted({run["in_flight"] for run in results["runs"] if run["loop"] == "closed"})
    for in_flight in levels:
        for target, name in NAMES.items():
            runs = goals.select(results, target, in_flight=in_flight)
            if runs:
                rows.append((in_flight, name, number(medians(runs, "per_second")),
                             number(ratio(results, target, in_flight=in_flight), 2),
                             number(medians(runs, "p50_us")), number(medians(runs, "p99_us")),
                             number(medians(runs, "p999_us")), number(medians(runs, "server_cpu_us"), 1),
                             number(medians(runs, "client_cpu_us"), 1)))
    return table(("in flight", "what", "a second", "of its baseline", "p50 µs", "p99 µs", "p99.9 µs", "server CPU µs",
                  "client CPU µs"), rows, left=2)


def open_table(results):
    rows = []
    for fraction in sorted({run["fraction_of_peak"] for run in results["runs"] if run["loop"] == "open"}):
        for target, name in NAMES.items():
            runs = goals.select(results, target, loop="open", fraction_of_peak=fraction)
            if runs:
                rows.append((f"{fraction:.0%}", name, number(medians(runs, "rate")), number(medians(runs, "per_second")),
                             number(medians(runs, "p50_us")), number(medians(runs, "p99_us")),
                             number(medians(runs, "p999_us")), number(medians(runs, "server_cpu_us"), 1)))
    return table(("of the peak", "what", "wanted a second", "done a second", "p50 µs", "p99 µs", "p99.9 µs",
                  "server CPU µs"), rows, left=2)


def stored_table(results):
    rows = [(number(row["stored"]), number(row["per_second"]), number(row["p50_us"]), number(row["p99_us"]),
             number(row["server_cpu_us"], 1), number(row["gets_per_second"]), number(row["resident_mib"], 1))
            for row in results.get("long", {}).get("stored", [])]
    return table(("panics stored", "creates a second", "p50 µs", "p99 µs", "server CPU µs", "gets of all, a second",
                  "most MiB resident"), rows, left=0)


def single_figures(results):
    extra = results["extra"]
    rows = [("append of 4 KiB and fdatasync, p50", number(medians(results["disk"], "p50_us")) + " µs"),
            ("the same, p99", number(medians(results["disk"], "p99_us")) + " µs")]
    for target, each in extra.get("syscalls", {}).items():
        rows.append((f"system calls of the server: {NAMES[target]}, 64 in flight", number(each, 2)))
    if "disk_bytes_a_panic" in extra:
        rows.append(("bytes on disk a panic, store closed", number(extra["disk_bytes_a_panic"])))
    if "peak_resident_kib" in extra:
        rows.append(("most memory resident, durable panicd", number(extra["peak_resident_kib"] / 1024, 1) + " MiB"))
    for method, calls in extra.get("malloc", {}).get("by_object", {}).items():
        for caller, each in sorted(calls.items()):
            rows.append((f"malloc calls a {method}, called from {caller}", number(each, 4)))
    return table(("what", "figure"), rows)


def machine_table(results):
    return table(("", ""), [(name, value) for name, value in results["machine"].items()], left=2)


def markdown(results):
    rounds = f"{results['rounds']} rounds"
    if results["quick"]:
        rounds += ", quick: a first look, not figures to quote"
    parts = [f"Measured {results['date']}, {rounds}, medians.", machine_table(results), "### Goals", goal_table(results),
             "### Closed loop", closed_table(results), "### Fixed rates", open_table(results), "### Single figures",
             single_figures(results)]
    if results.get("long", {}).get("stored"):
        parts += ["### By panics stored", stored_table(results)]
    if results["skipped"]:
        parts += ["Left out:"]
        parts[-1] += "".join(f"\n- {what}: {why}" for what, why in results["skipped"].items())
    return "\n\n".join(parts) + "\n"


# ---- plots ----

def throughput_data(results):
    """One block a target: in flight, calls a second."""
    blocks = []
    for target in ("raw", "create_memory", "create", "get_hit", "get_miss", "grpc"):
        levels = sorted({run["in_flight"] for run in goals.select(results, target)})
        rows = [f"{level} {medians(goals.select(results, target, in_flight=level), 'per_second')}" for level in levels]
        if rows:
            blocks.append(f'"{NAMES[target]}"\n' + "\n".join(rows))
    return "\n\n\n".join(blocks) + "\n"


def latency_data(results):
    """One block a target: µs, share of calls that took longer; at half the peak rate, medians of the rounds."""
    blocks = []
    for target in ("raw", "get_hit", "create"):
        runs = goals.select(results, target, loop="open", fraction_of_peak=0.5)
        rows = []
        for points in zip(*(run["distribution"] for run in runs)):
            if points[0][0] < 1:
                rows.append(f"{goals.median([point[1] for point in points])} {1 - points[0][0]:.6f}")
        if rows:
            blocks.append(f'"{NAMES[target]}"\n' + "\n".join(rows))
    return "\n\n\n".join(blocks) + "\n"


def stored_data(results):
    rows = results.get("long", {}).get("stored", [])
    return "stored cpu\n" + "".join(f"{row['stored']} {row['server_cpu_us']}\n" for row in rows)
