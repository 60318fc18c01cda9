#!/bin/sh
# Runs the commands of one document: every block marked sh, in order, in one shell that ends at the first failure, against a
# panicd of its own. Usage: run.sh DOCUMENT BUILD_FOLDER
#
# The addresses that documents name (ports 7070 and 8080 of 127.0.0.1) are replaced by those of that panicd, and port 8090 by one
# below those that Linux chooses from. The two commands of the README are tests of their own (docs/demo, and this run itself).
set -eu
. "$(dirname "$0")/../harness/servers.sh"
build=$2
cd "$(dirname "$0")/../.."
document=$1

start panicd "$READY" "$build/src/panicd/panicd" --listen tcp://127.0.0.1:0 --http 127.0.0.1:0 --store "sqlite:$folder/panicd.db"
rpc=$(url_of panicd tcp)
http=$(url_of panicd http)

awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$document" |
    grep -vE '^sh (src|tests)/run\.sh$' |
    sed "s/127\.0\.0\.1:7070/${rpc#*//}/g; s/127\.0\.0\.1:8080/${http#*//}/g; s/127\.0\.0\.1:8090/127.0.0.1:$((20000 + $$ % 10000))/g" >"$folder/commands"
if [ ! -s "$folder/commands" ]; then
    echo "$document: no commands"
    exit 1
fi
# What the commands find in the folder of the sources.
mkdir "$folder/build"
ln -s "$build" "$folder/build/release"
ln -s "$PWD/proto" "$PWD/src" "$PWD/clients" "$folder"
cd "$folder"
PATH="$build/clients/panicctl:$build/src/panicd:$PATH" PANICD_SERVER="$rpc" sh -eux commands
