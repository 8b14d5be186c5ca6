//! Where a VM is after a migration, however that ended, and the one step to a state in which it is in one place.
//!
//! | source | destination | what is done |
//! |---|---|---|
//! | running or paused | absent or off | it stayed |
//! | paused by the migration | absent or off | it goes on at the source |
//! | paused by the migration | running | what is left at the source ends; it has arrived |
//! | off or absent | running or paused | it has arrived; a definition left at the source goes |
//! | running | paused, no migration under way any more | after a while what is left at the destination ends |
//! | torn by a broken post-copy, or running on both | | nothing: a person must look |

use std::thread;
use std::time::{Duration, Instant};

use virt::domain::Domain;

use super::Route;
use super::follow::Follower;
use super::transfer::LOOK_AGAIN;
use crate::libvirt::context::Context;
use crate::libvirt::define::{carry_autostart, expect_gone};
use crate::libvirt::domain::{Guest, State};
use crate::libvirt::error::CallError;
use crate::libvirt::failure::Failure;
use crate::libvirt::{mark, power};
use crate::model::HostName;

/// How long both sides may take to come to rest once no migration is under way.
const REST_WITHIN: Duration = Duration::from_secs(45);

/// How far apart two looks are that must show the same.
const LOOK_TWICE: Duration = Duration::from_secs(1);

/// Where the VM is.
pub(super) enum Settled {
    /// At the destination; the source knows nothing of it any more.
    Arrived(Guest),
    /// Still at the source, in this state.
    Stayed(Guest, State),
}

/// What a pair of states calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Arrived,
    Stayed,
    Resume,
    EndSource,
    Wait,
    Torn,
    Unclear,
}

fn judge(here: Option<State>, there: Option<State>) -> Verdict {
    if [here, there].into_iter().flatten().any(State::is_torn) {
        return Verdict::Torn;
    }
    let there_is_active = there.is_some_and(|there| !there.is_off());
    match (here, there) {
        (Some(here), Some(there)) if here.is_paused_by_migration() && there.is_running() => {
            Verdict::EndSource
        }
        (Some(here), Some(there)) if !here.is_off() && there.is_running() => Verdict::Unclear,
        (Some(here), _) if !here.is_off() && there_is_active => Verdict::Wait,
        (Some(here), _) if here.is_paused_by_migration() => Verdict::Resume,
        (Some(here), _) if !here.is_off() => Verdict::Stayed,
        (_, Some(there)) if there.is_paused_by_migration() => Verdict::Wait,
        (_, Some(_)) if there_is_active => Verdict::Arrived,
        (Some(_), _) => Verdict::Stayed,
        (None, Some(_)) => Verdict::Arrived,
        (None, None) => Verdict::Unclear,
    }
}

/// Waits until no migration is under way and the VM is in one place, and helps it there. `defined_before`: whether the
/// destination had its definition before, which then stays.
pub(super) fn settle(
    context: &Context,
    route: Route,
    uuid: &str,
    defined_before: bool,
    follower: &mut Follower,
) -> Result<Settled, Failure> {
    let mut resting_since = Instant::now();
    let mut seen_before = None;
    loop {
        if Context::insist(|| follower.try_look()).map_err(|error| silent(route, &error))? {
            (resting_since, seen_before) = (Instant::now(), None);
            thread::sleep(LOOK_AGAIN);
            continue;
        }
        // Only now: what was seen while it was under way may be over.
        let here = seen(context, route.from, uuid).map_err(|error| silent(route, &error))?;
        let there = seen(context, route.to, uuid).map_err(|error| silent(route, &error))?;
        let state = |seen: &Option<(Guest, State)>| seen.as_ref().map(|(_, state)| *state);
        let states = (state(&here), state(&there));
        let verdict = judge(states.0, states.1);
        let is_at_rest = match verdict {
            Verdict::Stayed => there.is_none(),
            Verdict::Arrived => here.is_none(),
            _ => false,
        };
        // libvirt may still be at it: between its last steps no job shows. What is to be changed must look the same
        // twice.
        if !is_at_rest && seen_before != Some(states) {
            seen_before = Some(states);
            thread::sleep(LOOK_TWICE);
            continue;
        }
        match (verdict, here, there) {
            (Verdict::Torn, ..) => return Err(power::torn(route.from, route.vm)),
            (Verdict::Arrived, here, Some((there, _))) => {
                if let Some((here, _)) = here {
                    clear_source(&here, &there, route)?;
                }
                return Ok(Settled::Arrived(there));
            }
            (Verdict::Stayed, Some((here, state)), there) => {
                return stayed(here, state, there, defined_before);
            }
            (Verdict::Resume, Some((here, state)), there) if mark::is_carried(&here)? => {
                return stayed(here, state, there, defined_before);
            }
            (Verdict::Resume, Some((here, _)), _) => {
                here.call(Domain::resume)?;
            }
            (Verdict::EndSource, Some((here, _)), _) => {
                here.work(Domain::destroy)?;
            }
            (Verdict::Wait, here, there) if resting_since.elapsed() > REST_WITHIN => {
                end_what_never_ran(route, here.as_ref(), there.as_ref())?;
            }
            (Verdict::Wait, ..) => thread::sleep(LOOK_AGAIN),
            (_, here, there) => return Err(unclear(route, here.as_ref(), there.as_ref())),
        }
        seen_before = None;
    }
}

/// The VM as a host has it now, over a connection that works.
fn seen(
    context: &Context,
    host: &HostName,
    uuid: &str,
) -> Result<Option<(Guest, State)>, CallError> {
    Context::insist(|| {
        let connection = context.work(host)?;
        let Some(guest) = Guest::find_uuid(&connection, uuid)? else {
            return Ok(None);
        };
        match guest.state() {
            Ok(state) => Ok(Some((guest, state))),
            Err(error) if error.is_no_domain() => Ok(None),
            Err(error) => Err(error),
        }
    })
}

fn silent(route: Route, error: &CallError) -> Failure {
    let why = format!(
        "nobody knows where {} is while a host does not answer: {error}",
        route.vm
    );
    Failure::new(why).with_help(format!(
        "Start it nowhere by hand. When {} and {} both answer, plan again: the plan will finish the move or take it \
         back.",
        route.from, route.to
    ))
}

/// The confirmation was lost, and with it the removal of the source's definition.
fn clear_source(here: &Guest, there: &Guest, route: Route) -> Result<(), Failure> {
    here.expect_off(route.vm)?;
    if !there.is_persistent()? {
        let why = format!("{} runs there without a persistent definition", route.vm);
        return Err(Failure::on(there.host(), why)
            .with_help(format!("The definition on {} is kept.", route.from)));
    }
    carry_autostart(here, there)?;
    here.undefine()?;
    expect_gone(here, route.vm).map(drop)
}

/// It stayed; what the attempt left defined at the destination goes.
fn stayed(
    here: Guest,
    state: State,
    there: Option<(Guest, State)>,
    defined_before: bool,
) -> Result<Settled, Failure> {
    if let Some((there, state)) = there
        && state.is_off()
        && !defined_before
    {
        there.undefine()?;
    }
    Ok(Settled::Stayed(here, state))
}

/// A QEMU at the destination that waits for a migration which is over has executed nothing of the guest.
fn end_what_never_ran(
    route: Route,
    here: Option<&(Guest, State)>,
    there: Option<&(Guest, State)>,
) -> Result<(), Failure> {
    match (here, there) {
        (Some((_, here_is)), Some((waiting, there_is)))
            if here_is.is_running() && there_is.is_paused_by_migration() =>
        {
            waiting.work(Domain::destroy)?;
            Ok(())
        }
        _ => Err(unclear(route, here, there)),
    }
}

fn unclear(route: Route, here: Option<&(Guest, State)>, there: Option<&(Guest, State)>) -> Failure {
    let words = |seen: Option<&(Guest, State)>| match seen {
        Some((_, state)) => state.to_string(),
        None => "not known".into(),
    };
    let Route { vm, from, to } = route;
    if here.is_none() && there.is_none() {
        return Failure::new(format!("neither {from} nor {to} has {vm} any more")).with_help(format!(
            "Where the migration was driven by {from} itself, see whether peer_uri of {to} leads to another host."
        ));
    }
    let why = format!(
        "{vm} is {} on {from} and {} on {to}",
        words(here),
        words(there)
    );
    Failure::new(why).with_help(
        "Domicile will not choose between the two. See which is right (its console, virsh domstate --reason), end \
         the other with virsh destroy, then plan again.",
    )
}

#[cfg(test)]
mod tests {
    use virt_sys as sys;

    use super::*;

    const RUNNING: State = State::new(sys::VIR_DOMAIN_RUNNING, 1);
    const OFF: State = State::new(sys::VIR_DOMAIN_SHUTOFF, 1);
    const BY_USER: State = State::new(sys::VIR_DOMAIN_PAUSED, sys::VIR_DOMAIN_PAUSED_USER);
    const BY_MIGRATION: State =
        State::new(sys::VIR_DOMAIN_PAUSED, sys::VIR_DOMAIN_PAUSED_MIGRATION);
    const TORN: State = State::new(
        sys::VIR_DOMAIN_PAUSED,
        sys::VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,
    );
    const TORN_THERE: State = State::new(
        sys::VIR_DOMAIN_RUNNING,
        sys::VIR_DOMAIN_RUNNING_POSTCOPY_FAILED,
    );

    #[test]
    fn every_state_that_a_migration_can_leave_has_one_way_out() {
        let cases = [
            (Some(RUNNING), None, Verdict::Stayed),
            (Some(RUNNING), Some(OFF), Verdict::Stayed),
            (Some(RUNNING), Some(BY_MIGRATION), Verdict::Wait),
            (Some(BY_USER), None, Verdict::Stayed),
            (Some(BY_USER), Some(BY_MIGRATION), Verdict::Wait),
            (Some(BY_MIGRATION), None, Verdict::Resume),
            (Some(BY_MIGRATION), Some(OFF), Verdict::Resume),
            (Some(BY_MIGRATION), Some(RUNNING), Verdict::EndSource),
            (Some(BY_MIGRATION), Some(BY_MIGRATION), Verdict::Wait),
            (Some(OFF), Some(RUNNING), Verdict::Arrived),
            (Some(OFF), Some(BY_USER), Verdict::Arrived),
            (Some(OFF), None, Verdict::Stayed),
            (Some(OFF), Some(OFF), Verdict::Stayed),
            (None, Some(RUNNING), Verdict::Arrived),
            (None, Some(BY_USER), Verdict::Arrived),
            (None, Some(BY_MIGRATION), Verdict::Wait),
            (None, Some(OFF), Verdict::Arrived),
            (None, None, Verdict::Unclear),
        ];
        for (here, there, verdict) in cases {
            assert_eq!(judge(here, there), verdict, "{here:?} {there:?}");
        }
    }

    #[test]
    fn nothing_is_done_where_a_guest_runs_twice_or_is_torn() {
        assert_eq!(judge(Some(RUNNING), Some(RUNNING)), Verdict::Unclear);
        assert_eq!(judge(Some(BY_USER), Some(RUNNING)), Verdict::Unclear);
        assert_eq!(judge(Some(TORN), Some(TORN_THERE)), Verdict::Torn);
        assert_eq!(judge(Some(TORN), None), Verdict::Torn);
        assert_eq!(judge(None, Some(TORN_THERE)), Verdict::Torn);
    }
}
