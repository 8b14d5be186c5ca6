//! What is to be scheduled: things that move, what they take and free, and what they use while they move.

/// A point in time or a span, in the caller's unit. Everything starts at 0.
pub type Time = u64;
/// The place of a resource in [`Problem::resources`].
pub type ResourceId = usize;
/// The place of a port in [`Problem::ports`].
pub type PortId = usize;
/// The place of an item in [`Problem::items`].
pub type ItemId = usize;
/// A place where an item can pause, by the caller's own numbering.
pub type PlaceId = usize;

/// Something that is taken for good and freed for good: memory of a host, vCPUs, bytes in a pool (of one host or
/// shared), the one place that an anti-affinity group has on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// The most that may be used at any instant.
    pub limit: u64,
    /// What is used at the start, by the items and by all else. It may be above the limit: nothing more is taken
    /// then until enough was freed.
    pub used: u64,
}

/// Something that a job uses only for a while: migration slots of a host, a link, the cluster; a host's bandwidth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// The most that may be in use at any instant.
    pub limit: u64,
}

/// An amount that a job takes from a resource at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// Of which resource.
    pub resource: ResourceId,
    /// How much.
    pub amount: u64,
}

/// An amount that a job gives back to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// To which resource.
    pub resource: ResourceId,
    /// How much.
    pub amount: u64,
    /// When, counted from the start of the job. It may be after the job's end. What is freed at an instant can be
    /// taken at that instant.
    pub at: Time,
}

/// The use of a port over a part of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Which port.
    pub port: PortId,
    /// How much of it.
    pub amount: u64,
    /// From when, counted from the start of the job.
    pub from: Time,
    /// Until when (not included), counted from the start of the job.
    pub to: Time,
}

impl Use {
    /// How much of the port for how long.
    pub(crate) fn energy(&self) -> u64 {
        self.amount
            .saturating_mul(self.to.saturating_sub(self.from))
    }
}

/// One act that runs from its start to its end without a pause.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// How long it runs.
    pub duration: Time,
    /// What it takes at its start. Each resource stands here at most once.
    pub takes: Vec<Take>,
    /// What it frees, and when.
    pub frees: Vec<Release>,
    /// The ports it uses. Each port stands here at most once.
    pub uses: Vec<Use>,
    /// How long it stops what it moves; absent where that keeps running.
    pub stops: Option<Time>,
    /// The bytes it carries, for the report and to choose among equals.
    pub bytes: u64,
}

/// A thing to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The move straight to its goal.
    pub job: Job,
    /// What it belongs to, by the caller's numbering: jobs of one subject never overlap.
    pub subject: Option<usize>,
}

/// The last job of one item must end before the first job of another starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    /// What must have ended.
    pub before: ItemId,
    /// What waits for it.
    pub after: ItemId,
}

/// Everything that is to be scheduled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// What is taken and freed for good.
    pub resources: Vec<Resource>,
    /// What is used for a while.
    pub ports: Vec<Port>,
    /// What is to be moved.
    pub items: Vec<Item>,
    /// What must wait for what, besides room and ports.
    pub precedences: Vec<Precedence>,
}
