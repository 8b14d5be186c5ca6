//! What happens to one VM.

use crate::model::VmName;
use crate::plan::{Alternative, Carry, Change, Difference, DiskPlacement, Move, MoveKind};
use crate::render::Role;
use crate::render::index::Index;
use crate::render::page::{LABEL, Page, Span, glued, plain};
use crate::render::style::{Symbol, severity, symbol};

use super::{diff, time};

/// Where a VM's entries begin.
const INDENT: usize = 6;

/// The block of a VM that moves.
pub(super) fn moved(page: &mut Page<'_>, index: &Index<'_>, a_move: &Move, changes: &[&Change]) {
    let symbol = symbol(a_move.kind);
    page.line(4, 6, &[(Role::Heading, headline(a_move))]);
    page.sign(symbol.role, symbol.sign, &[plain(a_move.vm.as_str())]);
    differences(page, changes);
    page.entry(INDENT, "method", &[plain(method(a_move))]);
    let reboot = if a_move.reboots {
        (
            Role::Warning,
            "yes, the guest is shut down and started again".to_owned(),
        )
    } else {
        plain("no")
    };
    page.entry(INDENT, "reboot", &[reboot]);
    let width = a_move
        .disks
        .iter()
        .map(|disk| disk.target.as_str().len())
        .max();
    let mut label = "disks";
    for disk in &a_move.disks {
        let target = disk.target.as_str();
        page.columns(
            INDENT,
            &[(label, LABEL), (target, width.unwrap_or(0) + 1)],
            &placement(disk),
        );
        label = "";
    }
    page.entry(INDENT, "forecast", &[plain(forecast(a_move))]);
    if let Some(spans) = verdicts(index, &a_move.vm) {
        page.entry(INDENT, "findings", &spans);
    }
    if let Some(change) = &a_move.definition {
        page.entry(INDENT, "definition", &[]);
        diff::unified(page, INDENT + 2, &change.before, &change.after);
    }
}

/// The block of a VM that differs and is not moved.
pub(super) fn unmoved(
    page: &mut Page<'_>,
    vm: &VmName,
    symbol: Symbol,
    changes: &[&Change],
    because: &[&str],
    others_of_vm: &[Alternative],
) {
    let headline = if because.is_empty() {
        format!("# {vm} differs; nothing is done to it now")
    } else {
        format!("# {vm} stays as it is: {}", because.join(", "))
    };
    page.line(4, 6, &[(Role::Heading, headline)]);
    page.sign(symbol.role, symbol.sign, &[plain(vm.as_str())]);
    differences(page, changes);
    others(page, others_of_vm);
}

/// The most other hosts that are listed for one VM: those that would do come first.
const OTHERS_SHOWN: usize = 6;

/// Other hosts, each with how the VM could go there or why not.
fn others(page: &mut Page<'_>, all: &[Alternative]) {
    let mut sorted: Vec<&Alternative> = all.iter().collect();
    sorted.sort_by_key(|other| other.fits.is_none());
    let width = sorted
        .iter()
        .map(|other| other.host.as_str().len())
        .max()
        .unwrap_or(0);
    let mut label = "other hosts";
    for other in sorted.iter().take(OTHERS_SHOWN) {
        let verdict = match other.fits {
            Some(kind) => vec![
                (Role::Good, format!("would do, {}", word(kind))),
                (Role::Aside, format!("({})", other.why)),
            ],
            None => vec![plain("would not do:"), plain(other.why.as_str())],
        };
        let cells = [(label, LABEL), (other.host.as_str(), width + 1)];
        page.columns(INDENT, &cells, &verdict);
        label = "";
    }
    let left: Vec<_> = sorted.iter().skip(OTHERS_SHOWN).collect();
    if !left.is_empty() {
        let fit = left.iter().filter(|other| other.fits.is_some()).count();
        let text = format!(
            "and {} more, of which {fit} would do (`plan --json` lists all)",
            left.len()
        );
        page.columns(INDENT, &[("", LABEL)], &[(Role::Aside, text)]);
    }
}

pub(in crate::render) fn headline(a_move: &Move) -> String {
    let Move { vm, from, to, .. } = a_move;
    match a_move.kind {
        MoveKind::Live => format!("# {vm} will be migrated live from {from} to {to}"),
        MoveKind::Cold if a_move.reboots => {
            format!("# {vm} will be shut down, moved from {from} to {to} and started again")
        }
        MoveKind::Cold => format!("# {vm} will be moved cold from {from} to {to}"),
        MoveKind::Offline => format!("# {vm} will be moved from {from} to {to} and stays off"),
        MoveKind::DiskOnly if a_move.reboots => {
            format!("# {vm} will be shut down, get its disks moved on {from} and started again")
        }
        MoveKind::DiskOnly => format!("# {vm} stays on {from}, disks will be moved"),
        MoveKind::Finish if from == to => {
            format!("# {vm}: an earlier apply's move on {to} will be finished")
        }
        MoveKind::Finish => {
            format!("# {vm}: an earlier apply's move from {from} to {to} will be finished")
        }
    }
}

fn differences(page: &mut Page<'_>, changes: &[&Change]) {
    for change in changes {
        let (label, spans) = match &change.what {
            Difference::Host { is, wanted } => ("host", from_to(is.as_str(), wanted.as_str())),
            Difference::Pool { disk, is, wanted } => {
                let mut spans = vec![plain(format!("{disk}:"))];
                spans.extend(from_to(is.as_str(), wanted.as_str()));
                ("pool", spans)
            }
            Difference::Network { mac, is, wanted } => {
                let mut spans = vec![plain(format!("{mac}:"))];
                spans.extend(from_to(is, wanted));
                ("network", spans)
            }
            Difference::Unfinished { found } => {
                ("unfinished", vec![(Role::Warning, found.clone())])
            }
            Difference::InFlight { found } => ("in flight", vec![(Role::Warning, found.clone())]),
        };
        page.entry(INDENT, label, &spans);
    }
}

fn from_to(is: &str, wanted: &str) -> Vec<Span> {
    vec![
        plain(is),
        (Role::Aside, "->".to_owned()),
        (Role::Heading, wanted.to_owned()),
    ]
}

pub(in crate::render) fn word(kind: MoveKind) -> &'static str {
    match kind {
        MoveKind::Live => "live",
        MoveKind::Cold => "cold",
        MoveKind::Offline => "off",
        MoveKind::DiskOnly => "disks only",
        MoveKind::Finish => "finish",
    }
}

pub(in crate::render) fn method(a_move: &Move) -> String {
    let word = word(a_move.kind);
    if a_move.reason.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {}", a_move.reason)
    }
}

pub(in crate::render) fn forecast(a_move: &Move) -> String {
    let compacted = |disk: &DiskPlacement| matches!(disk.carry, Carry::Compact { .. });
    // What a compacted copy comes to is known only when it is made.
    let at_most = if a_move.disks.iter().any(compacted) {
        "at most "
    } else {
        ""
    };
    let bytes = format!("{at_most}{}", glued(&a_move.bytes));
    let downtime = match a_move.downtime.0 {
        0 => "no downtime".to_owned(),
        _ => format!("downtime {}", glued(&time(a_move.downtime))),
    };
    format!(
        "{bytes} to carry, {}, {downtime}",
        glued(&time(a_move.duration))
    )
}

/// Where a disk goes, and what of it is carried.
pub(in crate::render) fn placement(disk: &DiskPlacement) -> Vec<Span> {
    let place = |at: Option<&crate::model::VolumeRef>| {
        at.map_or_else(|| "no volume".to_owned(), ToString::to_string)
    };
    let from = place(disk.from.as_ref());
    let size = format!(
        "({}, {}, {} used)",
        disk.format,
        glued(&disk.capacity),
        glued(&disk.allocation)
    );
    let aside = |text: String| (Role::Aside, text);
    match &disk.carry {
        Carry::Stays => vec![
            plain("stays at"),
            plain(disk.to.as_ref().map_or(from, ToString::to_string)),
            aside(size),
        ],
        Carry::Media => {
            let path = disk
                .to_path
                .clone()
                .unwrap_or_else(|| "an empty drive".to_owned());
            vec![plain("not carried; at the destination:"), plain(path)]
        }
        Carry::Copy | Carry::Compact { .. } => {
            let to = place(disk.to.as_ref());
            let mut spans = vec![plain(from), aside("->".to_owned()), plain(to), aside(size)];
            let base = disk
                .below
                .map(|below| format!("with {} of its base", glued(&below)));
            let way = match &disk.carry {
                Carry::Compact { via: Some(via) } => Some(format!("compacted by way of {via}")),
                Carry::Compact { via: None } => Some("compacted".to_owned()),
                _ => None,
            };
            let told: Vec<String> = base.into_iter().chain(way).collect();
            spans.extend((!told.is_empty()).then(|| plain(told.join(", "))));
            spans
        }
        Carry::Thin { base_to, .. } => {
            let to = place(disk.to.as_ref());
            let base = format!("thin on {base_to}");
            vec![
                plain(from),
                aside("->".to_owned()),
                plain(to),
                aside(size),
                plain(base),
            ]
        }
    }
}

/// What findings say about the VM, by code; they stand in full below.
fn verdicts(index: &Index<'_>, vm: &VmName) -> Option<Vec<Span>> {
    let codes = index.codes(vm);
    let last = codes.len().checked_sub(1)?;
    let spans = codes.iter().enumerate().map(|(index, (grave, code))| {
        let (word, role) = severity(*grave);
        let comma = if index == last { "" } else { "," };
        (role, format!("{word} {code}{comma}"))
    });
    Some(spans.collect())
}
