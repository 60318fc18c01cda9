# Sourced by tests in shell.
#
#     ends PID...    SIGTERM to each; fails unless every one ends with 0, which it does not after a sanitizer's report
ends() {
    failed=0
    for process in "$@"; do
        kill "$process" 2>/dev/null || true # already gone: its status tells
        wait "$process" || {
            echo "process $process ended with $?" >&2
            failed=1
        }
    done
    return "$failed"
}
