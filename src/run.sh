#!/bin/sh
# Builds panicd, starts it on a fresh store, and shows a panic's way from the press to its responder. Then it prints requests to
# try with curl.
#
#     sh src/run.sh          the server runs until Ctrl-C
#     sh src/run.sh --once   it ends at once
#
# PANICD_SERVER and PANICD_HTTP are where it listens, if not on tcp://127.0.0.1:7070 and 127.0.0.1:8080; port 0 = any.
set -eu
. "$(dirname "$0")/build.sh"

once=
for argument in "$@"; do
    case $argument in
    --once) once=yes ;;
    *) other_option "$argument" ;;
    esac
done
cd "$(dirname "$0")/.."

build release panicd panicctl

folder=$(mktemp -d)
panicd=
finish() {
    trap - EXIT INT TERM HUP PIPE
    if [ -n "$panicd" ]; then
        kill "$panicd" 2>/dev/null && wait "$panicd" || true # already gone is fine: it has said why
    fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 0' INT TERM
trap 'exit 1' HUP PIPE # the terminal is closed, or nobody reads on: panicd must not stay behind

panicctl() {
    build/release/clients/panicctl/panicctl --server "$server" "$@"
}
show() {
    echo
    echo "\$ panicctl $*"
    panicctl "$@"
}

# What to paste. The answers of HTTP end without a line feed, hence -w.
show_curl() {
    content="-H 'Content-Type: application/json'"
    panic='{"location":{"lat":-33.9,"lng":18.4},"metadata":{"triggerSource":"mobile-app"}}'
    service=$http/panic.v1.PanicService
    cat <<END

Over HTTP, create and get a panic:

  curl -sS -w '\n' $http/panic $content -d '$panic'
  curl -sS -w '\n' $http/panic/$id

the same with the Connect protocol:

  curl -sS -w '\n' $service/CreatePanic $content -d '$panic'
  curl -sS -w '\n' $service/GetPanic $content -d '{"id":"$id"}'

and whether the server is well:

  curl -sS -w '\n' $http/health
END
}

echo "Starting panicd, with its store and log in $folder"
build/release/src/panicd/panicd --listen "${PANICD_SERVER:-tcp://127.0.0.1:7070}" --store "sqlite:$folder/panicd.db" 2>"$folder/log" &
panicd=$!
until grep -q '"event":"ready"' "$folder/log" 2>/dev/null; do
    if ! kill -0 "$panicd" 2>/dev/null; then
        echo "panicd did not start:" >&2
        cat "$folder/log" >&2
        exit 1
    fi
done
server=$(sed -n '/"url":"http:/!s/.*"url":"\([^"]*\)".*/\1/p' "$folder/log" | head -n 1)
http=$(sed -n 's/.*"url":"\(http:[^"]*\)".*/\1/p' "$folder/log" | head -n 1)

show responder put unit-42 --lat -33.92 --lng 18.42
show create --lat -33.9 --lng 18.4 --metadata triggerSource=mobile-app | tee "$folder/created"
id=$(sed -n 's/^id  *//p' "$folder/created")
tries=0
until panicctl get "$id" | grep -q '^status  *active'; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || {
        echo "the panic did not become active" >&2
        exit 1
    }
done
show get "$id"

[ -z "$once" ] || exit 0
[ -z "$http" ] || show_curl
echo
echo "panicd goes on serving on $server; try: build/release/clients/panicctl/panicctl --server $server list"
echo "Ctrl-C ends it."
wait "$panicd"
