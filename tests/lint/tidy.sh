#!/bin/sh
# clang-tidy over every file of src and clients. Usage: tidy.sh BUILD_FOLDER. Exit status 77 with another version than the one
# whose checks are chosen in .clang-tidy.
set -eu
case $(clang-tidy --version) in
*' version 14.'*) ;;
*)
    echo "skipped: the checks are chosen for clang-tidy 14 (Debian 12)"
    exit 77
    ;;
esac
build=$1
cd "$(dirname "$0")/../.."
# clang does not know every warning option that gcc was given.
find src clients -name '*.c' | xargs -P 2 -n 1 clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option 2>"$build/tidy.log" || {
    grep -v 'warnings generated' "$build/tidy.log" >&2
    exit 1
}
echo "clang-tidy: clean"
