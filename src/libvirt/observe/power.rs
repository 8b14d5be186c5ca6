//! libvirt's numbers for a domain's state and reason to [`PowerState`].

use virt_sys as sys;

use crate::model::{PowerState, RunState};

/// The state and its reason, in the words of libvirt's own constants.
pub(super) fn power(state: u32, reason: u32) -> PowerState {
    let (state, words) = match state {
        sys::VIR_DOMAIN_PAUSED => (RunState::Paused, paused(reason)),
        sys::VIR_DOMAIN_SHUTOFF => (RunState::ShutOff, shut_off(reason)),
        sys::VIR_DOMAIN_CRASHED => (RunState::Crashed, "panicked"),
        sys::VIR_DOMAIN_PMSUSPENDED => (RunState::Paused, "power management"),
        sys::VIR_DOMAIN_RUNNING => (RunState::Running, running(reason)),
        sys::VIR_DOMAIN_BLOCKED => (RunState::Running, "blocked"),
        sys::VIR_DOMAIN_SHUTDOWN => (RunState::Running, "shutting down"),
        // No state, or one of a later libvirt: whatever it is, it is there.
        _ => (RunState::Running, "unknown"),
    };
    PowerState {
        state,
        reason: words.into(),
    }
}

fn running(reason: u32) -> &'static str {
    match reason {
        sys::VIR_DOMAIN_RUNNING_BOOTED => "booted",
        sys::VIR_DOMAIN_RUNNING_MIGRATED => "migrated",
        sys::VIR_DOMAIN_RUNNING_RESTORED => "restored",
        sys::VIR_DOMAIN_RUNNING_FROM_SNAPSHOT => "from snapshot",
        sys::VIR_DOMAIN_RUNNING_UNPAUSED => "unpaused",
        sys::VIR_DOMAIN_RUNNING_MIGRATION_CANCELED => "migration canceled",
        sys::VIR_DOMAIN_RUNNING_SAVE_CANCELED => "save canceled",
        sys::VIR_DOMAIN_RUNNING_WAKEUP => "wakeup",
        sys::VIR_DOMAIN_RUNNING_CRASHED => "crashed",
        sys::VIR_DOMAIN_RUNNING_POSTCOPY => "post-copy",
        sys::VIR_DOMAIN_RUNNING_POSTCOPY_FAILED => "post-copy failed",
        _ => "unknown",
    }
}

fn paused(reason: u32) -> &'static str {
    match reason {
        sys::VIR_DOMAIN_PAUSED_USER => "user",
        sys::VIR_DOMAIN_PAUSED_MIGRATION => "migration",
        sys::VIR_DOMAIN_PAUSED_SAVE => "save",
        sys::VIR_DOMAIN_PAUSED_DUMP => "dump",
        sys::VIR_DOMAIN_PAUSED_IOERROR => "I/O error",
        sys::VIR_DOMAIN_PAUSED_WATCHDOG => "watchdog",
        sys::VIR_DOMAIN_PAUSED_FROM_SNAPSHOT => "from snapshot",
        sys::VIR_DOMAIN_PAUSED_SHUTTING_DOWN => "shutting down",
        sys::VIR_DOMAIN_PAUSED_SNAPSHOT => "snapshot",
        sys::VIR_DOMAIN_PAUSED_CRASHED => "crashed",
        sys::VIR_DOMAIN_PAUSED_STARTING_UP => "starting up",
        sys::VIR_DOMAIN_PAUSED_POSTCOPY => "post-copy",
        sys::VIR_DOMAIN_PAUSED_POSTCOPY_FAILED => "post-copy failed",
        _ => "unknown",
    }
}

fn shut_off(reason: u32) -> &'static str {
    match reason {
        sys::VIR_DOMAIN_SHUTOFF_SHUTDOWN => "shutdown",
        sys::VIR_DOMAIN_SHUTOFF_DESTROYED => "destroyed",
        sys::VIR_DOMAIN_SHUTOFF_CRASHED => "crashed",
        sys::VIR_DOMAIN_SHUTOFF_MIGRATED => "migrated",
        sys::VIR_DOMAIN_SHUTOFF_SAVED => "saved",
        sys::VIR_DOMAIN_SHUTOFF_FAILED => "failed",
        sys::VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT => "from snapshot",
        sys::VIR_DOMAIN_SHUTOFF_DAEMON => "daemon",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broken_migration_leaves_is_told_apart() {
        let words = |state, reason| power(state, reason).in_words();
        assert_eq!(words(3, 2), "paused, migration");
        assert_eq!(words(3, 13), "paused, post-copy failed");
        assert_eq!(words(1, 11), "running, post-copy failed");
        assert_eq!(words(5, 4), "off, migrated");
    }

    #[test]
    fn only_a_vm_that_is_off_counts_as_not_active() {
        for state in 0..20 {
            let active = power(state, 0).is_active();
            assert_eq!(active, state != sys::VIR_DOMAIN_SHUTOFF, "{state}");
        }
    }
}
