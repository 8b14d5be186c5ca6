//! Faults on the hosts: what strikes a call, and what becomes of the call and of all that is under way beside it.

use super::effects::hosts_of;
use super::faults::{Fault, Moment, index};
use super::state::{Epochs, State, machine};
use crate::model::{HostName, Millis};
use crate::plan::Action;

/// Why an action came to no end of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// This process has died, or a host does not answer it any more; daemons go on.
    Silence(String),
    /// A daemon or a host has restarted.
    Restart(String),
    /// The link between its two hosts is cut.
    Link(String),
}

impl Broken {
    fn why(&self) -> &str {
        match self {
            Self::Silence(why) | Self::Restart(why) | Self::Link(why) => why,
        }
    }
}

/// The two hosts between whose daemons and QEMUs an action works.
fn ends(action: &Action) -> Option<(HostName, HostName)> {
    match action {
        Action::MigrateLive { from, to, .. }
        | Action::MigratePaused { from, to, .. }
        | Action::AwaitMigration { from, to, .. } => {
            let (one, other) = (from.min(to), from.max(to));
            Some((one.clone(), other.clone()))
        }
        _ => None,
    }
}

fn chosen(action: &Action, which: u64) -> Option<HostName> {
    let hosts = hosts_of(action);
    let host = hosts.get(index(which, hosts.len()))?;
    Some((*host).clone())
}

impl State {
    /// Whether the hosts of an action answer this process.
    pub(super) fn check_answers(&self, action: &Action) -> Result<(), String> {
        if self.dead {
            return Err("this process has died".to_owned());
        }
        let silent = |host: &&&HostName| {
            self.gone.contains(**host) || self.world.closed.contains_key(**host)
        };
        match hosts_of(action).iter().find(silent) {
            Some(host) => Err(format!("{host} does not answer")),
            None => Ok(()),
        }
    }

    /// Whether the two hosts of an action reach each other.
    pub(super) fn check_link(&self, action: &Action) -> Result<(), String> {
        match ends(action).filter(|ends| self.cut.contains(ends)) {
            Some((one, other)) => Err(format!("{one} and {other} do not reach each other")),
            None => Ok(()),
        }
    }

    /// How often each of the action's hosts has lost what was under way.
    pub(super) fn epochs(&self, action: &Action) -> Epochs {
        let hosts = hosts_of(action).into_iter();
        let known = hosts.filter_map(|host| Some((host.clone(), *self.epochs.get(host)?)));
        known.collect()
    }

    /// Whether what the action has begun goes on.
    pub(super) fn check_goes_on(&self, action: &Action, since: &Epochs) -> Result<(), Broken> {
        for host in hosts_of(action) {
            if self.epochs.get(host) != since.get(host) {
                return Err(Broken::Restart(format!(
                    "the daemon of {host} is a new one"
                )));
            }
        }
        self.check_answers(action).map_err(Broken::Silence)?;
        self.check_link(action).map_err(Broken::Link)
    }

    /// The fault that strikes this call.
    pub(super) fn strike(&mut self, action: &Action) -> Option<Fault> {
        let attempt = self.attempts.entry(action.to_string()).or_insert(0);
        *attempt += 1;
        let fault = self.faults.strike(action, *attempt)?;
        self.struck.push(format!("{action}: {fault:?}"));
        match fault {
            Fault::Dies(Moment::Before, _) => self.dead = true,
            Fault::HostGone(Moment::Before, which) => self.gone.extend(chosen(action, which)),
            _ => {}
        }
        Some(fault)
    }

    /// An action that others have broken off: what is left of it, and why.
    pub(super) fn fall(&mut self, action: &Action, broken: &Broken) -> String {
        let attempt = self.attempts.get(&action.to_string());
        let variant = u64::from(attempt.copied().unwrap_or(0));
        self.break_off(action, |world| match broken {
            Broken::Silence(_) => world.orphan(action, variant),
            Broken::Restart(_) => world.restarted(action, variant),
            Broken::Link(_) => world.break_off(action, true),
        });
        broken.why().to_owned()
    }

    /// What a fault does in the middle of an action; `None`: the action comes to its end.
    pub(super) fn strike_midway(&mut self, action: &Action, fault: Fault) -> Option<String> {
        match fault {
            Fault::Fails(Moment::Midway) => {
                self.break_off(action, |world| world.break_off(action, false));
                Some("broken off by the simulation's faults".to_owned())
            }
            Fault::Dies(Moment::Midway, variant) => {
                self.dead = true;
                self.break_off(action, |world| world.orphan(action, variant));
                Some("this process has died".to_owned())
            }
            Fault::HostGone(Moment::Midway, variant) => {
                let host = chosen(action, variant >> 8)?;
                self.break_off(action, |world| world.orphan(action, variant));
                let why = format!("{host} does not answer");
                self.gone.insert(host);
                Some(why)
            }
            Fault::DaemonRestarts(variant) => {
                let host = chosen(action, variant >> 8)?;
                self.restart(&host);
                self.break_off(action, |world| world.restarted(action, variant));
                Some(format!(
                    "the connection to {host} is lost: its daemon restarts"
                ))
            }
            Fault::HostCrashes(variant) => {
                let host = chosen(action, variant >> 8)?;
                self.break_off(action, |world| world.break_off(action, false));
                self.crash(&host);
                if variant.is_multiple_of(2) {
                    self.boot(&host);
                } else {
                    self.gone.insert(host.clone());
                    self.down.insert(host.clone());
                }
                Some(format!("the connection to {host} is lost"))
            }
            Fault::LinkCut => {
                self.cut.insert(ends(action)?);
                self.break_off(action, |world| world.break_off(action, true));
                self.check_link(action).err()
            }
            Fault::StorageFills => self.world.fill_storage(action).then(|| {
                self.break_off(action, |world| world.break_off(action, true));
                "no space left on device".to_owned()
            }),
            Fault::Hangs(variant) => self.hang(action, variant),
            Fault::Fails(_) | Fault::Dies(..) | Fault::HostGone(..) => None,
        }
    }

    /// A call on which this process has given up. Some had their effect before; `None`: it has it, unheard.
    fn hang(&mut self, action: &Action, variant: u64) -> Option<String> {
        match variant % 3 {
            0 => self.break_off(action, |world| world.orphan(action, variant >> 8)),
            1 => return None,
            _ if self.world.postpone(action) => {}
            _ => self.break_off(action, |world| world.orphan(action, variant >> 8)),
        }
        Some("it has not answered, and it is not known what became of it".to_owned())
    }

    /// What a daemon keeps in memory alone is gone, and what it was doing.
    pub(super) fn restart(&mut self, host: &HostName) {
        *self.epochs.entry(host.clone()).or_insert(0) += 1;
        let machine = machine(self, host);
        self.locks.remove(&machine);
    }

    pub(super) fn crash(&mut self, host: &HostName) {
        self.restart(host);
        self.world.crash(host);
        self.invariants.excuse(&self.world, host);
        self.judge();
    }

    fn boot(&mut self, host: &HostName) {
        self.world.boot(host);
        self.invariants.excuse(&self.world, host);
        self.judge();
    }

    /// The daemons come to calls that nobody waits for.
    pub(super) fn catch_up(&mut self) {
        if !self.world.late.is_empty() {
            self.world.catch_up();
            self.judge();
        }
    }

    /// Everything answers again, and has the room that it had.
    pub(super) fn recover(&mut self) {
        self.dead = false;
        self.catch_up();
        for host in std::mem::take(&mut self.down) {
            self.boot(&host);
        }
        self.gone.clear();
        self.cut.clear();
        self.world.empty_storage();
        self.judge();
    }
}

/// How long it takes until nobody waits for a call any more.
pub(super) const OVERDUE: Millis = Millis(1_800_000);
