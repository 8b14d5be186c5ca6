//! A plan in one line.

use crate::model::{Bytes, Calibration};
use crate::plan::Plan;

use super::time;

/// The closing line: `Plan: 3 to migrate live, 1 cold (1 reboot), 2 disks to move, 34.1 GiB, about 2m 10s; no order
/// could be faster than 2m 1s (1.07).`
#[must_use]
pub fn totals(plan: &Plan) -> String {
    let totals = plan.totals();
    let refused = match totals.blocked {
        0 if plan.is_blocked() => " Something is refused, see the findings.".to_owned(),
        0 => String::new(),
        count => format!(
            " {count} {} refused, see the findings.",
            word(count, "VM is", "VMs are")
        ),
    };
    if plan.is_empty() && !plan.is_blocked() {
        return "No changes. Everything that the manifest names is where it shall be.".to_owned();
    }
    if plan.steps.is_empty() {
        return format!("Plan: nothing to do now.{refused}");
    }
    let reboots = match totals.reboots {
        0 => String::new(),
        count => format!(" ({count} {})", word(count, "reboot", "reboots")),
    };
    let mut parts = Vec::new();
    let mut part = |count: usize, text: String| {
        if count > 0 {
            parts.push(text);
        }
    };
    part(totals.live, format!("{} to migrate live", totals.live));
    part(
        totals.detours,
        format!("{} of them by way of another host", totals.detours),
    );
    part(totals.cold, format!("{} cold{reboots}", totals.cold));
    part(totals.offline, format!("{} off", totals.offline));
    part(
        totals.disk_only,
        format!("{} on the same host", totals.disk_only),
    );
    part(totals.finish, format!("{} to finish", totals.finish));
    part(
        totals.disks,
        format!(
            "{} {} to move",
            totals.disks,
            word(totals.disks, "disk", "disks")
        ),
    );
    if totals.cold == 0 && totals.reboots > 0 {
        parts.push(format!(
            "{} {}",
            totals.reboots,
            word(totals.reboots, "reboot", "reboots")
        ));
    }
    if totals.bytes > Bytes::ZERO {
        parts.push(format!("{} to carry", totals.bytes));
    }
    parts.push(format!("about {}", time(plan.makespan)));
    let corrected = corrected(plan);
    format!(
        "Plan: {}; {}.{corrected}{refused}",
        parts.join(", "),
        bound(plan)
    )
}

/// By how much earlier applies have corrected the forecasts; nothing where they have not.
fn corrected(plan: &Plan) -> String {
    let Calibration {
        live,
        copy,
        downtime,
    } = plan.calibration;
    let factors = [
        ("live migrations", live),
        ("copies", copy),
        ("downtimes", downtime),
    ];
    let percent = |thousandths: u32| thousandths.saturating_add(5) / 10;
    let told: Vec<String> = factors
        .into_iter()
        .filter(|(_, thousandths)| percent(*thousandths) != 100)
        .map(|(what, thousandths)| format!("{what} {} %", percent(thousandths)))
        .collect();
    if told.is_empty() {
        return String::new();
    }
    let told = told.join(", ");
    format!(" Forecasts are corrected by earlier applies: {told} of the time reckoned.")
}

/// How near the plan is to what no order could undercut.
fn bound(plan: &Plan) -> String {
    // Less than half a percent above is nothing that anybody would change an order for.
    let ratio = plan.ratio();
    if ratio < 1.005 {
        return "no order of these steps is faster".to_owned();
    }
    let least = time(plan.bound.time);
    format!("no order of these steps is faster than {least} ({ratio:.2})")
}

/// The line with the plan's hash; nothing where there is nothing to do or to refuse.
#[must_use]
pub fn hash(plan: &Plan) -> String {
    if plan.is_empty() && !plan.is_blocked() {
        String::new()
    } else {
        format!("Hash: {}\n", plan.hash())
    }
}

fn word<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}
