//! The coordinator: one thread that decides what starts, and tells in order what happened. What it starts is done by
//! threads that are kept until the end, as many as there was ever work for at once.

use std::collections::BTreeMap;
use std::thread::Scope;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::board::{Board, Restore, Skip};
use super::options::Options;
use super::restore::{Restored, Task};
use super::tally::Tally;
use super::worker::{Desk, News, Report, bring_back, perform};
use super::{CancelHandle, Event, Happening, Summary};
use crate::hypervisor::{Cancel, Hypervisor, Outcome, StepError};
use crate::model::Millis;
use crate::plan::{Plan, Step, StepId};

/// How soon a wish to stop is seen while nothing else happens.
const CANCEL_SEEN_WITHIN: Duration = Duration::from_millis(100);

/// Carries out a plan and returns when nothing runs any more. Every event goes to `sink`, on the calling thread and
/// in order; the last one is [`Happening::Finished`] with what is returned. A step that fails is an event and part of
/// the summary, never an error or a panic of this function.
pub fn run(
    plan: &Plan,
    hosts: &dyn Hypervisor,
    options: &Options,
    cancel: &CancelHandle,
    sink: &mut dyn FnMut(&Event),
) -> Summary {
    let (sender, reports) = unbounded();
    let desk = Desk {
        hosts,
        locks: options.locks.as_deref(),
        reports: sender,
    };
    let mut coordinator = Coordinator {
        plan,
        options,
        cancel,
        desk,
        began: hosts.now(),
        at: Millis::ZERO,
        board: Board::new(plan),
        tally: Tally::new(plan),
        running: 0,
        known: Cancel::No,
        has_failed: false,
        restoring: BTreeMap::new(),
        sink,
    };
    std::thread::scope(|scope| coordinator.work(&mut Crew::new(scope), &reports));
    hosts.under_way(0);
    coordinator.finish()
}

/// Work to hand out.
enum Job {
    Step(StepId),
    Restore(usize, Task),
}

/// Something to be done on another thread, which reports its end last of all.
type Errand<'scope> = Box<dyn FnOnce() + Send + 'scope>;

/// The threads that do the work. They end when it is dropped.
struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    threads: usize,
    errands: Sender<Errand<'scope>>,
    /// Each thread takes its next errand from here.
    waiting: Receiver<Errand<'scope>>,
}

impl<'scope, 'env> Crew<'scope, 'env> {
    fn new(scope: &'scope Scope<'scope, 'env>) -> Self {
        let (errands, waiting) = unbounded();
        Self {
            scope,
            threads: 0,
            errands,
            waiting,
        }
    }

    /// Makes sure that so many errands can be run at once.
    fn grow_to(&mut self, threads: usize) {
        while self.threads < threads {
            let waiting = self.waiting.clone();
            self.scope.spawn(move || {
                for errand in waiting {
                    errand();
                }
            });
            self.threads += 1;
        }
    }

    fn send(&self, errand: Errand<'scope>) {
        // Not while this crew holds a receiver.
        let _ = self.errands.send(errand);
    }
}

struct Coordinator<'a> {
    plan: &'a Plan,
    options: &'a Options,
    cancel: &'a CancelHandle,
    desk: Desk<'a>,
    /// The host clock's time at the start.
    began: Millis,
    /// Time of the latest event, from the start; events never go back in time.
    at: Millis,
    board: Board<'a>,
    tally: Tally<'a>,
    running: usize,
    known: Cancel,
    /// Whether a step has failed.
    has_failed: bool,
    /// VMs that are being brought back, by reboot, with the step to blame.
    restoring: BTreeMap<usize, Option<StepId>>,
    sink: &'a mut dyn FnMut(&Event),
}

impl<'a> Coordinator<'a> {
    fn work<'scope>(&mut self, crew: &mut Crew<'scope, '_>, reports: &Receiver<Report>)
    where
        'a: 'scope,
    {
        loop {
            self.see_cancel();
            let jobs = self.choose();
            self.running += jobs.len();
            self.desk.hosts.under_way(self.running);
            crew.grow_to(self.running);
            for job in jobs {
                self.hand_out(crew, job);
            }
            if self.running == 0 && !self.is_waiting_for_a_lock() {
                return;
            }
            match reports.recv_timeout(CANCEL_SEEN_WITHIN) {
                Ok(report) => self.take_note(report),
                Err(RecvTimeoutError::Timeout) => {}
                // Not while this coordinator holds a sender.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tell(&mut self, what: Happening) {
        let event = Event { at: self.at, what };
        (self.sink)(&event);
    }

    fn time(&mut self, at: Millis) {
        self.at = self.at.max(Millis(at.0.saturating_sub(self.began.0)));
    }

    fn see_cancel(&mut self) {
        let asked = self.cancel.asked();
        if asked > self.known {
            self.known = asked;
            self.tally.cancelled();
            self.time(self.desk.hosts.now());
            self.tell(Happening::CancelAsked {
                now: asked == Cancel::Now,
            });
        }
    }

    /// How far the apply may still go: by what a person wants, and by what is to come of a failure.
    fn wish(&self) -> Cancel {
        let stops = self.has_failed && self.options.stops_on_failure;
        self.known
            .max(if stops { Cancel::Drain } else { Cancel::No })
    }

    /// Everything that may start now, bringing VMs back before all else.
    fn choose(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        while let Some(Restore {
            reboot,
            because,
            skips,
        }) = self.board.next_restore(self.wish())
        {
            self.skip(skips);
            self.restoring.insert(reboot, because);
            let due = self.board.reboot(reboot);
            let task = Task {
                vm: due.vm.clone(),
                from: due.from.clone(),
                to: due.to.clone(),
                reached_destination: self.board.reached_destination(due),
                gave_room_up: self.board.gave_room_up(due),
            };
            jobs.push(Job::Restore(reboot, task));
        }
        let locks = self.options.locks.as_ref();
        let is_held_back =
            |step: &Step| locks.is_some_and(|locks| locks.are_unsure(&step.action.hosts()));
        let now = Millis(self.desk.hosts.now().0.saturating_sub(self.began.0));
        while self.running + jobs.len() < self.options.at_once.get() {
            let runs_for = |step| self.tally.since(step, now);
            let next = self.board.next(self.wish(), &is_held_back, &runs_for);
            let Some(id) = next else {
                break;
            };
            self.board.begin(id);
            jobs.push(Job::Step(id));
        }
        jobs
    }

    /// Whether something could start if its host's lock were not in doubt. That is for a limited time.
    fn is_waiting_for_a_lock(&self) -> bool {
        let nothing_runs = |_| Millis::ZERO;
        let could = || self.board.next(self.wish(), &|_| false, &nothing_runs);
        self.options.locks.is_some() && could().is_some()
    }

    fn hand_out<'scope>(&mut self, crew: &Crew<'scope, '_>, job: Job)
    where
        'a: 'scope,
    {
        let desk = self.desk.clone();
        match job {
            Job::Step(id) => {
                let (plan, cancel) = (self.plan, self.cancel);
                self.tally.begin(id, self.at);
                self.tell(Happening::StepStarted { step: id });
                crew.send(Box::new(move || {
                    perform(&desk, id, &plan.steps[id.0].action, cancel);
                }));
            }
            Job::Restore(reboot, task) => {
                let options = self.options;
                crew.send(Box::new(move || bring_back(&desk, reboot, &task, options)));
            }
        }
    }

    fn take_note(&mut self, report: Report) {
        self.time(report.at);
        match report.what {
            News::Progress(step, progress) => self.tell(Happening::StepProgress {
                step,
                done: progress.done,
                total: progress.total,
                rate: progress.rate,
            }),
            News::Note(step, text) => self.tell(Happening::StepNote { step, text }),
            News::Ended(step, Ok(outcome)) => self.step_done(step, &outcome),
            News::Ended(step, Err(error)) => self.step_failed(step, error),
            News::Restoring(reboot) => {
                let vm = self.board.reboot(reboot).vm.clone();
                let because = self.restoring.get(&reboot).copied().flatten();
                self.tell(Happening::RestoreStarted { vm, because });
            }
            News::RestoreEnded(reboot, result) => self.restore_ended(reboot, result),
        }
    }

    fn step_done(&mut self, step: StepId, outcome: &Outcome) {
        self.running -= 1;
        self.board.done(step);
        self.tell(Happening::StepDone {
            step,
            took: self.tally.since(step, self.at),
            bytes: outcome.bytes,
            downtime: outcome.downtime,
            saved: outcome.saved,
        });
        for news in self.tally.done(step, self.at, outcome, &self.board) {
            self.tell(news);
        }
    }

    fn step_failed(&mut self, step: StepId, error: StepError) {
        self.running -= 1;
        let skips = self.board.failed(step);
        if !error.cancelled {
            self.has_failed = true;
            self.tally.failed(step);
        }
        self.tell(Happening::StepFailed {
            step,
            what: error.what,
            why: error.why,
            help: error.help,
            cancelled: error.cancelled,
        });
        self.skip(skips);
    }

    fn skip(&mut self, skips: Vec<Skip>) {
        for Skip { step, because } in skips {
            self.tell(Happening::StepSkipped { step, because });
        }
    }

    fn restore_ended(&mut self, index: usize, result: Result<Restored, StepError>) {
        self.running -= 1;
        self.board.restored(index);
        let reboot = self.board.reboot(index);
        let vm = reboot.vm.clone();
        let shut_down = StepId(reboot.shut_down);
        let never_left = self.board.is_failed(shut_down);
        match result {
            // The shutdown failed and the VM runs on: nothing was done, so there is nothing to tell.
            Ok(Restored::Runs(host)) if never_left && host == reboot.from => {}
            Ok(Restored::Runs(host) | Restored::Started(host)) => {
                self.tally.restored(&vm);
                let downtime = self.tally.since(shut_down, self.at);
                self.tell(Happening::Restored { vm, host, downtime });
            }
            Err(error) => {
                self.tally.stranded(&vm);
                self.tell(Happening::NotRestored {
                    vm,
                    what: error.what,
                    why: error.why,
                    help: error.help,
                });
            }
        }
    }

    /// Tells of the steps that never ran, and the end.
    fn finish(mut self) -> Summary {
        self.time(self.desk.hosts.now());
        let left: Vec<_> = self.board.left().collect();
        for (step, missing) in left {
            match missing {
                // Without a wish to stop only a plan whose steps wait for each other, or for none that exists, gets
                // here; such a plan is refused before, but it must not be reported as carried out.
                Some(because) if self.wish() == Cancel::No => {
                    self.tell(Happening::StepSkipped { step, because });
                }
                _ => self.tell(Happening::StepNotStarted { step }),
            }
        }
        let tally = std::mem::replace(&mut self.tally, Tally::new(self.plan));
        let summary = tally.summary(self.at);
        self.tell(Happening::Finished(summary.clone()));
        summary
    }
}
