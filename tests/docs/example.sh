#!/bin/sh
# Every line of C in the README stands in clients/c/example.c, which the build compiles.
set -eu
cd "$(dirname "$0")/../.."
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md | while IFS= read -r line; do
    grep -qF -e "$line" clients/c/example.c || {
        echo "not in clients/c/example.c: $line"
        exit 1
    }
done
echo "the README's example is the compiled one"
