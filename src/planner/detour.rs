//! The ways of a VM besides the straight one: by way of a third host, or with a stop.
//!
//! A detour is two live moves in a row, each with its own mark, so that an apply which ends between the two leaves the
//! VM running on the third host, and the next plan moves it on. The way out is judged by the rules as any move is; the
//! way on is judged once the detour is chosen, from the reading as it will be then.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::choose::decide;
use super::derive::derive;
use super::difference::Index;
use super::intent::{Intent, Transfer};
use super::problem::{Numbers, steps_of, whole};
use super::room;
use super::solver::{Floor, Job, Release, Room, Take, Use, Ways};
use crate::desired::{self, ColdCopy, Desired, Method};
use crate::model::{HostName, VmName};
use crate::observed::{Host, Observed};
use crate::plan::{DiskPlacement, MoveKind, Resource, Severity};

/// So many places are named for one VM at a time, the roomiest first.
const PLACES_MAX: usize = 8;

/// What decisions rest on, besides the VM itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) paused: &'a BTreeSet<(HostName, VmName)>,
    pub(super) index: &'a Index<'a>,
    /// Whether hosts count of which not everything is known that a detour must know: to find out which to ask.
    pub(super) asking: bool,
}

/// A third host that may serve for a while.
struct Place<'a> {
    name: &'a HostName,
    memory: Option<usize>,
    others: Vec<(usize, ForWhat)>,
}

#[derive(Debug, Clone, Copy)]
enum ForWhat {
    Vcpus,
    Vms,
}

/// Both halves of a detour, where it is open.
type Legs = Option<[Job; 2]>;

/// The ways of all items; an item's number is its chain's.
pub(super) struct Detours<'a> {
    world: World<'a>,
    numbers: &'a Numbers,
    /// The intent of each item that is a VM's move, and its straight job.
    items: Vec<Option<(&'a Intent<'a>, Job)>>,
    places: Vec<Place<'a>>,
    /// VMs and hosts that were tried and turned out to lead nowhere.
    closed: &'a BTreeSet<(VmName, HostName)>,
    known: RefCell<BTreeMap<(usize, usize), Legs>>,
    /// The ways with a stop.
    known_cold: RefCell<BTreeMap<usize, Option<Vec<Job>>>>,
    is_even: bool,
}

/// Whether each VM's data are carried whole and at one rate, whichever hosts it passes: no pool is shared, and no rate
/// depends on the host.
fn is_even(world: World<'_>) -> bool {
    let desired = world.desired;
    let of_hosts = desired.hosts.values().map(|host| host.limits);
    let budgets = of_hosts.map(|limits| limits.upload.or(limits.download));
    let of_clusters = desired.migration.clusters.values();
    let shared = desired.pools.values().any(|pool| pool.shared);
    !shared
        && desired.migration.pairs.is_empty()
        && budgets.into_iter().all(|budget| budget.is_none())
        && of_clusters
            .into_iter()
            .all(|cluster| cluster.bandwidth.is_none())
}

/// The hosts where a VM may pause, in the order of their numbers.
pub(super) fn places(world: World<'_>) -> impl Iterator<Item = &HostName> {
    let declared = move |name: &HostName| world.desired.hosts.get(name);
    let open = move |name: &HostName| declared(name).is_some_and(|host| !host.maintenance);
    let hosts = world.observed.reached();
    let known = hosts.filter(move |(_, host)| world.asking || is_known(host));
    known.map(|(name, _)| name).filter(move |name| open(name))
}

/// Whether the reading tells what the VMs of a host stand on and which addresses they have: who comes there for a while
/// could be in their way as well as who stays.
pub(super) fn is_known(host: &Host) -> bool {
    host.vms.values().all(|vm| vm.detail.is_some())
}

/// A VM's demand where it pauses on a host of this name: the pools that the manifest names, or those where its disks
/// are.
pub(super) fn wanted_at(
    wanted: &desired::Vm,
    host: &HostName,
    disks_as_wanted: bool,
) -> desired::Vm {
    let mut there = wanted.clone();
    there.host = host.clone();
    if !disks_as_wanted {
        there.disks.clear();
    }
    there
}

/// Whether a move may be broken in two: it is a live one that carries nothing which stands on a base, and nothing of
/// an earlier apply is to be put in order first.
pub(super) fn may_detour(intent: &Intent<'_>) -> bool {
    intent.kind == MoveKind::Live
        && intent.transfer == Transfer::Live
        && intent.prelude.is_empty()
        && intent.settings.allow_detour
        && !intent.disks.iter().any(|disk| disk.carry.is_thin())
}

/// The way of a VM with a stop, in which it runs nowhere until its place is free, decided as any cold move: so may a VM
/// go that is stopped for its move in any case. Streams keep it defined at its source until it runs at its destination,
/// so that whichever of the two has room can start it. `None` where the manifest or a rule forbids it.
pub(super) fn with_a_stop<R>(
    world: World<'_>,
    intent: &Intent<'_>,
    found: impl Fn(&Intent<'_>, &desired::Vm) -> R,
) -> Option<R> {
    let may_stop = match intent.kind {
        MoveKind::Live => intent.way.wanted.method == Method::Auto,
        kind => kind == MoveKind::Cold && intent.shuts_down,
    };
    if !may_stop || !intent.prelude.is_empty() {
        return None;
    }
    let mut wanted = intent.way.wanted.clone();
    wanted.method = Method::Cold;
    let decision = decide(
        world.desired,
        world.observed,
        world.paused,
        world.index,
        intent.name,
        &wanted,
    );
    let refused = decision
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Blocks);
    let mut stopped = decision.intent.filter(|stopped| {
        !refused
            && stopped.kind == MoveKind::Cold
            && stopped.may_stream
            && stopped.settings.cold_copy != ColdCopy::Direct
            // Decided as carried host to host, its images are not the ones that a stream could carry.
            && !stopped.disks.iter().any(DiskPlacement::is_flattened)
    })?;
    stopped.transfer = Transfer::Stream;
    stopped.hands_over = true;
    // A stop is there to break a circle. That a stream may need less room in a pool is no reason to reboot a guest.
    let bytes = |intent: &Intent<'_>| {
        let takes = room::takes(intent).into_iter();
        let pools = takes.filter(|(resource, _)| matches!(resource, Resource::Pool(..)));
        pools.collect::<Vec<_>>()
    };
    let (straight, with_a_stop) = (bytes(intent), bytes(&stopped));
    let mut pairs = straight.iter().zip(&with_a_stop);
    let no_less = straight.len() == with_a_stop.len()
        && pairs.all(|(one, other)| one.0 == other.0 && one.1 <= other.1);
    no_less.then(|| found(&stopped, &wanted))
}

/// The first half of a detour, decided as any move; with the demand that it rests on. `None` where the host will not
/// do.
pub(super) fn way_out<R>(
    world: World<'_>,
    intent: &Intent<'_>,
    via: &HostName,
    found: impl Fn(&Intent<'_>, &desired::Vm) -> R,
) -> Option<R> {
    [false, true].into_iter().find_map(|disks_as_wanted| {
        let there = wanted_at(intent.way.wanted, via, disks_as_wanted);
        let decision = decide(
            world.desired,
            world.observed,
            world.paused,
            world.index,
            intent.name,
            &there,
        );
        let refused = decision
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Blocks);
        let out = decision.intent.filter(|out| !refused && may_detour(out))?;
        Some(found(&out, &there))
    })
}

/// What was answered before, or what is answered now. Deciding a way reads definitions, and the search asks often.
fn once<Key: Ord, Answer: Clone>(
    known: &RefCell<BTreeMap<Key, Answer>>,
    key: Key,
    decide: impl FnOnce() -> Answer,
) -> Answer {
    if let Some(known) = known.borrow().get(&key) {
        return known.clone();
    }
    let decided = decide();
    known.borrow_mut().insert(key, decided.clone());
    decided
}

impl<'a> Detours<'a> {
    pub(super) fn new(
        world: World<'a>,
        numbers: &'a Numbers,
        items: Vec<Option<(&'a Intent<'a>, Job)>>,
        closed: &'a BTreeSet<(VmName, HostName)>,
    ) -> Self {
        let place = |name: &'a HostName| {
            let number = |resource: Resource| numbers.resource(&resource);
            let others = [
                (number(Resource::Vcpus(name.clone())), ForWhat::Vcpus),
                (number(Resource::Vms(name.clone())), ForWhat::Vms),
            ];
            Place {
                name,
                memory: number(Resource::Memory(name.clone())),
                others: others
                    .into_iter()
                    .filter_map(|(number, what)| Some((number?, what)))
                    .collect(),
            }
        };
        Self {
            world,
            numbers,
            items,
            places: places(world).map(place).collect(),
            closed,
            known: RefCell::new(BTreeMap::new()),
            known_cold: RefCell::new(BTreeMap::new()),
            is_even: is_even(world),
        }
    }

    /// The host that a place is.
    pub(super) fn host(&self, place: usize) -> &'a HostName {
        self.places[place].name
    }

    fn judged(&self, item: usize, place: usize) -> Option<[Job; 2]> {
        let (intent, straight) = self.items.get(item)?.as_ref()?;
        let via = self.host(place);
        if self.closed.contains(&(intent.name.clone(), via.clone())) {
            return None;
        }
        way_out(self.world, intent, via, |out, _| {
            [self.job(out), self.on(out, straight)]
        })
    }

    fn jobs(&self, of: &Intent<'_>) -> Vec<Job> {
        let derived = derive(std::slice::from_ref(of));
        let chain = derived.chains.iter().find(|chain| chain.vm.is_some());
        let jobs = chain.map(|chain| self.numbers.jobs(&steps_of(&derived, chain)));
        jobs.unwrap_or_default()
    }

    fn job(&self, of: &Intent<'_>) -> Job {
        whole(self.jobs(of))
    }

    /// The second half, from what is known now: it takes what the straight move takes, frees what the first half took,
    /// and lasts as long as the straight one.
    fn on(&self, out: &Intent<'_>, straight: &Job) -> Job {
        let first = self.job(out);
        let held = first.takes.iter().map(|take: &Take| Release {
            resource: take.resource,
            amount: take.amount,
            at: straight.duration,
        });
        Job {
            takes: straight.takes.clone(),
            frees: held.collect(),
            ..straight.clone()
        }
    }

    fn with_a_stop(&self, item: usize) -> Option<Vec<Job>> {
        let (intent, _) = self.items.get(item)?.as_ref()?;
        with_a_stop(self.world, intent, |stopped, _| {
            let mut jobs = self.jobs(stopped);
            // The solver counts the pause between the two.
            for job in &mut jobs {
                job.stops = Some(job.duration);
            }
            jobs
        })
    }
}

impl Ways for Detours<'_> {
    fn places(&self, item: usize, room: &dyn Room) -> Vec<usize> {
        let Some(Some((intent, _))) = self.items.get(item) else {
            return Vec::new();
        };
        if !may_detour(intent) {
            return Vec::new();
        }
        let fits = |place: &Place<'_>| {
            let memory = place.memory.map_or(u64::MAX, |memory| room.free(memory));
            let others = place.others.iter().all(|(number, what)| {
                let needed = match what {
                    ForWhat::Vcpus => u64::from(intent.vm.vcpus),
                    ForWhat::Vms => 1,
                };
                room.free(*number) >= needed
            });
            memory >= intent.vm.memory.0 && others
        };
        let ends = [intent.way.from, intent.way.to];
        let roomy = self
            .places
            .iter()
            .enumerate()
            .filter(|(_, place)| !ends.contains(&place.name) && fits(place));
        let mut roomy: Vec<(u64, usize)> = roomy
            .map(|(number, place)| {
                let left = place.memory.map_or(u64::MAX, |it| room.free_in_the_end(it));
                (u64::MAX - left, number)
            })
            .collect();
        roomy.sort_unstable();
        roomy.truncate(PLACES_MAX);
        roomy.into_iter().map(|(_, number)| number).collect()
    }

    fn legs(&self, item: usize, place: usize) -> Option<[Job; 2]> {
        once(&self.known, (item, place), || self.judged(item, place))
    }

    /// Where every way carries the same at the same rate, no way undercuts the straight one on the ports of its ends.
    fn floor(&self, item: usize) -> Option<Floor> {
        let (_, job) = self.items.get(item)?.as_ref().filter(|_| self.is_even)?;
        let energy = |one: &Use| (one.port, one.energy());
        let freed = job.frees.iter().map(|free| free.at).min().unwrap_or(0);
        let leaving = job.uses.iter().filter(|one| one.to <= freed);
        Some(Floor {
            duration: job.duration,
            leave: leaving.map(energy).collect(),
            enter: job.uses.iter().map(energy).collect(),
            around: Vec::new(),
        })
    }

    fn cold(&self, item: usize) -> Option<Vec<Job>> {
        once(&self.known_cold, item, || self.with_a_stop(item))
    }
}
