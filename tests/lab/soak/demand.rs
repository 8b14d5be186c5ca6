//! The guests of the soak, and what is asked of them: a manifest by chance.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::dice::Dice;
use crate::lab::Lab;

pub(super) const HOSTS: [&str; 3] = ["kvm1", "kvm2", "kvm3"];

/// Little, so that emulated guests boot fast.
const GUEST_MIB: u64 = 80;
/// Where room is scarce, each host has room for so many guests that run.
const ROOM: usize = 3;

/// A disk, and the pools in which it may be.
struct Disk {
    target: &'static str,
    /// As the lab's `guest` takes it, without the target.
    made: &'static str,
    pools: &'static [&'static str],
}

/// A guest.
pub(super) struct Guest {
    pub(super) name: &'static str,
    disks: &'static [Disk],
    options: &'static [&'static str],
    pub(super) runs: bool,
    autostart: bool,
}

const POOLS: &[&str] = &["default", "fast", "bulk"];

pub(super) const GUESTS: &[Guest] = &[
    Guest {
        name: "web",
        disks: &[Disk {
            target: "vda",
            made: "default:qcow2:48M",
            pools: POOLS,
        }],
        options: &["--fill", "16"],
        runs: true,
        autostart: true,
    },
    Guest {
        name: "pair",
        disks: &[
            Disk {
                target: "vda",
                made: "default:qcow2:32M",
                pools: POOLS,
            },
            Disk {
                target: "vdb",
                made: "fast:raw:16M",
                pools: POOLS,
            },
        ],
        options: &[],
        runs: true,
        autostart: false,
    },
    Guest {
        name: "share",
        disks: &[Disk {
            target: "vda",
            made: "shared:qcow2:32M",
            pools: &["shared"],
        }],
        options: &["--fill", "8"],
        runs: true,
        autostart: true,
    },
    Guest {
        name: "thin",
        disks: &[Disk {
            target: "vda",
            made: "default:qcow2:48M:thin-base.qcow2",
            pools: POOLS,
        }],
        options: &["--fill", "4"],
        runs: true,
        autostart: true,
    },
    Guest {
        name: "busy",
        disks: &[Disk {
            target: "vda",
            made: "default:qcow2:16M",
            pools: &["default", "fast", "tiny"],
        }],
        options: &["--fill", "6", "--dirty", "2"],
        runs: true,
        autostart: false,
    },
    Guest {
        name: "archive",
        disks: &[Disk {
            target: "vda",
            made: "default:qcow2:48M",
            pools: POOLS,
        }],
        options: &["--off"],
        runs: false,
        autostart: false,
    },
];

/// Makes all guests, two on each host.
pub(super) fn make_guests(lab: &Lab) {
    lab.lab("base", &[HOSTS[0], "default", "thin-base.qcow2", "32"]);
    let memory = GUEST_MIB.to_string();
    std::thread::scope(|scope| {
        for (index, guest) in GUESTS.iter().enumerate() {
            // The one with a base is where its base is.
            let host = HOSTS[index % HOSTS.len()];
            let memory = &memory;
            scope.spawn(move || {
                let disks = guest.disks.iter();
                let disks = disks.map(|disk| format!("{}={}", disk.target, disk.made));
                let disks: Vec<String> = disks.collect();
                let mut options = vec!["--memory", memory];
                options.extend(disks.iter().flat_map(|disk| ["--disk", disk]));
                options.extend(guest.options);
                lab.guest(host, guest.name, &options);
                if !guest.runs {
                    let image = format!("/var/lib/libvirt/images/{}-vda.qcow2", guest.name);
                    let write = "write -q -P 7 4M 16M";
                    lab.on(host, &["qemu-io", "-c", write, &image]);
                }
                if guest.autostart {
                    lab.on(host, &["virsh", "autostart", guest.name]);
                }
            });
        }
    });
}

/// What somebody wants.
pub(super) struct Demand {
    pub(super) manifest: PathBuf,
    /// Where each guest shall be.
    pub(super) places: Vec<(&'static str, &'static str)>,
}

fn settings(dice: &mut Dice) -> String {
    let driver = dice.one_of(&["auto", "auto", "peer-to-peer", "managed"]);
    let copy = dice.one_of(&["auto", "direct", "stream"]);
    let bandwidth = dice.one_of(&["4MiB/s", "8MiB/s", "16MiB/s"]);
    let bases = dice.below(2) == 0;
    // Only a stream carries a compacted copy.
    let shrink = dice.below(3) == 0 && *copy != "direct";
    format!(
        "migration: {{ driver: {driver}, cold_copy: {copy}, bandwidth: {bandwidth}, live_clones: true, \
         remove_unused_bases: {bases}, shrink: {shrink} }}\n"
    )
}

impl Demand {
    /// Any demand that can be met, as a file of that name; most guests go somewhere.
    pub(super) fn any(lab: &Lab, dice: &mut Dice, file: &str, memory: u64) -> Self {
        let mut text = "version: 1\npools: { shared: { shared: true } }\n".to_owned();
        let on_failure = dice.one_of(&["continue", "continue", "stop", "rollback"]);
        writeln!(text, "on_failure: {on_failure}").unwrap();
        text.push_str(&settings(dice));
        let is_scarce = dice.below(2) == 0;
        let room = u64::try_from(ROOM).unwrap() * GUEST_MIB + GUEST_MIB / 2;
        let reserve = if is_scarce { memory - room } else { 0 };
        text.push_str("hosts:\n");
        for host in HOSTS {
            let uri = lab.uri(host);
            let reserve = format!("reserve: {{ memory: {reserve}MiB }}");
            writeln!(text, "  {host}: {{ uri: \"{uri}\", {reserve} }}").unwrap();
        }
        text.push_str("vms:\n");
        let mut running: BTreeMap<&str, usize> = BTreeMap::new();
        let mut places = Vec::new();
        for guest in GUESTS {
            let host = loop {
                let host = *dice.one_of(&HOSTS);
                let running = running.entry(host).or_default();
                if !guest.runs || *running < ROOM {
                    *running += usize::from(guest.runs);
                    break host;
                }
            };
            places.push((guest.name, host));
            let disks = guest.disks.iter().map(|disk| {
                let pool = dice.one_of(disk.pools);
                format!("{}: {pool}", disk.target)
            });
            let disks: Vec<String> = disks.collect();
            let method = dice.one_of(&["auto", "auto", "cold"]);
            let name = guest.name;
            let disks = disks.join(", ");
            writeln!(
                text,
                "  {name}: {{ host: {host}, method: {method}, disks: {{ {disks} }} }}"
            )
            .unwrap();
        }
        eprintln!("{text}");
        let manifest = lab.write(file, &text);
        Self { manifest, places }
    }
}
