//! Why a step could not be done, before it is known which step it was.

use crate::hypervisor::StepError;
use crate::model::HostName;
use crate::plan::Action;

use super::error::CallError;

/// Why a step failed.
#[derive(Debug)]
pub(super) struct Failure {
    why: String,
    help: Option<String>,
    cancelled: bool,
}

impl Failure {
    /// A condition that does not hold, or a result that is not what it should be.
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            help: None,
            cancelled: false,
        }
    }

    /// What a host told that makes no sense or may not be.
    pub(super) fn on(host: &HostName, why: impl std::fmt::Display) -> Self {
        Self::new(format!("{host}: {why}"))
    }

    /// Cancelled on request, and everything is as before.
    pub(super) fn cancelled() -> Self {
        Self {
            why: "cancelled".into(),
            help: None,
            cancelled: true,
        }
    }

    /// The same with advice.
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with one more thing that went wrong while things were put back. Not everything is as before then.
    pub(super) fn and(mut self, also: impl std::fmt::Display) -> Self {
        self.why = format!("{}; besides, {also}", self.why);
        self.cancelled = false;
        self
    }

    /// Why it failed.
    pub(super) fn why(&self) -> &str {
        &self.why
    }

    /// The failure of this step.
    pub(super) fn of(self, action: &Action) -> StepError {
        self.of_what(action.to_string())
    }

    /// The failure of what is called so.
    pub(super) fn of_what(self, what: impl Into<String>) -> StepError {
        StepError {
            what: what.into(),
            why: self.why,
            help: self.help,
            cancelled: self.cancelled,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_step_that_left_something_behind_is_no_clean_cancel() {
        let failure = Failure::cancelled().and("kvm2: volume x is still there");
        assert!(!failure.cancelled);
        assert_eq!(
            failure.why(),
            "cancelled; besides, kvm2: volume x is still there"
        );
    }
}
