#!/bin/sh
# Creates against what nng itself does, in one run: rounds in turn, medians, ratios.
#
#     sh tests/bench/run.sh            about three minutes
#     sh tests/bench/run.sh --quick    about half a minute
set -eu
cd "$(dirname "$0")/../.."
. src/build.sh

rounds=5
requests=100000
case ${1-} in
'') ;;
--quick)
    rounds=3
    requests=20000
    ;;
*)
    echo "Usage: sh tests/bench/run.sh [--quick]" >&2
    exit 64
    ;;
esac

need_packages jq
build release panicd panicctl bench_raw_echo >/dev/null
echo_program=build/release/tests/bench/bench_raw_echo
panicctl=build/release/clients/panicctl/panicctl

folder=$(mktemp -d)
server=
echo_server=
finish() {
    trap - EXIT INT TERM
    for pid in $server $echo_server; do
        kill "$pid" 2>/dev/null || :
    done
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

echo_url=tcp://127.0.0.1:17071
mkfifo "$folder/hold" "$folder/echo-ready"
"$echo_program" serve "$echo_url" <"$folder/hold" >"$folder/echo-ready" &
echo_server=$!
exec 3>"$folder/hold"
read -r _ <"$folder/echo-ready"

durable=tcp://127.0.0.1:17072
build/release/src/panicd/panicd --listen "$durable" --store "sqlite:$folder/panicd.db" 2>"$folder/log" &
server=$!
"$panicctl" --server "$durable" health >/dev/null

for in_flight in 1 16 64 256; do
    connections=4
    [ "$in_flight" -gt 4 ] || connections=1
    n=$requests
    [ "$in_flight" -gt 1 ] || n=$((requests / 20))
    round=0
    while [ "$round" -lt "$rounds" ]; do
        round=$((round + 1))
        "$echo_program" load "$echo_url" "$n" "$in_flight" "$connections" 128 >>"$folder/results"
        for method in create get health; do
            "$panicctl" --server "$durable" --json bench --method "$method" --requests "$n" \
                --in-flight "$in_flight" --connections "$connections" >>"$folder/results"
        done
    done
done

jq -rs '
    def median: sort | .[length / 2 | floor];
    (["in flight", "what", "per second", "of raw echo", "p50 us", "p99 us", "p99.9 us"] | @tsv),
    (group_by(.in_flight)[] |
        (map(select(.method == "raw echo") | .per_second) | median) as $raw |
        group_by(.method)[] |
        [.[0].in_flight, .[0].method, (map(.per_second) | median),
         ((map(.per_second) | median) / $raw * 1000 | round / 1000),
         (map(.p50_us) | median), (map(.p99_us) | median), (map(.p999_us) | median)] | @tsv)
' "$folder/results" | column -t -s "$(printf '\t')"
echo
echo "Resident memory of panicd: $(sed -n 's/^VmRSS:[[:space:]]*//p' "/proc/$server/status")"
