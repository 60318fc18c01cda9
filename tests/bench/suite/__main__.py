"""The suite behind tests/bench/run.sh: measures, then writes results.json, table.md and plots into build/bench."""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import goals
import machine
import report
from core import Core, Plan
from grown import Grown
from servers import ROOT

FORMAT = 1
OUTPUT = ROOT / "build" / "bench"
PLOTS = ("performance-throughput.png", "performance-latency.png", "performance-stored.png")
BEGIN = "<!-- written by tests/bench/run.sh --write-docs -->"
END = "<!-- end -->"


def options():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--folder")
    return parser.parse_args()


def draw():
    subprocess.run(["gnuplot", "-e", f"folder='{OUTPUT}'", str(Path(__file__).parent / "plots.gp")], check=True)


def write(results):
    (OUTPUT / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    text = report.markdown(results)
    (OUTPUT / "table.md").write_text(text)
    (OUTPUT / "throughput.dat").write_text(report.throughput_data(results))
    (OUTPUT / "latency.dat").write_text(report.latency_data(results))
    (OUTPUT / "stored.dat").write_text(report.stored_data(results))
    for name in PLOTS:
        (OUTPUT / name).unlink(missing_ok=True)
    draw()
    return text


def write_docs(text):
    page = ROOT / "docs" / "performance.md"
    before, rest = page.read_text().split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    drawn = [name for name in PLOTS if (OUTPUT / name).exists()]
    pictures = "\n".join(f"![{name.removesuffix('.png')}]({name})" for name in drawn)
    page.write_text(f"{before}{BEGIN}\n{text}\n{pictures}\n{END}{after}")
    for name in drawn:
        shutil.copy(OUTPUT / name, ROOT / "docs" / name)


def main():
    chosen = options()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()

    def say(what):
        print(f"[{time.monotonic() - begin:4.0f} s] {what}", flush=True)

    plan = Plan(chosen.quick)
    folder = Path(tempfile.mkdtemp(prefix="panicd-bench-", dir=chosen.folder))
    try:
        core = Core(plan, folder, say)
        core.run()
        grown = Grown(folder, say).run() if chosen.long else {}
        results = {"format": FORMAT, "date": datetime.date.today().isoformat(), "quick": chosen.quick,
                   "rounds": plan.rounds, "machine": machine.describe(folder, ROOT), "runs": core.runs,
                   "disk": core.disk, "extra": core.extra, "long": grown, "skipped": core.skipped}
    finally:
        shutil.rmtree(folder)
    results["goals"] = goals.as_json(results)
    text = write(results)
    print("\n" + text)
    print(f"All of it: {os.path.relpath(OUTPUT, ROOT)}/results.json; plots beside it.")
    if chosen.write_docs:
        write_docs(text)


main()
