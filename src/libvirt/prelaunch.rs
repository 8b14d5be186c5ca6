//! Whether a VM that stands still has executed anything, as its QEMU tells.
//!
//! Who dies while a VM is being started paused has no chance to note why it stands still: the daemon starts it all the
//! same, and to libvirt it is paused like one that a person has paused. QEMU knows better. libvirt always starts it with
//! its processors halted, and it is in the state `prelaunch` until they first run (QEMU's `qapi/run-state.json`);
//! afterwards only a reset leads back there, and that has thrown away whatever the guest had in memory.
//!
//! `virDomainQemuMonitorCommand` taints the VM (`custom-monitor`), so nobody is asked but who is ended for that answer.

use serde::Deserialize;

use super::domain::Guest;
use super::failure::Failure;
use super::qmp;

/// What QEMU does, without changing anything.
const STATUS: &str = r#"{"execute":"query-status"}"#;

#[derive(Deserialize)]
struct Status {
    running: bool,
    status: String,
}

/// Whether its guest has executed nothing since QEMU was started or reset.
pub(super) fn never_ran(guest: &Guest) -> Result<bool, Failure> {
    let answer = guest.call(|domain| domain.qemu_monitor_command(STATUS, 0))?;
    Ok(is_prelaunch(&answer))
}

/// An answer that makes no sense proves nothing.
fn is_prelaunch(answer: &str) -> bool {
    qmp::told::<Status>(answer).is_ok_and(|told| !told.running && told.status == "prelaunch")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU 10.0 and 7.2 say it.
    #[test]
    fn only_one_that_waits_to_be_started_has_never_run() {
        let says = |status: &str, running: bool| {
            is_prelaunch(&format!(
                r#"{{"return":{{"status":"{status}","running":{running}}},"id":"libvirt-21"}}"#
            ))
        };
        assert!(says("prelaunch", false));
        for status in ["paused", "postmigrate", "inmigrate", "io-error", "running"] {
            assert!(!says(status, false), "{status}");
        }
        assert!(!says("prelaunch", true));
    }

    #[test]
    fn an_error_proves_nothing() {
        let error = r#"{"id":"libvirt-21","error":{"class":"GenericError","desc":"no"}}"#;
        assert!(!is_prelaunch(error));
        assert!(!is_prelaunch(""));
    }
}
