#!/bin/sh
# cppcheck over src and clients. Usage: cppcheck.sh BUILD_FOLDER
set -eu
build=$1
cd "$(dirname "$0")/../.."
mkdir -p "$build/cppcheck"
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -j 2 \
    --cppcheck-build-dir="$build/cppcheck" --suppress=missingIncludeSystem -Isrc -Iclients src clients
echo "cppcheck: clean"
