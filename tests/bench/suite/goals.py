"""What is to be reached, and whether it was: figures are judged as measured, and shown rounded against themselves."""

import math
import statistics

MARGIN_US = 100
TAIL_US = 2000


def select(results, target, loop="closed", **wanted):
    return [run for run in results["runs"]
            if run["target"] == target and run["loop"] == loop
            and all(run.get(name) == value for name, value in wanted.items())]


def rounds(results):
    return range(results["rounds"])


def peak(results, round_, target):
    runs = select(results, target, round=round_)
    return max((run["per_second"] for run in runs), default=None)


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def ratio_of_peaks(results, above, below):
    """Each side at its best number in flight, in each round; the median of the rounds."""
    ratios = []
    for round_ in rounds(results):
        a, b = peak(results, round_, above), peak(results, round_, below)
        ratios.append(a / b if a and b else None)
    return median(ratios)


def excess_latency_us(results):
    """Create with one in flight over raw echo and one append + fdatasync, of the same round: medians of each."""
    excess = []
    for round_, disk in zip(rounds(results), results["disk"]):
        create = select(results, "create", round=round_, in_flight=1)
        raw = select(results, "raw", round=round_, in_flight=1)
        if create and raw:
            excess.append(create[0]["p50_us"] - raw[0]["p50_us"] - disk["p50_us"])
    return median(excess)


def excess_tail_us(results):
    """p99 of creates at half the peak rate over three append + fdatasync (p50), of the same round."""
    excess = []
    for round_, disk in zip(rounds(results), results["disk"]):
        for run in select(results, "create", loop="open", round=round_, fraction_of_peak=0.5):
            excess.append(run["p99_us"] - 3 * disk["p50_us"])
    return median(excess)


def goals(results):
    """[(name, figure or None, "≥" or "≤", goal, unit)]"""
    long_ = results.get("long", {})
    return [
        ("durable create / raw echo", ratio_of_peaks(results, "create", "raw"), "≥", 0.80, ""),
        ("memory create / raw echo", ratio_of_peaks(results, "create_memory", "raw"), "≥", 0.90, ""),
        ("get, cache hit / raw echo", ratio_of_peaks(results, "get_hit", "raw_get"), "≥", 0.95, ""),
        ("durable create / gRPC echo", ratio_of_peaks(results, "create", "grpc"), "≥", 1.5, ""),
        ("durable create over HTTP / Express + Map", ratio_of_peaks(results, "http_create", "express_create"),
         "≥", 8, ""),
        ("the same, at the very least", ratio_of_peaks(results, "http_create", "express_create"), "≥", 5, ""),
        ("create p50, 1 in flight, over raw echo + append and fdatasync", excess_latency_us(results),
         "≤", MARGIN_US, "µs"),
        ("create p99, half the peak rate, over 3 × append and fdatasync", excess_tail_us(results),
         "≤", TAIL_US, "µs"),
        ("dispatch of a backlog of 100,000", long_.get("drain_per_second"), "≥", 50000, "panics/s"),
        ("create rate with 10⁷ stored / with 10⁴", long_.get("rate_ratio"), "≥", 0.9, ""),
        ("resident memory with 10⁷ stored", long_.get("resident_mib"), "≤", 256, "MiB"),
        ("ready after kill -9, 10⁷ stored, 100,000 pending", long_.get("ready_s"), "≤", 1, "s"),
        ("malloc calls by panicd's own code, a create", results["extra"].get("malloc", {}).get("create"), "≤", 0, ""),
        ("malloc calls by panicd's own code, a get", results["extra"].get("malloc", {}).get("get"), "≤", 0, ""),
    ]


def reached(figure, sense, goal):
    if figure is None:
        return None
    return figure >= goal if sense == "≥" else figure <= goal


def shown(figure, sense):
    if figure is None:
        return "not measured"
    digits = 3 if abs(figure) < 100 else 0
    scale = 10 ** digits
    rounded = (math.floor if sense == "≥" else math.ceil)(figure * scale) / scale
    return f"{rounded:,.{digits}f}"


def as_json(results):
    return [{"name": name, "figure": figure, "sense": sense, "goal": goal, "unit": unit,
             "reached": reached(figure, sense, goal)} for name, figure, sense, goal, unit in goals(results)]
