//! What befalls the hosts, the network and the process while an apply is at work, by chance.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::lab::{Lab, signal};

use super::demand::HOSTS;

/// Every process of a host dies at once, and what it has in memory is gone. The lab's first process stays.
const LOSE_POWER: &str =
    "kill -9 -1; find /run/libvirt -type f -delete; rm -f /run/libvirtd.pid; sleep 0.2";

/// Whatever room a small pool has is taken.
const FILL: &str = "dd if=/dev/zero of=/srv/tiny/filler bs=64k 2>/dev/null || true";

/// One trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `domicile` is killed.
    Killed,
    /// Somebody presses Ctrl-C.
    Interrupted,
    /// A host's daemon is killed, and started again.
    DaemonKilled,
    /// A host's daemon stands still for a while.
    DaemonHangs,
    /// Every process of a host dies, guests too; its daemon is started again.
    PowerLost,
    /// A host's link is cut for a while.
    LinkCut,
    /// A host's link is slow for a while.
    LinkSlow,
    /// Somebody else fills a host's small pool.
    PoolFull,
}

/// The weights are in how often each is named.
const KINDS: &[Kind] = &[
    Kind::Killed,
    Kind::Killed,
    Kind::Killed,
    Kind::Interrupted,
    Kind::Interrupted,
    Kind::DaemonKilled,
    Kind::DaemonKilled,
    Kind::DaemonKilled,
    Kind::DaemonHangs,
    Kind::PowerLost,
    Kind::LinkCut,
    Kind::LinkCut,
    Kind::LinkSlow,
    Kind::PoolFull,
];

/// What befell in one round.
#[derive(Debug, Default)]
pub(super) struct Befell {
    pub(super) counts: BTreeMap<Kind, usize>,
    /// Hosts that lost power.
    pub(super) dark: Vec<&'static str>,
    /// How long something was not as it shall be.
    pub(super) lasted: Duration,
}

fn pause(dice: &mut Dice, millis_max: usize) {
    let millis = dice.below(millis_max);
    std::thread::sleep(Duration::from_millis(millis.try_into().unwrap()));
}

/// None to three troubles, the first at any time of the first quarter of a minute, and none after the apply has ended.
pub(super) fn strike(lab: &Lab, dice: &mut Dice, applying: &mut Child, rate: &str) -> Befell {
    let mut befell = Befell::default();
    let count = *dice.one_of(&[0, 1, 1, 1, 2, 2, 3]);
    for index in 0..count {
        pause(dice, if index == 0 { 15_000 } else { 4000 });
        let kind = *dice.one_of(KINDS);
        let host = *dice.one_of(&HOSTS);
        if applying.try_wait().unwrap().is_some() {
            break;
        }
        eprintln!("== {kind:?} ({host})");
        *befell.counts.entry(kind).or_default() += 1;
        let began = Instant::now();
        happens(lab, dice, applying, (kind, host), rate);
        if kind == Kind::PowerLost {
            befell.dark.push(host);
        }
        befell.lasted += began.elapsed();
    }
    befell
}

fn happens(lab: &Lab, dice: &mut Dice, applying: &Child, what: (Kind, &str), rate: &str) {
    let (kind, host) = what;
    match kind {
        Kind::Killed => signal(applying, "KILL"),
        Kind::Interrupted => {
            signal(applying, "INT");
            if dice.below(2) == 0 {
                pause(dice, 3000);
                signal(applying, "INT");
            }
        }
        Kind::DaemonKilled => {
            lab.signal_daemon(host, "KILL");
            pause(dice, 4000);
            lab.lab("restart", &[host]);
        }
        Kind::DaemonHangs => {
            lab.signal_daemon(host, "STOP");
            pause(dice, 12_000);
            lab.signal_daemon(host, "CONT");
        }
        Kind::PowerLost => {
            lab.on(host, &["sh", "-c", LOSE_POWER]);
            pause(dice, 4000);
            lab.lab("restart", &[host]);
        }
        Kind::LinkCut => {
            lab.lab("link", &[host, "down"]);
            pause(dice, 10_000);
            lab.lab("link", &[host, "up"]);
        }
        Kind::LinkSlow => {
            lab.lab("link", &[host, "1mbit"]);
            pause(dice, 10_000);
            lab.lab("link", &[host, rate]);
        }
        Kind::PoolFull => drop(lab.on(host, &["timeout", "60", "sh", "-c", FILL])),
    }
}

/// Everything is as it shall be again, as far as an operator would see to it.
pub(super) fn heal(lab: &Lab) {
    for host in HOSTS {
        lab.on(host, &["rm", "-f", "/srv/tiny/filler"]);
    }
    lab.restart_hung_daemons();
}
