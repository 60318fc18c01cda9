#!/bin/sh
# Fails when clang-format would change a file. To mend: clang-format -i on the files named.
set -eu
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2046 # no file here has a space in its name
clang-format --dry-run --Werror $(find src clients tests -name '*.[ch]')
echo "format: clean"
