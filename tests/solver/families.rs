//! Fleets to measure the solver on, from a generator: by family, size, load and seed.
//!
//! One migration out and one in per host at a time, memory as the limit (vCPUs are never short in these), room at the
//! destination from the start and at the source until the end. Durations in whole seconds, by the formula of mVM (Kherbache,
//! Madelaine and Hermenier, 2015) rounded to the nearest.

use domicile::planner::solver::{
    Floor, Item, ItemId, Job, PlaceId, Port, Problem, Release, Resource, Room, Take, Use, Ways,
};

/// A host of a generated fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) memory_gib: u64,
    pub(crate) rate_mbit: u64,
}

/// A VM that stays, or moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vm {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) memory_gib: u64,
    pub(crate) used_mb: u64,
    pub(crate) dirty_mb_s: u64,
}

/// What is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fleet {
    pub(crate) hosts: Vec<Host>,
    pub(crate) vms: Vec<Vm>,
    /// The VMs that move, in their order: the items.
    moving: Vec<usize>,
    fastest_mbit: u64,
}

/// A kind of change to a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// A tenth of the hosts is emptied.
    Drain,
    /// Three in ten VMs go elsewhere.
    Shuffle,
    /// A fifth of the VMs goes round in rings of VMs of one size.
    Swap,
}

/// Seconds of a live migration of so much used memory at this rate.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the formula is in real numbers, of a size that fits"
)]
pub(crate) fn duration(used_mb: u64, rate_mbit: u64, dirty_mb_s: u64) -> u64 {
    const HOT_MB: f64 = 96.0;
    const HOT_S: f64 = 2.0;
    let (used, rate, dirty) = (used_mb as f64, rate_mbit as f64 / 9.0, dirty_mb_s as f64);
    let mut seconds = used / rate;
    if seconds > HOT_S {
        seconds += (HOT_MB + (seconds - HOT_S) * dirty) / (rate - dirty);
    }
    seconds += HOT_MB / rate * (HOT_MB / HOT_S / (rate - HOT_MB / HOT_S));
    (seconds.round() as u64).max(1)
}

impl Fleet {
    pub(crate) fn new(hosts: Vec<Host>, vms: Vec<Vm>) -> Self {
        let moving = (0..vms.len())
            .filter(|vm| vms[*vm].from != vms[*vm].to)
            .collect();
        let fastest_mbit = hosts.iter().map(|host| host.rate_mbit).max().unwrap_or(1);
        Self {
            hosts,
            vms,
            moving,
            fastest_mbit,
        }
    }

    fn job(&self, vm: &Vm, from: usize, to: usize) -> Job {
        let rate = self.hosts[from].rate_mbit.min(self.hosts[to].rate_mbit);
        let duration = duration(vm.used_mb, rate, vm.dirty_mb_s);
        let slot = |port| Use {
            port,
            amount: 1,
            from: 0,
            to: duration,
        };
        Job {
            duration,
            takes: vec![Take {
                resource: to,
                amount: vm.memory_gib,
            }],
            frees: vec![Release {
                resource: from,
                amount: vm.memory_gib,
                at: duration,
            }],
            uses: vec![slot(2 * from), slot(2 * to + 1)],
            stops: None,
            bytes: vm.used_mb << 20,
        }
    }

    fn vm(&self, item: ItemId) -> &Vm {
        &self.vms[self.moving[item]]
    }

    pub(crate) fn problem(&self) -> Problem {
        let mut used = vec![0; self.hosts.len()];
        for vm in &self.vms {
            used[vm.from] += vm.memory_gib;
        }
        let resources = self.hosts.iter().zip(used);
        let items = self.moving.iter().map(|vm| &self.vms[*vm]).map(|vm| Item {
            job: self.job(vm, vm.from, vm.to),
            subject: None,
        });
        Problem {
            resources: resources
                .map(|(host, used)| Resource {
                    limit: host.memory_gib,
                    used,
                })
                .collect(),
            ports: vec![Port { limit: 1 }; 2 * self.hosts.len()],
            items: items.collect(),
            precedences: Vec::new(),
        }
    }
}

impl Ways for Fleet {
    /// The tightest fit first, of the hosts that need the room for nobody else.
    fn places(&self, item: ItemId, room: &dyn Room) -> Vec<PlaceId> {
        let vm = self.vm(item);
        let mut fits = Vec::new();
        for host in 0..self.hosts.len() {
            let free = room.free(host);
            if free >= vm.memory_gib && host != vm.from && host != vm.to {
                let later = room.free_in_the_end(host);
                fits.push((
                    later < vm.memory_gib,
                    free.min(later.max(vm.memory_gib)),
                    host,
                ));
            }
        }
        fits.sort_unstable();
        fits.into_iter().map(|(.., host)| host).collect()
    }

    fn legs(&self, item: ItemId, place: PlaceId) -> Option<[Job; 2]> {
        let vm = self.vm(item);
        Some([self.job(vm, vm.from, place), self.job(vm, place, vm.to)])
    }

    fn floor(&self, item: ItemId) -> Option<Floor> {
        let vm = self.vm(item);
        let least = |host: usize| {
            let rate = self.hosts[host].rate_mbit.min(self.fastest_mbit);
            duration(vm.used_mb, rate, vm.dirty_mb_s)
        };
        let direct = self.job(vm, vm.from, vm.to).duration;
        let (out, into) = (least(vm.from), least(vm.to));
        Some(Floor {
            duration: direct.min(out + into),
            leave: vec![(2 * vm.from, out)],
            enter: vec![(2 * vm.to + 1, into)],
            around: Vec::new(),
        })
    }
}

/// Numbers from a seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }

    pub(crate) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap_or(0)
    }
}

fn random_vm(numbers: &mut Numbers) -> Vm {
    const SIZES: [u64; 20] = [
        2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 16, 16, 16, 32, 32,
    ];
    let memory_gib = SIZES[numbers.index(SIZES.len())];
    // Between three and nine tenths of its memory is in use.
    let used_mb = memory_gib * 1024 * (300 + numbers.below(600)) / 1000;
    let dirty_mb_s = [0, 0, 0, 1, 1, 2, 3, 5][numbers.index(8)];
    Vm {
        from: 0,
        to: 0,
        memory_gib,
        used_mb,
        dirty_mb_s,
    }
}

/// Ten VMs for each host, all hosts alike and as small as the load (in percent) makes them, the VMs anywhere.
pub(crate) fn generate(family: Family, hosts: usize, load: u64, seed: u64) -> Fleet {
    let mut numbers = Numbers(seed.wrapping_mul(1_000_003).wrapping_add(load));
    let mut vms: Vec<Vm> = (0..hosts * 10).map(|_| random_vm(&mut numbers)).collect();
    let total: u64 = vms.iter().map(|vm| vm.memory_gib).sum();
    let memory_gib = (total * 100).div_ceil(hosts as u64 * load).max(34);
    let mut free = vec![memory_gib; hosts];
    // The large ones first, so that all find room.
    let mut order: Vec<usize> = (0..vms.len()).collect();
    order.sort_by_key(|vm| (std::cmp::Reverse(vms[*vm].memory_gib), *vm));
    for vm in order {
        let host = somewhere(&mut numbers, &free, vms[vm].memory_gib, usize::MAX, 0);
        let host = host.expect("the fleet has room for all");
        free[host] -= vms[vm].memory_gib;
        (vms[vm].from, vms[vm].to) = (host, host);
    }
    match family {
        Family::Drain => drain(&mut numbers, &mut vms, &mut free),
        Family::Shuffle => shuffle(&mut numbers, &mut vms, &mut free),
        Family::Swap => swap(&mut numbers, &mut vms),
    }
    let host = Host {
        memory_gib,
        rate_mbit: 1000,
    };
    Fleet::new(vec![host; hosts], vms)
}

/// A random host with room, from the given number on; the roomiest where chance finds none.
fn somewhere(
    numbers: &mut Numbers,
    free: &[u64],
    need: u64,
    not: usize,
    from: usize,
) -> Option<usize> {
    for _ in 0..20 {
        let host = from + numbers.index(free.len() - from);
        if host != not && free[host] >= need {
            return Some(host);
        }
    }
    let hosts = (from..free.len()).filter(|host| *host != not && free[*host] >= need);
    hosts.max_by_key(|host| (free[*host], *host))
}

fn drain(numbers: &mut Numbers, vms: &mut [Vm], free: &mut [u64]) {
    let drained = (free.len() / 10).max(1);
    for vm in vms.iter_mut().filter(|vm| vm.from < drained) {
        if let Some(to) = somewhere(numbers, free, vm.memory_gib, vm.from, drained) {
            free[to] -= vm.memory_gib;
            vm.to = to;
        }
    }
}

fn shuffle(numbers: &mut Numbers, vms: &mut [Vm], free: &mut [u64]) {
    let mut chosen: Vec<usize> = (0..vms.len()).filter(|_| numbers.below(10) < 3).collect();
    for vm in &chosen {
        free[vms[*vm].from] += vms[*vm].memory_gib;
    }
    chosen.sort_by_key(|vm| (std::cmp::Reverse(vms[*vm].memory_gib), *vm));
    for vm in chosen {
        let (need, own) = (vms[vm].memory_gib, vms[vm].from);
        let other = somewhere(numbers, free, need, own, 0);
        let to = other.or_else(|| somewhere(numbers, free, need, usize::MAX, 0));
        // Where earlier ones took the room, it stays, and may be too much for its host: then the fleet is no good.
        let to = to.unwrap_or(own);
        free[to] = free[to].saturating_sub(need);
        vms[vm].to = to;
    }
}

fn swap(numbers: &mut Numbers, vms: &mut [Vm]) {
    for size in [2, 4, 8, 16, 32] {
        let mut alike: Vec<usize> = (0..vms.len())
            .filter(|vm| vms[*vm].memory_gib == size)
            .filter(|_| numbers.below(5) == 0)
            .collect();
        for place in (1..alike.len()).rev() {
            alike.swap(place, numbers.index(place + 1));
        }
        let mut rest = alike.as_slice();
        while rest.len() > 1 {
            let length = (2 + numbers.index(5)).min(rest.len());
            let (ring, others) = rest.split_at(length);
            rest = others;
            for (place, vm) in ring.iter().enumerate() {
                vms[*vm].to = vms[ring[(place + 1) % length]].from;
            }
        }
    }
}
