//! Schedules moves: when each thing starts to move, and by which way, so that there is room for it at every moment.
//!
//! It knows amounts, times and numbers only. [`Problem`] says what is to be moved and what that takes; [`Ways`] is
//! asked for detours and for ways with a stop; [`solve`] gives a [`Solution`].
//!
//! 1. `sequence`: an order in which one thing after the other finds its room. It exists exactly where a schedule does.
//! 2. `unstick`: where nothing can go on, the groups that wait for each other, and for each the detour (or the stop)
//!    after which the most can go on; `dig` and `beam` make room for that first, `exact` looks through every order, and
//!    `few` through every choice of who is left out. `construct` puts these together.
//! 3. `timing`: starts as early as can be, the most urgent first, and only what leaves the order a way to go on.
//! 4. `search`: the chain that determines the end is changed again and again; detours are added where they help and
//!    dropped where they do not.
//! 5. `bound`: what no schedule can undercut. `report`: the outcome, and why something is stuck; `relief`: what would help.
//!
//! What counts, in this order: few items stuck, few stopped, an early end, few detours. There is no clock and one
//! thread: the search is bounded by the work it does, so that the same problem has the same solution everywhere.

mod beam;
mod bound;
mod construct;
mod dig;
mod exact;
mod few;
mod problem;
mod promises;
mod random;
mod relief;
mod report;
mod search;
mod sequence;
mod solution;
mod solve;
mod tables;
mod timing;
mod unstick;
mod ways;

pub use problem::{
    Item, ItemId, Job, PlaceId, Port, PortId, Precedence, Problem, Release, Resource, ResourceId,
    Take, Time, Use,
};
pub use solution::{Bounds, Cause, Outcome, Planned, Shortage, Solution, Stuck, Waited};
pub use solve::{Limits, solve};
pub use tables::Way;
pub use ways::{DirectOnly, Floor, Room, Ways};
