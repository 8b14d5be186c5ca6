//! A seed to a small fleet with little room.

use std::ops::Range;

use super::dice::Dice;

/// A few hosts and VMs, in numbers. Memory and disks are counted in GiB.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    pub(super) hosts: Vec<Host>,
    pub(super) vms: Vec<Vm>,
    /// Groups of VMs that are kept apart, and those that are kept together.
    pub(super) apart: Vec<Vec<usize>>,
    pub(super) together: Vec<Vec<usize>>,
    /// How many VMs may go by way of a third host.
    pub(super) max_detours: Option<u64>,
    /// How long a shorter order is looked for, in milliseconds.
    pub(super) plan_time: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) memory: u64,
    /// What of that is kept free.
    pub(super) reserve: u64,
    pub(super) cpus: u64,
    pub(super) reserved_cpus: u64,
    /// Whether there are three vCPUs for two processors, or any number.
    pub(super) counts_vcpus: bool,
    pub(super) vms: Option<u64>,
    /// What is left in the pools `default` and `fast`.
    pub(super) room: [u64; 2],
    pub(super) is_in_maintenance: bool,
}

/// Where a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pool {
    Default,
    Fast,
    /// One storage for all hosts, with room for everything.
    Nas,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Auto,
    Live,
    Cold,
}

#[derive(Debug, Clone)]
pub(super) struct Vm {
    pub(super) home: usize,
    /// Where it shall be; `None`: the manifest does not name it.
    pub(super) goal: Option<usize>,
    pub(super) memory: u64,
    pub(super) vcpus: u64,
    pub(super) disk: u64,
    /// What is not written of the disk, which is raw where there is any.
    pub(super) holes: u64,
    pub(super) pool: Pool,
    pub(super) goal_pool: Pool,
    pub(super) is_running: bool,
    pub(super) method: Method,
    pub(super) may_stop: bool,
    pub(super) may_detour: bool,
}

impl Vm {
    /// What a copy of its disk occupies. Between two pools of one host a disk that nobody writes to is streamed, which
    /// leaves holes holes.
    pub(super) fn copied(&self) -> u64 {
        if self.is_running || self.goal != Some(self.home) {
            self.disk + self.holes
        } else {
            self.disk
        }
    }

    /// Where it is in the end if it comes to its goal.
    pub(super) fn last(&self) -> (usize, Pool) {
        match self.goal {
            Some(goal) => (goal, self.goal_pool),
            None => (self.home, self.pool),
        }
    }
}

/// Numbers that look random and are the same for the same seed.
struct Numbers(Dice);

impl Numbers {
    fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.0.next() % (range.end - range.start)
    }

    fn index(&mut self, below: usize) -> usize {
        self.0.below(below)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.of(0..100) < chance
    }

    /// What is left over when all is there that ever is at once in the beginning or in the end.
    fn slack(&mut self) -> i64 {
        match self.of(0..20) {
            0..2 => -1,
            2..10 => 0,
            10..14 => 1,
            14..17 => 2,
            17..19 => 4,
            _ => 40,
        }
    }
}

impl Sketch {
    /// The fleet of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut numbers = Numbers(Dice::new(seed));
        let hosts = *numbers.0.one_of(&[2, 3, 3, 3, 4, 4]);
        let [stops, detours, counts, cpus, pools] =
            [50, 85, 25, 25, 35].map(|chance| numbers.percent(chance));
        let mut sketch = Self {
            hosts: Vec::new(),
            vms: Vec::new(),
            apart: Vec::new(),
            together: Vec::new(),
            max_detours: numbers.percent(10).then(|| numbers.of(0..3)),
            plan_time: if numbers.percent(10) { 5000 } else { 0 },
        };
        for _ in 0..3 + numbers.index(4) {
            let mut vm = vm(&mut numbers, hosts, stops, detours, pools);
            // Where hosts exchange VMs, room is short on the way and not in the end.
            if let Some(Vm {
                home,
                goal: Some(goal),
                memory,
                ..
            }) = sketch.vms.last()
                && numbers.percent(60)
            {
                (vm.home, vm.goal, vm.memory) = (*goal, Some(*home), *memory);
            }
            sketch.vms.push(vm);
        }
        for number in 0..hosts {
            let host = sketch.host(&mut numbers, number, counts, cpus, pools);
            sketch.hosts.push(host);
        }
        if numbers.percent(40) {
            let roomy = &mut sketch.hosts[numbers.index(hosts)];
            roomy.memory += numbers.of(1..4);
            roomy.room = roomy.room.map(|room| room + 2);
        }
        for (chance, apart) in [(20, true), (10, true), (5, false)] {
            if numbers.percent(chance) {
                let mut group: Vec<usize> = (0..sketch.vms.len()).collect();
                group.retain(|_| numbers.percent(45));
                if group.len() > 1 {
                    let groups = if apart {
                        &mut sketch.apart
                    } else {
                        &mut sketch.together
                    };
                    groups.push(group);
                }
            }
        }
        sketch
    }

    /// The most that is needed of something on a host before anything moves or when everything has.
    fn most(&self, at: usize, amount: impl Fn(&Vm, usize, Pool) -> u64) -> u64 {
        let sum = |place: fn(&Vm) -> (usize, Pool)| -> u64 {
            let there = self.vms.iter().filter(|vm| place(vm).0 == at);
            there.map(|vm| amount(vm, at, place(vm).1)).sum()
        };
        sum(|vm| (vm.home, vm.pool)).max(sum(Vm::last))
    }

    fn host(
        &self,
        numbers: &mut Numbers,
        at: usize,
        counts: bool,
        cpus: bool,
        pools: bool,
    ) -> Host {
        let mut with_slack = |needed: u64| needed.saturating_add_signed(numbers.slack()).max(1);
        let running = |amount: fn(&Vm) -> u64| {
            self.most(at, |vm, _, _| if vm.is_running { amount(vm) } else { 0 })
        };
        let memory = with_slack(running(|vm| vm.memory));
        let vms = with_slack(running(|_| 1));
        let vcpus = with_slack(running(|vm| vm.vcpus));
        let reserve = numbers.of(0..3);
        let reserved_cpus = numbers.of(0..2);
        let room = [Pool::Default, Pool::Fast].map(|pool| {
            let here = self
                .vms
                .iter()
                .filter(|vm| vm.home == at && vm.pool == pool);
            let used: u64 = here.map(|vm| vm.disk).sum();
            let most = self.most(at, |vm, _, is| if is == pool { vm.copied() } else { 0 });
            if pools {
                most.saturating_add_signed(numbers.slack())
                    .saturating_sub(used)
            } else {
                50
            }
        });
        Host {
            memory: memory + reserve,
            reserve,
            cpus: (vcpus * 2).div_ceil(3) + reserved_cpus,
            reserved_cpus,
            counts_vcpus: cpus,
            vms: (counts && numbers.percent(70)).then_some(vms),
            room,
            is_in_maintenance: numbers.percent(4),
        }
    }
}

fn vm(numbers: &mut Numbers, hosts: usize, stops: bool, detours: bool, pools: bool) -> Vm {
    let home = numbers.index(hosts);
    let goal = match numbers.of(0..20) {
        0..2 => None,
        2..4 => Some(home),
        _ => Some((home + 1 + numbers.index(hosts - 1)) % hosts),
    };
    let (pool, goal_pool) = match numbers.of(0..20) {
        0..4 => (Pool::Nas, Pool::Nas),
        4..7 if pools => (Pool::Default, Pool::Fast),
        7..10 if pools => (Pool::Fast, Pool::Default),
        10..12 => (Pool::Fast, Pool::Fast),
        _ => (Pool::Default, Pool::Default),
    };
    let disk = numbers.of(1..4);
    let is_running = numbers.percent(92);
    let holes = if numbers.percent(15) {
        numbers.of(1..3)
    } else {
        0
    };
    let method = match numbers.of(0..20) {
        0..2 => Method::Live,
        2..4 if stops => Method::Cold,
        _ => Method::Auto,
    };
    Vm {
        home,
        goal,
        memory: numbers.of(1..5),
        vcpus: numbers.of(1..4),
        disk,
        holes,
        pool,
        goal_pool,
        is_running,
        method,
        may_stop: method == Method::Cold || stops && numbers.percent(60),
        may_detour: detours && numbers.percent(85),
    }
}
