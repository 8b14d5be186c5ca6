//! Hosts in memory: what they refuse, what they record, and how time passes.

#![expect(
    clippy::unwrap_used,
    reason = "a reading made by hand for a test is right or the test is wrong"
)]

mod ends;
mod records;
mod refuses;

use domicile::definition::Rewrite;
use domicile::desired::{Driver, OnShutdownTimeout};
use domicile::hypervisor::{Hypervisor, Outcome, StepError, Unwatched};
use domicile::model::{Bytes, Millis, VolumeFormat, VolumeName, VolumeRef};
use domicile::plan::{Action, CopyMode, MigrationOptions, Owner, VolumeSpec};
use domicile::simulator::Simulator;

use crate::planner::fleet::{Fleet, GIB, host_name, pool_name, vm_name};

pub(crate) fn perform(hosts: &Simulator, action: &Action) -> Result<Outcome, StepError> {
    hosts.perform(action, &Unwatched)
}

/// Why the action is refused.
fn refusal(hosts: &Simulator, action: &Action) -> String {
    let error = perform(hosts, action).unwrap_err();
    assert_eq!(error.what, action.to_string());
    error.why
}

/// Two hosts; `web` runs on kvm1 with its disk in pool `default`.
fn two_hosts() -> Fleet {
    let mut fleet = Fleet::new(2, 64);
    fleet.vm("kvm1", "web", 4);
    fleet
}

fn at(host: &str, pool: &str, volume: &str) -> VolumeRef {
    VolumeRef {
        host: host_name(host),
        pool: pool_name(pool),
        volume: VolumeName::new(volume).unwrap(),
    }
}

fn spec(host: &str, pool: &str, volume: &str) -> VolumeSpec {
    let folder = if pool == "fast" {
        "/srv/fast"
    } else {
        "/var/lib/libvirt/images"
    };
    VolumeSpec {
        owner: Owner {
            host: host_name("kvm1"),
            vm: vm_name("web"),
        },
        at: at(host, pool, volume),
        path: format!("{folder}/{volume}"),
        format: VolumeFormat::Qcow2,
        capacity: Bytes(10 * GIB),
        backing: None,
    }
}

fn create(host: &str, volume: &str) -> Action {
    Action::CreateVolume {
        spec: spec(host, "default", volume),
    }
}

fn copy(from: &str, to: &str) -> Action {
    Action::CopyVolume {
        from: at(from, "default", "web.qcow2"),
        spec: spec(to, "default", "web.qcow2"),
        bandwidth: None,
    }
}

fn delete(host: &str, volume: &str) -> Action {
    Action::DeleteVolume {
        at: at(host, "default", volume),
        seen_by: vec![host_name(host)],
        replaced_by: None,
        only_if_unused: false,
        only_if_empty: false,
    }
}

fn options(copy: CopyMode) -> MigrationOptions {
    let copied = copy != CopyMode::None;
    MigrationOptions {
        driver: Driver::Auto,
        peer_uri: "qemu+tcp://kvm2/system".into(),
        address: None,
        copy,
        disks: copied.then(|| "vda".parse().unwrap()).into_iter().collect(),
        rewrite: Rewrite::default(),
        bandwidth: None,
        max_downtime: Millis(300),
        on_stall: Vec::new(),
        stall_after: Millis::from_secs(300),
        timeout: None,
        cold: None,
        compression: None,
        connections: None,
        tls: false,
    }
}

fn migrate(copy: CopyMode) -> Action {
    Action::MigrateLive {
        vm: vm_name("web"),
        from: host_name("kvm1"),
        to: host_name("kvm2"),
        options: options(copy),
    }
}

fn shut_down(host: &str) -> Action {
    Action::ShutDown {
        host: host_name(host),
        vm: vm_name("web"),
        timeout: Millis::from_secs(60),
        on_timeout: OnShutdownTimeout::Fail,
    }
}

fn define() -> Action {
    Action::Define {
        vm: vm_name("web"),
        from: host_name("kvm1"),
        to: host_name("kvm2"),
        rewrite: Rewrite::default(),
    }
}

fn start(host: &str, not_active_on: &[&str]) -> Action {
    Action::Start {
        host: host_name(host),
        vm: vm_name("web"),
        not_active_on: not_active_on.iter().map(|host| host_name(host)).collect(),
    }
}

fn undefine(host: &str, kept_by: &str) -> Action {
    Action::Undefine {
        host: host_name(host),
        vm: vm_name("web"),
        kept_by: host_name(kept_by),
    }
}
