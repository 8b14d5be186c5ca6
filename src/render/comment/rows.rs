//! The tables: what moves, and what differs and does not move.

use std::collections::{BTreeMap, BTreeSet};

use super::markdown::{code, prose, shorten};
use super::part::Part;
use crate::model::{Bytes, VmName};
use crate::plan::{Carry, Change, Difference, DiskPlacement, Move, MoveKind, Plan, Severity};
use crate::render::index::Index;
use crate::render::text::{time, word};

/// The most characters of a name.
pub(super) const NAME: usize = 64;
/// The most characters of a reason.
const REASON: usize = 160;
/// The most disks of one VM.
const DISKS: usize = 6;
/// The most codes of one VM.
const CODES: usize = 8;

fn name(text: impl AsRef<str>) -> String {
    code(&shorten(text.as_ref(), NAME))
}

/// The table of moves, those that reboot a guest or have a risk first.
pub(super) fn moves(plan: &Plan, index: &Index<'_>) -> Part {
    let mut moves: Vec<&Move> = plan.moves.iter().collect();
    moves.sort_by_key(|a_move| {
        let grave = index
            .codes(&a_move.vm)
            .first()
            .map(|(severity, _)| *severity);
        (!a_move.reboots, grave.unwrap_or(Severity::Note))
    });
    Part {
        head: "### Moves\n\n| VM | from | to | method | disks | bytes | downtime | findings |\n|---|---|---|---|---|--:|--:|---|\n".to_owned(),
        rows: moves.into_iter().map(|a_move| row(a_move, index)).collect(),
        tail: "\n".to_owned(),
        what: "moves",
        share: 55,
    }
}

fn row(a_move: &Move, index: &Index<'_>) -> String {
    let how = method(a_move.kind, a_move.reboots);
    let why = prose(&shorten(&a_move.reason, REASON));
    let how = if why.is_empty() {
        how
    } else {
        format!("{how}: {why}")
    };
    let downtime = match a_move.downtime.0 {
        0 => "–".to_owned(),
        _ => time(a_move.downtime),
    };
    format!(
        "| {} | {} | {} | {how} | {} | {} | {downtime} | {} |\n",
        name(a_move.vm.as_str()),
        name(a_move.from.as_str()),
        name(a_move.to.as_str()),
        disks(&a_move.disks),
        amount(a_move.bytes),
        codes(&index.codes(&a_move.vm)),
    )
}

/// The disks that are carried, each with the pools; how many stay where they are.
fn disks(all: &[DiskPlacement]) -> String {
    let carried: Vec<&DiskPlacement> = all.iter().filter(|disk| disk.carry.is_copied()).collect();
    let mut cells: Vec<String> = carried.iter().take(DISKS).map(|disk| one(disk)).collect();
    if carried.len() > DISKS {
        cells.push(format!("and {} more", carried.len() - DISKS));
    }
    if cells.is_empty() {
        return "–".to_owned();
    }
    cells.join("<br>")
}

fn one(disk: &DiskPlacement) -> String {
    let pool = |at: Option<&crate::model::VolumeRef>| {
        at.map_or_else(|| "–".to_owned(), |at| name(at.pool.as_str()))
    };
    let (from, to) = (pool(disk.from.as_ref()), pool(disk.to.as_ref()));
    let place = if from == to {
        from
    } else {
        format!("{from} → {to}")
    };
    let how = match disk.carry {
        Carry::Thin { .. } => ", thin",
        _ if disk.is_flattened() => ", flattened",
        Carry::Compact { .. } => ", compacted",
        _ => "",
    };
    format!("{} {place}{how}", name(disk.target.as_str()))
}

fn codes(codes: &[(Severity, &str)]) -> String {
    let grave = |severity| crate::render::style::severity(severity).0;
    let mut cells: Vec<String> = codes
        .iter()
        .take(CODES)
        .map(|(severity, code)| format!("{} {}", grave(*severity), name(code)))
        .collect();
    if codes.len() > CODES {
        cells.push(format!("and {} more", codes.len() - CODES));
    }
    if cells.is_empty() {
        return "–".to_owned();
    }
    cells.join("<br>")
}

/// The table of VMs that differ and are not moved, refused ones first.
pub(super) fn unmoved(plan: &Plan, index: &Index<'_>) -> Part {
    let moved: BTreeSet<&VmName> = plan.moves.iter().map(|a_move| &a_move.vm).collect();
    let mut changes: BTreeMap<&VmName, Vec<&Change>> = BTreeMap::new();
    for change in plan
        .changes
        .iter()
        .filter(|change| !moved.contains(&change.vm))
    {
        changes.entry(&change.vm).or_default().push(change);
    }
    let mut rows: Vec<(bool, String)> = changes
        .into_iter()
        .map(|(vm, changes)| {
            let because = index.refusals(vm);
            let verdict = if because.is_empty() {
                "nothing is done now".to_owned()
            } else {
                let names = because.iter().take(CODES).map(name);
                format!("❌ {}", names.collect::<Vec<_>>().join(", "))
            };
            let wanted = changes
                .iter()
                .take(DISKS)
                .map(|change| difference(&change.what));
            let wanted = wanted.collect::<Vec<_>>().join("<br>");
            let row = format!("| {} | {wanted} | {verdict} |\n", name(vm.as_str()));
            (because.is_empty(), row)
        })
        .collect();
    rows.sort_by_key(|(later, _)| *later);
    Part {
        head: "### Not moved\n\n| VM | what differs | why |\n|---|---|---|\n".to_owned(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        tail: "\n".to_owned(),
        what: "VMs that are not moved",
        share: 40,
    }
}

fn difference(what: &Difference) -> String {
    match what {
        Difference::Host { is, wanted } => {
            format!("host {} → {}", name(is.as_str()), name(wanted.as_str()))
        }
        Difference::Pool { disk, is, wanted } => format!(
            "pool of {} {} → {}",
            name(disk.as_str()),
            name(is.as_str()),
            name(wanted.as_str())
        ),
        Difference::Network { mac, is, wanted } => {
            format!(
                "network of {} {} → {}",
                name(mac.as_str()),
                name(is),
                name(wanted)
            )
        }
        Difference::Unfinished { found } => {
            format!("unfinished: {}", prose(&shorten(found, REASON)))
        }
        Difference::InFlight { found } => {
            format!("in flight: {}", prose(&shorten(found, REASON)))
        }
    }
}

/// A figure of bytes, or a dash.
fn amount(bytes: Bytes) -> String {
    if bytes == Bytes::ZERO {
        "–".to_owned()
    } else {
        bytes.to_string()
    }
}

/// How a VM moves, in a word or two.
fn method(kind: MoveKind, reboots: bool) -> String {
    let how = word(kind);
    if reboots {
        format!("⚠️ {how}, reboots")
    } else {
        how.to_owned()
    }
}
