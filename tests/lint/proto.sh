#!/bin/sh
# buf lint with the STANDARD rules. Usage: proto.sh BUILD_FOLDER. Exit status 77 when there is no npm to get buf with.
set -eu
build=$1
cd "$(dirname "$0")/../../proto"
if ! command -v npm >/dev/null; then
    echo "skipped: npm is not installed, so buf cannot be had"
    exit 77
fi
buf=$build/npm/node_modules/.bin/buf
if [ ! -x "$buf" ] && ! timeout 200 npm install --silent --no-audit --no-fund --prefix "$build/npm" @bufbuild/buf; then
    echo "skipped: npm could not install buf"
    exit 77
fi
"$buf" lint
echo "buf lint: clean"
