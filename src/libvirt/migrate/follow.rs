//! A migration under way, watched over a connection of its own: progress, the ladder, and cancelling.

use std::time::{Duration, Instant};

use virt::domain::Domain;
use virt_sys as sys;

use super::Route;
use super::ladder::{Ladder, Phase};
use super::standstill::{Due, ENDS_WITHIN, Standstill};
use crate::desired::OnStall;
use crate::hypervisor::Progress;
use crate::libvirt::context::Context;
use crate::libvirt::domain::Guest;
use crate::libvirt::error::CallError;
use crate::libvirt::failure::Failure;
use crate::libvirt::ffi::{self, Job};
use crate::model::{Bytes, BytesPerSecond, Millis};

/// Why libvirt was asked to end a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A person wants it.
    Cancelled,
    /// It does not converge.
    Stalled,
    /// It does not converge, and is to be moved cold.
    ToCold,
    /// It stands still, and its destination does not answer.
    Unanswered,
}

/// Watches one migration at its source.
pub(super) struct Follower<'a> {
    context: &'a Context<'a>,
    route: Route<'a>,
    uuid: String,
    began: Instant,
    ladder: Ladder,
    standstill: Standstill,
    is_given_up: bool,
    guest: Option<Guest>,
    stop: Option<Stop>,
    is_post_copy: bool,
    carried: u64,
    told: (Instant, u64),
}

impl<'a> Follower<'a> {
    /// Watches the VM of that UUID, climbing these rungs after so long without progress.
    pub(super) fn new(
        context: &'a Context<'a>,
        route: Route<'a>,
        uuid: &str,
        rungs: &[OnStall],
        patience: Duration,
    ) -> Self {
        Self {
            context,
            route,
            uuid: uuid.to_owned(),
            began: Instant::now(),
            ladder: Ladder::new(rungs, patience),
            standstill: Standstill::default(),
            is_given_up: false,
            guest: None,
            stop: None,
            is_post_copy: false,
            carried: 0,
            told: (Instant::now(), 0),
        }
    }

    /// The same, but for so long in all.
    pub(super) fn within(mut self, timeout: Option<Duration>) -> Self {
        self.ladder = self.ladder.within(timeout);
        self
    }

    /// Why libvirt was asked to end it, if it was.
    pub(super) fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// Bytes carried as last seen.
    pub(super) fn carried(&self) -> Bytes {
        Bytes(self.carried)
    }

    /// Looks once: tells progress, cancels where that is wanted, climbs the ladder. Says whether a migration is under
    /// way. Trouble in watching is no trouble of the migration; then it is not known to be under way.
    pub(super) fn look(&mut self) -> bool {
        if self.is_given_up {
            return false;
        }
        match self.try_look() {
            Ok(is_under_way) => is_under_way,
            Err(error) => {
                log::info!("watching the migration of {}: {error}", self.route.vm);
                self.guest = None;
                false
            }
        }
    }

    /// The same for whom not knowing is no answer.
    pub(super) fn try_look(&mut self) -> Result<bool, CallError> {
        if self.stop.is_none() && self.context.is_cancelled() {
            self.stop = Some(Stop::Cancelled);
            if self.is_post_copy {
                self.context
                    .watch
                    .note("too late to cancel: the guest runs at the destination already");
            }
        }
        let Some(guest) = self.guest()? else {
            return Ok(false);
        };
        let job = match guest.call(|domain| ffi::job_stats(domain, 0)) {
            Ok(job) => job,
            // It has just gone, or was switched off.
            Err(error) if error.is_no_domain() || error.is(sys::VIR_ERR_OPERATION_INVALID) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if !is_migration_out(&job) || (!is_active(&job) && self.is_over()?) {
            return Ok(false);
        }
        if self.stop.is_some() {
            self.abort();
        }
        self.tell(&job);
        let number = |name: &str| job.values.number(name).unwrap_or(0);
        let phase = match (number("memory_processed"), number("data_total")) {
            (0, 0) => Phase::Beginning,
            (0, _) => Phase::Disks,
            _ => Phase::Memory,
        };
        let left = number("data_remaining");
        let rung = self.ladder.look(phase, left, self.began.elapsed());
        if let Some(rung) = rung.filter(|_| self.stop.is_none() && !self.is_post_copy) {
            self.climb(rung);
        }
        let seen = (phase, number("data_processed"), left);
        let is_ending = self.stop.is_some() || !is_active(&job);
        let due = self.standstill.look(seen, is_ending, self.began.elapsed());
        match due.filter(|_| !self.is_post_copy) {
            Some(Due::AskDestination) => self.ask_destination(),
            Some(Due::GiveUp) => self.give_up(),
            None => {}
        }
        Ok(true)
    }

    /// Whether one that has failed, or was cancelled, is at its end: a broken post-copy is, and a person must look.
    fn is_over(&mut self) -> Result<bool, CallError> {
        let Some(guest) = self.guest()? else {
            return Ok(true);
        };
        let is_torn = guest.state()?.is_torn();
        Ok(is_torn || self.is_post_copy)
    }

    /// Ends a migration that stands still where its destination does not answer.
    fn ask_destination(&mut self) {
        let Route { vm, to, .. } = self.route;
        match self.context.work(to) {
            Err(error) if error.is_connection() => {
                self.stop = Some(Stop::Unanswered);
                self.abort();
                self.context.watch.note(&format!(
                    "{to} does not answer and nothing more of {vm} is carried: the migration is given up ({error})"
                ));
            }
            // It answers, or refuses for another reason: what holds the migration up is not this.
            _ => {}
        }
    }

    /// Waits no longer for a migration that does not end, and says what is known of it.
    fn give_up(&mut self) {
        self.is_given_up = true;
        let Route { vm, from, to } = self.route;
        let began = match self.stop {
            Some(Stop::Unanswered) => format!("{to} does not answer and nothing more is carried"),
            Some(Stop::Cancelled) => "it was cancelled".to_owned(),
            Some(Stop::Stalled | Stop::ToCold) => "it makes no progress".to_owned(),
            None => "it has failed".to_owned(),
        };
        let waited = Millis::from(ENDS_WITHIN);
        let state = match self.guest.as_ref().map(Guest::state) {
            Some(Ok(state)) => format!("{vm} is {state} on {from}"),
            Some(Err(error)) => format!("what {vm} does there is not known: {error}"),
            None => format!("what {vm} does there is not known"),
        };
        let why = format!(
            "{began}, but libvirt has not ended the migration within {waited}: its job still hangs in QEMU on {from}; \
             {state}"
        );
        let help = format!(
            "Start {vm} nowhere else. The job ends by itself when TCP gives up, after about 15 minutes, or at once when \
             the connections to {to} are closed on {from}: `ss --kill dst ADDRESS`, with the address of {to}. Plan again \
             when `virsh domjobinfo {}` shows no job there.",
            vm.in_shell()
        );
        let failure = Failure::new(why).with_help(help);
        self.context.patience.give_up(failure);
    }

    /// The VM by a connection that works; `None` where the source does not have it any more.
    fn guest(&mut self) -> Result<Option<&Guest>, CallError> {
        let is_good = |guest: &Guest| guest.connection().is_alive();
        if !self.guest.as_ref().is_some_and(is_good) {
            let connection = self.context.watching(self.route.from)?;
            self.guest = Guest::find_uuid(&connection, &self.uuid)?;
        }
        Ok(self.guest.as_ref())
    }

    /// Asks once more each time it is looked at: a request that comes before the job takes requests is refused.
    fn abort(&self) {
        let refused = match &self.guest {
            Some(guest) if !self.is_post_copy => guest.call(ffi::abort_job).err(),
            _ => None,
        };
        if let Some(error) = refused {
            log::info!("cancelling the migration of {}: {error}", self.route.vm);
        }
    }

    fn tell(&mut self, job: &Job) {
        let number = |name: &str| job.values.number(name).unwrap_or(0);
        // What goes over more than once counts each time, as it does for the network.
        let done = number("data_processed");
        self.carried = self.carried.max(done);
        let (at, before) = self.told;
        let millis = u64::try_from(at.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let rate = done.saturating_sub(before).saturating_mul(1000) / millis;
        self.told = (Instant::now(), done);
        let total = done.saturating_add(number("data_remaining"));
        // Until the two sides have agreed, there is nothing to tell.
        if total == 0 {
            return;
        }
        self.context.watch.progress(Progress {
            done: Bytes(done),
            total: Bytes(total),
            rate: Some(BytesPerSecond(rate)),
        });
    }

    fn climb(&mut self, rung: OnStall) {
        let vm = self.route.vm;
        let Some(guest) = &self.guest else {
            return;
        };
        let done = match rung {
            // Switched on from the start, since libvirt cannot switch it on later: QEMU has begun by itself.
            OnStall::AutoConverge => {
                Ok(format!("{vm} does not converge: the guest is slowed down"))
            }
            OnStall::PostCopy => guest.call(ffi::start_post_copy).map(|()| {
                self.is_post_copy = true;
                format!("{vm} does not converge: switched over to post-copy")
            }),
            OnStall::Pause => guest.call(Domain::suspend).map(|()| {
                format!("{vm} does not converge: the guest is paused until its memory is over")
            }),
            OnStall::Cold => {
                self.stop = Some(Stop::ToCold);
                self.abort();
                Ok(format!(
                    "{vm} does not converge: the migration is given up, it will be moved cold"
                ))
            }
            OnStall::Abort => {
                self.stop = Some(Stop::Stalled);
                self.abort();
                Ok(format!("{vm} does not converge: the migration is given up"))
            }
        };
        match done {
            Ok(note) => self.context.watch.note(&note),
            Err(error) => self
                .context
                .watch
                .note(&format!("{vm} does not converge: {error}")),
        }
    }
}

/// Whether a migration away from this host is under way.
fn is_migration_out(job: &Job) -> bool {
    // One that failed or was cancelled is still the VM's job until all that belongs to it has ended.
    let is_there = is_active(job)
        || matches!(
            job.kind,
            sys::VIR_DOMAIN_JOB_FAILED | sys::VIR_DOMAIN_JOB_CANCELLED
        );
    let operation = u64::from(sys::VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT);
    is_there && job.values.number("operation") == Some(operation)
}

/// Whether a job has not failed so far.
fn is_active(job: &Job) -> bool {
    matches!(
        job.kind,
        sys::VIR_DOMAIN_JOB_BOUNDED | sys::VIR_DOMAIN_JOB_UNBOUNDED
    )
}
