#!/bin/sh
# Fails when a folder includes what does not stand below it (docs/ARCHITECTURE.md, "Floors"), or uses a path with "..".
set -eu
cd "$(dirname "$0")/../.."

check() {
    folder=$1
    shift
    allowed="$(basename "$folder")"
    for name in "$@"; do
        allowed="$allowed|$name"
    done
    grep -nE '^#include "' -r "$folder" --include='*.c' --include='*.h' |
        grep -vE "#include \"($allowed)/|#include \"(google|panic/v1|rpc/v1|health/v1)/[a-z0-9_/]*\.pb-c\.h\"" || :
}

found=$(
    check src/base
    check src/core base
    check src/cache base
    check src/store base
    check src/json base
    check src/rpc base
    check src/panic base core cache store rpc
    check src/shim base core cache store rpc json panic
    check src/panicd base core cache store rpc json panic shim
    check clients/c base rpc
    check clients/panicctl base rpc json c
    grep -rnE '#include "[^"]*\.\./' src clients tests --include='*.c' --include='*.h' || :
)
if [ -n "$found" ]; then
    echo "Includes that go against the floors:"
    echo "$found"
    exit 1
fi
echo "floors: clean"
