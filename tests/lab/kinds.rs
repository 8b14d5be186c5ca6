//! The kinds of moves that the sweep goes through.

use crate::lab::Lab;

/// What a move does to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    /// It goes on and notices nothing.
    Live,
    /// It is rebooted once.
    Reboots,
    /// It is off.
    Off,
}

/// A host, and what more a VM's entry says there.
pub(crate) type Place = (&'static str, &'static str);

/// A kind of move, to and fro.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) vm: &'static str,
    pub(crate) guest: Guest,
    /// Where it goes in turn, at first from the first.
    pub(crate) places: [Place; 2],
    /// What the VM's entry says in both.
    pub(crate) settings: &'static str,
    /// What the manifest says besides.
    pub(crate) top: &'static str,
    /// Whether it goes only one way, with a new VM each time.
    pub(crate) renewed: bool,
    /// When it is killed in a plain run: what is told, and the how manieth time.
    pub(crate) kills: &'static [(&'static str, usize)],
}

/// Where each VM is at first.
pub(crate) const HOME: Place = ("kvm1", "");

const HOSTS: [Place; 2] = [HOME, ("kvm2", "")];
const POOLS: [Place; 2] = [
    ("kvm1", ", disks: { vda: default }"),
    ("kvm1", ", disks: { vda: fast }"),
];

const LIVE: Kind = Kind {
    name: "live",
    vm: "web",
    guest: Guest::Live,
    places: HOSTS,
    settings: ", migration: { driver: peer-to-peer }",
    top: "",
    renewed: false,
    kills: &[("progress migrate", 8), ("complete migrate", 1)],
};

const OFF: Kind = Kind {
    name: "off",
    vm: "archive",
    guest: Guest::Off,
    settings: ", migration: { cold_copy: direct, bandwidth: 8MiB/s }",
    kills: &[("progress carry", 3)],
    ..LIVE
};

pub(crate) const KINDS: &[Kind] = &[
    LIVE,
    Kind {
        name: "live, managed",
        settings: ", migration: { driver: managed }",
        kills: &[("progress migrate", 2)],
        ..LIVE
    },
    Kind {
        name: "live, shared",
        vm: "share",
        settings: "",
        top: "pools: { shared: { shared: true } }\n",
        kills: &[("complete migrate", 1)],
        ..LIVE
    },
    Kind {
        name: "live, clone",
        vm: "thin",
        settings: ", migration: { live_clones: true, remove_unused_bases: true, bandwidth: 16MiB/s }",
        kills: &[("complete copy", 1)],
        ..LIVE
    },
    Kind {
        name: "from pool to pool",
        places: POOLS,
        settings: ", migration: { bandwidth: 8MiB/s }",
        kills: &[("progress copy disk vda of", 3)],
        ..LIVE
    },
    Kind {
        name: "cold",
        vm: "web",
        guest: Guest::Reboots,
        settings: ", method: cold, migration: { cold_copy: direct, bandwidth: 8MiB/s }",
        kills: &[("progress carry", 3)],
        ..LIVE
    },
    Kind {
        name: "cold, through us",
        vm: "web",
        guest: Guest::Reboots,
        settings: ", method: cold, migration: { cold_copy: stream, bandwidth: 8MiB/s }",
        kills: &[("complete define", 1)],
        ..LIVE
    },
    OFF,
    Kind {
        name: "off, through us",
        settings: ", migration: { cold_copy: stream, bandwidth: 8MiB/s }",
        kills: &[("complete define", 1)],
        ..OFF
    },
    Kind {
        name: "off, from pool to pool",
        places: POOLS,
        settings: ", migration: { bandwidth: 8MiB/s }",
        kills: &[("progress copy", 3)],
        ..OFF
    },
    Kind {
        name: "off, flattened",
        vm: "flat",
        settings: ", migration: { flatten: true, bandwidth: 8MiB/s }",
        renewed: true,
        kills: &[("progress carry", 3)],
        ..OFF
    },
    Kind {
        name: "off, shrunk",
        settings: ", migration: { shrink: true, bandwidth: 8MiB/s }",
        kills: &[("progress copy", 3)],
        ..OFF
    },
];

impl Kind {
    /// Which of its places a VM that is somewhere goes to next; none where it has to come to the first one before.
    pub(crate) fn next_from(&self, place: Place) -> Option<usize> {
        let [first, second] = self.places;
        if first.0 == second.0 {
            return (place.0 == first.0).then(|| usize::from(place.1 != second.1));
        }
        Some(usize::from(self.renewed || place.0 != second.0))
    }

    pub(crate) fn named(name: &str) -> &'static Self {
        let kind = KINDS.iter().find(|kind| kind.name == name);
        kind.unwrap_or_else(|| panic!("there is no kind {name}"))
    }

    /// Makes its VM on its first host, with 16 MiB of data.
    pub(crate) fn make(&self, lab: &Lab) {
        let (host, _) = self.places[0];
        let disk = match self.vm {
            "share" => "vda=shared:qcow2:32M",
            "thin" | "flat" => {
                let base = format!("{}-base.qcow2", self.vm);
                // Others are made at the same time, and a pool with a volume in the making cannot be refreshed.
                let images = lab.on(host, &["ls", "/var/lib/libvirt/images"]);
                if !images.lines().any(|name| name == base) {
                    lab.lab("base", &[host, "default", &base, "32"]);
                }
                &format!("vda=default:qcow2:48M:{base}")
            }
            _ => "vda=default:qcow2:48M",
        };
        match self.guest {
            Guest::Off => {
                lab.guest(host, self.vm, &["--disk", disk, "--off"]);
                let image = format!("/var/lib/libvirt/images/{}-vda.qcow2", self.vm);
                let write = "write -q -P 7 4M 16M";
                lab.on(host, &["qemu-io", "-c", write, &image]);
            }
            _ => lab.guest(host, self.vm, &["--disk", disk, "--fill", "16"]),
        }
        lab.on(host, &["virsh", "autostart", self.vm]);
    }

    /// Takes its VM away where it has gone, and makes it again where it was.
    pub(crate) fn renew(&self, lab: &Lab) {
        for (host, _) in self.places {
            if lab.vms(host).contains(&self.vm.to_owned()) {
                lab.on(
                    host,
                    &["virsh", "undefine", self.vm, "--remove-all-storage"],
                );
            }
        }
        self.make(lab);
    }
}
