#!/bin/sh
# promtool, of Prometheus itself, reads /metrics and has nothing to find fault with, before and after there were calls.
# Usage: test_promtool.sh PANICD. Exit status 77 when promtool or curl is missing.
set -eu
. "$(dirname "$0")/../harness/servers.sh"
panicd=$1
needs promtool curl

start panicd "$READY" "$panicd" --listen "ipc://$folder/panicd.sock" --store "sqlite:$folder/panicd.db" --http 127.0.0.1:0
url=$(url_of panicd http)

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
