//! The ways of an item other than straight to its goal, as far as the caller knows any.

use super::problem::{ItemId, Job, PlaceId, PortId, ResourceId, Time};

/// What is left of a resource where a detour is looked for.
pub trait Room {
    /// What is left for as long as the item would have to pause, as far as is known.
    fn free(&self, resource: ResourceId) -> u64;
    /// What will be left when all that is to move has moved.
    fn free_in_the_end(&self, resource: ResourceId) -> u64;
}

/// What no way of an item undercuts, for bounds that hold with detours. Energy is amount times time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floor {
    /// The least time from its first start to its last end.
    pub duration: Time,
    /// For ports that every way uses: the least energy before anything is free that the direct job frees.
    pub leave: Vec<(PortId, u64)>,
    /// The same, for the energy after all is taken that the direct job takes.
    pub enter: Vec<(PortId, u64)>,
    /// For ports of these: the least time from the first start to the first use of the port, and from its last use to
    /// the last end.
    pub around: Vec<(PortId, Time, Time)>,
}

/// Room everywhere.
pub(super) struct Boundless;

impl Room for Boundless {
    fn free(&self, _: ResourceId) -> u64 {
        u64::MAX
    }

    fn free_in_the_end(&self, _: ResourceId) -> u64 {
        u64::MAX
    }
}

/// Tells which ways an item has besides the direct one. Every answer must depend on the arguments alone.
pub trait Ways {
    /// Places where the item could pause and that seem to have room for it, the best first. It may be asked often, so
    /// it should be cheap; [`Ways::legs`] has the last word.
    fn places(&self, item: ItemId, room: &dyn Room) -> Vec<PlaceId>;

    /// The two moves by way of a place, or nothing where that way is closed. The first takes room at the place and
    /// frees what the direct job frees; the second takes what the direct job takes and frees the place.
    fn legs(&self, item: ItemId, place: PlaceId) -> Option<[Job; 2]>;

    /// The way with a stop, where it is allowed: one job, or two with a pause in which the item runs nowhere (stop,
    /// then start). Each job that stops the item says so in [`Job::stops`].
    fn cold(&self, item: ItemId) -> Option<Vec<Job>> {
        let _ = item;
        None
    }

    /// What no way of the item undercuts, stops aside. Without it, bounds that hold with detours are weaker.
    fn floor(&self, item: ItemId) -> Option<Floor> {
        let _ = item;
        None
    }
}

/// No way but the direct one.
#[derive(Debug, Clone, Copy, Default)]
pub struct DirectOnly;

impl Ways for DirectOnly {
    fn places(&self, _: ItemId, _: &dyn Room) -> Vec<PlaceId> {
        Vec::new()
    }

    fn legs(&self, _: ItemId, _: PlaceId) -> Option<[Job; 2]> {
        None
    }
}
