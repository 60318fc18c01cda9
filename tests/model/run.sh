#!/bin/sh
# Verifies a model with spin, every reachable state. Exit status 77 when spin is not installed.
#
#     sh tests/model/run.sh ring           no error may be found
#     sh tests/model/run.sh park
#     sh tests/model/run.sh ring_wrong     an error must be found in each of the deliberately wrong variants
#     sh tests/model/run.sh park_wrong
#
# With PANIC_TEST_LONG set: larger bounds as well.
set -eu
. "$(dirname "$0")/../../src/build.sh"

case ${1-} in
ring | park | ring_wrong | park_wrong) ;;
'') refuse "which model?" ;;
*) other_option "$1" ;;
esac
cd "$(dirname "$0")"
models=$PWD

if ! command -v spin >/dev/null; then
    echo "skipped: spin is not installed"
    exit 77
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
cd "$folder"

# explore MODEL MODE DEFINITION...: builds and runs the verifier; its report is in the file `report`.
explore() {
    model=$1
    mode=$2
    shift 2
    rm -f pan* report
    spin -a "$@" "$models/$model.pml" >spin.log || {
        cat spin.log >&2
        exit 1
    }
    case $mode in
    safety) cc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=4000 -o pan pan.c && limits= ;;
    cycles) cc -O2 -w -DNP -DNOFAIR -DCOLLAPSE -DMEMLIM=4000 -o pan pan.c && limits=-l ;;
    esac
    # shellcheck disable=SC2086 # nothing or one word
    ./pan -m100000 -w22 $limits >report 2>&1 || :
    if ! grep -q 'errors:' report || grep -qE 'max search depth too small|reached -DMEMLIM|out of memory' report; then
        cat report >&2
        echo "$model $*: the exploration did not come to its end" >&2
        exit 1
    fi
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' report)
    errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' report)
    echo "$model $mode $*: $states states, errors: $errors"
}

must_hold() {
    explore "$@"
    [ "$errors" = 0 ] || {
        cat report >&2
        exit 1
    }
}

must_fail() {
    explore "$@"
    grep -q '^pan:1: assertion violated' report || {
        echo "The wrong variant passed: the model shows nothing." >&2
        exit 1
    }
}

# Where two consumers stopped long ago: three consumers and a producer on one circle.
late="-DSINGLE -DSCRIPT -DPUSHES_2=0 -DPOPS_2=1 -DPOPS_3=1"

# shellcheck disable=SC2086 # $late is several words
case $1 in
ring)
    must_hold ring safety
    must_hold ring cycles -DHALTS=2
    must_hold ring safety -DPUSHES_1=2 -DPUSHES_2=0 -DPOPS_1=2
    must_hold ring safety -DSINGLE -DPUSHES_1=2 -DPOPS_1=1
    must_hold ring safety $late -DPUSHES_1=8 -DPOPS_1=7
    if [ -n "${PANIC_TEST_LONG-}" ]; then
        must_hold ring safety -DPUSHES_1=2
        must_hold ring safety -DSINGLE -DPUSHES_1=2 -DPOPS_1=2
        must_hold ring safety $late -DPUSHES_1=9 -DPOPS_1=8
    fi
    ;;
ring_wrong)
    must_fail ring safety $late -DPUSHES_1=8 -DPOPS_1=7 -DWRONG_SAFE
    must_fail ring safety $late -DPUSHES_1=8 -DPOPS_1=7 -DWRONG_MARK
    ;;
park)
    must_hold park safety
    must_hold park safety -DSUBMITTERS=1 -DCLOSES=1
    must_hold park safety -DSUBMITTERS=1 -DHALTS=1
    if [ -n "${PANIC_TEST_LONG-}" ]; then
        must_hold park safety -DSUBMITTERS=2 -DCLOSES=1
        must_hold park safety -DHALTS=1
    fi
    ;;
park_wrong)
    must_fail park safety -DWRONG_REGISTER
    must_fail park safety -DWRONG_CHAIN -DSTUCK=1
    ;;
esac
