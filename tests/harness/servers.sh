# Sourced by tests in shell that start a panicd or a panic-shim. $folder is a new folder, which goes with the test; the servers
# are ended before, the last one first, and each must end with 0, which it does not after a sanitizer's report.
#
#     skip REASON               ends the test as one that cannot run here
#     needs TOOL...             skips unless all are installed
#     fail REASON [FILE...]     ends the test; shows these files of $folder
#     start NAME TEXT COMMAND...   starts a server, whose log is $folder/NAME.log, and waits until that has a line with TEXT
#     url_of NAME SCHEME        where that listens, SCHEME://...
#
# Whenever the test fails, the logs are shown.

READY='"event":"ready"'
servers=
folder=$(mktemp -d)

end_servers() {
    failed=0
    for server in $servers; do
        kill "$server" 2>/dev/null || true # already gone: its status tells
        wait "$server" || {
            echo "process $server ended with $?" >&2
            failed=1
        }
    done
    servers=
    wait # for the logs
    return "$failed"
}

finish() {
    status=$?
    trap - EXIT INT TERM
    end_servers || status=1
    if [ "$status" != 0 ] && [ "$status" != 77 ]; then
        for log in "$folder"/*.log; do
            [ ! -f "$log" ] || sed "s/^/${log##*/}: /" "$log" >&2
        done
    fi
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

skip() {
    echo "skipped: $1"
    exit 77
}

needs() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || skip "$tool is not installed"
    done
}

fail() {
    echo "FAILED: $1" >&2
    shift
    for file in "$@"; do
        echo "--- $file" >&2
        cat "$folder/$file" >&2
    done
    exit 1
}

start() {
    label=$1
    wanted=$2
    shift 2
    mkfifo "$folder/$label.fifo"
    "$@" 2>"$folder/$label.fifo" &
    servers="$! $servers"
    exec 3<"$folder/$label.fifo"
    started=
    while [ -z "$started" ] && IFS= read -r line <&3; do
        printf '%s\n' "$line" >>"$folder/$label.log"
        case $line in
        *"$wanted"*) started=yes ;;
        esac
    done
    # The rest of the log is read, so that the server can write it.
    cat <&3 >>"$folder/$label.log" &
    exec 3<&-
    [ -n "$started" ] || fail "$label did not start"
}

url_of() {
    sed -n "s/.*\"event\":\"listening\",\"url\":\"\($2:[^\"]*\)\".*/\1/p" "$folder/$1.log" | head -n 1
}
