//! A sketch to what can be reached in it, by looking at every placement that one move after the other leads to.
//!
//! It knows what has room where, and nothing of how a plan is made. One move after the other is enough: a move holds
//! its room at both ends while it lasts, so of two at once each would need what it needs alone, and what the other
//! holds besides.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::sketch::{Method, Pool, Sketch, Vm};

/// Something of which a host has only so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    Memory(usize),
    Vcpus(usize),
    Vms(usize),
    Pool(usize, Pool),
    /// Of a group that is kept apart, by its number, on a host.
    Apart(usize, usize),
}

/// Where a VM stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stand {
    Home,
    /// On a third host.
    At(usize),
    /// Stopped, with its disk at both ends.
    Off,
    Goal,
}

/// What a VM has somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    /// It runs there.
    Machine(usize),
    Disk(usize, Pool),
    /// It is defined there.
    Name(usize),
}

/// A fleet with its rooms.
#[derive(Debug, Clone)]
pub(super) struct World<'a> {
    pub(super) sketch: &'a Sketch,
    pub(super) limits: BTreeMap<Room, u64>,
}

/// One move from a placement.
struct Step {
    vm: usize,
    to: Stand,
    stops: bool,
    detours: bool,
}

impl<'a> World<'a> {
    pub(super) fn of(sketch: &'a Sketch) -> Self {
        let mut world = Self {
            sketch,
            limits: BTreeMap::new(),
        };
        let start = world.start();
        for (number, host) in sketch.hosts.iter().enumerate() {
            let limits = &mut world.limits;
            limits.insert(Room::Memory(number), host.memory - host.reserve);
            limits.extend(host.vms.map(|vms| (Room::Vms(number), vms)));
            if host.counts_vcpus {
                let vcpus = (host.cpus - host.reserved_cpus) * 3 / 2;
                limits.insert(Room::Vcpus(number), vcpus);
            }
        }
        for (number, host) in sketch.hosts.iter().enumerate() {
            for (pool, left) in [Pool::Default, Pool::Fast].into_iter().zip(host.room) {
                let room = Room::Pool(number, pool);
                let used = world.used(room, &start);
                world.limits.insert(room, used + left);
            }
            for group in 0..sketch.apart.len() {
                let room = Room::Apart(group, number);
                let there = world.used(room, &start);
                world.limits.insert(room, there.max(1));
            }
        }
        world
    }

    pub(super) fn start(&self) -> Vec<Stand> {
        vec![Stand::Home; self.sketch.vms.len()]
    }

    /// Whether more is taken of something than there is before anything moves.
    pub(super) fn is_overfull(&self) -> bool {
        let start = self.start();
        let mut limits = self.limits.iter();
        limits.any(|(room, limit)| self.used(*room, &start) > *limit)
    }

    /// Those that are not where they shall be.
    pub(super) fn wanted(&self) -> BTreeSet<usize> {
        let vms = self.sketch.vms.iter().enumerate();
        let differ = vms.filter(|(_, vm)| vm.last() != (vm.home, vm.pool));
        differ.map(|(number, _)| number).collect()
    }

    /// Those of them that no order helps: what is wanted breaks a rule of the manifest.
    pub(super) fn forbidden(&self) -> BTreeSet<usize> {
        let mut wanted = self.wanted();
        wanted.retain(|vm| self.may_not_be(*vm, self.sketch.vms[*vm].last().0));
        wanted
    }

    /// Whether a VM may not stay on a host to which it would change, when all are where they shall be.
    fn may_not_be(&self, vm: usize, host: usize) -> bool {
        let sketch = self.sketch;
        let others = |groups: &[Vec<usize>]| -> Vec<usize> {
            let own = groups.iter().filter(|group| group.contains(&vm));
            let others = own.flatten().filter(|other| **other != vm);
            others.map(|other| sketch.vms[*other].last().0).collect()
        };
        let breaks = others(&sketch.apart).contains(&host)
            || others(&sketch.together).iter().any(|other| *other != host)
            || sketch.hosts[host].is_in_maintenance;
        host != sketch.vms[vm].home && breaks
    }

    fn holds(&self, vm: usize, stand: Stand) -> BTreeSet<Hold> {
        let one = &self.sketch.vms[vm];
        let (goal, goal_pool) = one.last();
        let at = |host, pool| {
            let running = one.is_running.then_some(Hold::Machine(host));
            let fixed = [Hold::Disk(host, pool), Hold::Name(host)];
            fixed.into_iter().chain(running).collect::<BTreeSet<Hold>>()
        };
        match stand {
            Stand::Home => at(one.home, one.pool),
            Stand::At(host) => at(host, one.pool),
            Stand::Goal => at(goal, goal_pool),
            Stand::Off => {
                let mut both = at(one.home, one.pool);
                both.extend(at(goal, goal_pool));
                both.retain(|hold| !matches!(hold, Hold::Machine(_)));
                both
            }
        }
    }

    /// What these take of a room for a VM.
    fn amount(&self, vm: usize, holds: &BTreeSet<Hold>, room: Room) -> u64 {
        let one: &Vm = &self.sketch.vms[vm];
        let runs = |host| holds.contains(&Hold::Machine(host));
        match room {
            Room::Memory(host) if runs(host) => one.memory,
            Room::Vcpus(host) if runs(host) => one.vcpus,
            Room::Vms(host) if runs(host) => 1,
            Room::Pool(host, pool) if holds.contains(&Hold::Disk(host, pool)) => {
                if (host, pool) == (one.home, one.pool) {
                    one.disk
                } else {
                    one.copied()
                }
            }
            Room::Apart(group, host) => {
                let is_of_group = self.sketch.apart[group].contains(&vm);
                u64::from(is_of_group && holds.contains(&Hold::Name(host)))
            }
            _ => 0,
        }
    }

    /// What is used of a room in a placement.
    pub(super) fn used(&self, room: Room, stands: &[Stand]) -> u64 {
        let vms = stands.iter().enumerate();
        vms.map(|(vm, stand)| self.amount(vm, &self.holds(vm, *stand), room))
            .sum()
    }

    /// What a VM takes of a room to go from one stand to the next.
    pub(super) fn taken(&self, vm: usize, from: Stand, to: Stand, room: Room) -> u64 {
        self.taking(vm, from, to)(room)
    }

    fn taking(&self, vm: usize, from: Stand, to: Stand) -> impl Fn(Room) -> u64 {
        let before = self.holds(vm, from);
        let both: BTreeSet<Hold> = before.union(&self.holds(vm, to)).copied().collect();
        move |room| self.amount(vm, &both, room) - self.amount(vm, &before, room)
    }

    /// The rooms that a VM lacks to go from where it stands to another stand, each with how much.
    pub(super) fn lacks(&self, stands: &[Stand], vm: usize, to: Stand) -> BTreeMap<Room, u64> {
        let taken = self.taking(vm, stands[vm], to);
        let lack = |(room, limit): (&Room, &u64)| {
            let taken = Some(taken(*room)).filter(|taken| *taken > 0)?;
            let used = self.used(*room, stands) + taken;
            (used > *limit).then(|| (*room, used - limit))
        };
        self.limits.iter().filter_map(lack).collect()
    }

    /// The steps that a VM may do from where it stands, room aside.
    fn steps(&self, vm: usize, stand: Stand) -> Vec<Step> {
        let one = &self.sketch.vms[vm];
        let step = |to, stops, detours| Step {
            vm,
            to,
            stops: stops && one.method == Method::Auto,
            detours,
        };
        let changes = one.last().0 != one.home;
        let is_live = one.is_running && one.method != Method::Cold;
        let mut steps = match stand {
            Stand::Goal => return Vec::new(),
            Stand::Home | Stand::At(_) | Stand::Off => vec![step(Stand::Goal, false, false)],
        };
        if stand != Stand::Home || !changes {
            return steps;
        }
        if one.is_running && one.may_stop && one.method != Method::Live {
            steps.push(step(Stand::Off, true, false));
        }
        if is_live && one.may_detour {
            let ends = [one.home, one.last().0];
            let others = (0..self.sketch.hosts.len()).filter(|host| !ends.contains(host));
            let open = others.filter(|host| !self.may_not_be(vm, *host));
            steps.extend(open.map(|host| step(Stand::At(host), false, true)));
        }
        steps
    }

    /// With how few stops these can all come to their goals, the others staying; `None`: not at all.
    pub(super) fn fewest_stops(&self, of: &BTreeSet<usize>) -> Option<usize> {
        let mut open = VecDeque::from([(0, 0, self.start())]);
        let mut seen: BTreeSet<(u64, Vec<Stand>)> = BTreeSet::new();
        while let Some((stops, detours, stands)) = open.pop_front() {
            if of.iter().all(|vm| stands[*vm] == Stand::Goal) {
                return Some(stops);
            }
            if !seen.insert((detours, stands.clone())) {
                continue;
            }
            for vm in of {
                for step in self.steps(*vm, stands[*vm]) {
                    let detours = match self.sketch.max_detours {
                        Some(most) if step.detours && detours == most => continue,
                        Some(_) => detours + u64::from(step.detours),
                        None => 0,
                    };
                    if !self.lacks(&stands, step.vm, step.to).is_empty() {
                        continue;
                    }
                    let mut next = stands.clone();
                    next[step.vm] = step.to;
                    if step.stops {
                        open.push_back((stops + 1, detours, next));
                    } else {
                        open.push_front((stops, detours, next));
                    }
                }
            }
        }
        None
    }
}
