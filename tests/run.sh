#!/bin/sh
# Builds and runs every test.
#
#     sh tests/run.sh                    release build, static checks, every test
#     sh tests/run.sh --long             the same, with the long versions of the tests that have one
#     sh tests/run.sh --preset asan      every test in another build (dev, asan, tsan, coverage)
#     sh tests/run.sh -R PATTERN         the tests with such names; what stands behind is given to ctest as well
#     sh tests/run.sh -- ARGUMENT...     all of that is given to ctest
set -eu
. "$(dirname "$0")/../src/build.sh"

preset=release
while [ $# -gt 0 ]; do
    case $1 in
    --long)
        export PANIC_TEST_LONG=1
        shift
        ;;
    --preset)
        [ $# -ge 2 ] || refuse "--preset needs a name"
        preset=$2
        shift 2
        ;;
    -R)
        [ $# -ge 2 ] || refuse "-R needs a pattern"
        break
        ;;
    --)
        shift
        break
        ;;
    *) other_option "$1" ;;
    esac
done
cd "$(dirname "$0")/.."

need_packages nng-utils openssl curl prometheus python3 python3-protobuf clang-format clang-tidy cppcheck spin valgrind chromium
# Debian's npm brings hundreds of packages; another one that is there does as well.
command -v npm >/dev/null || need_packages nodejs npm
build "$preset"
exec ctest --test-dir "build/$preset" --output-on-failure --parallel 2 "$@"
