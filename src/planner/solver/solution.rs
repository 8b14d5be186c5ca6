//! What comes out: when each job starts, by which way, what it waited for, and who could not be placed and why.

use super::problem::{ItemId, Job, PortId, ResourceId, Time};
use super::tables::Way;

/// What a job waited for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Room at a resource.
    Room(ResourceId),
    /// The turn of others, who need the room at a resource first or could not go on any more.
    Turn(ResourceId),
    /// A port.
    Port(PortId),
    /// The end of another job of the same subject.
    Subject,
    /// The end of a job that comes before: of another item, or the item's own first.
    Before,
}

/// What ended the waiting of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// What it waited for.
    pub on: Cause,
    /// The item whose job let go of it.
    pub item: ItemId,
    /// Which of that item's jobs: 0 or 1.
    pub job: usize,
}

/// A job with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What is done.
    pub job: Job,
    /// When it starts.
    pub start: Time,
    /// What it waited for; nothing where it starts at once.
    pub waited: Option<Waited>,
}

impl Planned {
    /// When it ends.
    #[must_use]
    pub const fn end(&self) -> Time {
        self.start + self.job.duration
    }
}

/// What becomes of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It comes to its goal.
    Moved {
        /// Which way.
        way: Way,
        /// One job, or two by way of a place or with a pause.
        jobs: Vec<Planned>,
    },
    /// It stays where it is; the number of its group in [`Solution::stuck`].
    Stuck(usize),
}

/// Too little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Where.
    pub resource: ResourceId,
    /// For which item.
    pub item: ItemId,
    /// How much is missing when all that can leave has left.
    pub missing: u64,
}

/// Items that wait for each other, or for what never comes, such as all that need what nobody leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The items, by number.
    pub items: Vec<ItemId>,
    /// Whether each of them waits for others of them.
    pub waits: bool,
    /// Where room is missing, and how much. Empty where they only wait for others that are stuck.
    pub short: Vec<Shortage>,
    /// The ports of which a job needs more than there is.
    pub ports: Vec<PortId>,
    /// Whether it is proven that these items cannot all move, whatever the order and the detours. Without, none was
    /// found.
    pub proven: bool,
    /// The least additional room at one resource with which all of them were seen to move, the other groups staying;
    /// nothing where none was found.
    pub relief: Option<(ResourceId, u64)>,
}

/// What no schedule of the moved items can undercut, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The load of the busiest port.
    pub port: Time,
    /// The longest single move.
    pub longest: Time,
    /// The time to make the room that others need, and for these to enter after that.
    pub room: Time,
    /// The longest chain of moves that must follow each other if there are no detours: not a bound where detours are
    /// allowed. Nothing where moves wait for each other in a circle, so that there is no end without detours.
    pub direct_chain: Option<Time>,
}

impl Bounds {
    /// The best bound that holds with detours, too.
    #[must_use]
    pub fn best(&self) -> Time {
        self.port.max(self.longest).max(self.room)
    }
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// What becomes of each item, in the order of the problem.
    pub outcomes: Vec<Outcome>,
    /// Groups of items that stay, the smallest that the search could tell apart.
    pub stuck: Vec<Stuck>,
    /// When the last job ends.
    pub makespan: Time,
    /// What it is measured against.
    pub bounds: Bounds,
    /// The jobs that determine the makespan, from the first to the last, as item and job.
    pub critical: Vec<(ItemId, usize)>,
    /// How many items go by way of a place.
    pub detours: usize,
    /// How many items are stopped though their direct job would not.
    pub stopped: usize,
    /// How much work the search took, in the unit of [`super::Limits::work`].
    pub work: u64,
}

impl Solution {
    /// Whether no work could make it shorter or spare it a detour, so that more work gives the same.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.makespan <= self.bounds.best() && self.detours == 0
    }
}
