#!/bin/sh
# The benchmarks: what panicd does against what nng, gRPC and Express do on the same machine, in one run.
#
#     sh tests/bench/run.sh               about seven minutes
#     sh tests/bench/run.sh --quick       about one: fewer rounds and loads, for a first look
#     sh tests/bench/run.sh --long        and what needs a store of ten million panics: ten more, 4 GB of disk
#     sh tests/bench/run.sh --write-docs  and puts tables and plots into docs/performance.md
#     sh tests/bench/run.sh --folder DIR  stores there (default: a new folder of the system's for temporary files)
#
# Results: build/bench/results.json, table.md and the plots beside it. The machine should have nothing else to do.
# docs/performance.md says what is measured and how.
set -eu
. "$(dirname "$0")/../../src/build.sh"

# They are the suite's, which begins only after everything is built.
check_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --quick | --long | --write-docs) shift ;;
        --folder)
            [ $# -ge 2 ] || refuse "--folder needs a folder"
            shift 2
            ;;
        *) other_option "$1" ;;
        esac
    done
}
check_options "$@"
cd "$(dirname "$0")/../.."

need_packages python3 gnuplot-nox wrk
# Without these the suite leaves their part out, and says so.
need_packages g++ libgrpc++-dev protobuf-compiler-grpc || :
command -v npm >/dev/null || need_packages nodejs npm || :
if [ -f build/release/build.ninja ]; then
    # gRPC may have come after the last configuration.
    cmake --preset release >/dev/null
fi
build release panicd bench >/dev/null

express=build/bench/express
mkdir -p "$express"
if ! cmp -s tests/bench/express/package.json "$express/package.json" || [ ! -d "$express/node_modules/express" ]; then
    cp tests/bench/express/package.json "$express/"
    npm install --silent --no-audit --no-fund --prefix "$express" >"$express/npm.log" 2>&1 ||
        rm -rf "$express/node_modules"
fi
cp tests/bench/express/server.mjs "$express/"

exec python3 tests/bench/suite "$@"
