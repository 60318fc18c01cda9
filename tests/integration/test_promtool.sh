#!/bin/sh
# promtool, of Prometheus itself, reads /metrics and has nothing to find fault with, before and after there were calls.
# Usage: test_promtool.sh PANICD. Exit status 77 when promtool or curl is missing.
set -eu
. "$(dirname "$0")/../harness/ends.sh"
panicd=$1
for tool in promtool curl; do
    command -v "$tool" >/dev/null || {
        echo "skipped: $tool is not installed"
        exit 77
    }
done

folder=$(mktemp -d)
pid=
finish() {
    status=$?
    trap - EXIT INT TERM
    [ -z "$pid" ] || ends "$pid" || status=1
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

mkfifo "$folder/log"
"$panicd" --listen "ipc://$folder/panicd.sock" --store "sqlite:$folder/panicd.db" --http 127.0.0.1:0 2>"$folder/log" &
pid=$!
exec 3<"$folder/log"
url=
ready=
while [ -z "$ready" ] && IFS= read -r line <&3; do
    case $line in
    *'"url":"http:'*) url=$(printf '%s\n' "$line" | sed 's/.*"url":"\([^"]*\)".*/\1/') ;;
    *'"event":"ready"'*) ready=yes ;;
    esac
done
[ -n "$ready" ]
cat <&3 >&2 &

# promtool fails for a bad name or help as well as for a bad line; what it says is on its output.
check() {
    curl -sS -f "$url/metrics" >"$folder/page"
    said=$(promtool check metrics <"$folder/page" 2>&1) || {
        echo "$said"
        exit 1
    }
    [ -z "$said" ] || {
        echo "$said"
        exit 1
    }
}
check
curl -sS -f "$url/panic" -H 'Content-Type: application/json' -d '{}' >/dev/null
curl -sS "$url/panic" -H 'Content-Type: application/json' -d '{"location":7}' >/dev/null
curl -sS "$url/nowhere" >/dev/null
check
grep -q '^panicd_http_responses_total{code="404"} 1$' "$folder/page"

# That it would find fault.
if printf '# HELP panicd_wrong A counter.\n# TYPE panicd_wrong counter\npanicd_wrong 1\n' | promtool check metrics >/dev/null 2>&1; then
    echo "promtool passes a counter whose name does not end in _total"
    exit 1
fi
echo "promtool: nothing to find fault with in $(grep -c '^# TYPE' "$folder/page") families"
