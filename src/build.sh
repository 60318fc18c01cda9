# Sourced by the scripts that people start, before they change the folder: their usage, packages of Debian that are missing,
# then configure and build.
#
#     other_option ARGUMENT      for an argument that the script does not know: --help prints its usage and exits with 0,
#                                anything else is refused. The usage is the script's head comment
#     refuse REASON              says why and how the script is called, exits with 64
#     need_packages NAME...      installs what is not there, without asking
#     build PRESET [TARGET...]   into build/PRESET; everything when no target is named

BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config protobuf-compiler libprotobuf-dev protobuf-c-compiler
    libprotobuf-c-dev libnng-dev libsqlite3-dev libjansson-dev libxxhash-dev uuid-dev libbsd-dev libcmocka-dev libevent-dev libssl-dev zlib1g-dev"

case $0 in
/*) script=$0 ;;
*) script=$PWD/$0 ;;
esac

usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$script"
}

refuse() {
    echo "$0: $1" >&2
    usage | sed -n '/^    /p' >&2
    exit 64
}

other_option() {
    case $1 in
    --help)
        usage
        exit 0
        ;;
    -*) refuse "unknown option $1" ;;
    *) refuse "unexpected argument $1" ;;
    esac
}

is_installed() {
    case $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) in
    installed) return 0 ;;
    *) return 1 ;;
    esac
}

need_packages() {
    missing=
    for package in "$@"; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            echo "These Debian packages are missing, and this user may not install them:$missing" >&2
            echo "Have somebody who may run: apt-get install$missing" >&2
            return 1
        fi
        as_root=sudo
    fi
    echo "Installing:$missing"
    $as_root apt-get update -q >/dev/null
    # shellcheck disable=SC2086 # one word a package
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null
}

build() {
    preset=$1
    shift
    # shellcheck disable=SC2086 # one word a package
    need_packages $BUILD_PACKAGES
    [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >"build-$preset.log" 2>&1 || {
        cat "build-$preset.log" >&2
        rm -f "build-$preset.log"
        return 1
    }
    rm -f "build-$preset.log"
    if [ $# -gt 0 ]; then
        cmake --build "build/$preset" --target "$@"
    else
        cmake --build "build/$preset"
    fi
}
