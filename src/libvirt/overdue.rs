//! Calls that do not return in time. A thread that is blocked in libvirt cannot be ended, so the work is done in one
//! that can be left behind, and whoever waits gives up when a call is overdue. What was left behind makes no further
//! call: should its answer come after all, everybody has acted on the failure by then.
//!
//! A host that is gone altogether is noticed earlier, by keepalive; this is for a daemon that answers its keepalive and
//! nothing else, such as one whose storage hangs. A call that may last is watched by whoever made it, who gives up by
//! itself ([`Patience::give_up`]).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::error::CallError;
use super::failure::Failure;
use crate::hypervisor::{Cancel, Outcome, Progress, StepError, Watch};
use crate::model::{HostName, Millis};

/// How long an ordinary call may take. Four times as long as libvirt itself waits for another job on the same VM.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(120);

/// How long a call may take whose work grows with memory or disks: starting and ending a VM, creating, deleting or
/// flushing a volume, reading a pool anew.
pub(super) const WORKS_WITHIN: Duration = Duration::from_secs(1800);

/// How often it is asked whether a call is overdue and whether a person wants to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Does the work in a thread of its own, and gives up waiting after that time.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, ended) = mpsc::sync_channel(1);
    let started = thread::Builder::new().spawn(move || drop(sender.send(work())));
    if let Err(error) = started {
        log::error!("cannot start a thread: {error}");
        return None;
    }
    ended.recv_timeout(limit).ok()
}

/// A call that has not returned yet.
#[derive(Debug, Clone)]
struct Pending {
    host: HostName,
    began: Instant,
    limit: Duration,
}

/// The calls of one piece of work, of all its threads.
#[derive(Debug, Default)]
pub(super) struct Patience {
    given_up: AtomicBool,
    because: Mutex<Option<Failure>>,
    number: AtomicU64,
    pending: Mutex<BTreeMap<u64, Pending>>,
}

impl Patience {
    /// Makes a call; `None`: it may take as long as it wants, since it is watched otherwise.
    pub(super) fn call<T>(
        &self,
        host: &HostName,
        limit: Option<Duration>,
        call: impl FnOnce() -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        if self.given_up.load(Ordering::SeqCst) {
            return Err(CallError::ours(
                host,
                "nobody waits for the answer any more",
            ));
        }
        let Some(limit) = limit else {
            return call();
        };
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let pending = Pending {
            host: host.clone(),
            began: Instant::now(),
            limit,
        };
        self.pending().insert(number, pending);
        let result = call();
        self.pending().remove(&number);
        result
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<u64, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up for this reason, whatever calls are under way: no further one is made, and whoever waits for the step
    /// hears the reason at once.
    pub(super) fn give_up(&self, because: Failure) {
        let mut place = self.because.lock().unwrap_or_else(PoisonError::into_inner);
        place.get_or_insert(because);
        self.given_up.store(true, Ordering::SeqCst);
    }

    /// Why somebody has given up.
    fn reason(&self) -> Option<Failure> {
        let mut place = self.because.lock().unwrap_or_else(PoisonError::into_inner);
        place.take()
    }

    /// Gives up where a call is overdue: no further one is made. The host that did not answer, and for how long.
    fn give_up_if_overdue(&self) -> Option<(HostName, Duration)> {
        let pending = self.pending();
        let overdue = pending
            .values()
            .find(|pending| pending.began.elapsed() >= pending.limit)?;
        self.given_up.store(true, Ordering::SeqCst);
        Some((overdue.host.clone(), overdue.began.elapsed()))
    }
}

/// What the thread that does a step tells the one that waits for it.
enum News {
    Progress(Progress),
    Note(String),
    Ended(thread::Result<Result<Outcome, StepError>>),
}

/// The eyes on a step, passed on to whoever waits for it.
struct Relay {
    news: mpsc::Sender<News>,
    cancel: Arc<AtomicU8>,
}

impl Watch for Relay {
    fn progress(&self, progress: Progress) {
        // Nobody listens to a step that was given up.
        drop(self.news.send(News::Progress(progress)));
    }

    fn note(&self, text: &str) {
        drop(self.news.send(News::Note(text.to_owned())));
    }

    fn cancel(&self) -> Cancel {
        match self.cancel.load(Ordering::SeqCst) {
            0 => Cancel::No,
            1 => Cancel::Drain,
            _ => Cancel::Now,
        }
    }
}

/// Does a step in a thread of its own, with these eyes on it, and fails where one of its calls is overdue.
pub(super) fn step(
    what: &str,
    watch: &dyn Watch,
    work: impl FnOnce(&dyn Watch, &Arc<Patience>) -> Result<Outcome, StepError> + Send + 'static,
) -> Result<Outcome, StepError> {
    let (news, told) = mpsc::channel();
    let cancel = Arc::new(AtomicU8::new(0));
    let patience = Arc::new(Patience::default());
    let (theirs, wish) = (Arc::clone(&patience), Arc::clone(&cancel));
    let thread = move || {
        let relay = Relay { news, cancel: wish };
        let result = catch_unwind(AssertUnwindSafe(|| work(&relay, &theirs)));
        drop(relay.news.send(News::Ended(result)));
    };
    thread::Builder::new()
        .name(what.chars().take(15).collect())
        .spawn(thread)
        .map_err(|error| StepError::new(what, format!("cannot start a thread: {error}")))?;
    loop {
        let wish = match watch.cancel() {
            Cancel::No => 0,
            Cancel::Drain => 1,
            Cancel::Now => 2,
        };
        cancel.store(wish, Ordering::SeqCst);
        let news = told.recv_timeout(LOOK_EVERY);
        // What the step says once it was given up comes of that.
        if let Some(failure) = patience.reason() {
            return Err(failure.of_what(what));
        }
        match news {
            Ok(News::Progress(progress)) => watch.progress(progress),
            Ok(News::Note(text)) => watch.note(&text),
            Ok(News::Ended(Ok(result))) => return result,
            Ok(News::Ended(Err(panic))) => resume_unwind(panic),
            Err(_) => {
                if let Some((host, waited)) = patience.give_up_if_overdue() {
                    return Err(silence(what, &host, waited));
                }
            }
        }
    }
}

fn silence(what: &str, host: &HostName, waited: Duration) -> StepError {
    let waited = Millis::from(waited);
    let why = format!(
        "{host} has not answered a call for {waited}, so it is not known what became of the call"
    );
    StepError::new(what, why).with_help(format!(
        "See what the daemon of {host} waits for (its log, its storage). When it answers again, plan again: the plan \
         shows what is left."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Wanting(Cancel);

    impl Watch for Wanting {
        fn progress(&self, _: Progress) {}
        fn note(&self, _: &str) {}
        fn cancel(&self) -> Cancel {
            self.0
        }
    }

    fn host() -> HostName {
        HostName::new("kvm1").unwrap()
    }

    #[test]
    fn a_step_whose_call_hangs_fails_in_time_and_makes_no_further_call() {
        let (hold, end) = mpsc::channel::<()>();
        let (told, later) = mpsc::channel();
        let work = move |_: &dyn Watch, patience: &Arc<Patience>| {
            let limit = Some(Duration::from_millis(50));
            let first = patience.call(&host(), limit, || {
                // Until its other end goes.
                let _ = end.recv();
                Ok(())
            });
            let second = patience.call(&host(), limit, || Ok(()));
            told.send((first.is_ok(), second.map_err(|error| error.message)))
                .unwrap();
            Ok(Outcome::default())
        };
        let began = Instant::now();
        let error = step("start web", &Wanting(Cancel::No), work).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(error.why.contains("kvm1 has not answered"), "{error}");
        drop(hold);
        let (first, second) = later.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(first, "the answer came after all");
        assert!(second.unwrap_err().contains("nobody waits"));
    }

    #[test]
    fn a_step_that_is_given_up_while_its_call_lasts_fails_at_once_and_says_why() {
        let (hold, end) = mpsc::channel::<()>();
        let work = move |_: &dyn Watch, patience: &Arc<Patience>| {
            thread::scope(|scope| {
                let until_its_other_end_goes = move || end.recv().map_or(Ok(()), Ok);
                let lasts = move || patience.call(&host(), None, until_its_other_end_goes);
                let lasting = scope.spawn(lasts);
                let why = Failure::new("nobody carries it on").with_help("wait");
                patience.give_up(why);
                assert!(patience.call(&host(), None, || Ok(())).is_err());
                drop(lasting.join());
                Ok(Outcome::default())
            })
        };
        let error = step("migrate web", &Wanting(Cancel::No), work).unwrap_err();
        drop(hold);
        assert_eq!(error.to_string(), "migrate web: nobody carries it on");
        assert_eq!(error.help.as_deref(), Some("wait"));
    }

    #[test]
    fn a_call_without_a_limit_and_the_time_between_calls_are_never_overdue() {
        let work = |_: &dyn Watch, patience: &Arc<Patience>| {
            let nap = || thread::sleep(Duration::from_millis(150));
            let limit = Some(Duration::from_millis(100));
            patience.call(&host(), limit, || Ok(())).unwrap();
            nap();
            let napping = || {
                nap();
                Ok(())
            };
            patience.call(&host(), None, napping).unwrap();
            Ok(Outcome::default())
        };
        assert!(step("x", &Wanting(Cancel::No), work).is_ok());
    }

    #[test]
    fn a_wish_to_stop_reaches_the_step() {
        let work = |watch: &dyn Watch, _: &Arc<Patience>| {
            while watch.cancel() != Cancel::Now {
                thread::sleep(Duration::from_millis(10));
            }
            Err(StepError::cancelled("x"))
        };
        let error = step("x", &Wanting(Cancel::Now), work).unwrap_err();
        assert!(error.cancelled);
    }

    #[test]
    fn a_panic_in_the_step_is_one_for_whoever_waits() {
        let step = || step("x", &Wanting(Cancel::No), |_, _| panic!("out of its mind"));
        assert!(catch_unwind(step).is_err());
    }
}
