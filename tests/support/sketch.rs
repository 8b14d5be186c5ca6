//! A fleet in a few numbers. The weights go to the edges: hosts without a byte to spare, everything on one host, VMs
//! that trade places, clones of one base, disks without data.

use domicile::desired::{ColdCopy, Driver, Method};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A fleet and what is wanted of it. Indices beyond the end wrap around.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of the manifest that is on or off"
)]
pub(crate) struct Sketch {
    pub(crate) hosts: Vec<HostSketch>,
    pub(crate) vms: Vec<VmSketch>,
    pub(crate) parallel: u32,
    pub(crate) live_clones: bool,
    pub(crate) remove_unused_bases: bool,
    pub(crate) cold_copy: ColdCopy,
    pub(crate) driver: Driver,
    pub(crate) shrink: bool,
    pub(crate) flatten: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct HostSketch {
    /// Memory beside what its VMs are given.
    pub(crate) spare_gib: u64,
    /// Room in each of its pools.
    pub(crate) room_gib: u64,
    /// Whether its pool `fast` is in another folder than elsewhere.
    pub(crate) own_folder: bool,
    /// Whether it has the bases that clones stand on although none of its VMs is one.
    pub(crate) has_bases: bool,
    /// Whether volumes that nobody knows have the names that disks would get here.
    pub(crate) has_strangers: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct VmSketch {
    pub(crate) host: usize,
    pub(crate) memory_gib: u64,
    pub(crate) power: Power,
    pub(crate) disks: Vec<DiskSketch>,
    pub(crate) cdrom: bool,
    pub(crate) autostart: bool,
    pub(crate) wanted: Option<WantedSketch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    Running,
    Off,
}

#[derive(Debug, Clone)]
pub(crate) struct DiskSketch {
    pub(crate) pool: usize,
    pub(crate) raw: bool,
    /// Number of the base that it is a clone of.
    pub(crate) base: Option<usize>,
    pub(crate) data_mib: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct WantedSketch {
    pub(crate) host: usize,
    pub(crate) method: Method,
    /// The pool of each disk that is named.
    pub(crate) pools: Vec<Option<usize>>,
}

fn host() -> impl Strategy<Value = HostSketch> {
    let spare = prop_oneof![3 => Just(0), 2 => Just(1), 2 => 2..6u64, 2 => Just(64)];
    let room = prop_oneof![1 => Just(1), 1 => Just(3), 6 => Just(100)];
    (
        spare,
        room,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.15),
    )
        .prop_map(
            |(spare_gib, room_gib, own_folder, has_bases, has_strangers)| HostSketch {
                spare_gib,
                room_gib,
                own_folder,
                has_bases,
                has_strangers,
            },
        )
}

fn disk() -> impl Strategy<Value = DiskSketch> {
    let pool = prop_oneof![4 => Just(0usize), 2 => Just(1), 2 => Just(2)];
    let base = prop_oneof![5 => Just(None), 2 => Just(Some(0)), 1 => Just(Some(1))];
    let data = prop_oneof![1 => Just(0), 4 => Just(256), 2 => 512..2048u64];
    (pool, prop::bool::weighted(0.3), base, data).prop_map(|(pool, raw, base, data_mib)| {
        DiskSketch {
            pool,
            raw: raw && base.is_none(),
            base,
            data_mib,
        }
    })
}

fn wanted() -> impl Strategy<Value = WantedSketch> {
    let method =
        prop_oneof![4 => Just(Method::Auto), 1 => Just(Method::Live), 2 => Just(Method::Cold)];
    let pool = prop_oneof![3 => Just(None), 1 => (0..3usize).prop_map(Some)];
    (0..5usize, method, prop::collection::vec(pool, 3)).prop_map(|(host, method, pools)| {
        WantedSketch {
            host,
            method,
            pools,
        }
    })
}

fn vm() -> impl Strategy<Value = VmSketch> {
    let power = prop_oneof![3 => Just(Power::Running), 1 => Just(Power::Off)];
    // Half of all VMs on the first host: drains and crowds are where room runs out.
    let host = prop_oneof![1 => Just(0), 1 => 0..5usize];
    (
        host,
        1..4u64,
        power,
        prop::collection::vec(disk(), 0..4),
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::option::weighted(0.85, wanted()),
    )
        .prop_map(
            |(host, memory_gib, power, disks, cdrom, autostart, wanted)| VmSketch {
                host,
                memory_gib,
                power,
                disks,
                cdrom,
                autostart,
                wanted,
            },
        )
}

/// Random fleets.
pub(crate) fn sketches() -> impl Strategy<Value = Sketch> {
    let cold_copy = prop_oneof![
        Just(ColdCopy::Auto),
        Just(ColdCopy::Direct),
        Just(ColdCopy::Stream)
    ];
    let written_anew = (prop::bool::weighted(0.3), prop::bool::weighted(0.3));
    let driver = prop_oneof![
        2 => Just(Driver::Auto),
        1 => Just(Driver::PeerToPeer),
        1 => Just(Driver::Managed)
    ];
    (
        prop_oneof![1 => prop::collection::vec(host(), 1..2), 12 => prop::collection::vec(host(), 2..5)],
        prop_oneof![1 => prop::collection::vec(vm(), 0..2), 12 => prop::collection::vec(vm(), 2..9)],
        1..4u32,
        any::<bool>(),
        any::<bool>(),
        cold_copy,
        driver,
        written_anew,
    )
        .prop_map(
            |(hosts, vms, parallel, live_clones, remove_unused_bases, cold_copy, driver, anew)| Sketch {
                hosts,
                vms,
                parallel,
                live_clones,
                remove_unused_bases,
                cold_copy,
                driver,
                shrink: anew.0,
                flatten: anew.1,
            },
        )
}

/// The fleet of a seed.
pub(crate) fn of_seed(seed: u64) -> Sketch {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let tree = sketches().new_tree(&mut runner);
    tree.unwrap().current()
}
