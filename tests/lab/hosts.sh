# shellcheck shell=bash disable=SC2154  # dir, id, prefix, hub, here, cache: set by `lab`
# Hosts: up, down, and what is done to them. Sourced by `lab`.
#
# The folder of a lab:
#   hosts              NAME IP SUITE URI, a line for each host
#   names              what is /etc/hosts in every host and in the hub
#   shared/            the pool `shared` of all hosts
#   console/           the consoles of all guests (/srv/shared-console in the hosts)
#   beats/             the same lines with the time at which they came, by this machine's clock
#   host/NAME/         upper, work, root: the overlay; images, fast, bulk: its pools; pid: the first process; log

lab_up() {
    local spec name suite n=0 address
    local names=() host_suites=()
    [[ $dir != *[:,\\\ ]* ]] || die "the folder's name must not contain : , \\ or blanks: $dir"
    for spec in "$@"; do
        name=${spec%%:*} suite=trixie
        [[ $spec != *:* ]] || suite=${spec#*:}
        [[ $name =~ ^[a-z][a-z0-9-]{0,30}$ && $name != hub && $name != localhost* ]] || die "not a host's name: $name"
        [[ " ${names[*]} " != *" $name "* ]] || die "host $name is named twice"
        [[ " ${suites[*]} " == *" $suite "* ]] || die "no such suite: $suite (there are: ${suites[*]})"
        names+=("$name")
        host_suites+=("$suite")
    done
    ((${#names[@]} <= 200)) || die "at most 200 hosts"
    if [[ -d $dir && -n $(ls -A "$dir") ]]; then die "$dir is not empty; take it down first, or choose another"; fi
    [[ -z $(lab_namespaces) ]] || die "namespaces of an earlier lab in $dir are left; \`lab down\` removes them"
    local tool
    for tool in ip tc nsenter unshare; do command -v "$tool" >/dev/null || need_tools; done
    build_for "${host_suites[@]}"

    mkdir -p "$dir"/{shared,console,beats,host}
    echo "$id" >"$dir/.domicile-lab"
    printf '127.0.0.1 localhost\n10.77.0.1 hub\n' >"$dir/names"
    for name in "${names[@]}"; do
        address=10.77.0.$((10 + ++n))
        echo "$address $name" >>"$dir/names"
        echo "$name $address ${host_suites[n - 1]} qemu+tcp://$address/system" >>"$dir/hosts"
    done

    make_networks "${names[@]}"
    local jobs=() failed=()
    for n in "${!names[@]}"; do
        host_up "${names[n]}" "${host_suites[n]}" 10.77.0.$((11 + n)) &
        jobs+=($!)
    done
    for n in "${!names[@]}"; do
        wait "${jobs[n]}" || failed+=("${names[n]}")
    done
    for name in "${failed[@]}"; do
        printf '%s\n' "--- $name" >&2
        tail -n 20 "$dir/host/$name/log" >&2 || true
        tail -n 20 "$dir/host/$name/upper/var/log/libvirt/libvirtd.log" >&2 2>/dev/null || true
    done
    ((${#failed[@]} == 0)) || die "did not come up: ${failed[*]} (\`lab down\` removes what there is)"
}

# All of a lab's network lives in namespaces: a bridge in the hub, and a pair of interfaces from it to each host,
# made right where it belongs. Nothing passes through the machine's own network.
#
# /run/netns is shared with others; `ip netns` sets it up at first use, and lab_down takes it away with its last
# entry. Both happen under a lock on /run, which needs no file.
make_networks() {
    local name n=0
    exec 8</run
    flock 8
    ip netns add "$hub"
    for name in "$@"; do ip netns add "$prefix$name"; done
    exec 8<&-
    ip -n "$hub" -batch - <<NET
link set lo up
link add lan type bridge
addr add 10.77.0.1/24 dev lan
link set lan up
NET
    for name in "$@"; do
        n=$((n + 1))
        ip -n "$hub" link add "host$n" type veth peer name eth0 netns "$prefix$name"
        ip -n "$hub" -batch - <<NET
link set host$n master lan
link set host$n up
NET
        ip -n "$prefix$name" -batch - <<NET
link set lo up
link add br0 type bridge
link add br-pub type bridge
link set eth0 master br0
link set eth0 up
addr add 10.77.0.$((10 + n))/24 dev br0
link set br0 up
link set br-pub up
route add default via 10.77.0.1
NET
    done
}

host_up() {
    local name=$1 suite=$2 address=$3 home=$dir/host/$1 pid='' i
    mkdir -p "$home"/{upper,work,root,images,fast,bulk}
    configure_host "$name" "$suite" "$address" "$home/upper"

    # The host's processes have a pid namespace of their own, so that they all end with its first process.
    setsid nsenter --net="/run/netns/$prefix$name" \
        unshare --mount --uts --pid --fork --kill-child \
        "$BASH" "$here/host-init" "$name" "$home" "$(tree_path "$suite")" "$(guest_path)" "$dir" \
        </dev/null >"$home/log" 2>&1 8<&- &
    disown
    for ((i = 0; i < 1200; i++)); do
        if [[ -s $home/pid ]]; then
            pid=$(<"$home/pid")
            [[ -d /proc/$pid ]] || return 1
            [[ -S /proc/$pid/root/run/libvirt/libvirt-sock ]] && break
        fi
        sleep 0.05
    done
    [[ -n $pid ]] || return 1
    run_on "$name" timeout 60 virsh -q pool-list --name >"$home/pools" 2>>"$home/log" </dev/null || return 1
    # A daemon that answers may still be starting its pools.
    for ((i = 0; i < 100; i++)); do
        (($(grep -c . "$home/pools") < 5)) || return 0
        sleep 0.1
        run_on "$name" virsh -q pool-list --name >"$home/pools" 2>>"$home/log" </dev/null
    done
    echo "pools are missing" >>"$home/log"
    return 1
}

configure_host() {
    local name=$1 suite=$2 address=$3 etc=$4/etc pool path
    mkdir -p "$etc/libvirt/storage/autostart"
    cp "$dir/names" "$etc/hosts"
    echo "$name" >"$etc/hostname"
    cat >"$etc/libvirt/libvirtd.conf" <<CONF
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
host_uuid = "$(new_uuid)"
log_level = 3
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
CONF
    # Nothing here may count on systemd, a security module or cgroups. Without virtlogd QEMU writes its own logs.
    cat >"$etc/libvirt/qemu.conf" <<'CONF'
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
CONF
    # Only libvirt 11 knows it. It makes the folder count as shared storage, as NFS would.
    [[ $suite == bookworm ]] || echo 'shared_filesystems = [ "/srv/shared" ]' >>"$etc/libvirt/qemu.conf"
    # Written before the daemon starts, which then starts the pools itself.
    for pool in default fast bulk shared tiny; do
        path=$(pool_folder "$pool")
        cat >"$etc/libvirt/storage/$pool.xml" <<XML
<pool type='dir'>
  <name>$pool</name>
  <uuid>$(new_uuid)</uuid>
  <target><path>$path</path></target>
</pool>
XML
        ln -s "/etc/libvirt/storage/$pool.xml" "$etc/libvirt/storage/autostart/$pool.xml"
    done
}

new_uuid() { cat /proc/sys/kernel/random/uuid; }

pool_folder() {
    case $1 in
    default) echo /var/lib/libvirt/images ;;
    fast | bulk | shared | tiny) echo "/srv/$1" ;;
    *) die "no such pool: $1" ;;
    esac
}

# The first process of a host.
host_pid() {
    [[ -s $dir/host/$1/pid ]] || die "no such host in $dir: $1"
    local pid
    pid=$(<"$dir/host/$1/pid")
    [[ -d /proc/$pid ]] || die "host $1 is not running"
    echo "$pid"
}

run_on() {
    local pid
    pid=$(host_pid "$1") || exit 1
    nsenter --target "$pid" --net --mount --uts --pid --root --wd \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        TERM="${TERM:-dumb}" "${@:2}"
}

# The caller's own file system, except that the hosts' names are known. The mount ends with the command. What is
# unmounted on the machine goes away here too (slave), or a long-running command would hold on to the namespaces of
# other labs.
run_in_hub() {
    # shellcheck disable=SC2016  # expanded by the shell that runs there
    exec nsenter --net="/run/netns/$hub" unshare --mount --propagation slave -- \
        "$BASH" -c 'mount --bind "$1" /etc/hosts 2>/dev/null || true; shift; exec "$@"' "lab hub" "$dir/names" "$@"
}

# Limits hold in both directions: for what leaves the host at its own end, for what reaches it at the hub's.
set_link() {
    local name=$1 n
    n=$(awk -v name="$name" '$1 == name { print NR }' "$dir/hosts")
    [[ -n $n ]] || die "no such host in $dir: $name"
    case $2 in
    up | down) ip -n "$hub" link set "host$n" "$2" ;;
    free)
        tc -n "$hub" qdisc del dev "host$n" root 2>/dev/null || true
        tc -n "$prefix$name" qdisc del dev eth0 root 2>/dev/null || true
        ;;
    *)
        tc -n "$hub" qdisc replace dev "host$n" root tbf rate "$2" burst 256kb latency 100ms
        tc -n "$prefix$name" qdisc replace dev eth0 root tbf rate "$2" burst 256kb latency 100ms
        ;;
    esac
}

kill_daemon() {
    # shellcheck disable=SC2016  # expanded inside the host
    run_on "$1" sh -c 'kill -9 "$(cat /run/libvirtd.pid)"' || die "libvirtd of $1 is not running"
    # A caller may count on it: when this returns, the daemon is gone.
    local i
    for ((i = 0; i < 100; i++)); do
        # shellcheck disable=SC2016
        run_on "$1" sh -c '! kill -0 "$(cat /run/libvirtd.pid)" 2>/dev/null' && return
        sleep 0.05
    done
    die "libvirtd of $1 does not die"
}

restart_daemon() {
    # shellcheck disable=SC2016
    run_on "$1" sh -c '
        pid=$(cat /run/libvirtd.pid 2>/dev/null)
        if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
            i=0
            while kill -0 "$pid" 2>/dev/null && [ $i -lt 300 ]; do
                sleep 0.1
                i=$((i + 1))
                # It may hang for good. A service manager ends it then, too.
                [ $i -lt 200 ] || kill -KILL "$pid" 2>/dev/null
            done
        fi
        /usr/sbin/libvirtd --daemon --listen --pid-file /run/libvirtd.pid </dev/null >/dev/null 2>&1'
    run_on "$1" timeout 60 virsh -q list --all >/dev/null
}

lab_namespaces() {
    local path
    for path in /run/netns/"$prefix"*; do
        [[ ! -e $path ]] || echo "${path##*/}"
    done
}

# Ends what runs in the lab's network namespaces; that is everything: hosts, consoles' watchers, and what callers
# started by `hub` and `on`.
end_processes() {
    local name pids i
    for ((i = 0; i < 200; i++)); do
        pids=()
        for name in $(lab_namespaces); do
            mapfile -t -O "${#pids[@]}" pids < <(ip netns pids "$name" 2>/dev/null)
        done
        ((${#pids[@]})) || return 0
        kill -9 "${pids[@]}" 2>/dev/null || true
        sleep 0.05
    done
    die "these processes do not end: ${pids[*]}"
}

lab_down() {
    local name
    if [[ -e $dir && ! -e $dir/.domicile-lab && -n $(ls -A "$dir") ]]; then
        die "$dir is not a lab; nothing in it is touched"
    fi
    end_processes
    exec 8</run
    flock 8
    for name in $(lab_namespaces); do
        # Where a half-failed `up` left a name without a namespace, only the name is there to be removed.
        ip netns del "$name" 2>/dev/null || rm -f "/run/netns/$name"
    done
    if mountpoint -q /run/netns && [[ -z $(ls -A /run/netns) ]]; then
        if umount /run/netns; then rmdir /run/netns || true; fi
    fi
    exec 8<&-
    rm -rf --one-file-system -- "$dir"
}

lab_check() {
    local left=() name pid
    for name in $(lab_namespaces); do left+=("namespace $name"); done
    [[ ! -e $dir ]] || left+=("folder $dir")
    # A mount in any mount namespace, a process that works in the folder or runs something on it.
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        [[ $pid != "$$" && $pid != "$BASHPID" ]] || continue
        if grep -qsF -e " $dir/" -e "=$dir/" -e "$dir//deleted" "/proc/$pid/mountinfo"; then
            left+=("mount seen by process $pid ($(process_name "$pid"))")
        elif [[ $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$dir"/* ]]; then
            left+=("process $pid in the folder ($(process_name "$pid"))")
        fi
    done
    ((${#left[@]} == 0)) || {
        printf 'left: %s\n' "${left[@]}"
        exit 1
    }
}

process_name() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | head -c 120; }
