//! Forecasts. They rest on what was read and on the manifest's rate; a forecast never decides what is done.

use crate::model::{Bytes, BytesPerSecond, Calibration, Millis};
use crate::plan::{Action, Carrying, DiskPlacement, Forecast};

use super::intent::Intent;
use super::limits;
use super::place::copied_bytes;
use super::precopy::{self, Guest};

/// A call or a few of them.
const CALLS: Millis = Millis(100);
/// Setting up and ending a migration.
const MIGRATION_OVERHEAD: Millis = Millis(1500);
/// A guest's way from the request to its end.
const SHUTDOWN: Millis = Millis::from_secs(15);
/// From the start to a guest that runs; its own boot is not counted, nobody can see it from outside.
const START: Millis = Millis::from_secs(1);

/// Nobody waits for longer, two years, so no forecast says so, and no sum of forecasts is beyond all numbers.
const LONGEST: Millis = Millis::from_secs(63_072_000);

/// The rate at which an act of this move carries bytes.
fn rate(intent: &Intent<'_>, action: &Action) -> BytesPerSecond {
    limits::rate(intent, action).unwrap_or_else(|| intent.settings.rate())
}

fn carried(intent: &Intent<'_>, action: &Action, bytes: Bytes, overhead: Millis) -> Forecast {
    let duration = rate(intent, action).time_for(bytes).plus(overhead);
    Forecast {
        duration,
        bytes,
        downtime: Millis::ZERO,
    }
}

/// What a guest is taken to occupy of its memory, by what its QEMU was seen to. It is different at every look, and what
/// takes how long decides which of several orders is the shortest; so it is rounded up to an eighth of the memory, and
/// the plan of the next look is mostly this one.
fn occupied(memory: Bytes, seen: Bytes) -> Bytes {
    let eighth = memory.0.div_ceil(8).max(1);
    Bytes(seen.0.div_ceil(eighth).saturating_mul(eighth)).min(memory)
}

/// What a live migration carries of the guest's memory. Where its passes get no shorter, they go on until the first
/// rung of `on_stall`, and whatever that is, all of the memory is carried once more.
fn memory_carried(intent: &Intent<'_>, rate: BytesPerSecond) -> Bytes {
    let detail = intent.detail;
    // Huge pages are not among what a process occupies.
    let seen = detail.resident.filter(|_| detail.needs.hugepages.is_none());
    let memory = intent.vm.memory;
    let guest = Guest {
        memory: seen.map_or(memory, |seen| occupied(memory, seen)),
        dirtied: detail.dirty_rate,
    };
    let settings = &intent.settings;
    let sent = precopy::carried(guest, rate, settings.max_downtime);
    sent.unwrap_or_else(|| {
        let until_stall = rate.in_time(settings.stall_after);
        until_stall.max(guest.memory).plus(guest.memory)
    })
}

/// What a step of this move will take, by what is reckoned and by what earlier applies teach.
pub(super) fn forecast(intent: &Intent<'_>, action: &Action, size: Bytes) -> Forecast {
    let reckoned = reckoned(intent, action, size);
    let calibration = &intent.way.desired.calibration;
    let Some(carrying) = Carrying::of(action) else {
        return reckoned;
    };
    let thousandths = carrying.thousandths(calibration);
    Forecast {
        duration: Calibration::corrected(thousandths, reckoned.duration).min(LONGEST),
        downtime: Calibration::corrected(calibration.downtime, reckoned.downtime).min(LONGEST),
        ..reckoned
    }
}

/// What a step of this move would take by what is known of it. `size` is what a copy of one volume carries.
fn reckoned(intent: &Intent<'_>, action: &Action, size: Bytes) -> Forecast {
    let calls = Forecast {
        duration: CALLS,
        ..Forecast::default()
    };
    match action {
        Action::MigrateLive { .. } => {
            let memory = memory_carried(intent, rate(intent, action));
            let bytes = memory.plus(copied_bytes(&intent.disks));
            let downtime = intent.settings.max_downtime;
            Forecast {
                downtime,
                ..carried(intent, action, bytes, MIGRATION_OVERHEAD)
            }
        }
        Action::MigratePaused { .. } => carried(
            intent,
            action,
            copied_bytes(&intent.disks),
            MIGRATION_OVERHEAD,
        ),
        Action::CopyVolume { .. } | Action::BlockCopy { .. } => {
            carried(intent, action, size, CALLS)
        }
        // On one host, and what is carried of it is counted when it is.
        Action::CompactVolume { spec, .. } => {
            let passing = |disk: &DiskPlacement| disk.carry.via() == Some(&spec.at);
            let written = carried(intent, action, size, CALLS);
            let counts = !intent.disks.iter().any(passing);
            Forecast {
                bytes: if counts { size } else { Bytes::ZERO },
                ..written
            }
        }
        // Both ends are read through this process.
        Action::VerifyVolume { .. } => {
            let read = carried(intent, action, size.plus(size), CALLS);
            Forecast {
                bytes: Bytes::ZERO,
                ..read
            }
        }
        Action::ShutDown { .. } => Forecast {
            duration: SHUTDOWN,
            ..Forecast::default()
        },
        Action::Start { .. } => Forecast {
            duration: START,
            ..Forecast::default()
        },
        Action::Mark { .. }
        | Action::Unmark { .. }
        | Action::CreateVolume { .. }
        | Action::DeleteVolume { .. }
        | Action::Define { .. }
        | Action::Redefine { .. }
        | Action::Undefine { .. }
        | Action::Resume { .. }
        | Action::Destroy { .. }
        | Action::AwaitMigration { .. } => calls,
    }
}
