//! What the threads of the hosts tell, put together into one reading: who must be asked about whom, and what is still
//! to come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::answers::Answered;
use super::questions::Progress;
use super::visitor::Visitor;
use crate::libvirt::error::CallError;
use crate::model::{HostName, Millis, VmName};
use crate::observed::{Answers, Fit, Host, Reading, Vm};

/// What the thread of a host tells.
pub(super) enum News {
    /// What came of reading it.
    Read(Box<Result<Host, CallError>>),
    /// What it answered about some VMs.
    Answered(Answered),
    /// It says nothing any more.
    Ended,
}

/// A host whose thread was started.
pub(super) struct Started {
    /// How far it is.
    pub(super) progress: Arc<Progress>,
    /// Takes the VMs that it shall be asked about, some at a time. The thread ends when this goes.
    pub(super) visitors: mpsc::Sender<Vec<Visitor>>,
}

/// Readings and answers as they come.
pub(super) struct Gathering<'a> {
    fits: &'a [(VmName, HostName)],
    began: Instant,
    timeout: Millis,
    started: BTreeMap<HostName, Started>,
    /// Hosts that have not said what came of reading them.
    reading: BTreeSet<HostName>,
    /// How many answers each host still owes.
    owed: BTreeMap<HostName, usize>,
    /// Whether each VM that a host was asked about ran where it was found.
    asked: BTreeMap<(HostName, VmName), bool>,
    readings: BTreeMap<HostName, Reading>,
}

impl<'a> Gathering<'a> {
    /// Of nothing so far.
    pub(super) fn new(fits: &'a [(VmName, HostName)], began: Instant, timeout: Millis) -> Self {
        Self {
            fits,
            began,
            timeout,
            started: BTreeMap::new(),
            reading: BTreeSet::new(),
            owed: BTreeMap::new(),
            asked: BTreeMap::new(),
            readings: BTreeMap::new(),
        }
    }

    /// Waits for this host too.
    pub(super) fn expect(&mut self, host: &HostName, started: Started) {
        self.started.insert(host.clone(), started);
        self.reading.insert(host.clone());
    }

    /// Whether anything is still to come.
    pub(super) fn goes_on(&self) -> bool {
        !self.reading.is_empty() || self.owed.values().any(|owed| *owed > 0)
    }

    /// Takes what a host's thread tells.
    pub(super) fn hear(&mut self, host: &HostName, news: News) {
        match news {
            News::Read(result) => {
                self.reading.remove(host);
                let reading = match *result {
                    Ok(read) => Reading::Reached(Box::new(read)),
                    Err(error) => self.unreachable(error.message),
                };
                self.readings.insert(host.clone(), reading);
                self.ask_because_of(host);
            }
            News::Answered(answered) => {
                if let Some(owed) = self.owed.get_mut(host) {
                    *owed = owed.saturating_sub(1);
                }
                if let Some(Reading::Reached(reading)) = self.readings.get_mut(host) {
                    take(reading, answered);
                }
            }
            News::Ended => {
                self.owed.remove(host);
                if self.reading.remove(host) {
                    let reason = "reading it ended without a result, which is a fault of Domicile";
                    let reading = self.unreachable(reason.into());
                    self.readings.insert(host.clone(), reading);
                }
            }
        }
    }

    fn unreachable(&self, reason: String) -> Reading {
        Reading::Unreachable {
            reason,
            after: Millis::from(self.began.elapsed()),
        }
    }

    fn reached(&self, host: &HostName) -> Option<&Host> {
        match self.readings.get(host)? {
            Reading::Reached(host) => Some(host),
            Reading::Unreachable { .. } => None,
        }
    }

    /// Asks what could not be asked before this host was read: about its own VMs at their destinations, and about
    /// other hosts' VMs here.
    fn ask_because_of(&mut self, host: &HostName) {
        let mut visitors: BTreeMap<HostName, Vec<Visitor>> = BTreeMap::new();
        for (vm, to) in self.fits {
            let sources: Vec<&HostName> = if to == host {
                self.readings.keys().filter(|from| *from != to).collect()
            } else {
                vec![host]
            };
            if self.reached(to).is_none() {
                continue;
            }
            // Where several hosts have it, the one where it runs counts.
            let found = sources.into_iter().filter_map(|from| {
                let source = self.reached(from)?;
                Some((source, source.vms.get(vm)?))
            });
            let found = found.max_by_key(|(_, vm)| vm.power.is_active());
            let key = (to.clone(), vm.clone());
            let news = |(_, found): &(&Host, &Vm)| {
                self.asked
                    .get(&key)
                    .is_none_or(|ran| !ran && found.power.is_active())
            };
            let Some((source, found)) = found.filter(news) else {
                continue;
            };
            if let Some(visitor) = Visitor::of(vm, found, source) {
                let ran = found.power.is_active();
                self.asked.insert(key, ran);
                visitors.entry(to.clone()).or_default().push(visitor);
            }
        }
        for (to, visitors) in visitors {
            let started = self.started.get(&to);
            if started.is_some_and(|started| started.visitors.send(visitors).is_ok()) {
                *self.owed.entry(to).or_default() += 1;
            }
        }
    }

    /// The whole, with what did not come in time.
    pub(super) fn end(mut self) -> BTreeMap<HostName, Reading> {
        let limit = self.timeout;
        for host in std::mem::take(&mut self.reading) {
            let stage = self.started.get(&host).map_or("", |started| {
                started.progress.give_up();
                started.progress.stage()
            });
            let reason = format!("no answer within {limit} when asked for {stage}");
            let reading = self.unreachable(reason);
            self.readings.insert(host, reading);
        }
        for (host, started) in &self.started {
            if self.owed.get(host).is_some_and(|owed| *owed > 0) {
                started.progress.give_up();
            }
        }
        for ((host, vm), ran) in self.asked {
            let Some(Reading::Reached(reading)) = self.readings.get_mut(&host) else {
                continue;
            };
            let silence = Answers::unknown(&format!("no answer within {limit}"));
            reading.fits.entry(vm).or_insert_with(|| Fit {
                running: ran.then(|| silence.clone()),
                starting: silence,
            });
        }
        self.readings
    }
}

fn take(host: &mut Host, answered: Answered) {
    host.fits.extend(answered.fits);
    // Each is told once at most, and a full reading has them already.
    host.offers.secrets = answered.secrets.or(host.offers.secrets.take());
    host.offers.nwfilters = answered.nwfilters.or(host.offers.nwfilters.take());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PowerState, RunState};
    use crate::observed::{CpuFit, DomainFit, VmDetail};

    fn name(text: &str) -> HostName {
        HostName::new(text).unwrap()
    }

    fn web() -> VmName {
        VmName::new("web").unwrap()
    }

    fn host_with(state: Option<RunState>) -> News {
        let xml = "<domain><name>web</name><memory>1</memory></domain>";
        let mut host = Host::default();
        if let Some(state) = state {
            let detail = VmDetail {
                live_xml: (state == RunState::Running).then(|| xml.to_owned()),
                inactive_xml: xml.to_owned(),
                ..VmDetail::default()
            };
            let vm = Vm {
                uuid: String::new(),
                power: PowerState {
                    state,
                    reason: String::new(),
                },
                persistent: true,
                memory: crate::model::Bytes::ZERO,
                vcpus: 1,
                managed_save: false,
                autostart: false,
                detail: Some(Box::new(detail)),
            };
            host.vms.insert(web(), vm);
        }
        News::Read(Box::new(Ok(host)))
    }

    struct Fleet<'a> {
        gathering: Gathering<'a>,
        arriving: BTreeMap<HostName, mpsc::Receiver<Vec<Visitor>>>,
    }

    fn fleet<'a>(hosts: &[&str], fits: &'a [(VmName, HostName)]) -> Fleet<'a> {
        let mut gathering = Gathering::new(fits, Instant::now(), Millis(700));
        let mut arriving = BTreeMap::new();
        for host in hosts {
            let (visitors, receiver) = mpsc::channel();
            let progress = Arc::default();
            gathering.expect(&name(host), Started { progress, visitors });
            arriving.insert(name(host), receiver);
        }
        Fleet {
            gathering,
            arriving,
        }
    }

    impl Fleet<'_> {
        /// Whether each VM that a host is asked about runs at its source.
        fn asked(&self, host: &str) -> Vec<bool> {
            let all = self.arriving[&name(host)].try_iter().flatten();
            all.map(|visitor| visitor.running.is_some()).collect()
        }
    }

    #[test]
    fn a_destination_is_asked_as_soon_as_it_and_the_source_are_read() {
        let fits = [(web(), name("two"))];
        for order in [["one", "two"], ["two", "one"]] {
            let mut fleet = fleet(&["one", "three", "two"], &fits);
            for host in order {
                assert_eq!(fleet.asked("two"), Vec::<bool>::new());
                let state = (host == "one").then_some(RunState::ShutOff);
                fleet.gathering.hear(&name(host), host_with(state));
            }
            assert_eq!(fleet.asked("two"), [false]);
            // The third host, which runs the VM, counts more than the one that only has it.
            let running = host_with(Some(RunState::Running));
            fleet.gathering.hear(&name("three"), running);
            assert_eq!(fleet.asked("two"), [true]);
            assert_eq!(fleet.asked("one"), Vec::<bool>::new());
            assert!(fleet.gathering.goes_on());
        }
    }

    #[test]
    fn a_vm_that_is_where_it_shall_be_is_not_asked_about() {
        let fits = [(web(), name("two"))];
        let mut fleet = fleet(&["one", "two"], &fits);
        fleet.gathering.hear(&name("one"), host_with(None));
        let running = host_with(Some(RunState::Running));
        fleet.gathering.hear(&name("two"), running);
        assert!(!fleet.gathering.goes_on());
        let Reading::Reached(two) = &fleet.gathering.end()[&name("two")] else {
            panic!("two was read");
        };
        assert_eq!(two.fits, BTreeMap::new());
    }

    #[test]
    fn an_answer_that_does_not_come_is_unknown_and_so_is_one_of_a_thread_that_broke_off() {
        for breaks_off in [false, true] {
            let fits = [(web(), name("two"))];
            let mut fleet = fleet(&["one", "two"], &fits);
            let running = host_with(Some(RunState::Running));
            fleet.gathering.hear(&name("one"), running);
            fleet.gathering.hear(&name("two"), host_with(None));
            assert!(fleet.gathering.goes_on());
            if breaks_off {
                fleet.gathering.hear(&name("two"), News::Ended);
                assert!(!fleet.gathering.goes_on());
            }
            let Reading::Reached(two) = &fleet.gathering.end()[&name("two")] else {
                panic!("two was read");
            };
            let answers = two.fits[&web()].running.clone().unwrap();
            let reason = "no answer within 700ms".to_owned();
            assert_eq!(answers.cpu, CpuFit::Unknown(reason.clone()));
            assert_eq!(answers.domain, DomainFit::Unknown(reason));
        }
    }

    #[test]
    fn a_host_whose_thread_breaks_off_is_not_waited_for() {
        let mut fleet = fleet(&["one"], &[]);
        fleet.gathering.hear(&name("one"), News::Ended);
        assert!(!fleet.gathering.goes_on());
        let end = fleet.gathering.end();
        assert!(matches!(end[&name("one")], Reading::Unreachable { .. }));
    }
}
