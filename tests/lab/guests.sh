# shellcheck shell=bash disable=SC2154  # dir, hub, here, cache: set by `lab`
# Guests and the volumes they stand on, and what their beats prove. Sourced by `lab`.

# make_guest HOST NAME [OPTION...]
make_guest() {
    local host=$1 name=$2
    shift 2
    [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || die "not a guest's name: $name"
    local disks=() nics=() memory=160 vcpus=1 machine=pc cpu='' fill=0 dirty=0 uefi='' off='' acpi=yes pty=''
    while (($#)); do
        case $1 in
        --uefi) uefi=yes ;;
        --off) off=yes ;;
        --no-acpi) acpi=no ;;
        --pty) pty=yes ;;
        --disk | --nic | --memory | --vcpus | --machine | --cpu | --fill | --dirty)
            (($# >= 2)) || die "$1 needs a value"
            case $1 in
            --disk) disks+=("$2") ;;
            --nic) nics+=("$2") ;;
            *) printf -v "${1#--}" %s "$2" ;;
            esac
            shift
            ;;
        *) die "no such option of a guest: $1" ;;
        esac
        shift
    done
    ((${#disks[@]})) || disks=(vda=default:qcow2:64M)

    local disk devices='' target pool format size base
    for disk in "${disks[@]}"; do
        [[ $disk =~ ^(vd[a-z])=([a-z]+):(qcow2|raw):([0-9]+[KMGTkmgt]?)(:(.+))?$ ]] ||
            die "not a disk: $disk (DEV=POOL:FORMAT:SIZE[:BASEVOL], DEV vda to vdz, FORMAT qcow2 or raw)"
        target=${BASH_REMATCH[1]} pool=${BASH_REMATCH[2]} format=${BASH_REMATCH[3]}
        size=${BASH_REMATCH[4]} base=${BASH_REMATCH[6]}
        make_volume "$host" "$pool" "$name-$target.$format" "$format" "$size" "$base"
        devices+="
    <disk type='file' device='disk'>
      <driver name='qemu' type='$format'/>
      <source file='$(pool_folder "$pool")/$name-$target.$format'/>
      <target dev='$target' bus='virtio'/>
    </disk>"
    done
    local nic
    for nic in "${nics[@]}"; do
        devices+="
    <interface type='bridge'>
      <mac address='${nic%%=*}'/>
      <source bridge='${nic#*=}'/>
      <model type='virtio'/>
    </interface>"
    done

    watch_console "$name"
    domain_xml | run_on "$host" virsh -q define /dev/stdin >&2
    [[ -z $off ]] || return 0
    local before
    before=$(beats_of "$name" | wc -l)
    run_on "$host" virsh -q start "$name" >&2 </dev/null
    await_beat "$name" "$before" $((180 + fill * 3)) ||
        die "no beat of $name; its console: $dir/console/$name.log, QEMU's log: \`lab on\` $host, /var/log/libvirt/qemu/$name.log"
}

# The console is a file that all hosts share and that each QEMU only appends to, so it goes on when the guest moves.
# Reads make_guest's variables.
domain_xml() {
    local log=/srv/shared-console/$name.log firmware='' firmware_feature='' features='<features><acpi/></features>'
    [[ $acpi == yes ]] || features=''
    if [[ $uefi ]]; then
        firmware=" firmware='efi'"
        firmware_feature="<firmware><feature enabled='no' name='secure-boot'/></firmware>"
    fi
    echo "<domain type='qemu'>
  <name>$name</name>
  <memory unit='MiB'>$memory</memory>
  <vcpu>$vcpus</vcpu>
  <os$firmware>
    <type arch='x86_64' machine='$machine'>hvm</type>
    $firmware_feature
    <kernel>/srv/guest/vmlinuz</kernel>
    <initrd>/srv/guest/initrd</initrd>
    <cmdline>console=ttyS0 quiet loglevel=3 panic=-1 domicile.fill=$fill domicile.dirty=$dirty domicile.acpi=$acpi</cmdline>
  </os>
  $features"
    case $cpu in
    '') ;;
    host-model | host-passthrough | maximum) echo "  <cpu mode='$cpu'/>" ;;
    *) echo "  <cpu mode='custom' match='exact'><model fallback='forbid'>$cpu</model></cpu>" ;;
    esac
    echo "  <clock offset='utc'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>$devices"
    if [[ $pty ]]; then
        echo "    <serial type='pty'><log file='$log' append='on'/></serial>"
    else
        echo "    <serial type='file'><source path='$log' append='on'/></serial>"
    fi
    echo "  </devices>
</domain>"
}

# make_volume HOST POOL VOLUME FORMAT SIZE BASE: nothing is allocated in advance. On a base, it is a linked clone.
make_volume() {
    local host=$1 pool=$2 backing=()
    if [[ $6 ]]; then
        [[ $4 == qcow2 ]] || die "a disk on a base must be qcow2"
        local format
        format=$(run_on "$host" virsh vol-dumpxml --pool "$pool" "$6" </dev/null |
            sed -n "0,/<format type=/s/.*<format type='\([a-z0-9]*\)'.*/\1/p")
        backing=(--backing-vol "$6" --backing-vol-format "$format")
    fi
    run_on "$host" virsh -q vol-create-as "$pool" "$3" "$5" --format "$4" --allocation 0 "${backing[@]}" >&2 </dev/null
}

# make_base HOST POOL NAME SIZE_MIB
make_base() {
    local host=$1 path
    path=$(pool_folder "$2")/$3
    # shellcheck disable=SC2016  # expanded inside the host
    run_on "$host" sh -ec '
        ! [ -e "$1" ] || { echo "lab: $1 exists" >&2; exit 1; }
        raw=$(mktemp -p /var/tmp)
        trap "rm -f $raw" EXIT
        head -c "$2M" /dev/urandom >"$raw"
        qemu-img convert -f raw -O qcow2 "$raw" "$1"
        chmod 444 "$1"' sh "$path" "$4" </dev/null
    run_on "$host" virsh -q pool-refresh "$2" >/dev/null </dev/null
}

# Notes when each line of a console came, by this machine's clock: a guest's own clock stands still while the guest
# does. It runs in the hub's network namespace, so that `lab down` finds and ends it.
watch_console() {
    local log=$dir/console/$1.log beats=$dir/beats/$1
    [[ ! -e $beats ]] || return 0
    : >>"$log"
    : >"$beats"
    # shellcheck disable=SC2016  # expanded by the watcher
    setsid nsenter --net="/run/netns/$hub" "$BASH" -c '
        tail -n +1 -F "$0" 2>/dev/null | while IFS= read -r line; do
            printf "%s %s\n" "$EPOCHREALTIME" "${line%$'"'\r'"'}"
        done' "$log" >>"$beats" 2>/dev/null </dev/null &
    disown
}

# The beats of a guest, and nothing else that its console says: TIME BOOT NUMBER
beats_of() {
    [[ -e $dir/beats/$1 ]] || die "no console is followed for $1"
    awk '
        NF >= 4 && $3 == "beat" && $4 ~ /^[0-9]+$/ &&
        length($2) == 36 && $2 ~ /^[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+$/ { print $1, $2, $4 }
    ' "$dir/beats/$1"
}

await_beat() {
    local i
    for ((i = 0; i < $3 * 10; i++)); do
        (($(beats_of "$1" | wc -l) <= $2)) || return 0
        sleep 0.1
    done
    return 1
}

# lost: numbers missing within a boot. longest_gap_ms: between any two beats in a row, a new boot's first one included.
# twice: within a boot a number came again or a smaller one followed, or a boot was heard again after another had begun:
# both mean two instances. (A boot that begins again at the same state keeps its id, so a split shows as numbers coming
# twice.)
analyse_beats() {
    beats_of "$1" | LC_ALL=C awk '
        {
            at = $1; boot = $2; n = $3 + 0
            if (!(boot in highest)) { boots++; lost += n - 1 }
            else if (boot != current || n <= highest[boot]) twice = 1
            else lost += n - highest[boot] - 1
            if (!(boot in highest) || n > highest[boot]) highest[boot] = n
            if (beats && at - before > gap) gap = at - before
            beats++; before = at; current = boot
        }
        END {
            printf "boots=%d beats=%d lost=%d last=%d longest_gap_ms=%d twice=%s\n",
                boots, beats, lost, highest[current], gap * 1000 + 0.5, twice ? "yes" : "no"
        }'
}
