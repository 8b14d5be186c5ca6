//! What reading hosts costs, on real daemons with a thousand VMs: `cargo bench --bench observe` as root.
//!
//! Calls are counted by the connections themselves. The reading runs where the operator sits, so this program starts
//! itself again there.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures, and stops where a host does not answer"
)]

#[path = "../lab/lab.rs"]
#[expect(
    dead_code,
    reason = "the lab's tests need more of it than the figures do"
)]
mod lab;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use domicile::hypervisor::{Depth, Hypervisor, ObserveRequest};
use domicile::libvirt::LibvirtHosts;
use domicile::manifest;
use domicile::model::{Millis, VmName};
use domicile::observed::Reading;
use lab::Lab;
use serde::{Deserialize, Serialize};

/// What this program is told when it starts itself where the operator sits.
const READ: &str = "--read";

const HOSTS: [&str; 2] = ["kvm1", "old1"];

/// Calls that a host may cost besides opening the connection and what its pools, networks and bridges cost.
const CALLS_MAX: u64 = 10;

/// Calls that a VM may cost which stands beside a move and whose disks are raw or which runs.
const BESIDE_MAX: f64 = 1.0;

fn precise(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

/// What one reading cost.
#[derive(Serialize, Deserialize)]
struct Cost {
    milliseconds: f64,
    hosts: BTreeMap<String, HostCost>,
}

#[derive(Serialize, Deserialize)]
struct HostCost {
    calls: u64,
    vms: u64,
    /// Two calls for each pool and one for each network and bridge, as the documentation of the reading says.
    for_parts: u64,
}

fn read(manifest: &Path) {
    let sources = manifest::read(&[manifest.to_owned()]).unwrap();
    let Ok(loaded) = manifest::load(&sources) else {
        panic!("the manifest is wrong");
    };
    let hosts = loaded.desired.hosts;
    let fleet = LibvirtHosts::new(&hosts);
    let three = ["many-1", "many-2", "many-3"].map(|name| VmName::new(name).unwrap());
    let all = (1..=1000).map(|number| VmName::new(format!("many-{number}")).unwrap());
    let all: BTreeSet<VmName> = all.filter(|name| !three.contains(name)).collect();
    let depths = [
        // Opens the connections.
        Depth::Bulk,
        Depth::Bulk,
        Depth::Named {
            closely: three.clone().into(),
            beside: BTreeSet::new(),
        },
        Depth::Named {
            closely: three.clone().into(),
            beside: all,
        },
        Depth::Full,
    ];
    let mut costs = Vec::new();
    for depth in depths {
        let before = fleet.calls();
        let began = Instant::now();
        let observed = fleet.observe(&ObserveRequest {
            hosts: hosts.clone(),
            depth,
            fits: Vec::new(),
            ask_qemu: BTreeSet::new(),
            refresh: BTreeMap::new(),
            volumes: BTreeMap::new(),
            timeout: Millis::from_secs(60),
        });
        let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
        let calls = fleet.calls();
        let cost = observed.hosts.iter().map(|(name, reading)| {
            let Reading::Reached(host) = reading else {
                panic!("{name}: {reading:?}");
            };
            let parts = 2 * host.pools.len() + host.networks.len() + host.bridges.len();
            let cost = HostCost {
                calls: calls[name] - before[name],
                vms: host.vms.len() as u64,
                for_parts: parts as u64,
            };
            (name.to_string(), cost)
        });
        costs.push(Cost {
            milliseconds,
            hosts: cost.collect(),
        });
    }
    println!("{}", serde_json::to_string(&costs).unwrap());
}

fn define(lab: &Lab, host: &str, from: u32, to: u32) {
    let script = format!(
        "for i in $(seq {from} {to}); do
            cat > /tmp/many-$i.xml <<XML
<domain type='qemu'><name>many-$i</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/>
<source file='/srv/bulk/many-$i.raw'/><target dev='vda' bus='virtio'/></disk></devices></domain>
XML
            truncate -s 1M /srv/bulk/many-$i.raw
            echo define /tmp/many-$i.xml
        done > /tmp/define
        virsh -q pool-refresh bulk
        virsh -q < /tmp/define > /dev/null
        rm /tmp/many-*.xml"
    );
    lab.on(host, &["bash", "-c", &script]);
}

fn costs(lab: &Lab, manifest: &Path) -> Vec<Cost> {
    let myself: PathBuf = std::env::current_exe().unwrap();
    let args = [myself.to_str().unwrap(), READ, manifest.to_str().unwrap()];
    serde_json::from_str(&lab.lab("hub", &args)).unwrap()
}

fn show(title: &str, cost: &Cost) {
    println!("{title}: {:.0} ms for all hosts", cost.milliseconds);
    for (host, cost) in &cost.hosts {
        println!(
            "    {host}: {} calls for {} VMs, {} of them for pools, networks and bridges",
            cost.calls, cost.vms, cost.for_parts
        );
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, word, manifest] = args.as_slice()
        && word == READ
    {
        read(Path::new(manifest));
        return;
    }
    let lab = Lab::up(&["kvm1", "old1:bookworm"]);
    let manifest = lab.manifest("vms: {}\n");
    for host in HOSTS {
        define(&lab, host, 1, 10);
    }
    let few = costs(&lab, &manifest);
    for host in HOSTS {
        define(&lab, host, 11, 1000);
    }
    let many = costs(&lab, &manifest);
    show("10 VMs each, in bulk, connecting included", &few[0]);
    for (title, cost) in [
        "1,000 VMs each, in bulk, connecting included",
        "1,000 VMs each, in bulk",
        "1,000 VMs each, three of them looked into",
        "1,000 VMs each, three of them looked into and the others beside them",
        "1,000 VMs each, all and every volume looked into",
    ]
    .iter()
    .zip(&many)
    {
        show(title, cost);
    }
    let (many_closely, many_beside) = (&many[2], &many[3]);
    for host in HOSTS {
        let (few, many) = (&few[0].hosts[host], &many[0].hosts[host]);
        assert_eq!(few.calls, many.calls, "{host}: calls grow with VMs");
        let beside = many_beside.hosts[host].calls - many_closely.hosts[host].calls;
        let others = many.vms - 3;
        let ratio = precise(beside) / precise(others);
        let verdict = if ratio <= BESIDE_MAX {
            "within"
        } else {
            "ABOVE"
        };
        println!(
            "VMs of {host} beside three that move: {beside} calls more for {others} VMs = {ratio:.2} each  bound {BESIDE_MAX}  {verdict}"
        );
        let own = many.calls - many.for_parts - 1;
        let verdict = if own <= CALLS_MAX { "within" } else { "ABOVE" };
        println!(
            "observing {host}: {} calls in all = 1 to connect + {} for its pools, networks and bridges + {own} for the host and all its VMs  bound on the last {CALLS_MAX}  {verdict}",
            many.calls, many.for_parts
        );
    }
}
