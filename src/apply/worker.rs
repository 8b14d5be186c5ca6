//! Performs one step on a thread that does nothing else meanwhile, and reports to the coordinator.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crossbeam_channel::Sender;

use super::CancelHandle;
use super::lock::Locks;
use super::options::Options;
use super::restore::{Restored, Task, restore};
use crate::hypervisor::{Cancel, Hypervisor, Outcome, Progress, StepError, Watch};
use crate::model::{HostName, Millis};
use crate::plan::{Action, StepId};

/// Shortest time between two reports of a step's progress: what a person can follow, and no burden for a journal.
const PROGRESS_EVERY_MS: u64 = 200;

/// What a worker tells the coordinator, with the host clock's time.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) at: Millis,
    pub(super) what: News,
}

#[derive(Debug)]
pub(super) enum News {
    Progress(StepId, Progress),
    Note(StepId, String),
    Ended(StepId, Result<Outcome, StepError>),
    Restoring(usize),
    RestoreEnded(usize, Result<Restored, StepError>),
}

/// Where a worker's reports go.
#[derive(Clone)]
pub(super) struct Desk<'a> {
    pub(super) hosts: &'a dyn Hypervisor,
    pub(super) locks: Option<&'a Locks>,
    pub(super) reports: Sender<Report>,
}

impl Desk<'_> {
    /// Fails where these hosts may not be worked on any more.
    fn expect_locked(
        &self,
        what: &dyn fmt::Display,
        hosts: &[&HostName],
        for_bringing_back: bool,
    ) -> Result<(), StepError> {
        let refusal = self
            .locks
            .and_then(|locks| locks.refusal(hosts, for_bringing_back));
        refusal.map_or(Ok(()), |why| {
            Err(StepError::new(what.to_string(), why).with_help(
                "Nothing more is started there, since somebody else may work on that host. See who holds its lock with \
                 `domicile unlock`, then plan again",
            ))
        })
    }

    fn tell(&self, what: News) {
        let at = self.hosts.now();
        // The coordinator outlives every worker, so nobody is there to miss a report that cannot be sent.
        let _ = self.reports.send(Report { at, what });
    }
}

/// Performs a step; its end is always reported, whatever happens in it.
pub(super) fn perform(desk: &Desk<'_>, id: StepId, action: &Action, cancel: &CancelHandle) {
    let eyes = Eyes {
        desk,
        id,
        cancel,
        last_progress: Mutex::new(None),
    };
    let result = catch_unwind(AssertUnwindSafe(|| {
        desk.expect_locked(action, &action.hosts(), false)?;
        desk.hosts.perform(action, &eyes)
    }));
    let result = result.unwrap_or_else(|panic| Err(fault_of(&action.to_string(), panic.as_ref())));
    desk.tell(News::Ended(id, result));
}

/// Brings a VM back; its end is always reported, whatever happens in it.
pub(super) fn bring_back(desk: &Desk<'_>, reboot: usize, task: &Task, options: &Options) {
    let starting = || desk.tell(News::Restoring(reboot));
    let what = format!("bring {} back", task.vm);
    let result = catch_unwind(AssertUnwindSafe(|| {
        desk.expect_locked(&what, &task.hosts(), true)?;
        restore(task, desk.hosts, options, &starting)
    }));
    let result = result.unwrap_or_else(|panic| Err(fault_of(&what, panic.as_ref())));
    desk.tell(News::RestoreEnded(reboot, result));
}

fn fault_of(what: &str, panic: &(dyn Any + Send)) -> StepError {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".to_owned());
    StepError::new(what, format!("a fault in Domicile itself: {text}")).with_help(
        "Plan again to see what is left to do. Please report this fault with the journal of the apply",
    )
}

/// The eyes on one step.
struct Eyes<'a> {
    desk: &'a Desk<'a>,
    id: StepId,
    cancel: &'a CancelHandle,
    last_progress: Mutex<Option<Millis>>,
}

impl Watch for Eyes<'_> {
    fn progress(&self, progress: Progress) {
        let now = self.desk.hosts.now();
        {
            let Ok(mut last) = self.last_progress.lock() else {
                return;
            };
            // A clock that was set back makes the difference nothing or huge, and both are harmless.
            let too_soon = last.is_some_and(|last| now.0.wrapping_sub(last.0) < PROGRESS_EVERY_MS);
            if too_soon {
                return;
            }
            *last = Some(now);
        }
        self.desk.tell(News::Progress(self.id, progress));
    }

    fn note(&self, text: &str) {
        self.desk.tell(News::Note(self.id, text.to_owned()));
    }

    fn cancel(&self) -> Cancel {
        self.cancel.asked()
    }
}
