# Sourced by the scripts that a newcomer calls: what they need of the machine, and how it gets there.
# shellcheck shell=bash

# Cargo is the user's choice of how and where; we say how and stop.
need_cargo() {
    [[ -r ${CARGO_HOME:-$HOME/.cargo}/env ]] && . "${CARGO_HOME:-$HOME/.cargo}/env"
    command -v cargo >/dev/null && return
    cat >&2 <<'TEXT'
Rust's cargo is missing. Install it with rustup, see https://rustup.rs:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
then call this again.
TEXT
    exit 1
}

# libvirt's client library and a C linker, by the system's own packages.
need_packages() {
    local missing=()
    command -v cc >/dev/null || missing+=(build-essential)
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    pkg-config --exists libvirt 2>/dev/null || missing+=(libvirt-dev)
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || {
        echo "Please install: ${missing[*]} (this is no Debian or Ubuntu, so it is left to you)" >&2
        exit 1
    }
    local sudo=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || {
            echo "Please install as root: apt-get install ${missing[*]}" >&2
            exit 1
        }
        sudo=(sudo)
    fi
    echo "Installing ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A browser for the tests of the page, where apt can get one; without it they are left out.
need_browser() {
    command -v chromium >/dev/null && return
    command -v apt-get >/dev/null && ((EUID == 0)) || return 0
    echo "Installing chromium"
    apt-get update -qq
    env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null ||
        echo "chromium could not be installed" >&2
}
