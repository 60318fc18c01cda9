#!/bin/sh
# src/run.sh, on ports of its own: to the end with --once; into a pipe that is closed; then as a user does, every request that it
# prints sent as it stands, and the server ended by a signal.
set -eu
cd "$(dirname "$0")/../.."
export PANICD_SERVER=tcp://127.0.0.1:0 PANICD_HTTP=127.0.0.1:0

folder=$(mktemp -d)
demo=
finish() {
    trap - EXIT INT TERM
    if [ -n "$demo" ]; then
        kill "$demo" 2>/dev/null && wait "$demo" || true # already gone is fine
    fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

sh src/run.sh --once >"$folder/once"
grep -q '^status  *active' "$folder/once"

# Nobody reads on: the server is ended, and its folder removed.
behind=$(sh src/run.sh | sed -n 's/^Starting panicd, .* in //p; T; q')
if [ -z "$behind" ] || [ -e "$behind" ]; then
    echo "left behind: $behind"
    exit 1
fi

mkfifo "$folder/out"
sh src/run.sh >"$folder/out" &
demo=$!
exec 3<"$folder/out"
ended=
while [ -z "$ended" ] && IFS= read -r line <&3; do
    case $line in
    '  curl '*)
        printf '%s\n' "$line"
        printf '%s\n' "$line" >>"$folder/requests"
        ;;
    'Ctrl-C ends it.') ended=yes ;;
    esac
done
[ -n "$ended" ]

sh -eu "$folder/requests" >"$folder/answers"
cat "$folder/answers"
expect() {
    sed -n "$1p" "$folder/answers" | grep -q "$2" || {
        echo "the answer to request $1 is without: $2"
        exit 1
    }
}
[ "$(wc -l <"$folder/answers")" -eq 5 ]
expect 1 '^{"id":"[^"]*","timestamp":.*"status":"processing".*"triggerSource":"mobile-app"'
expect 2 '"status":"active".*"responder":"unit-42"'
expect 3 '^{"panic":{.*"status":"PANIC_STATUS_PROCESSING".*"durable":true'
expect 4 '"status":"PANIC_STATUS_ACTIVE".*"responderId":"unit-42"'
expect 5 '^{"status":"OK"}$'

kill -TERM "$demo"
wait "$demo"
demo=
health=$(tail -n 1 "$folder/requests")
if sh -c "$health" 2>/dev/null; then
    echo "the server is still there"
    exit 1
fi
echo "the printed requests work, and the server ends when told"
