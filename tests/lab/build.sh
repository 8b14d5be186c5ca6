# shellcheck shell=bash disable=SC2154  # dir, hub, here, cache: set by `lab`
# What all labs share, made once and kept in the cache: a system tree for each suite, and the guest's kernel and
# initramfs. Sourced by `lab`.

# What the hosts need. libvirt's and QEMU's versions come from the suite: that is the lab's version skew.
tree_packages=(
    libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils ovmf iproute2
    busybox-static
)
# bookworm's libvirt knows network file systems only; see host-init.
bookworm_packages=(bindfs)
# Not part of the kernel image itself, in the order in which they load. Those that are missing are built in.
guest_modules=(virtio_blk failover net_failover virtio_net button evdev)

suites=(trixie bookworm)

packages_of() {
    echo "${tree_packages[@]}"
    [[ $1 != bookworm ]] || echo "${bookworm_packages[@]}"
}

# Trees and guest are named after what they were made from, so a changed list makes a new one, and a lab that is up
# keeps the one it stands on.
tree_path() {
    local recipe
    recipe=$({
        echo "$1"
        packages_of "$1"
    } | sha1sum | cut -c1-8)
    printf '%s/%s-%s\n' "$cache" "$1" "$recipe"
}

guest_path() {
    local recipe
    recipe=$({
        printf '%s ' "${guest_modules[@]}"
        declare -f build_guest_locked pack_initramfs
        cat "$here/guest-init"
    } | sha1sum | cut -c1-8)
    printf '%s/guest-%s\n' "$cache" "$recipe"
}

build_all() {
    local suite
    for suite in "${suites[@]}"; do build_tree "$suite"; done
    build_guest
}

# Makes what is missing for these suites. The lock is held only where something must be made.
build_for() {
    local suite
    for suite in "$@"; do
        [[ -d $(tree_path "$suite") ]] || build_tree "$suite"
    done
    [[ -d $(guest_path) ]] || build_guest
}

# Runs its arguments as a function in a subshell that alone may change the cache. The descriptor of the lock ends with
# the subshell.
alone_in_cache() {
    mkdir -p "$cache"
    (
        exec 9>"$cache/lock"
        flock 9
        # What a killed build left.
        rm -rf --one-file-system -- "$cache"/tmp.*
        "$@"
    )
}

build_tree() {
    [[ " ${suites[*]} " == *" $1 "* ]] || die "no such suite: $1 (there are: ${suites[*]})"
    alone_in_cache build_tree_locked "$1"
}

build_tree_locked() {
    local suite=$1 tree
    tree=$(tree_path "$suite")
    [[ -d $tree ]] && return
    ((EUID == 0)) || die "building the tree of $suite needs root; run \`lab build\` as root once"
    need_tools
    log "building $suite (about half a minute)"
    work=$(mktemp -d -p "$cache")
    trap 'rm -rf "$work"' EXIT
    # shellcheck disable=SC2046  # a list of words
    debootstrap_to "$suite" "$work/tree" "$(printf '%s,' $(packages_of "$suite"))"
    mv "$work/tree" "$tree"
}

build_guest() {
    alone_in_cache build_guest_locked
}

# The kernel's package is fetched by the apt that mmdebstrap sets up for a throw-away tree, and unpacked, never
# installed. Packing tools come from that tree too, so nothing but busybox-static is asked for.
build_guest_locked() {
    local guest
    guest=$(guest_path)
    [[ -d $guest ]] && return
    ((EUID == 0)) || die "building the guest needs root; run \`lab build\` as root once"
    need_tools
    log "building the guest's kernel and initramfs"
    work=$(mktemp -d -p "$cache")
    trap 'rm -rf "$work"' EXIT
    # shellcheck disable=SC2016  # expanded by the shell that runs the hook
    debootstrap_to trixie "$work/tree" busybox-static --variant=extract --extract-hook='
        set -e
        export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
        mkdir -m 777 "$1/lab-kernel"
        cd "$1/lab-kernel"
        kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n "s/^ *Depends: //p" | head -n 1)
        apt-get -q download "$kernel"'
    pack_initramfs "$work"
    mv "$work/guest" "$guest"
}

pack_initramfs() {
    local work=$1 root=$1/initramfs busybox=$1/tree/usr/bin/busybox module found
    [[ -x $busybox ]] || busybox=$work/tree/bin/busybox
    dpkg-deb -x "$work"/tree/lab-kernel/*.deb "$work/kernel"
    mkdir -p "$work/guest" "$root"/{bin,dev,proc,sys,modules}
    chmod 755 "$work/guest"
    cp "$work"/kernel/boot/vmlinuz-* "$work/guest/vmlinuz"
    cp "$busybox" "$root/bin/busybox"
    cp "$here/guest-init" "$root/init"
    chmod 755 "$root/init"
    for module in "${guest_modules[@]}"; do
        found=$(find "$work/kernel" -name "$module.ko*" -print -quit)
        case $found in
        *.xz) "$busybox" xzcat "$found" >"$root/modules/$module.ko" ;;
        *.ko) cp "$found" "$root/modules/$module.ko" ;;
        '') continue ;;
        *) die "the guest's kernel has $found: no way to unpack it" ;;
        esac
        echo "$module" >>"$root/modules/order"
    done
    (cd "$root" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -9) >"$work/guest/initrd"
}

# debootstrap_to SUITE TREE PACKAGES [OPTION...]
debootstrap_to() {
    local suite=$1 tree=$2 packages=${3%,} out=$2.log
    local options=(--mode=root --include="$packages") sources=()
    if [[ " ${*:4} " != *" --variant="* ]]; then options+=(--variant=minbase); fi
    # On machines that are not Debian apt trusts other keys.
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [[ -e $keyring ]] && options+=(--keyring="$keyring")
    mapfile -t sources < <(debian_sources "$suite")
    if ! mmdebstrap "${options[@]}" "${@:4}" "$suite" "$tree" "${sources[@]}" >"$out" 2>&1; then
        tail -n 40 "$out" >&2
        die "mmdebstrap failed for $suite"
    fi
}

# The sources to take a suite from: the mirror that apt of this machine uses, if this is Debian. No lines at all where
# nothing is known: then mmdebstrap knows its own default.
debian_sources() {
    local suite=$1 main='' security=''
    if [[ -n ${DOMICILE_LAB_MIRROR:-} ]]; then
        main=$DOMICILE_LAB_MIRROR
    elif grep -qx 'ID=debian' /etc/os-release; then
        main=$(apt_base Debian)
        security=$(apt_base Debian-Security)
    fi
    [[ -n $main ]] || return 0
    echo "deb $main $suite main"
    [[ -z $security ]] || echo "deb $security $suite-security main"
}

# The base address of the first source of this machine with that label.
apt_base() {
    # shellcheck disable=SC2016  # apt's own placeholders
    apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^$1|//p" | head -n 1 || true
}

# The few tools of the machine itself, by the package that brings them.
need_tools() {
    local missing=()
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v ip >/dev/null && command -v tc >/dev/null || missing+=(iproute2)
    command -v nsenter >/dev/null && command -v unshare >/dev/null || missing+=(util-linux)
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    ((${#missing[@]})) || return 0
    log "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2 ||
        die "could not install ${missing[*]}; run \`apt-get update\`, or install them yourself"
}

log() { printf 'lab: %s\n' "$*" >&2; }
