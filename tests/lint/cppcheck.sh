#!/bin/sh
# cppcheck over src and clients. Usage: cppcheck.sh BUILD_FOLDER
#
# In peers.c and hub.c it does not see through the loops of sys/queue.h, and takes their variables for unset. Macros that the
# compiler or its command line defines must be named; --force, so that other configurations are looked at nevertheless.
set -eu
build=$1
cd "$(dirname "$0")/../.."
mkdir -p "$build/cppcheck"
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -j 2 \
    --force -DPANICD_VERSION='""' -D__VERSION__='""' --cppcheck-build-dir="$build/cppcheck" \
    --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
    --suppress=uninitvar:src/rpc/peers.c --suppress=uninitvar:src/panic/hub.c -Isrc -Iclients src clients
echo "cppcheck: clean"
