//! Whose turn it is: a VM that an earlier apply has shut down comes before one that it only began to move, and that one
//! before all others, as far as they compete for room.

use super::intent::Intent;
use crate::plan::Action;

/// Which chains come first where they compete for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// An earlier apply has shut the VM down, and it has to run again.
    Down,
    /// An earlier apply began it.
    Begun,
    /// Nothing has been done yet.
    Fresh,
}

/// The rank of a VM's move.
pub(super) fn rank(intent: &Intent<'_>) -> Rank {
    let starts = |action: &Action| matches!(action, Action::Start { .. });
    let is_down = !intent.vm.power.is_active();
    if intent.prelude.is_empty() {
        Rank::Fresh
    } else if is_down && (intent.restart || intent.prelude.iter().any(starts)) {
        Rank::Down
    } else {
        Rank::Begun
    }
}
