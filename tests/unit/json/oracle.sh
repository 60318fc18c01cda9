#!/bin/sh
# oracle.sh DRIVER DESCRIPTOR_SET: runs oracle.py with the system's python3, or says why not and exits 77.
if ! /usr/bin/python3 -c 'import google.protobuf.json_format' 2>/dev/null; then
    echo "skipped: /usr/bin/python3 has no google.protobuf (Debian: python3-protobuf)"
    exit 77
fi
exec /usr/bin/python3 "$(dirname "$0")/oracle.py" "$@"
