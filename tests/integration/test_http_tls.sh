#!/bin/sh
# HTTPS with curl: a create, many requests on one connection, a refusal by the gate; no TLS 1.1, no plain HTTP, and nothing
# beyond loopback without TLS. Usage: test_http_tls.sh PANICD. Exit status 77 when curl or openssl is missing.
set -eu
. "$(dirname "$0")/../harness/servers.sh"
panicd=$1
needs curl openssl

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
start panicd "$READY" "$panicd" --listen "ipc://$folder/panicd.sock" --store "sqlite:$folder/panicd.db" --http https://127.0.0.1:0 \
    --tls-cert "$folder/cert.pem" --tls-key "$folder/key.pem"
url=$(url_of panicd https)

call() {
    curl -sS --max-time 20 --cacert "$folder/cert.pem" "$@"
}
call -f -d '{}' -H 'Content-Type: application/json' "$url/panic" | grep -q '"status":"processing"' || fail "no create"
[ "$(call -f "$url/health" "$url/health" "$url/health" -w '%{num_connects}\n' -o /dev/null -o /dev/null -o /dev/null |
    paste -s -d ' ')" = '1 0 0' ] ||
    fail "the connection was not kept"
head -c 70000 /dev/zero | call --data-binary @- -o /dev/null -w '%{http_code}' "$url/panic" | grep -q 413 || fail "no 413"
call --http2 -o /dev/null -w '%{http_version}' "$url/health" | grep -q '^1.1$' || fail "not HTTP/1.1"
! call --tls-max 1.1 "$url/health" 2>/dev/null || fail "TLS 1.1 was taken"
! curl -sS --max-time 20 "http${url#https}/health" 2>/dev/null || fail "plain HTTP was answered"

refused() {
    status=0
    "$panicd" --listen "ipc://$folder/other.sock" --store memory: "$@" 2>/dev/null || status=$?
    [ "$status" = 64 ] || fail "expected 64, got $status: $*"
}
refused --http 0.0.0.0:8080
refused --http https://127.0.0.1:0
refused --http nowhere
refused --http https://127.0.0.1:0 --tls-cert "$folder/key.pem" --tls-key "$folder/cert.pem"
echo "https: served, and nothing without it"
