#!/bin/sh
# What docs/protocol.md promises about tools of others: frames made by protoc and carried by nngcat are answered
# by panicd, and protoc reads the answers.
#
#     test_nngcat.sh PANICD PROTO_FOLDER
#
# Exit status 77: nngcat or protoc is not installed.
set -eu
. "$(dirname "$0")/../harness/servers.sh"
panicd=$1
protos=$2
needs nngcat protoc

# encode TYPE PROTO and decode TYPE PROTO: text to bytes and back.
encode() { protoc -I "$protos" --encode="$1" "$2"; }
decode() { protoc -I "$protos" --decode="$1" "$2"; }

# Bytes as the inside of a string in protobuf's text format.
escape() { od -An -v -to1 | tr -d '\n' | sed 's/ /\\/g'; }

# The other way: from the octal and C escapes that protoc prints. %b wants \0 before octal digits.
unescape() { printf '%b' "$(sed -e 's/\\"/"/g' -e "s/\\\\'/'/g" -e 's/\\\([0-3][0-7][0-7]\)/\\0\1/g')"; }

# call METHOD PAYLOAD_FILE RESPONSE_TEXT_FILE
call() {
    printf 'method: "%s" payload: "%s" timeout_ms: 20000' "$1" "$(escape <"$folder/$2")" |
        encode rpc.v1.Request rpc/v1/rpc.proto >"$folder/request.bin"
    nngcat --req0 --dial "$url" --file "$folder/request.bin" --raw --recv-timeout 30 --send-timeout 30 >"$folder/response.bin"
    decode rpc.v1.Response rpc/v1/rpc.proto <"$folder/response.bin" >"$folder/$3"
}

# payload_of RESPONSE_TEXT_FILE: the bytes of its payload.
payload_of() { sed -n 's/^payload: "\(.*\)"$/\1/p' "$folder/$1" | unescape; }

start panicd "$READY" "$panicd" --listen tcp://127.0.0.1:0 --http '' --store "sqlite:$folder/panicd.db"
url=$(url_of panicd tcp)

: >"$folder/empty.bin"
call /health.v1.HealthService/Check empty.bin health.txt
payload_of health.txt | decode health.v1.CheckResponse health/v1/health.proto >"$folder/check.txt"
grep -q 'SERVING_STATUS_SERVING' "$folder/check.txt" || fail "health" health.txt check.txt

id=018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41
cat >"$folder/create.txt" <<END
id: "$id"
subject_id: "user-7 \"the second\""
location { lat: -33.9 lng: 18.4 accuracy_m: 12.5 }
metadata { fields { key: "floor" value { number_value: 3 } } }
END
encode panic.v1.CreatePanicRequest panic/v1/panic_service.proto <"$folder/create.txt" >"$folder/create.bin"
call /panic.v1.PanicService/CreatePanic create.bin created.txt
payload_of created.txt | decode panic.v1.CreatePanicResponse panic/v1/panic_service.proto >"$folder/panic.txt"
for part in "id: \"$id\"" 'durable: true' 'version: 1' 'lat: -33.9' 'key: "floor"' 'subject_id: "user-7 \\"the second\\""'; do
    grep -q "$part" "$folder/panic.txt" || fail "the created panic has no $part" created.txt panic.txt
done
! grep -q 'replayed' "$folder/panic.txt" || fail "the first create was called a repeat" panic.txt

call /panic.v1.PanicService/CreatePanic create.bin again.txt
payload_of again.txt | decode panic.v1.CreatePanicResponse panic/v1/panic_service.proto >"$folder/panic.txt"
grep -q 'replayed: true' "$folder/panic.txt" || fail "the repeat was not known" again.txt panic.txt

printf 'id: "nonce"' | encode panic.v1.GetPanicRequest panic/v1/panic_service.proto >"$folder/get.bin"
call /panic.v1.PanicService/GetPanic get.bin refused.txt
grep -q '^code: 3$' "$folder/refused.txt" || fail "a bad id has another code" refused.txt
grep -q '^message: "id: not a UUID' "$folder/refused.txt" || fail "a bad id is not named" refused.txt

echo "health, create, repeat and a refused get, all by protoc and nngcat"
