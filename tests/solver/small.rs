//! Small random problems with everything in them that a problem can have.

use domicile::planner::solver::{
    Item, ItemId, Job, PlaceId, Port, Precedence, Problem, Release, Resource, Room, Take, Use, Ways,
};

use super::families::Numbers;

/// A fleet of few hosts with memory, a pool each or one for all, slots, a shared link and VMs that must stay apart.
#[derive(Debug, Clone)]
pub(crate) struct Small {
    pub(crate) hosts: usize,
    memory: Vec<u64>,
    pool: Vec<u64>,
    is_shared: bool,
    delete: u64,
    setup: u64,
    slots: u64,
    link: u64,
    vms: Vec<Vm>,
    precedences: Vec<Precedence>,
    pub(crate) detours: bool,
}

#[derive(Debug, Clone)]
struct Vm {
    from: usize,
    to: usize,
    memory: u64,
    disk: u64,
    duration: u64,
    is_apart: bool,
    may_stop: bool,
    subject: Option<usize>,
}

impl Small {
    /// Up to so many VMs, with tight memory.
    pub(crate) fn random(seed: u64, vms_max: usize) -> Self {
        let mut numbers = Numbers(seed);
        let hosts = 2 + numbers.index(3);
        let detours = numbers.below(2) == 0;
        let cold = numbers.below(3) == 0;
        let count = 1 + numbers.index(vms_max);
        let vms: Vec<Vm> = (0..count)
            .map(|_| Vm {
                from: numbers.index(hosts),
                to: numbers.index(hosts),
                memory: 1 + numbers.below(4),
                disk: numbers.below(3),
                duration: 1 + numbers.below(4),
                is_apart: numbers.below(4) == 0,
                may_stop: cold && numbers.below(2) == 0,
                subject: (numbers.below(8) == 0).then_some(7),
            })
            .filter(|vm| vm.from != vm.to)
            .collect();
        let sum = |at: usize, end: bool, what: fn(&Vm) -> u64| -> u64 {
            let here = vms
                .iter()
                .filter(|vm| if end { vm.to == at } else { vm.from == at });
            here.map(what).sum()
        };
        let mut limits = |what: fn(&Vm) -> u64| -> Vec<u64> {
            let most = |host| sum(host, false, what).max(sum(host, true, what));
            (0..hosts)
                .map(|host| {
                    (most(host) + numbers.below(3))
                        .saturating_sub(u64::from(numbers.below(12) == 0))
                })
                .collect()
        };
        let (memory, pool) = (limits(|vm| vm.memory), limits(|vm| vm.disk));
        let mut precedences = Vec::new();
        for after in 1..vms.len() {
            if numbers.below(6) == 0 {
                precedences.push(Precedence {
                    before: numbers.index(after),
                    after,
                });
            }
        }
        Self {
            hosts,
            memory,
            pool,
            is_shared: numbers.below(4) == 0,
            delete: numbers.below(2),
            setup: numbers.below(2),
            slots: 1 + numbers.below(2),
            link: 2 + numbers.below(3),
            vms,
            precedences,
            detours,
        }
    }

    fn pool_of(&self, host: usize) -> usize {
        self.hosts + if self.is_shared { 0 } else { host }
    }

    fn job(&self, vm: &Vm, from: usize, to: usize) -> Job {
        let duration = vm.duration + u64::from(from + to == 3);
        let mut takes = vec![Take {
            resource: to,
            amount: vm.memory,
        }];
        let mut frees = vec![Release {
            resource: from,
            amount: vm.memory,
            at: duration,
        }];
        if vm.disk > 0 && !self.is_shared {
            takes.push(Take {
                resource: self.pool_of(to),
                amount: vm.disk,
            });
            let at = duration + self.delete;
            frees.push(Release {
                resource: self.pool_of(from),
                amount: vm.disk,
                at,
            });
        }
        if vm.is_apart {
            takes.push(Take {
                resource: 2 * self.hosts + to,
                amount: 1,
            });
            frees.push(Release {
                resource: 2 * self.hosts + from,
                amount: 1,
                at: duration,
            });
        }
        let setup = self.setup.min(duration - 1);
        let uses = vec![
            Use {
                port: from,
                amount: 1,
                from: 0,
                to: duration,
            },
            Use {
                port: self.hosts + to,
                amount: 1,
                from: setup,
                to: duration,
            },
            Use {
                port: 2 * self.hosts,
                amount: 1 + vm.memory % 2,
                from: setup,
                to: duration,
            },
        ];
        Job {
            duration,
            takes,
            frees,
            uses,
            stops: None,
            bytes: vm.memory,
        }
    }

    pub(crate) fn problem(&self) -> Problem {
        let hosts = 0..self.hosts;
        let used = |host: usize, what: fn(&Vm) -> u64| -> u64 {
            self.vms.iter().filter(|vm| vm.from == host).map(what).sum()
        };
        let memory = hosts.clone().map(|host| Resource {
            limit: self.memory[host],
            used: used(host, |vm| vm.memory),
        });
        let pools = hosts.clone().map(|host| Resource {
            limit: self.pool[host],
            used: used(host, |vm| vm.disk),
        });
        let apart = hosts.clone().map(|host| Resource {
            limit: 1,
            used: used(host, |vm| u64::from(vm.is_apart)),
        });
        let slots = vec![Port { limit: self.slots }; 2 * self.hosts];
        Problem {
            resources: memory.chain(pools).chain(apart).collect(),
            ports: slots
                .into_iter()
                .chain([Port { limit: self.link }])
                .collect(),
            items: self
                .vms
                .iter()
                .map(|vm| Item {
                    job: self.job(vm, vm.from, vm.to),
                    subject: vm.subject,
                })
                .collect(),
            precedences: self.precedences.clone(),
        }
    }
}

impl Ways for Small {
    fn places(&self, item: ItemId, room: &dyn Room) -> Vec<PlaceId> {
        let vm = &self.vms[item];
        let hosts =
            (0..self.hosts).filter(|host| self.detours && *host != vm.from && *host != vm.to);
        hosts.filter(|host| room.free(*host) >= vm.memory).collect()
    }

    fn legs(&self, item: ItemId, place: PlaceId) -> Option<[Job; 2]> {
        let vm = &self.vms[item];
        (self.detours && place != vm.from && place != vm.to)
            .then(|| [self.job(vm, vm.from, place), self.job(vm, place, vm.to)])
    }

    /// Stopped, its memory is free at once; its disk goes along while it is off.
    fn cold(&self, item: ItemId) -> Option<Vec<Job>> {
        let vm = self.vms.get(item).filter(|vm| vm.may_stop)?;
        let mut stop = self.job(vm, vm.from, vm.to);
        let memory = stop.takes.remove(0);
        stop.frees[0].at = 0;
        stop.stops = Some(stop.duration);
        let start = Job {
            duration: 1,
            takes: vec![memory],
            stops: Some(1),
            ..Job::default()
        };
        Some(vec![stop, start])
    }
}
