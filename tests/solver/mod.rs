//! The solver: every schedule is checked by code that shares nothing with it, and on small problems it is held against
//! all schedules there are.

mod check;
mod exhaustive;
pub(crate) mod families;
mod small;

use domicile::planner::solver::{
    Cause, DirectOnly, Item, Job, Limits, Outcome, Port, Problem, Release, Resource, Solution,
    Take, Use, Way, Ways, solve,
};

use exhaustive::{Freedom, exists, shortest};
use families::{Family, Fleet, Host, Vm, generate};
use small::Small;

fn limits(problem: &Problem, work: u64) -> Limits {
    Limits {
        work,
        ..Limits::of(problem.items.len())
    }
}

fn checked(problem: &Problem, ways: &dyn Ways, limits: &Limits) -> Solution {
    let solution = solve(problem, ways, limits);
    let wrong = check::problems(problem, ways, &solution);
    assert_eq!(wrong, Vec::<String>::new(), "{solution:#?}");
    solution
}

#[test]
fn every_schedule_of_a_random_problem_keeps_to_it() {
    let (mut moved, mut detours, mut stopped, mut stuck) = (0, 0, 0, 0);
    for seed in 0..600 {
        let small = Small::random(seed, 9);
        let problem = small.problem();
        let solution = solve(&problem, &small, &limits(&problem, 2000));
        let wrong = check::problems(&problem, &small, &solution);
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}: {solution:#?}");
        moved += problem.items.len();
        detours += solution.detours;
        stopped += solution.stopped;
        stuck += solution.stuck.len();
    }
    // The problems are worth something only if they call for everything.
    assert!(
        moved > 1500 && detours > 10 && stopped > 10 && stuck > 30,
        "{moved} {detours} {stopped} {stuck}"
    );
}

#[test]
fn what_is_refused_cannot_be_done_and_what_is_stopped_must_be() {
    let (mut refused, mut stopped) = (0, 0);
    for seed in 10_000..10_600 {
        let small = Small::random(seed, 6);
        let problem = small.problem();
        let all: Vec<usize> = (0..problem.items.len()).collect();
        let solution = solve(&problem, &small, &limits(&problem, 500));
        let places = if small.detours { small.hosts } else { 0 };
        let live = exists(
            &problem,
            &small,
            Freedom {
                places,
                cold: false,
            },
            &all,
        );
        let cold = exists(&problem, &small, Freedom { places, cold: true }, &all);
        assert_eq!(
            solution.stuck.is_empty(),
            cold,
            "seed {seed}: {solution:#?}"
        );
        assert_eq!(
            solution.stopped == 0 && solution.stuck.is_empty(),
            live,
            "seed {seed}: {solution:#?}"
        );
        for group in &solution.stuck {
            assert!(group.proven, "seed {seed}: {group:#?}");
            let mut moved = group.items.clone();
            moved.extend(
                all.iter()
                    .filter(|item| matches!(solution.outcomes[**item], Outcome::Moved { .. })),
            );
            if let Some((resource, more)) = group.relief {
                let mut larger = problem.clone();
                larger.resources[resource].limit += more;
                let possible = exists(&larger, &small, Freedom { places, cold: true }, &moved);
                assert!(possible, "seed {seed}: {group:#?}");
            }
        }
        refused += usize::from(!cold);
        stopped += usize::from(cold && !live);
    }
    assert!(
        refused > 30 && stopped > 5,
        "{refused} refused, {stopped} stopped"
    );
}

#[test]
fn no_schedule_undercuts_a_bound_and_small_ones_are_nearly_always_the_shortest() {
    let (mut compared, mut shorter) = (0, 0);
    for seed in 20_000..20_150 {
        let small = Small::random(seed, 5);
        let problem = small.problem();
        let direct = shortest(
            &problem,
            &DirectOnly,
            Freedom {
                places: 0,
                cold: false,
            },
        );
        let places = if small.detours { small.hosts } else { 0 };
        let any = shortest(
            &problem,
            &small,
            Freedom {
                places,
                cold: false,
            },
        );
        if let Some(direct) = direct {
            let solution = checked(&problem, &DirectOnly, &limits(&problem, 10_000));
            assert!(
                solution.bounds.best() <= direct,
                "seed {seed}: {:?} {direct}",
                solution.bounds
            );
            assert!(
                solution.bounds.direct_chain <= Some(direct),
                "seed {seed}: {:?}",
                solution.bounds
            );
            assert!(solution.makespan >= direct, "seed {seed}");
            compared += 1;
            shorter += usize::from(solution.makespan > direct);
        }
        if let Some(any) = any {
            let solution = checked(&problem, &small, &limits(&problem, 10_000));
            assert!(
                solution.bounds.best() <= any,
                "seed {seed}: {:?} {any}",
                solution.bounds
            );
            assert!(
                solution.stopped > 0 || solution.makespan >= any,
                "seed {seed}"
            );
            compared += 1;
            shorter += usize::from(solution.makespan > any);
        }
    }
    assert!(compared > 150, "{compared}");
    assert!(
        shorter * 50 < compared,
        "{shorter} of {compared} could be shorter"
    );
}

#[test]
fn nothing_to_do_takes_no_time() {
    let solution = checked(&Problem::default(), &DirectOnly, &Limits::of(0));
    assert_eq!(
        (solution.makespan, solution.outcomes.len(), solution.work),
        (0, 0, 0)
    );
}

#[test]
fn the_same_problem_has_the_same_solution_on_every_thread() {
    let fleet = generate(Family::Swap, 20, 95, 4);
    let problem = fleet.problem();
    let solve = || solve(&problem, &fleet, &limits(&problem, 200_000));
    let first = solve();
    let others: Vec<Solution> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(solve)).collect();
        threads.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(others.iter().all(|other| *other == first));
}

#[test]
fn a_bound_that_is_met_ends_the_search() {
    let fleet = generate(Family::Drain, 30, 80, 1);
    let problem = fleet.problem();
    let solution = checked(&problem, &fleet, &Limits::of(problem.items.len()));
    assert_eq!(solution.makespan, solution.bounds.best());
    assert!(solution.work < 100_000, "{}", solution.work);
}

#[test]
fn generated_fleets_of_every_family_are_scheduled_without_a_stop() {
    for (family, load) in [
        (Family::Drain, 80),
        (Family::Shuffle, 80),
        (Family::Shuffle, 90),
        (Family::Swap, 95),
    ] {
        for seed in 0..10 {
            let fleet = generate(family, 20, load, seed);
            let problem = fleet.problem();
            assert!(problem.items.len() > 10, "{family:?} {load} {seed}");
            let solution = checked(&problem, &fleet, &limits(&problem, 100_000));
            assert_eq!(solution.stopped, 0);
        }
    }
}

/// VMs of a size each, on hosts of one size, one move out and one in at a time.
fn fleet(memory_gib: &[u64], vms: &[(usize, usize, u64)]) -> Fleet {
    let host = |memory: &u64| Host {
        memory_gib: *memory,
        rate_mbit: 1000,
    };
    let vm = |(from, to, size): &(usize, usize, u64)| Vm {
        from: *from,
        to: *to,
        memory_gib: *size,
        used_mb: size * 1000,
        dirty_mb_s: 0,
    };
    Fleet::new(
        memory_gib.iter().map(host).collect(),
        vms.iter().map(vm).collect(),
    )
}

#[test]
fn two_full_hosts_swap_by_way_of_a_third() {
    let swap = fleet(&[8, 8, 8], &[(0, 1, 8), (1, 0, 8)]);
    let solution = checked(&swap.problem(), &swap, &Limits::of(2));
    assert_eq!(
        (solution.detours, solution.stopped, solution.stuck.len()),
        (1, 0, 0)
    );
}

#[test]
fn two_full_hosts_without_a_third_are_refused_with_what_is_missing() {
    let swap = fleet(&[8, 8, 3, 4], &[(0, 1, 8), (1, 0, 8), (2, 3, 2)]);
    let solution = checked(&swap.problem(), &swap, &Limits::of(3));
    assert_eq!(solution.stuck.len(), 1);
    let group = &solution.stuck[0];
    assert_eq!(
        (group.items.as_slice(), group.proven),
        ([0, 1].as_slice(), true)
    );
    assert!(
        group.short.iter().all(|short| short.missing == 8),
        "{group:?}"
    );
    assert_eq!(group.relief.map(|(_, more)| more), Some(8));
    assert!(matches!(
        solution.outcomes[2],
        Outcome::Moved {
            way: Way::Direct,
            ..
        }
    ));
}

#[test]
fn room_that_is_in_pieces_is_brought_together() {
    // Neither 4 nor 5 is room for a VM of 8, but a VM of 4 can make it one.
    let swap = fleet(
        &[8, 8, 12, 9, 8],
        &[
            (0, 1, 8),
            (1, 0, 8),
            (2, 4, 4),
            (2, 2, 4),
            (4, 2, 4),
            (4, 4, 4),
            (3, 3, 4),
        ],
    );
    let solution = checked(&swap.problem(), &swap, &Limits::of(4));
    assert_eq!(solution.stuck, []);
}

#[test]
fn a_detour_that_only_saves_time_is_taken_only_up_to_the_limit() {
    let fleet = generate(Family::Shuffle, 20, 92, 3);
    let problem = fleet.problem();
    let mut limits = limits(&problem, 500_000);
    let free = checked(&problem, &fleet, &limits);
    limits.detours_for_time = 0;
    let bound = checked(&problem, &fleet, &limits);
    assert!(
        bound.detours < free.detours,
        "{} {}",
        bound.detours,
        free.detours
    );
    assert!(bound.makespan > free.makespan);
}

#[test]
fn a_job_says_what_it_waited_for() {
    let chain = fleet(&[8, 8, 8], &[(0, 1, 8), (1, 2, 8)]);
    let solution = checked(&chain.problem(), &chain, &Limits::of(2));
    let Outcome::Moved { jobs, .. } = &solution.outcomes[0] else {
        panic!("it moves");
    };
    let waited = jobs[0].waited.unwrap();
    assert_eq!((waited.on, waited.item, waited.job), (Cause::Room(1), 1, 0));
    assert_eq!(solution.critical, [(1, 0), (0, 0)]);
}

/// A job for room of 1 at a resource, that uses a port in the middle.
fn copy(resource: usize, from: u64, to: u64, duration: u64) -> Item {
    Item {
        job: Job {
            duration,
            takes: vec![Take {
                resource,
                amount: 1,
            }],
            frees: vec![Release {
                resource,
                amount: 1,
                at: duration,
            }],
            uses: vec![Use {
                port: 0,
                amount: 1,
                from,
                to,
            }],
            ..Job::default()
        },
        subject: None,
    }
}

#[test]
fn a_port_is_used_only_while_it_is_used() {
    // Each uses the port in the last of its three parts: the second may begin before the first ends.
    let problem = Problem {
        resources: vec![Resource { limit: 9, used: 0 }],
        ports: vec![Port { limit: 1 }],
        items: vec![copy(0, 2, 3, 3), copy(0, 2, 3, 3), copy(0, 0, 2, 3)],
        precedences: Vec::new(),
    };
    let solution = checked(&problem, &DirectOnly, &Limits::of(3));
    assert_eq!(solution.makespan, 4);
}

#[test]
fn what_needs_more_of_a_port_than_there_is_is_refused_alone() {
    let mut problem = Problem {
        resources: vec![Resource { limit: 9, used: 0 }],
        ports: vec![Port { limit: 1 }],
        items: vec![copy(0, 0, 2, 2), copy(0, 0, 2, 2)],
        precedences: Vec::new(),
    };
    problem.items[0].job.uses[0].amount = 2;
    let solution = checked(&problem, &DirectOnly, &Limits::of(2));
    assert_eq!(
        (solution.stuck.len(), solution.stuck[0].ports.as_slice()),
        (1, [0].as_slice())
    );
    assert_eq!(solution.makespan, 2);
}
