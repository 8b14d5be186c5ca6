//! A plan's hash, over random fleets: what changes by itself between two readings does not change it, and everything
//! that a reviewer agreed to does.

use domicile::model::{Bytes, BytesPerSecond, HostName, Millis};
use domicile::observed::{self, Observed, Reading};
use domicile::plan::{Basis, Finding, MoveKind, Plan, Severity, Since};
use domicile::planner::plan;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::support::build;
use crate::support::sketch::{of_seed, sketches};

/// The reading a little later: guests have written a few blocks and dirtied memory, the kernel has freed some, and
/// time has gone on.
fn a_little_later(observed: &Observed, blocks: u64) -> Observed {
    let mut later = observed.clone();
    later.taken_at += 60_000 + blocks;
    let some = Bytes(blocks * 4096);
    for reading in later.hosts.values_mut() {
        let Reading::Reached(host) = reading else {
            continue;
        };
        host.memory_free = host.memory_free.minus(some);
        for pool in host.pools.values_mut() {
            // Room that nobody needs: what does not fit is another plan, and rightly so.
            pool.available = pool.available.plus(some);
            for volume in pool.volumes.values_mut() {
                if let Some(detail) = &mut volume.detail {
                    let free = detail.capacity.minus(detail.allocation);
                    detail.allocation = detail.allocation.plus(some.min(free));
                }
            }
        }
        for vm in host.vms.values_mut() {
            let Some(detail) = &mut vm.detail else {
                continue;
            };
            detail.dirty_rate = Some(BytesPerSecond(blocks));
            detail.resident = detail.resident.map(|bytes| bytes.plus(some));
            for disk in &mut detail.disks {
                disk.allocation = disk.allocation.map(|bytes| {
                    let free = disk.capacity.unwrap_or(bytes).minus(bytes);
                    bytes.plus(some.min(free))
                });
            }
        }
    }
    later
}

/// The reading with what every guest's memory occupies: some of it.
fn in_use(mut observed: Observed) -> Observed {
    for reading in observed.hosts.values_mut() {
        let Reading::Reached(host) = reading else {
            continue;
        };
        for vm in host.vms.values_mut() {
            if let Some(detail) = &mut vm.detail {
                detail.resident = Some(Bytes(vm.memory.0 / 16 * 5));
            }
        }
    }
    observed
}

/// Other plans than this one, each with a word on what is different.
fn others(plan: &Plan) -> Vec<(&'static str, Plan)> {
    let mut all = Vec::new();
    let mut other = |what, change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        all.push((what, changed));
    };
    other("one more finding that blocks", &|plan| {
        plan.findings.push(Finding {
            severity: Severity::Blocks,
            code: "pool-missing".into(),
            vm: None,
            host: None,
            message: String::new(),
            remedy: String::new(),
        });
    });
    if plan
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Blocks)
    {
        other("nothing blocks any more", &|plan| {
            plan.findings
                .retain(|finding| finding.severity != Severity::Blocks);
        });
    }
    if plan.moves.is_empty() {
        return all;
    }
    other("a move less", &|plan| {
        plan.moves.pop();
    });
    other("another destination", &|plan| {
        plan.moves[0].to = HostName::new("elsewhere").expect("a name");
    });
    other("another method", &|plan| {
        let is = plan.moves[0].kind;
        plan.moves[0].kind = if is == MoveKind::Live {
            MoveKind::Cold
        } else {
            MoveKind::Live
        };
    });
    other("a reboot more or less", &|plan| {
        plan.moves[0].reboots = !plan.moves[0].reboots;
    });
    other("a step less", &|plan| {
        plan.moves[0].steps.pop();
    });
    if plan
        .moves
        .iter()
        .any(|a_move| a_move.disks.iter().any(|disk| disk.to.is_some()))
    {
        other("a disk goes to another pool", &|plan| {
            let disks = plan.moves.iter_mut().flat_map(|a_move| &mut a_move.disks);
            for to in disks.filter_map(|disk| disk.to.as_mut()).take(1) {
                to.pool = domicile::model::PoolName::new("elsewhere").expect("a name");
            }
        });
        other("a disk stays behind", &|plan| {
            for a_move in &mut plan.moves {
                a_move.disks.pop();
            }
        });
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(11),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_changes_by_itself_does_not_change_the_hash(sketch in sketches(), blocks in 1_u64..200) {
        let fleet = build(&sketch);
        let observed = in_use(fleet.observed);
        let then = plan(&fleet.desired, &observed);
        let later = a_little_later(&observed, blocks);
        let now = plan(&fleet.desired, &later);
        prop_assert_eq!(then.meaning().differences(&now.meaning()), Vec::<String>::new());
        prop_assert_eq!(then.hash(), now.hash());
        let since = Basis::of(&then, &observed).since(&later);
        prop_assert_eq!(since, Since::default());
    }

    #[test]
    fn forecasts_and_notes_are_no_part_of_the_hash(sketch in sketches()) {
        let fleet = build(&sketch);
        let then = plan(&fleet.desired, &fleet.observed);
        let mut now = then.clone();
        now.makespan = Millis(1);
        now.findings.retain(|finding| finding.severity != Severity::Note);
        for a_move in &mut now.moves {
            a_move.bytes = Bytes(1);
            a_move.duration = Millis(1);
            a_move.downtime = Millis(1);
            a_move.reason = "other words".into();
        }
        for step in &mut now.steps {
            step.start = Millis(1);
            step.forecast.bytes = Bytes(1);
        }
        prop_assert_eq!(then.hash(), now.hash());
    }

    #[test]
    fn whatever_a_reviewer_agreed_to_is_part_of_the_hash(sketch in sketches()) {
        let fleet = build(&sketch);
        let plan = plan(&fleet.desired, &fleet.observed);
        for (what, other) in others(&plan) {
            prop_assert_ne!(plan.hash(), other.hash(), "{}", what);
        }
    }
}

/// A plan with a disk that is copied, and what it was made from.
fn with_a_copied_disk() -> (Plan, Observed) {
    let fleets = (0..).map(|seed| build(&of_seed(seed)));
    let mut plans = fleets.map(|fleet| (plan(&fleet.desired, &fleet.observed), fleet.observed));
    let copied = |plan: &Plan| {
        let mut disks = plan.moves.iter().flat_map(|a_move| &a_move.disks);
        disks.any(|disk| disk.carry.is_copied())
    };
    plans.find(|(plan, _)| copied(plan)).expect("some seed")
}

/// What is told after this change of the reading.
fn since(change: impl Fn(&mut observed::Host, &Plan)) -> Since {
    let (plan, observed) = with_a_copied_disk();
    let basis = Basis::of(&plan, &observed);
    let mut later = observed;
    let from = plan.moves.iter().find(|a_move| {
        let mut disks = a_move.disks.iter();
        disks.any(|disk| disk.carry.is_copied())
    });
    let from = &from.expect("it has a disk that is copied").from;
    let Some(Reading::Reached(host)) = later.hosts.get_mut(from) else {
        panic!("{from} answered");
    };
    change(host, &plan);
    basis.since(&later)
}

#[test]
fn what_a_step_rests_on_matters_and_is_named() {
    let others = since(|host, _| host.uuid = "another".into());
    assert!(others.matters[0].contains("another machine"), "{others:?}");
    let moved = since(|host, _| host.pools.values_mut().for_each(|pool| pool.path += "/x"));
    assert!(
        moved
            .matters
            .iter()
            .any(|line| line.contains("other storage")),
        "{moved:?}"
    );
    let stopped = since(|host, _| host.pools.values_mut().for_each(|pool| pool.active = false));
    assert!(
        stopped
            .matters
            .iter()
            .any(|line| line.contains("was stopped")),
        "{stopped:?}"
    );
    let gone = since(|host, _| {
        for pool in host.pools.values_mut() {
            pool.volumes.clear();
        }
    });
    assert!(
        gone.matters.iter().any(|line| line.contains("is gone")),
        "{gone:?}"
    );
    let replaced = since(|host, _| {
        for vm in host.vms.values_mut() {
            vm.uuid = "another".into();
        }
    });
    assert!(
        replaced.matters[0].contains("is another one than before"),
        "{replaced:?}"
    );
    assert!(replaced.harmless.is_empty(), "{replaced:?}");
}

#[test]
fn what_no_step_rests_on_is_told_and_does_not_matter() {
    let upgraded = since(|host, _| host.libvirt_version += 1);
    assert_eq!(upgraded.matters, Vec::<String>::new());
    assert_eq!(upgraded.harmless.len(), 1, "{upgraded:?}");
    let elsewhere = since(|host, plan| {
        let moved: Vec<_> = plan.moves.iter().map(|a_move| a_move.vm.clone()).collect();
        host.vms.retain(|vm, _| moved.contains(vm));
        for pool in host.pools.values_mut() {
            pool.available = Bytes(pool.available.0 / 2);
        }
    });
    assert_eq!(elsewhere, Since::default());
}
