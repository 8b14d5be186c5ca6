//! A plan and a reading that hold one of everything that is shown.

use std::collections::BTreeMap;

use domicile::definition::Rewrite;
use domicile::desired::{Driver, OnStall};
use domicile::model::{
    Bytes, DiskTarget, HostName, MacAddress, Millis, MoveMark, PoolName, VmName, VolumeFormat,
    VolumeName, VolumeRef,
};
use domicile::plan::{
    self, Action, Carry, Change, CopyMode, DefinitionChange, Dependency, Difference, DiskPlacement,
    Finding, Forecast, MigrationOptions, Move, MoveKind, Owner, Plan, Resource, Severity, Slot,
    Step, StepId, VolumeSpec, Why,
};

pub(super) fn host(name: &str) -> HostName {
    HostName::new(name).expect("a valid name")
}

pub(super) fn vm(name: &str) -> VmName {
    VmName::new(name).expect("a valid name")
}

pub(super) fn disk(name: &str) -> DiskTarget {
    DiskTarget::new(name).expect("a valid name")
}

pub(super) fn pool(name: &str) -> PoolName {
    PoolName::new(name).expect("a valid name")
}

fn volume(on: &str, pool_name: &str, name: &str) -> VolumeRef {
    VolumeRef {
        host: host(on),
        pool: pool(pool_name),
        volume: VolumeName::new(name).expect("a valid name"),
    }
}

/// A plan that has nothing to do.
pub(super) fn nothing() -> Plan {
    Plan {
        format_version: plan::FORMAT_VERSION.to_owned(),
        changes: vec![],
        moves: vec![],
        findings: vec![],
        steps: vec![],
        capacities: vec![],
        slots: BTreeMap::new(),
        makespan: Millis::ZERO,
        bound: plan::Bound::default(),
        critical: vec![],
        alternatives: BTreeMap::new(),
        calibration: domicile::model::Calibration::default(),
    }
}

/// One VM migrates live with a linked clone, one must be shut down and waits for its room, one is refused.
pub(super) fn plan() -> Plan {
    Plan {
        changes: changes(),
        moves: vec![web(), db()],
        findings: findings(),
        steps: waiting(steps()),
        slots: [(Slot::Out(host("kvm1")), 2), (Slot::In(host("kvm2")), 2)].into(),
        makespan: Millis(131_000),
        bound: plan::Bound {
            time: Millis(124_800),
            by: Some(plan::Tight::Slot(Slot::In(host("kvm2")))),
        },
        critical: [0, 1, 2, 6, 7, 8, 9].map(StepId).into(),
        alternatives: BTreeMap::new(),
        calibration: domicile::model::Calibration::default(),
        ..nothing()
    }
}

fn changes() -> Vec<Change> {
    let change = |name, what| Change { vm: vm(name), what };
    let to = |is, wanted| Difference::Host {
        is: host(is),
        wanted: host(wanted),
    };
    vec![
        change("db-1", to("kvm2", "kvm3")),
        change("mail", to("kvm2", "kvm1")),
        change(
            "mail",
            Difference::Network {
                mac: MacAddress::new("52:54:00:00:00:07").expect("a valid name"),
                is: "br0".into(),
                wanted: "br-pub".into(),
            },
        ),
        change("web-1", to("kvm1", "kvm2")),
        change(
            "web-1",
            Difference::Pool {
                disk: disk("vda"),
                is: pool("default"),
                wanted: pool("fast"),
            },
        ),
    ]
}

fn web() -> Move {
    Move {
        detour: None,
        vm: vm("web-1"),
        kind: MoveKind::Live,
        reason: "it runs and nothing speaks against it".into(),
        from: host("kvm1"),
        to: host("kvm2"),
        reboots: false,
        memory: Bytes::from_mib(2048),
        disks: vec![
            DiskPlacement {
                target: disk("vda"),
                carry: Carry::Thin {
                    base_from: volume("kvm1", "default", "debian-13.qcow2"),
                    base_to: volume("kvm2", "fast", "debian-13.qcow2"),
                },
                from: Some(volume("kvm1", "default", "web-1.qcow2")),
                to: Some(volume("kvm2", "fast", "web-1.qcow2")),
                to_path: Some("/srv/fast/web-1.qcow2".into()),
                format: VolumeFormat::Qcow2,
                capacity: Bytes::from_mib(20_480),
                allocation: Bytes::from_mib(1331),
                below: None,
            },
            DiskPlacement {
                target: disk("vdb"),
                carry: Carry::Stays,
                from: Some(volume("kvm1", "shared", "web-1-data.raw")),
                to: Some(volume("kvm2", "shared", "web-1-data.raw")),
                to_path: None,
                format: VolumeFormat::Raw,
                capacity: Bytes::from_mib(102_400),
                allocation: Bytes::from_mib(40_960),
                below: None,
            },
            DiskPlacement {
                target: disk("sda"),
                carry: Carry::Media,
                from: None,
                to: None,
                to_path: None,
                format: VolumeFormat::Raw,
                capacity: Bytes::ZERO,
                allocation: Bytes::ZERO,
                below: None,
            },
        ],
        bytes: Bytes::from_mib(4096),
        duration: Millis(41_000),
        downtime: Millis(300),
        definition: Some(DefinitionChange {
            before: definition("/var/lib/libvirt/images/web-1.qcow2"),
            after: definition("/srv/fast/web-1.qcow2"),
        }),
        steps: vec![StepId(0), StepId(1), StepId(2), StepId(3), StepId(4)],
    }
}

fn definition(path: &str) -> String {
    format!(
        "<domain type='kvm'>\n  <name>web-1</name>\n  <memory>2097152</memory>\n  <devices>\n    <disk type='file'>\n      \
         <driver name='qemu' type='qcow2'/>\n      <source file='{path}'/>\n      <target dev='vda'/>\n    </disk>\n    \
         <!-- old -->\n    <serial type='pty'/>\n  </devices>\n</domain>\n"
    )
}

fn db() -> Move {
    Move {
        detour: None,
        vm: vm("db-1"),
        kind: MoveKind::Cold,
        reason: "cpu-mode: host-passthrough does not run on another CPU (kvm2: EPYC-Milan, kvm3: EPYC-Rome)".into(),
        from: host("kvm2"),
        to: host("kvm3"),
        reboots: true,
        memory: Bytes::from_mib(16_384),
        disks: vec![DiskPlacement {
            target: disk("vda"),
            carry: Carry::Copy,
            from: Some(volume("kvm2", "default", "db-1.raw")),
            to: Some(volume("kvm3", "default", "db-1.raw")),
            to_path: None,
            format: VolumeFormat::Raw,
            capacity: Bytes::from_mib(51_200),
            allocation: Bytes::from_mib(8192),
            below: None,
        }],
        bytes: Bytes::from_mib(8192),
        duration: Millis(89_000),
        downtime: Millis(88_000),
        definition: None,
        steps: (5..10).map(StepId).collect(),
    }
}

fn findings() -> Vec<Finding> {
    vec![
        Finding {
            severity: Severity::Blocks,
            code: "pool-missing".into(),
            vm: Some(vm("mail")),
            host: Some(host("kvm1")),
            message: "disk vdb of mail shall lie in pool bulk, but kvm1 has only the pools default and fast".into(),
            remedy: "define pool bulk on kvm1, or name another pool under `vms.mail.disks.vdb`".into(),
        },
        Finding {
            severity: Severity::Risk,
            code: "cpu-mode".into(),
            vm: Some(vm("db-1")),
            host: Some(host("kvm3")),
            message: "the guest sees another CPU after its next start".into(),
            remedy: "give it a named CPU model that both hosts have".into(),
        },
        Finding {
            severity: Severity::Note,
            code: "host-unreachable".into(),
            vm: None,
            host: Some(host("kvm9")),
            message: "no VM of this plan needs it".into(),
            remedy: String::new(),
        },
    ]
}

fn steps() -> Vec<Step> {
    let step = |name: &str, action, after: &[(usize, Why)], start, duration, mib| Step {
        action,
        vms: vec![vm(name)],
        after: after
            .iter()
            .map(|(step, why)| Dependency {
                step: StepId(*step),
                why: *why,
            })
            .collect(),
        takes: vec![],
        frees: vec![],
        uses: vec![],
        start: Millis(start),
        forecast: Forecast {
            duration: Millis(duration),
            bytes: Bytes::from_mib(mib),
            downtime: Millis::ZERO,
        },
        held: None,
    };
    vec![
        step("web-1", mark("web-1", "kvm1", "kvm2"), &[], 0, 50, 0),
        step("web-1", create(), &[(0, Why::SameVm)], 50, 200, 0),
        step("web-1", migrate(), &[(1, Why::SameVm)], 250, 40_000, 4096),
        step(
            "web-1",
            delete("kvm1", "default", "web-1.qcow2"),
            &[(2, Why::CopyBeforeDelete)],
            40_250,
            100,
            0,
        ),
        step(
            "web-1",
            Action::Unmark {
                host: host("kvm2"),
                vm: vm("web-1"),
            },
            &[(3, Why::SameVm)],
            40_350,
            50,
            0,
        ),
        step("db-1", mark("db-1", "kvm2", "kvm3"), &[], 0, 50, 0),
        step(
            "db-1",
            shut_down(),
            &[(5, Why::SameVm), (2, Why::FreesRoom)],
            40_250,
            8_000,
            0,
        ),
        step("db-1", copy(), &[(6, Why::SameVm)], 48_250, 80_000, 8192),
        step("db-1", start(), &[(7, Why::SameVm)], 128_250, 2_000, 0),
        step(
            "db-1",
            Action::Unmark {
                host: host("kvm3"),
                vm: vm("db-1"),
            },
            &[(8, Why::SameVm)],
            130_250,
            50,
            0,
        ),
    ]
}

/// The second VM takes the room that the first one leaves, and its copy waits for a free transfer.
fn waiting(mut steps: Vec<Step>) -> Vec<Step> {
    let memory = Resource::Memory(host("kvm1"));
    steps[2].frees = vec![(memory.clone(), 2 << 30)];
    steps[6].takes = vec![(memory, 2 << 30)];
    steps[7].uses = vec![(Slot::In(host("kvm2")), 1)];
    steps[7].start = Millis(49_000);
    steps[7].held = Some(plan::Held {
        by: StepId(4),
        what: plan::Cause::Slot(Slot::In(host("kvm2"))),
    });
    steps
}

fn mark(name: &str, from: &str, to: &str) -> Action {
    let mark = MoveMark {
        version: MoveMark::VERSION,
        from: host(from),
        from_uuid: "11111111-1111-1111-1111-111111111111".into(),
        to: host(to),
        to_uuid: "22222222-2222-2222-2222-222222222222".into(),
        was_active: true,
        autostart: false,
        cold: false,
        complete: false,
        source_volumes: vec![],
        created_volumes: vec![],
        created_bases: vec![],
        temporary_volumes: vec![],
        claimed: Vec::new(),
        made: Vec::new(),
        made_at_source: Vec::new(),
        source_bases: Vec::new(),
        kept_bases: Vec::new(),
    };
    Action::Mark {
        host: host(from),
        vm: vm(name),
        mark,
        seen: None,
    }
}

fn create() -> Action {
    let spec = VolumeSpec {
        owner: Owner {
            host: host("kvm1"),
            vm: vm("web-1"),
        },
        at: volume("kvm2", "fast", "web-1.qcow2"),
        path: "/srv/fast/web-1.qcow2".into(),
        format: VolumeFormat::Qcow2,
        capacity: Bytes::from_mib(20_480),
        backing: None,
    };
    Action::CreateVolume { spec }
}

fn migrate() -> Action {
    let options = MigrationOptions {
        driver: Driver::Auto,
        peer_uri: "qemu+tcp://kvm2/system".into(),
        address: None,
        copy: CopyMode::Incremental,
        disks: vec![disk("vda")],
        rewrite: Rewrite::default(),
        bandwidth: None,
        max_downtime: Millis(300),
        on_stall: vec![OnStall::AutoConverge],
        stall_after: Millis::from_secs(300),
        timeout: None,
        cold: None,
        compression: None,
        connections: None,
        tls: false,
    };
    Action::MigrateLive {
        vm: vm("web-1"),
        from: host("kvm1"),
        to: host("kvm2"),
        options,
    }
}

fn delete(on: &str, pool_name: &str, name: &str) -> Action {
    Action::DeleteVolume {
        at: volume(on, pool_name, name),
        seen_by: vec![host(on)],
        replaced_by: None,
        only_if_unused: false,
        only_if_empty: false,
    }
}

fn shut_down() -> Action {
    Action::ShutDown {
        host: host("kvm2"),
        vm: vm("db-1"),
        timeout: Millis::from_secs(180),
        on_timeout: domicile::desired::OnShutdownTimeout::Fail,
    }
}

fn copy() -> Action {
    let spec = VolumeSpec {
        owner: Owner {
            host: host("kvm2"),
            vm: vm("db-1"),
        },
        at: volume("kvm3", "default", "db-1.raw"),
        path: "/var/lib/libvirt/images/db-1.raw".into(),
        format: VolumeFormat::Raw,
        capacity: Bytes::from_mib(51_200),
        backing: None,
    };
    Action::CopyVolume {
        from: volume("kvm2", "default", "db-1.raw"),
        spec,
        bandwidth: None,
    }
}

fn start() -> Action {
    Action::Start {
        host: host("kvm3"),
        vm: vm("db-1"),
        not_active_on: vec![host("kvm2")],
    }
}
