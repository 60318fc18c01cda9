#!/bin/sh
# Builds panicd, starts it on a fresh store, and shows a panic's way from the press to its responder. Then the server runs
# until Ctrl-C; with --once it ends at once.
set -eu
cd "$(dirname "$0")/.."
. src/build.sh

once=
case ${1-} in
'') ;;
--once) once=yes ;;
*)
    echo "Usage: sh src/run.sh [--once]" >&2
    exit 64
    ;;
esac

build release panicd panicctl

server=${PANICD_SERVER:-tcp://127.0.0.1:7070}
folder=$(mktemp -d)
panicd=
finish() {
    trap - EXIT INT TERM
    if [ -n "$panicd" ]; then
        kill "$panicd" 2>/dev/null && wait "$panicd" || true # already gone is fine: it has said why
    fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 0' INT TERM

panicctl() {
    build/release/clients/panicctl/panicctl --server "$server" "$@"
}
show() {
    echo
    echo "\$ panicctl $*"
    panicctl "$@"
}

echo "Starting panicd on $server, with its store and log in $folder"
build/release/src/panicd/panicd --listen "$server" --store "sqlite:$folder/panicd.db" 2>"$folder/log" &
panicd=$!
until grep -q '"event":"ready"' "$folder/log" 2>/dev/null; do
    if ! kill -0 "$panicd" 2>/dev/null; then
        echo "panicd did not start:" >&2
        cat "$folder/log" >&2
        exit 1
    fi
done

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
echo
echo "panicd goes on serving on $server; try: build/release/clients/panicctl/panicctl list"
echo "Ctrl-C ends it."
wait "$panicd"
