#!/bin/sh
# clang-tidy over every file of src and clients. Usage: tidy.sh BUILD_FOLDER
set -eu
build=$1
cd "$(dirname "$0")/../.."
# clang does not know every warning option that gcc was given.
find src clients -name '*.c' | xargs -P 2 -n 4 clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option 2>"$build/tidy.log" || {
    grep -v 'warnings generated' "$build/tidy.log" >&2
    exit 1
}
echo "clang-tidy: clean"
