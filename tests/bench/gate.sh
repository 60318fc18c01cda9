#!/bin/sh
# The instructions of a create, a get and a dispatch, against the committed baseline.
#
#     sh tests/bench/gate.sh                builds them (preset release) and compares
#     sh tests/bench/gate.sh --update       writes what is measured into the baseline
#     sh tests/bench/gate.sh BUILD_FOLDER   compares what was built there
#
# callgrind counts them, so the machine's speed does not matter; the versions of the libraries do, so the
# baseline has lines for each set of them. Fails above 5 % more than the baseline. Exit status 77: skipped,
# and why is printed.
set -eu
. "$(dirname "$0")/../../src/build.sh"

build=
update=
for argument in "$@"; do
    case $argument in
    --update) update=yes ;;
    -*) other_option "$argument" ;;
    *)
        [ -d "$argument" ] || refuse "there is no folder $argument"
        build=$(cd "$argument" && pwd)
        ;;
    esac
done
cd "$(dirname "$0")/../.."
if [ -z "$build" ]; then
    need_packages valgrind
    build=$PWD/build/release
    # valgrind's headers may have come after the last configuration.
    [ ! -f "$build/build.ninja" ] || cmake --preset release >/dev/null
    build release bench_hot_path >/dev/null
fi
tolerance=5
baseline=tests/bench/gate/baseline
program=$build/tests/bench/bench_hot_path

skip() {
    echo "skipped: $1"
    exit 77
}

# The upstream version of the package, whose name may have got a suffix when time_t grew.
version() {
    dpkg-query -W -f='${db:Status-Status} ${Version}\n' "$1" "$1t64" 2>/dev/null | sed -n 's/^installed \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p' | tail -n 1
}

command -v valgrind >/dev/null || skip "valgrind is not installed"
[ -x "$program" ] || skip "$program was not built (valgrind's headers were missing, or this is a build with sanitizers)"
key="$(uname -m) gcc-$(gcc -dumpversion) libc-$(version libc6) sqlite-$(version libsqlite3-0) nng-$(version libnng1) protobuf-c-$(version libprotobuf-c1)"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
valgrind --tool=callgrind --callgrind-out-file="$folder/out" "$program" "$folder" >"$folder/sections" 2>"$folder/log" || {
    cat "$folder/log" >&2
    exit 1
}

# Lines "SECTION INSTRUCTIONS", for one operation each. Counters that are zeroed go out of a dump's "totals",
# which adds up what its functions took, but not out of its "summary".
while read -r section operations; do
    dump=$(grep -l "^desc: Trigger: Client Request: $section\$" "$folder"/out.*)
    echo "$section $(($(sed -n 's/^totals: //p' "$dump") / operations))"
done <"$folder/sections" >"$folder/measured"

if [ -n "$update" ]; then
    { grep -v "^$key " "$baseline" || :; sed "s/^/$key /" "$folder/measured"; } >"$folder/new"
    sort "$folder/new" >"$baseline"
    sed "s/^/$key /" "$folder/measured"
    exit 0
fi

failed=0
known=0
unknown=0
while read -r section instructions; do
    before=$(sed -n "s/^$key $section //p" "$baseline")
    if [ -z "$before" ]; then
        echo "$section: $instructions instructions, not in the baseline"
        unknown=1
        continue
    fi
    known=1
    change=$(awk -v a="$instructions" -v b="$before" 'BEGIN { printf "%+.1f", (a - b) * 100 / b }')
    echo "$section: $instructions instructions, baseline $before: $change %"
    if [ $((instructions * 100)) -gt $((before * (100 + tolerance))) ]; then
        echo "  more than $tolerance % above the baseline. If that is meant to be: sh tests/bench/gate.sh --update" >&2
        failed=1
    fi
done <"$folder/measured"
[ "$known" = 1 ] || skip "the baseline has no figures for $key"
[ "$unknown" = 0 ] || failed=1
exit "$failed"
