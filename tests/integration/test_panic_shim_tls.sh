#!/bin/sh
# TLS all the way: curl, https, panic-shim, tls+tcp, panicd. And nothing goes to a panicd whose certificate is another's.
# Usage: test_panic_shim_tls.sh PANICD PANIC_SHIM. Exit status 77 when curl or openssl is missing.
set -eu
. "$(dirname "$0")/../harness/servers.sh"
panicd=$1
shim=$2
needs curl openssl

certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$folder/$1.key" -out "$folder/$1.pem" 2>/dev/null
}

certificate ours
certificate other
start panicd "$READY" "$panicd" --listen tls+tcp://localhost:0 --http '' --store memory: \
    --tls-cert "$folder/ours.pem" --tls-key "$folder/ours.key"
upstream=$(url_of panicd tls+tcp)
start shim '"event":"upstream serves"' "$shim" --upstream "$upstream" --upstream-ca "$folder/ours.pem" \
    --http https://127.0.0.1:0 --tls-cert "$folder/ours.pem" --tls-key "$folder/ours.key"
url=$(url_of shim https)
start mistaken '"event":"upstream does not serve"' "$shim" --upstream "$upstream" --upstream-ca "$folder/other.pem" \
    --http 127.0.0.1:0

call() {
    curl -sS --max-time 20 --cacert "$folder/ours.pem" -H 'Content-Type: application/json' "$@"
}
call -f -d '{}' "$url/panic" | grep -q '"status":"processing"' || fail "no create"
call -f "$url/readyz" >/dev/null || fail "not ready"
[ "$(call -d '{}' -o /dev/null -w '%{http_code}' "$(url_of mistaken http)/panic")" = 503 ] || fail "went to a stranger"
[ "$(call -f -d '{}' "$url/panic.v1.PanicService/ListPanics" | grep -o '"id"' | wc -l)" = 1 ] || fail "not one panic"
echo "panic-shim: TLS on both sides"
