# shellcheck shell=bash
# Sourced by ./demo, ./test and scripts/test-parts: what is missing is installed from the system's packages,
# and said. Without the right to do so, the exact command is said instead.

# need_programs PROGRAM:PACKAGE …
need_programs() {
    local pair missing=()
    for pair in "$@"; do
        have "${pair%%:*}" || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
    for pair in "$@"; do
        have "${pair%%:*}" || {
            echo "${pair%%:*} is still missing after installing ${pair#*:}" >&2
            return 1
        }
    done
}

have() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null
}

# The sample service's image holds nothing but busybox, so it has to be the one without shared libraries.
need_static_busybox() {
    [ -n "$(static_busybox)" ] || install_packages busybox-static
    [ -n "$(static_busybox)" ] || {
        echo "busybox from busybox-static is still missing" >&2
        return 1
    }
}

static_busybox() {
    local path
    for path in /bin/busybox /usr/bin/busybox; do
        case $(LC_ALL=C ldd "$path" 2>&1) in
            *"not a dynamic"* | *"statically linked"*)
                echo "$path"
                return
                ;;
        esac
    done
}

install_packages() {
    local as_root=() command="apt-get install --no-install-recommends $*"
    if ! command -v apt-get >/dev/null; then
        echo "missing programs, and here is no apt-get; these Debian packages hold them: $*" >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
        # sudo may ask for a password only where somebody can answer.
        if ! command -v sudo >/dev/null || { ! [ -t 0 ] && ! sudo -n true 2>/dev/null; }; then
            echo "missing packages; run this as root, then again: $command" >&2
            return 1
        fi
    fi
    echo "installing from the system's packages: $*"
    "${as_root[@]}" apt-get update -qq </dev/null
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@" </dev/null >/dev/null
    stop_services "$@"
}

# Debian starts a package's server at once. We start our own, on loopback, and end them.
stop_services() {
    local package
    [ -d /run/systemd/system ] || return 0
    for package in "$@"; do
        case $package in
            docker-registry | prometheus | prometheus-pushgateway)
                echo "stopping the service that the package $package started"
                "${as_root[@]}" systemctl disable --quiet --now "$package" || true
                ;;
        esac
    done
}
