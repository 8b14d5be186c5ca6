//! How good and how fast the solver of the planner is: `cargo bench --bench planner [-- OPTIONS]`.
//!
//! Options: `--seeds N` (fleets of each family, size and load; default 10), `--work N` (the limit of the search, in
//! millions of units; default 10), `--large` (also 300 and 1,000 hosts for every seed, and the largest fleet), a word (only
//! rows whose name holds it).
//!
//! Where the environment variable `DOMICILE_INSTANCES` names a folder with `plan/*.txt` and `random50/*.json`, these are run, too,
//! and held against the best values known for them: those that CP-SAT 9.15 found for direct moves, with proof or without.
//! One thread. Times are of the processor, since others may run on the machine. The bound holds with detours.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its figures, and stops where its data are no good"
)]

#[path = "../../solver/families.rs"]
mod families;
mod instances;
mod table;

use std::path::Path;

use families::{Family, Fleet, generate};
use instances::{instances, mvm};
use table::{Run, Target, forget_memory, header, row, run};

/// What is asked for on the command line.
struct Options {
    seeds: u64,
    work: u64,
    large: bool,
    word: String,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            seeds: 10,
            work: 10_000_000,
            large: false,
            word: String::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--large" => options.large = true,
                "--seeds" => options.seeds = words.next().unwrap().parse().unwrap(),
                "--work" => {
                    let millions: u64 = words.next().unwrap().parse().unwrap();
                    options.work = millions * 1_000_000;
                }
                _ => options.word = word,
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        name.contains(&self.word)
    }
}

fn generated(options: &Options) {
    let mut sizes = vec![10, 50, 100];
    if options.large {
        sizes.extend([300, 1000]);
    }
    let kinds = [
        (Family::Drain, "drain", [80].as_slice()),
        (Family::Shuffle, "shuffle", [60, 80, 90, 95].as_slice()),
        (Family::Swap, "swap", [97].as_slice()),
    ];
    for (family, word, loads) in kinds {
        for load in loads {
            for hosts in &sizes {
                let name = format!("{word} {hosts}x{} {load} %", hosts * 10);
                if !options.wants(&name) {
                    continue;
                }
                forget_memory();
                let runs: Vec<Run> = (0..options.seeds)
                    .map(|seed| {
                        let fleet = generate(family, *hosts, *load, seed);
                        run(&fleet.problem(), &fleet, options.work)
                    })
                    .collect();
                let target = Target {
                    // Of rings in full fleets, some have no way out.
                    all_solved: family != Family::Swap,
                    ..Target::default()
                };
                row(&name, &runs, &target);
            }
        }
    }
}

/// 5,000 hosts with 50,000 VMs, of which 500 hosts are drained: about 5,000 moves.
fn largest(options: &Options) {
    let name = "drain 5000x50000 80 %";
    if !options.wants(name) {
        return;
    }
    forget_memory();
    let fleet = generate(Family::Drain, 5000, 80, 0);
    let drain = run(&fleet.problem(), &fleet, options.work);
    let target = Target {
        all_solved: true,
        seconds_max: Some(10.0),
        mib_max: Some(1024),
        ..Target::default()
    };
    row(name, &[drain], &target);
    let name = "shuffle 5000x50000 80 %, 5000";
    let mut fleet = generate(Family::Shuffle, 5000, 80, 0);
    let mut left = 5000;
    for vm in &mut fleet.vms {
        if vm.from != vm.to {
            // The rest stays, which may be too much for some hosts: those get what they need.
            vm.to = if left == 0 { vm.from } else { vm.to };
            left -= usize::from(left > 0);
        }
    }
    let mut held = vec![0; fleet.hosts.len()];
    fleet.vms.iter().for_each(|vm| held[vm.to] += vm.memory_gib);
    for (host, held) in fleet.hosts.iter_mut().zip(held) {
        host.memory_gib = host.memory_gib.max(held);
    }
    let fleet = Fleet::new(fleet.hosts, fleet.vms);
    forget_memory();
    let shuffle = run(&fleet.problem(), &fleet, options.work);
    row(name, &[shuffle], &target);
}

fn main() {
    let options = Options::read();
    header();
    if let Ok(folder) = std::env::var("DOMICILE_INSTANCES") {
        let folder = Path::new(&folder);
        instances(&options, &folder.join("plan"));
        if options.wants("mVM") {
            mvm(&options, &folder.join("random50"));
        }
    }
    generated(&options);
    if options.large {
        largest(&options);
    }
}
