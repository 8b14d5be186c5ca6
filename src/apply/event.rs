//! What happens during an apply, in the order in which it happened. Renderers and the journal consume these; the
//! executor knows none of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Bytes, BytesPerSecond, HostName, Millis, VmName};
use crate::plan::StepId;

/// One thing that happened, with its time counted from the start of the apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When, from the start of the apply.
    pub at: Millis,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Happening {
    /// A step began.
    StepStarted {
        /// Which.
        step: StepId,
    },
    /// A step came further.
    StepProgress {
        /// Which.
        step: StepId,
        /// Bytes carried.
        done: Bytes,
        /// Bytes to carry, as known now.
        total: Bytes,
        /// Rate now.
        rate: Option<BytesPerSecond>,
    },
    /// A step has something to say, such as a fallback that it took.
    StepNote {
        /// Which.
        step: StepId,
        /// What.
        text: String,
    },
    /// A step is done and proven.
    StepDone {
        /// Which.
        step: StepId,
        /// How long it ran.
        took: Millis,
        /// Bytes it carried.
        bytes: Bytes,
        /// How long the guest stood still, where it was measured.
        downtime: Option<Millis>,
        /// Bytes that a compacted copy occupies less than its original; left out where there is none.
        #[serde(default, skip_serializing_if = "is_nothing")]
        saved: Bytes,
    },
    /// A step failed.
    StepFailed {
        /// Which.
        step: StepId,
        /// What failed.
        what: String,
        /// Why.
        why: String,
        /// What to do now.
        help: Option<String>,
        /// Whether it was cancelled on request and left everything as it was.
        cancelled: bool,
    },
    /// A step was not started since one that it waits for failed or was not started either.
    StepSkipped {
        /// Which.
        step: StepId,
        /// The step that failed.
        because: StepId,
    },
    /// A step was not started since a person asked to stop.
    StepNotStarted {
        /// Which.
        step: StepId,
    },
    /// Every step of a VM's move is done.
    MoveDone {
        /// The VM.
        vm: VmName,
        /// From the start of its first step to the end of its last.
        took: Millis,
        /// Downtime by the forecast.
        downtime_forecast: Millis,
        /// Downtime as measured, where it was.
        downtime: Option<Millis>,
    },
    /// A VM that was shut down for its move is being brought back, since the start that was to follow cannot come.
    RestoreStarted {
        /// The VM.
        vm: VmName,
        /// The step that failed; `None` where a person asked to stop.
        because: Option<StepId>,
    },
    /// A VM that was shut down for its move runs again, where it ran or where it was going.
    Restored {
        /// The VM.
        vm: VmName,
        /// Where it runs.
        host: HostName,
        /// From the request to shut down until it ran again.
        downtime: Millis,
    },
    /// A VM that was shut down for its move could not be brought back: it is off because of us.
    NotRestored {
        /// The VM.
        vm: VmName,
        /// What failed.
        what: String,
        /// Why.
        why: String,
        /// What to do now.
        help: Option<String>,
    },
    /// A person asked to stop: once for no new steps, twice to cancel what can be cancelled.
    CancelAsked {
        /// Whether running steps are to be cancelled.
        now: bool,
    },
    /// Nothing runs any more.
    Finished(Summary),
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_nothing(bytes: &Bytes) -> bool {
    *bytes == Bytes::ZERO
}

/// What came of an apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// VMs whose moves are complete.
    pub moved: Vec<VmName>,
    /// VMs of which a step failed.
    pub failed: Vec<VmName>,
    /// VMs that were shut down for a move that did not come to its end, and were started again.
    pub restored: Vec<VmName>,
    /// VMs that are off because of us: shut down for a move that failed, and not brought back either.
    pub stranded: Vec<VmName>,
    /// VMs whose moves were not begun or not finished because of another failure or a request to stop.
    pub left: Vec<VmName>,
    /// Steps done.
    pub steps_done: usize,
    /// Steps of the plan.
    pub steps: usize,
    /// Bytes carried.
    pub bytes: Bytes,
    /// Bytes that compacted copies occupy less than their originals; left out where there are none.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub saved: Bytes,
    /// From the first step to the last.
    pub took: Millis,
    /// Whether a person asked to stop.
    pub cancelled: bool,
}
