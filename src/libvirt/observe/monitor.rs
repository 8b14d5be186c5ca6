//! What the QEMU of a running VM says, over its monitor: two calls for each VM that is asked.
//!
//! libvirt asks QEMU for its reasons not to migrate when a migration begins, and passes them on by refusing; it has no
//! call that only asks. `virDomainQemuMonitorCommand` reaches QEMU itself, and libvirt takes note of that: the VM is
//! tainted (`custom-monitor`) until it stops, whatever the command. So nobody is asked here unless the manifest says so,
//! and only these two queries, which change nothing, are sent.

use serde::Deserialize;
use virt::domain::Domain;

use super::questions::Questions;
use crate::libvirt::error::{CallError, one_line};
use crate::libvirt::qmp;
use crate::observed::QemuAnswer;

/// The program that runs, of whatever version is installed now.
const VERSION: &str = r#"{"execute":"query-version"}"#;
/// How migrations went, and what speaks against one (`blocked-reasons`, from QEMU 6.0 on).
const MIGRATION: &str = r#"{"execute":"query-migrate"}"#;

/// Asks the QEMU of a VM that runs and has no job.
pub(super) fn ask(questions: &Questions, domain: &Domain) -> QemuAnswer {
    let answer = |command: &str| questions.call(|_| domain.qemu_monitor_command(command, 0));
    let asked =
        || -> Result<(String, String), CallError> { Ok((answer(VERSION)?, answer(MIGRATION)?)) };
    match asked() {
        Ok((version, migration)) => read(&version, &migration).unwrap_or_else(|error| {
            QemuAnswer::Unknown(format!("its answer makes no sense: {error}"))
        }),
        Err(error) => QemuAnswer::Unknown(error.message),
    }
}

#[derive(Deserialize)]
struct Version {
    qemu: Triple,
}

#[derive(Deserialize)]
struct Triple {
    major: u32,
    minor: u32,
    micro: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Migration {
    #[serde(default)]
    blocked_reasons: Vec<String>,
}

fn read(version: &str, migration: &str) -> Result<QemuAnswer, serde_json::Error> {
    let Triple {
        major,
        minor,
        micro,
    } = qmp::told::<Version>(version)?.qemu;
    let blockers: Migration = qmp::told(migration)?;
    Ok(QemuAnswer::Answered {
        version: u64::from(major) * 1_000_000 + u64::from(minor) * 1000 + u64::from(micro),
        blockers: blockers
            .blocked_reasons
            .iter()
            .map(|reason| one_line(reason))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU 10.0 on Debian says it.
    const TEN: &str = r#"{"return":{"qemu":{"micro":2,"minor":0,"major":10},"package":"Debian 1:10.0.2+ds-2"},"id":"libvirt-390"}"#;

    #[test]
    fn version_and_reasons_are_read() {
        let blocked = r#"{"return":{"blocked-reasons":["Device 'ivshmem' cannot\nbe migrated"]},"id":"libvirt-391"}"#;
        let answered = |blockers| QemuAnswer::Answered {
            version: 10_000_002,
            blockers,
        };
        let one = vec!["Device 'ivshmem' cannot be migrated".to_owned()];
        assert_eq!(read(TEN, blocked).unwrap(), answered(one));
        let free = r#"{"return":{},"id":"libvirt-391"}"#;
        assert_eq!(read(TEN, free).unwrap(), answered(vec![]));
    }

    #[test]
    fn an_error_is_no_answer() {
        let error = r#"{"id":"libvirt-1","error":{"class":"CommandNotFound","desc":"The command query-migrate has not been found"}}"#;
        assert!(read(TEN, error).is_err());
    }
}
