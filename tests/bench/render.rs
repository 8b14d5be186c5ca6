//! How long a plan of 10,000 moves takes to be shown in each format, as a ratio to its bound.

#![expect(clippy::print_stdout, reason = "a benchmark is for reading")]
#![expect(
    clippy::unwrap_used,
    reason = "a plan that cannot be built is a fault of the benchmark"
)]

use std::time::{Duration, Instant};

use domicile::definition::Rewrite;
use domicile::model::{
    Bytes, DiskTarget, HostName, Millis, PoolName, VmName, VolumeFormat, VolumeName, VolumeRef,
};
use domicile::plan::{
    Action, Capacity, Carry, Change, DefinitionChange, Dependency, Difference, DiskPlacement,
    Finding, Forecast, Move, MoveKind, Plan, Resource, Severity, Step, StepId, VolumeSpec, Why,
};
use domicile::render::{Style, comment, graph, html, json, stream, text};

const MOVES: usize = 10_000;
const HOSTS: usize = 50;
const RUNS: usize = 3;
const GIB: u64 = 1 << 30;
const TIME_MAX: Duration = Duration::from_secs(2);

fn host(number: usize) -> HostName {
    HostName::new(format!("kvm{}", number % HOSTS)).unwrap()
}

fn volume(host: HostName, pool: &str, vm: usize) -> VolumeRef {
    VolumeRef {
        host,
        pool: PoolName::new(pool).unwrap(),
        volume: VolumeName::new(format!("vm-{vm}.qcow2")).unwrap(),
    }
}

fn definition(path: &str) -> String {
    let devices = "    <interface type='bridge'><source bridge='br0'/></interface>\n".repeat(40);
    format!(
        "<domain>\n  <devices>\n    <source file='{path}'/>\n{devices}  </devices>\n</domain>\n"
    )
}

fn a_move(number: usize) -> Move {
    let (from, to) = (host(number), host(number + 1));
    let reboots = number.is_multiple_of(10);
    Move {
        vm: VmName::new(format!("vm-{number}")).unwrap(),
        kind: if reboots {
            MoveKind::Cold
        } else {
            MoveKind::Live
        },
        reason: "nothing speaks against it".into(),
        detour: None,
        reboots,
        memory: Bytes::from_mib(2048),
        disks: vec![DiskPlacement {
            target: DiskTarget::new("vda").unwrap(),
            carry: Carry::Copy,
            from: Some(volume(from.clone(), "default", number)),
            to: Some(volume(to.clone(), "fast", number)),
            to_path: None,
            format: VolumeFormat::Qcow2,
            capacity: Bytes::from_mib(20_480),
            allocation: Bytes::from_mib(1024),
            below: None,
        }],
        from,
        to,
        bytes: Bytes::from_mib(3072),
        duration: Millis(41_000),
        downtime: Millis(300),
        definition: Some(DefinitionChange {
            before: definition("/var/lib/libvirt/images/vm.qcow2"),
            after: definition("/srv/fast/vm.qcow2"),
        }),
        steps: (number * 3..number * 3 + 3).map(StepId).collect(),
    }
}

fn steps(number: usize) -> Vec<Step> {
    let a_move = a_move(number);
    let at = volume(a_move.to.clone(), "fast", number);
    let actions = [
        Action::CreateVolume {
            spec: VolumeSpec {
                owner: domicile::plan::Owner {
                    host: HostName::new("kvm1").unwrap(),
                    vm: VmName::new("web").unwrap(),
                },
                at: at.clone(),
                path: "/srv/fast/vm.qcow2".into(),
                format: VolumeFormat::Qcow2,
                capacity: Bytes::from_mib(20_480),
                backing: None,
            },
        },
        Action::Define {
            vm: a_move.vm.clone(),
            from: a_move.from.clone(),
            to: a_move.to.clone(),
            rewrite: Rewrite::default(),
        },
        Action::Undefine {
            host: a_move.from.clone(),
            vm: a_move.vm.clone(),
            kept_by: a_move.to.clone(),
        },
    ];
    let step = |(place, action)| Step {
        action,
        vms: vec![a_move.vm.clone()],
        after: (place > 0)
            .then(|| Dependency {
                step: StepId(number * 3 + place - 1),
                why: Why::SameVm,
            })
            .into_iter()
            .collect(),
        takes: (place == 0)
            .then(|| (room(&a_move.to), GIB))
            .into_iter()
            .collect(),
        frees: (place == 2)
            .then(|| (room(&a_move.from), GIB))
            .into_iter()
            .collect(),
        uses: vec![],
        held: None,
        start: Millis((number / HOSTS * 41_000 + place * 100) as u64),
        forecast: Forecast {
            duration: Millis(100),
            ..Forecast::default()
        },
    };
    actions.into_iter().enumerate().map(step).collect()
}

fn room(host: &HostName) -> Resource {
    Resource::Memory(host.clone())
}

fn capacity(number: usize) -> Capacity {
    Capacity {
        resource: room(&host(number)),
        limit: 1024 * GIB,
        used: 512 * GIB,
    }
}

fn finding(number: usize) -> Finding {
    Finding {
        severity: if number.is_multiple_of(100) {
            Severity::Risk
        } else {
            Severity::Note
        },
        code: "local-media".into(),
        vm: Some(VmName::new(format!("vm-{number}")).unwrap()),
        host: Some(host(number + 1)),
        message: format!("it needs a file on {}", host(number + 1)),
        remedy: "make sure that it is there".into(),
    }
}

fn plan() -> Plan {
    let change = |number| Change {
        vm: VmName::new(format!("vm-{number}")).unwrap(),
        what: Difference::Host {
            is: host(number),
            wanted: host(number + 1),
        },
    };
    Plan {
        format_version: domicile::plan::FORMAT_VERSION.to_owned(),
        changes: (0..MOVES).map(change).collect(),
        moves: (0..MOVES).map(a_move).collect(),
        findings: (0..MOVES).map(finding).collect(),
        steps: (0..MOVES).flat_map(steps).collect(),
        capacities: (0..HOSTS).map(capacity).collect(),
        slots: [].into(),
        makespan: Millis(8_200_000),
        bound: domicile::plan::Bound::default(),
        critical: (0..MOVES)
            .step_by(HOSTS)
            .map(|number| StepId(number * 3))
            .collect(),
        alternatives: [].into(),
        calibration: domicile::model::Calibration::default(),
    }
}

fn measure(what: &str, render: impl Fn() -> String) {
    let mut best = Duration::MAX;
    let mut bytes = 0;
    for _ in 0..RUNS {
        let start = Instant::now();
        bytes = render().len();
        best = best.min(start.elapsed());
    }
    let ratio = best.as_secs_f64() / TIME_MAX.as_secs_f64();
    println!("{what}: {best:.0?}, {ratio:.2} of the bound of {TIME_MAX:?}; {bytes} bytes");
}

fn main() {
    let plan = plan();
    let about = comment::About {
        name: "fleet",
        made_at: None,
        file: None,
    };
    println!("A plan of {MOVES} moves and {} steps:", plan.steps.len());
    measure("text", || text::plan(&plan, &Style::plain(100)));
    measure("markdown", || comment::plan(&plan, &about));
    measure("json", || json::plan(&plan).unwrap());
    measure("mermaid", || graph::mermaid(&plan));
    measure("html", || html::plan(&plan, &html::About::default()));
    measure("line", || text::totals(&plan));
    measure("dot", || graph::dot(&plan));
    measure("announcement of an apply", || {
        stream::announce(&plan, "0.1.0", "").unwrap().join("\n")
    });
    measure("hash", || plan.hash().to_string());
}
