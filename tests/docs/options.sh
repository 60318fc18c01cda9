#!/bin/sh
# The scripts that people start tell their usage when asked, and refuse what they do not know, before anything is installed or
# built.
set -eu
cd "$(dirname "$0")/../.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
fail() {
    echo "$1"
    cat "$folder/out" "$folder/error"
    exit 1
}

# What a script would begin its work with.
for tool in cmake ctest apt-get npm python3 valgrind spin; do
    printf '#!/bin/sh\necho "%s" >>"%s/begun"\nexit 1\n' "$tool" "$folder" >"$folder/$tool"
    chmod +x "$folder/$tool"
done

# run EXIT_STATUS SCRIPT ARGUMENT...
run() {
    expected=$1
    shift
    status=0
    PATH="$folder:$PATH" sh "$@" >"$folder/out" 2>"$folder/error" </dev/null || status=$?
    [ "$status" = "$expected" ] || fail "sh $*: exit status $status, expected $expected"
    [ ! -e "$folder/begun" ] || fail "sh $*: began with $(cat "$folder/begun")"
}

# refused NAMED SCRIPT ARGUMENT...: the first line of the error has that, the others say how to call the script.
refused() {
    named=$1
    shift
    run 64 "$@"
    head -n 1 "$folder/error" | grep -qF -e "$named" || fail "sh $*: the error does not name $named"
    sed 1d "$folder/error" | grep -q "^    sh $script" || fail "sh $*: no usage"
    ! sed 1d "$folder/error" | grep -qv "^    sh $script" || fail "sh $*: more than the usage"
    [ ! -s "$folder/out" ] || fail "sh $*: something on standard output"
}

for script in src/run.sh tests/run.sh tests/bench/run.sh tests/bench/gate.sh tests/bench/ring/run.sh tests/model/run.sh; do
    run 0 "$script" --help
    sed '1d; /^#/!Q; s/^# \{0,1\}//' "$script" | cmp -s - "$folder/out" || fail "$script --help does not print its head comment"
    grep -q "^    sh $script" "$folder/out" || fail "$script --help does not tell how to call it"
    refused --foo "$script" --foo
    refused -x "$script" -x --help
done

script=src/run.sh
refused "more" src/run.sh --once more
script=tests/run.sh
refused --preset tests/run.sh --preset
refused -R tests/run.sh --long -R
refused pattern tests/run.sh pattern
run 0 tests/run.sh --long --preset asan --help
script=tests/bench/run.sh
refused --folder tests/bench/run.sh --quick --folder
refused more tests/bench/run.sh --quick more
script=tests/bench/gate.sh
refused nowhere tests/bench/gate.sh nowhere

script=tests/model/run.sh
refused model tests/model/run.sh

# From other folders.
cd tests/bench
run 0 ../run.sh --help
grep -q '^    sh tests/run.sh' "$folder/out" || fail "no usage by ../run.sh"
run 0 "$PWD/gate.sh" --help
grep -q '^    sh tests/bench/gate.sh' "$folder/out" || fail "no usage by an absolute path"
echo "options: told and refused"
