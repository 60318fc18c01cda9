#!/bin/sh
# The ring against other queues, in one run: rounds in turn, medians, ratios, and a plot.
#
#     sh tests/bench/ring/run.sh                  about two minutes; the plot goes to docs/queue.png
#     sh tests/bench/ring/run.sh --quick          about half a minute; the plot goes to build/queue-quick.png
#
# The machine should have nothing else to do.
set -eu
. "$(dirname "$0")/../../../src/build.sh"

rounds=5
ms=300
timed_ms=2000
plot=docs/queue.png
for argument in "$@"; do
    case $argument in
    --quick)
        ms=100
        timed_ms=400
        plot=build/queue-quick.png
        ;;
    *) other_option "$argument" ;;
    esac
done
cd "$(dirname "$0")/../../.."

need_packages libck-dev gnuplot-nox
if [ -f build/release/build.ninja ]; then
    # Concurrency Kit may have come after the last configuration.
    cmake --preset release >/dev/null
fi
build release bench_ring bench_ring_halted >/dev/null
bench=build/release/tests/bench/ring/bench_ring

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
results=$folder/results

round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    for sides in 1 2 4 8; do
        for queue in scq vyukov ck mutex; do
            "$bench" throughput "$queue" "$sides" "$ms" >>"$results"
            "$bench" parking "$queue" "$sides" "$ms" >>"$results"
        done
    done
    for queue in scq vyukov ck mutex; do
        "$bench" latency "$queue" 4 "$timed_ms" >>"$results"
    done
    for queue in scq vyukov ck mutex; do
        "${bench}_halted" "$queue" none "$ms" >>"$results"
        step=0
        while "${bench}_halted" "$queue" "$step" "$ms" >>"$results"; do
            step=$((step + 1))
        done
    done
done

awk -f tests/bench/ring/table.awk "$results"
awk -v plot=1 -f tests/bench/ring/table.awk "$results" >"$folder/plot.dat"
gnuplot -e "data='$folder/plot.dat'; picture='$plot'" tests/bench/ring/plot.gp
echo
echo "Plot: $plot"
