//! From what both hosts tell of a VM with a mark to the one decided way out. A pure table, and nothing else.
//!
//! What stands first counts. `—` is a host that does not have the VM; "stands still" is a guest that is paused, by a
//! person or by itself; "by migration" is one that libvirt has paused at the end of a migration, or that waits for one;
//! "ending" is one whose QEMU is about to be gone and executes nothing any more, as after a migration (libvirt's
//! `qemuProcessHandleShutdown`).
//!
//! | source | destination | job | way out |
//! |---|---|---|---|
//! | torn by a broken post-copy, or the destination is | any | any | stop: ending either side loses the VM |
//! | active | by migration, running, or in post-copy | migration | await it, then forward |
//! | any | any | migration | stop: it is not the one that the mark tells of, or between two states |
//! | any | any | another | stop until it is over |
//! | crashed, or the destination is | any | none | stop: a person looks at what it holds |
//! | in post-copy, or the destination is | any | none | stop: it is between two states |
//! | ending, or the destination is | any | none | stop: it is between two states |
//! | by migration | by migration | none | stop: it is between two states, for the guest goes on at the destination next |
//! | by migration | running | none | forward; what is left at the source ends first, and never runs again |
//! | running | by migration | none | back; what waits at the destination never ran, and ends first |
//! | active | active | none | stop: it may run twice |
//! | active | — or off | none | back; one that is paused by migration runs again first |
//! | — or off | running, or paused by a person | none | forward |
//! | — or off | by migration, or stands still by itself | none | stop: whether it is whole there nobody can tell |
//! | off | off, carried cold, copies not known to be complete | none | back |
//! | off | off, migrated live | none | stop: the destination's definition is written when a migration ends, so it may have run there last |
//! | off | — | none | back |
//! | off | off, copies complete | none | forward |
//! | — | off | none | forward |
//! | — | — | none | stop: it is gone |
//!
//! Back is: what was made at the destination goes, and the move begins again. Forward is: the VM runs at the
//! destination where it ran before, and the source's definition and volumes go. Copies are known to be complete when the
//! mark at the destination says so, or when the source does not have the VM: libvirt removes it there only after the
//! destination has taken over.

use crate::model::{JobKind, RunState};
use crate::observed::Vm;

/// A VM on one host, as far as the way out depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The host does not have it.
    Absent,
    Off,
    Running,
    /// Paused by the end of a migration, or waiting for one.
    ByMigration,
    /// Its QEMU is about to be gone.
    Ending,
    /// Paused by a person.
    ByUser,
    /// Paused for another reason: an I/O error, a watchdog, power management.
    Still,
    /// One side of a post-copy migration that goes well.
    PostCopy,
    /// One side of a post-copy migration that broke.
    Torn,
    Crashed,
}

impl Side {
    pub(super) fn of(vm: Option<&Vm>) -> Self {
        let Some(vm) = vm else { return Self::Absent };
        match (vm.power.state, vm.power.reason.as_str()) {
            (RunState::Running | RunState::Paused, "post-copy failed") => Self::Torn,
            (RunState::Running | RunState::Paused, "post-copy") => Self::PostCopy,
            (RunState::Running | RunState::Paused, "shutting down") => Self::Ending,
            (RunState::Running, _) => Self::Running,
            (RunState::ShutOff, _) => Self::Off,
            (RunState::Crashed, _) => Self::Crashed,
            (RunState::Paused, "migration" | "starting up") => Self::ByMigration,
            (RunState::Paused, "user") => Self::ByUser,
            (RunState::Paused, _) => Self::Still,
        }
    }

    fn is_active(self) -> bool {
        !matches!(self, Self::Absent | Self::Off)
    }
}

/// What libvirt is doing with the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    None,
    Migration,
    Other,
}

impl Job {
    pub(super) fn of(here: Option<&Vm>, there: Option<&Vm>) -> Self {
        let job = |vm: Option<&Vm>| vm.and_then(|vm| vm.detail.as_ref()?.job);
        match (job(here), job(there)) {
            (Some(JobKind::MigrationOut), _) | (_, Some(JobKind::MigrationIn)) => Self::Migration,
            // While the destination's QEMU starts, no job there has a kind yet.
            (None, Some(_)) if Side::of(there) == Side::ByMigration => Self::Migration,
            (None, None) => Self::None,
            _ => Self::Other,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WayOut {
    /// Its migration is ours and under way: await it, then forward.
    Await,
    Forward {
        /// Whether the instance at the source must end before.
        ends_source: bool,
    },
    Back {
        /// Whether the instance at the destination, which waits for a migration that is over, must end before.
        ends_destination: bool,
        /// Whether the instance at the source was paused by the migration and must run again.
        resumes: bool,
    },
    /// Nothing is done: a person must look, or time must pass.
    Stop(Why),
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its memory lies on two hosts.
    Torn,
    /// A migration runs that is not the one of the mark.
    Strange,
    /// A job runs that is no migration.
    Busy,
    Crashed,
    /// libvirt is between two of its steps.
    Between,
    /// It may run on both.
    Twice,
    /// It is only at the destination, where nobody can tell whether it is whole.
    Unsure,
    /// It is off on both, and either may have run last.
    Either,
    /// Neither host has it.
    Gone,
}

/// What is known of the copies at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// The mark there says that every one is proven.
    Complete,
    /// They were carried cold, and no mark says that they are complete.
    Incomplete,
    /// A live migration has brought them. libvirt writes the definition there when it ends, before the guest goes on,
    /// and takes the source's away after that.
    Live,
}

/// The way out of a state.
pub(super) fn way_out(here: Side, there: Side, copies: Copies, job: Job) -> WayOut {
    use Side::{Absent, ByMigration, ByUser, Crashed, Ending, Off, PostCopy, Running, Still, Torn};
    let back = |ends_destination| WayOut::Back {
        ends_destination,
        resumes: here == ByMigration,
    };
    let forward = |ends_source| WayOut::Forward { ends_source };
    match (here, there) {
        (Torn, _) | (_, Torn) => WayOut::Stop(Why::Torn),
        (here, ByMigration | Running | PostCopy) if job == Job::Migration && here.is_active() => {
            WayOut::Await
        }
        (here, there) if job == Job::Migration && here.is_active() && !there.is_active() => {
            WayOut::Stop(Why::Strange)
        }
        _ if job == Job::Migration => WayOut::Stop(Why::Between),
        _ if job == Job::Other => WayOut::Stop(Why::Busy),
        (Crashed, _) | (_, Crashed) => WayOut::Stop(Why::Crashed),
        (PostCopy | Ending, _) | (_, PostCopy | Ending) | (ByMigration, ByMigration) => {
            WayOut::Stop(Why::Between)
        }
        (ByMigration, Running) => forward(true),
        (Running, ByMigration) => back(true),
        (here, there) if here.is_active() && there.is_active() => WayOut::Stop(Why::Twice),
        (here, _) if here.is_active() => back(false),
        (_, Running | ByUser) | (Absent, Off) => forward(false),
        (_, ByMigration | Still) => WayOut::Stop(Why::Unsure),
        (Off, Off) if copies == Copies::Complete => forward(false),
        (Off, Off) if copies == Copies::Live => WayOut::Stop(Why::Either),
        (Absent, Absent) => WayOut::Stop(Why::Gone),
        // Sides that are active were taken above.
        (Off | Running | ByMigration | ByUser | Still, Absent | Off) => back(false),
    }
}

#[cfg(test)]
mod tests {
    use super::Side::{
        Absent, ByMigration, ByUser, Crashed, Ending, Off, PostCopy, Running, Still, Torn,
    };
    use super::*;

    const ALL: [Side; 10] = [
        Absent,
        Off,
        Running,
        ByMigration,
        Ending,
        ByUser,
        Still,
        PostCopy,
        Torn,
        Crashed,
    ];
    const FORWARD: WayOut = WayOut::Forward { ends_source: false };
    const BACK: WayOut = WayOut::Back {
        ends_destination: false,
        resumes: false,
    };

    /// Every pair, complete or not, with each kind of job.
    fn each(mut see: impl FnMut(Side, Side, Copies, Job, WayOut)) {
        for here in ALL {
            for there in ALL {
                for copies in [Copies::Complete, Copies::Incomplete, Copies::Live] {
                    for job in [Job::None, Job::Migration, Job::Other] {
                        see(here, there, copies, job, way_out(here, there, copies, job));
                    }
                }
            }
        }
    }

    fn idle(here: Side, there: Side) -> WayOut {
        way_out(here, there, Copies::Incomplete, Job::None)
    }

    #[test]
    fn a_broken_post_copy_is_never_touched() {
        each(|here, there, _, _, way| {
            if here == Torn || there == Torn {
                assert_eq!(way, WayOut::Stop(Why::Torn), "{here:?} {there:?}");
            }
        });
    }

    #[test]
    fn a_migration_of_ours_is_joined() {
        for here in [Running, ByMigration, ByUser, PostCopy] {
            for there in [ByMigration, Running, PostCopy] {
                assert_eq!(
                    way_out(here, there, Copies::Live, Job::Migration),
                    WayOut::Await
                );
            }
        }
    }

    #[test]
    fn a_migration_of_which_the_destination_shows_nothing_is_not_taken_for_ours() {
        for there in [Absent, Off] {
            let way = way_out(Running, there, Copies::Live, Job::Migration);
            assert_eq!(way, WayOut::Stop(Why::Strange));
        }
    }

    #[test]
    fn a_migration_that_has_left_the_source_is_between_two_states() {
        for here in [Absent, Off] {
            let way = way_out(here, ByMigration, Copies::Live, Job::Migration);
            assert_eq!(way, WayOut::Stop(Why::Between));
        }
        assert_eq!(idle(PostCopy, PostCopy), WayOut::Stop(Why::Between));
        assert_eq!(idle(Absent, PostCopy), WayOut::Stop(Why::Between));
    }

    #[test]
    fn a_guest_that_stands_still_on_both_hosts_for_its_migration_is_between_two_states() {
        assert_eq!(idle(ByMigration, ByMigration), WayOut::Stop(Why::Between));
    }

    #[test]
    fn what_is_about_to_be_gone_is_neither_twice_nor_alone() {
        let graver = [Torn, Crashed];
        for other in ALL.into_iter().filter(|side| !graver.contains(side)) {
            assert_eq!(idle(Ending, other), WayOut::Stop(Why::Between));
            assert_eq!(idle(other, Ending), WayOut::Stop(Why::Between));
        }
    }

    #[test]
    fn another_job_is_waited_for() {
        each(|here, there, _, job, way| {
            if job == Job::Other && here != Torn && there != Torn {
                assert_eq!(way, WayOut::Stop(Why::Busy), "{here:?} {there:?}");
            }
        });
    }

    #[test]
    fn a_crashed_guest_is_left_for_a_person() {
        for other in [Absent, Off, Running, ByMigration, ByUser, Still, Crashed] {
            assert_eq!(idle(Crashed, other), WayOut::Stop(Why::Crashed));
            assert_eq!(idle(other, Crashed), WayOut::Stop(Why::Crashed));
        }
    }

    #[test]
    fn a_confirmation_that_was_lost_ends_what_is_left_at_the_source() {
        let ends_source = WayOut::Forward { ends_source: true };
        assert_eq!(idle(ByMigration, Running), ends_source);
    }

    #[test]
    fn what_waits_for_a_migration_that_is_over_ends_at_the_destination() {
        let ends_destination = WayOut::Back {
            ends_destination: true,
            resumes: false,
        };
        assert_eq!(idle(Running, ByMigration), ends_destination);
    }

    #[test]
    fn a_vm_that_may_run_twice_stops_everything() {
        for here in [Running, ByUser, Still] {
            for there in [Running, ByUser, Still] {
                assert_eq!(idle(here, there), WayOut::Stop(Why::Twice));
            }
        }
        for (here, there) in [(ByMigration, ByUser), (ByUser, ByMigration)] {
            assert_eq!(idle(here, there), WayOut::Stop(Why::Twice));
        }
    }

    #[test]
    fn a_source_that_is_active_alone_begins_again() {
        for there in [Absent, Off] {
            for here in [Running, ByUser, Still] {
                assert_eq!(idle(here, there), BACK);
            }
            let resumes = WayOut::Back {
                ends_destination: false,
                resumes: true,
            };
            assert_eq!(idle(ByMigration, there), resumes);
        }
    }

    #[test]
    fn a_destination_that_is_active_alone_goes_forward_only_where_it_is_whole() {
        for here in [Absent, Off] {
            assert_eq!(idle(here, Running), FORWARD);
            assert_eq!(idle(here, ByUser), FORWARD);
            assert_eq!(idle(here, ByMigration), WayOut::Stop(Why::Unsure));
            assert_eq!(idle(here, Still), WayOut::Stop(Why::Unsure));
        }
    }

    #[test]
    fn copies_count_only_where_they_are_known_to_be_complete() {
        assert_eq!(way_out(Off, Off, Copies::Complete, Job::None), FORWARD);
        assert_eq!(way_out(Off, Off, Copies::Incomplete, Job::None), BACK);
        let either = way_out(Off, Off, Copies::Live, Job::None);
        assert_eq!(either, WayOut::Stop(Why::Either));
        assert_eq!(idle(Off, Absent), BACK);
        assert_eq!(idle(Absent, Off), FORWARD);
    }

    #[test]
    fn a_vm_that_no_host_has_is_a_persons_affair() {
        assert_eq!(idle(Absent, Absent), WayOut::Stop(Why::Gone));
    }

    /// What no row may do, whatever it is called.
    #[test]
    fn no_way_out_ends_a_guest_that_executes_or_trusts_copies_that_may_be_incomplete() {
        each(|here, there, copies, job, way| {
            let state = format!("{here:?} {there:?} {copies:?} {job:?}: {way:?}");
            match way {
                WayOut::Forward { ends_source } => {
                    assert_eq!(ends_source, here.is_active(), "{state}");
                    assert!(
                        !ends_source || (here == ByMigration && there == Running),
                        "{state}"
                    );
                    assert!(
                        there.is_active() || here == Absent || copies == Copies::Complete,
                        "{state}"
                    );
                    assert_eq!(job, Job::None, "{state}");
                }
                WayOut::Back {
                    ends_destination,
                    resumes,
                } => {
                    assert_ne!(here, Absent, "{state}");
                    assert_eq!(ends_destination, there.is_active(), "{state}");
                    assert!(
                        !ends_destination || (there == ByMigration && here == Running),
                        "{state}"
                    );
                    assert!(!resumes || !there.is_active(), "{state}");
                    assert_eq!(job, Job::None, "{state}");
                }
                WayOut::Await => assert_eq!(job, Job::Migration, "{state}"),
                WayOut::Stop(_) => {}
            }
        });
    }
}
