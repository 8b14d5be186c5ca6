//! Instances from files: generated fleets of which the best makespans are known, and plans that mVM published.

use std::path::Path;

use domicile::planner::solver::{
    DirectOnly, Item, Job, Port, Problem, Release, Resource, Take, Use,
};

use crate::Options;
use crate::families::{Fleet, Host, Vm};
use crate::table::{Target, forget_memory, ratio, row, run};

/// Reads "H V", then "memory vcpus rate" for each host, then "from to memory vcpus used dirty" for each VM.
fn parse(text: &str) -> Option<Fleet> {
    let mut lines = text.lines().map(|line| {
        let words = line.split_whitespace().map(str::parse::<u64>);
        words.collect::<Result<Vec<_>, _>>().ok()
    });
    let counts = lines.next()??;
    let [host_count, vm_count] = counts[..] else {
        return None;
    };
    let mut hosts = Vec::new();
    for _ in 0..host_count {
        let [memory_gib, _, rate_mbit] = lines.next()??[..] else {
            return None;
        };
        hosts.push(Host {
            memory_gib,
            rate_mbit,
        });
    }
    let mut vms = Vec::new();
    for _ in 0..vm_count {
        let [from, to, memory_gib, _, used_mb, dirty_mb_s] = lines.next()??[..] else {
            return None;
        };
        let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
        vms.push(Vm {
            from,
            to,
            memory_gib,
            used_mb,
            dirty_mb_s,
        });
    }
    Some(Fleet::new(hosts, vms))
}

/// Best makespans known for single instances, and what they are held to.
fn target(name: &str) -> Target {
    let direct = |known: u64| Target {
        known: Some(known),
        makespan_max: Some(known * 103 / 100),
        ..Target::default()
    };
    match name {
        "drain_1000x10000_u0.8" => Target {
            known: Some(953),
            makespan_max: Some(953),
            seconds_max: Some(0.2),
            ..Target::default()
        },
        "shuffle_10x100_u0.8" => direct(486),
        "shuffle_10x100_u0.9" => direct(579),
        "shuffle_50x500_u0.8" => direct(658),
        "shuffle_50x500_u0.9" => direct(869),
        "shuffle_100x1000_u0.8" => direct(608),
        "shuffle_100x1000_u0.9" => direct(1438),
        "shuffle_1000x10000_u0.8" => Target {
            known: Some(1467),
            makespan_max: Some(1467),
            seconds_max: Some(2.0),
            ..Target::default()
        },
        "swap_1000x10000_u0.97" => Target {
            known: Some(3806),
            makespan_max: Some(3000),
            detours_max: Some(450),
            seconds_max: Some(5.0),
            ..Target::default()
        },
        "shuffle_300x3000_u0.8" => Target {
            known: Some(1096),
            ..Target::default()
        },
        "shuffle_300x3000_u0.9" => Target {
            known: Some(1621),
            ..Target::default()
        },
        "shuffle_10x100_u0.95" => Target {
            known: Some(1587),
            ..Target::default()
        },
        "swap_10x100_u0.97" => Target {
            known: Some(1246),
            ..Target::default()
        },
        "shuffle_100x1000_u0.6" => Target {
            known: Some(873),
            ..Target::default()
        },
        _ => Target::default(),
    }
}

pub(crate) fn instances(options: &Options, folder: &Path) {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !options.wants(&name) {
            continue;
        }
        let fleet = parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        forget_memory();
        let run = run(&fleet.problem(), &fleet, options.work);
        let target = Target {
            all_solved: true,
            ..target(&name)
        };
        row(&name, &[run], &target);
    }
}

/// The proven optimum of each of mVM's published plans, by number: without detours, durations as in the plans.
const MVM_OPTIMA: [(u64, u64); 25] = [
    (1, 191),
    (3, 261),
    (5, 261),
    (7, 191),
    (9, 172),
    (11, 223),
    (13, 242),
    (15, 242),
    (17, 191),
    (19, 223),
    (21, 261),
    (23, 160),
    (25, 261),
    (27, 242),
    (29, 261),
    (31, 261),
    (33, 223),
    (35, 191),
    (37, 220),
    (39, 210),
    (41, 223),
    (43, 172),
    (45, 191),
    (47, 172),
    (49, 191),
];

/// Hosts 0 and 1 have 500 Mbit/s, hosts 2 and 3 twice that; a move takes the slower end's rate from both.
fn mvm_problem(plan: &serde_json::Value) -> Problem {
    const RATES: [u64; 4] = [500, 500, 1000, 1000];
    let views = plan["origin"]["views"].as_array().unwrap();
    let memory = views.iter().find(|view| view["rcId"] == "mem").unwrap();
    let size = |vm: &str| memory["vms"][vm].as_u64().unwrap();
    let hosts = plan["origin"]["mapping"]["onlineNodes"]
        .as_object()
        .unwrap();
    let mut resources = Vec::new();
    for (name, host) in hosts {
        let vms = host["runningVMs"].as_array().unwrap().iter();
        let used = vms.map(|vm| size(&vm.to_string())).sum();
        resources.push(Resource {
            limit: memory["nodes"][name].as_u64().unwrap(),
            used,
        });
    }
    let mut items = Vec::new();
    for action in plan["actions"].as_array().unwrap() {
        let number = |what: &str| action[what].as_u64().unwrap();
        let index = |what: &str| usize::try_from(number(what)).unwrap();
        let (from, to, duration) = (index("from"), index("to"), number("end") - number("start"));
        let rate = RATES[from].min(RATES[to]);
        let amount = size(&number("vm").to_string());
        let used = |port| Use {
            port,
            amount: rate,
            from: 0,
            to: duration,
        };
        let job = Job {
            duration,
            takes: vec![Take {
                resource: to,
                amount,
            }],
            frees: vec![Release {
                resource: from,
                amount,
                at: duration,
            }],
            uses: vec![used(2 * from), used(2 * to + 1)],
            ..Job::default()
        };
        items.push(Item { job, subject: None });
    }
    let ports = RATES.iter().flat_map(|rate| [Port { limit: *rate }; 2]);
    Problem {
        resources,
        ports: ports.collect(),
        items,
        precedences: Vec::new(),
    }
}

pub(crate) fn mvm(options: &Options, folder: &Path) {
    forget_memory();
    let mut runs = Vec::new();
    let (mut known, mut theirs, mut optimal) = (0, 0, 0);
    for (number, optimum) in MVM_OPTIMA {
        let path = folder.join(format!("random.{number}.json"));
        let plan: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let run = run(&mvm_problem(&plan), &DirectOnly, options.work.min(40_000));
        let actions = plan["actions"].as_array().unwrap().iter();
        theirs += actions
            .map(|action| action["end"].as_u64().unwrap())
            .max()
            .unwrap();
        known += optimum;
        optimal += usize::from(run.solution.makespan == optimum);
        runs.push(run);
    }
    let target = Target {
        all_solved: true,
        known: Some(known),
        makespan_max: None,
        seconds_max: Some(0.01),
        ..Target::default()
    };
    row("mVM, 25 published plans", &runs, &target);
    println!(
        "    at the proven optimum: {optimal} of 25; mVM's own plans ÷ optimum {:.3}",
        ratio(theirs, known)
    );
}
