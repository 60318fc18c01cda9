#!/bin/sh
# Fails when clang-format would change a file. To mend: clang-format -i on the files named. Exit status 77 with another
# version than the one that the format is defined by: versions differ in details.
set -eu
case $(clang-format --version) in
*' version 14.'*) ;;
*)
    echo "skipped: the format is that of clang-format 14 (Debian 12), not of $(clang-format --version)"
    exit 77
    ;;
esac
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2046 # no file here has a space in its name
clang-format --dry-run --Werror $(find src clients tests -name '*.[ch]')
echo "format: clean"
