#!/bin/sh
# buf curl, with the schema from proto/. Usage: buf_curl.sh BUF
set -eu
buf=$1
service=$PANICD_URL/panic.v1.PanicService
call() {
    method=$1
    shift
    "$buf" curl --schema "$PROTO" --protocol connect "$@" "$service/$method" | tr -d ' \n'
}
expect() {
    case $1 in
    *"$2"*) ;;
    *)
        echo "expected $2 in: $1"
        exit 1
        ;;
    esac
}
expect_failure() {
    expected=$1
    method=$2
    shift 2
    if answer=$("$buf" curl --schema "$PROTO" --protocol connect "$@" "$service/$method" 2>&1); then
        echo "expected a failure with $expected, got: $answer"
        exit 1
    fi
    expect "$answer" "\"code\": \"$expected\""
}

created=$(call CreatePanic -d '{"location":{"lat":-33.9,"lng":18.4},"metadata":{"triggerSource":"mobile-app"}}')
expect "$created" '"durable":true'
expect "$created" '"status":"PANIC_STATUS_PROCESSING"'
id=$(printf '%s\n' "$created" | sed 's/.*"id":"\([^"]*\)".*/\1/')
expect "$(call GetPanic -d "{\"id\":\"$id\"}")" "\"id\":\"$id\""
expect "$(call ListPanics -d '{}')" "\"id\":\"$id\""
expect_failure not_found GetPanic -d '{"id":"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff"}'
expect_failure invalid_argument GetPanic -d '{"id":"7"}'
expect_failure already_exists CreatePanic -d "{\"id\":\"$id\"}"
echo "buf curl: created, read and listed $id"
