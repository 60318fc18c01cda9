#!/bin/sh
# Runs one of the tests beside this file. Usage: run.sh NAME BUILD_FOLDER PANICD [PANIC_SHIM]
#
# With a panic-shim the test talks to that, and the panicd stands behind it.
#
# The packages of package.json are put into BUILD_FOLDER/web, once for all of them; what protoc-gen-es makes from proto/
# into BUILD_FOLDER/web/NAME, or NAME-shim. Exit status 77: skipped.
set -eu
. "$(dirname "$0")/../harness/ends.sh"
name=$1
build=$2
panicd=$3
shim=${4-}
place=$name${shim:+-shim}
here=$(cd "$(dirname "$0")" && pwd)
proto=$here/../../proto
web=$build/web

skip() {
    echo "skipped: $1"
    exit 77
}
command -v npm >/dev/null || skip "npm is not installed"
command -v node >/dev/null || skip "node is not installed"
[ "$name" != openapi_lint ] || command -v curl >/dev/null || skip "curl is not installed"
[ "$name" != connect_web ] || command -v chromium >/dev/null || skip "chromium is not installed"

mkdir -p "$web"
exec 9>"$web/lock"
flock 9
if ! cmp -s "$here/package.json" "$web/package.json"; then
    cp "$here/package.json" "$web/package.json.new"
    mkdir -p "$web/new"
    cp "$here/package.json" "$web/new/package.json"
    timeout 200 npm install --silent --no-audit --no-fund --prefix "$web/new" >"$web/npm.log" 2>&1 ||
        skip "npm could not install the packages: $(tail -n 1 "$web/npm.log")"
    rm -rf "$web/node_modules"
    mv "$web/new/node_modules" "$web/node_modules"
    rm -rf "$web/new"
    mv "$web/package.json.new" "$web/package.json"
fi
flock -u 9

# A folder of its own, below node_modules' folder, where node finds the packages.
rm -rf "${web:?}/$place"
mkdir -p "$web/$place/gen"
(cd "$proto" && protoc --plugin="$web/node_modules/.bin/protoc-gen-es" --es_out="$web/$place/gen" \
    --es_opt=target=js,import_extension=js \
    -I. panic/v1/panic.proto panic/v1/panic_service.proto panic/v1/dispatch_service.proto health/v1/health.proto)
cp "$here"/*.mjs "$here"/*.html "$web/$place"

folder=$(mktemp -d)
pid=
behind=
finish() {
    status=$?
    trap - EXIT INT TERM
    # shellcheck disable=SC2086 # one word a process
    ends $pid $behind || status=1
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

# The page of the browser test is served from this origin; whichever port is free.
origin=http://localhost:$(node -e '
    const server = require("net").createServer();
    server.listen(0, () => { console.log(server.address().port); server.close(); });')
mkfifo "$folder/log"
if [ -n "$shim" ]; then
    "$panicd" --listen "ipc://$folder/panicd.sock" --http '' --store memory: &
    behind=$!
    "$shim" --upstream "ipc://$folder/panicd.sock" --http 127.0.0.1:0 --http-origin "$origin" 2>"$folder/log" &
else
    "$panicd" --listen "ipc://$folder/panicd.sock" --http 127.0.0.1:0 --http-origin "$origin" \
        --store memory: 2>"$folder/log" &
fi
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
# The rest of the log is read, so that panicd can write it.
cat <&3 >&2 &

cd "$web/$place"
export PANICD_URL="$url" PANICD_ORIGIN="$origin" PROTO="$proto"
case $name in
buf_curl) sh "$here/buf_curl.sh" "$web/node_modules/.bin/buf" ;;
openapi_lint) sh "$here/openapi_lint.sh" "$web/node_modules/.bin/redocly" ;;
*) node --test-reporter=spec "./$name.mjs" ;;
esac
