#!/bin/sh
# Runs one of the tests beside this file. Usage: run.sh NAME BUILD_FOLDER PANICD [PANIC_SHIM]
#
# With a panic-shim the test talks to that, and the panicd stands behind it.
#
# The packages of package.json are put into BUILD_FOLDER/web, once for all of them; what protoc-gen-es makes from proto/
# into BUILD_FOLDER/web/NAME, or NAME-shim. Exit status 77: skipped.
set -eu
. "$(dirname "$0")/../harness/servers.sh"
name=$1
build=$2
panicd=$3
shim=${4-}
place=$name${shim:+-shim}
here=$(cd "$(dirname "$0")" && pwd)
proto=$here/../../proto
web=$build/web

needs npm node
[ "$name" != openapi_lint ] || needs curl
[ "$name" != connect_web ] || needs chromium

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

# The page of the browser test is served from this origin; whichever port is free.
origin=http://localhost:$(node -e '
    const server = require("net").createServer();
    server.listen(0, () => { console.log(server.address().port); server.close(); });')
if [ -n "$shim" ]; then
    start panicd "$READY" "$panicd" --listen "ipc://$folder/panicd.sock" --http '' --store memory:
    start edge "$READY" "$shim" --upstream "ipc://$folder/panicd.sock" --http 127.0.0.1:0 --http-origin "$origin"
else
    start edge "$READY" "$panicd" --listen "ipc://$folder/panicd.sock" --http 127.0.0.1:0 --http-origin "$origin" --store memory:
fi

cd "$web/$place"
PANICD_URL=$(url_of edge http)
export PANICD_URL PANICD_ORIGIN="$origin" PROTO="$proto"
case $name in
buf_curl) sh "$here/buf_curl.sh" "$web/node_modules/.bin/buf" ;;
openapi_lint) sh "$here/openapi_lint.sh" "$web/node_modules/.bin/redocly" ;;
*) node --test-reporter=spec "./$name.mjs" ;;
esac
