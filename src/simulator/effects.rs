//! Each action on the state: what it demands, what it does while it runs, at its end, and when it breaks off.

use super::migrate::Migration;
use super::vms::{set_complete, turn_off, turn_on};
use super::world::{Refusal, World};
use crate::hypervisor::Outcome;
use crate::model::{Bytes, BytesPerSecond, HostName, Millis, RunState, VolumeRef};
use crate::plan::Action;

/// How long things take in simulated time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Rate of every transfer that no limit makes slower.
    pub bandwidth: BytesPerSecond,
    /// From the request to shut down until the guest is off.
    pub shut_down: Millis,
    /// From a start until the guest runs.
    pub start: Millis,
    /// Any other call, and what a transfer takes besides its bytes.
    pub call: Millis,
    /// How long a guest stands still at the end of a live migration or a block copy.
    pub switch: Millis,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            bandwidth: BytesPerSecond(1 << 30),
            shut_down: Millis(5000),
            start: Millis(1000),
            call: Millis(20),
            switch: Millis(50),
        }
    }
}

/// What an action will take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) bytes: Bytes,
    pub(super) duration: Millis,
}

/// Every host that must answer for an action.
pub(super) fn hosts_of(action: &Action) -> Vec<&HostName> {
    let mut hosts = action.hosts();
    match action {
        Action::DeleteVolume {
            seen_by,
            replaced_by,
            ..
        } => {
            hosts.extend(seen_by);
            hosts.extend(replaced_by.iter().map(|at| &at.host));
        }
        Action::Start { not_active_on, .. } | Action::Resume { not_active_on, .. } => {
            hosts.extend(not_active_on);
        }
        Action::Destroy { runs_on, .. } => hosts.extend(runs_on),
        _ => {}
    }
    hosts
}

pub(super) fn migration_of(action: &Action) -> Option<Migration<'_>> {
    let (live, vm, from, to, options) = match action {
        Action::MigrateLive {
            vm,
            from,
            to,
            options,
        } => (true, vm, from, to, options),
        Action::MigratePaused {
            vm,
            from,
            to,
            options,
        } => (false, vm, from, to, options),
        _ => return None,
    };
    Some(Migration {
        vm,
        from,
        to,
        options,
        live,
    })
}

impl World {
    /// What must hold before the action.
    pub(super) fn check(&self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::Mark { host, vm, seen, .. } => {
                self.check_seen(host, vm, seen.as_ref())?;
                self.check_mark(host, vm)
            }
            Action::Unmark { host, vm } => self.check_mark(host, vm),
            Action::CreateVolume { spec } => self.check_create(spec),
            Action::CopyVolume { from, spec, .. } => self.check_copy(from, spec),
            Action::CompactVolume { from, spec } => self.check_compact(from, spec),
            Action::VerifyVolume { from, to, .. } => self.check_same(from, to),
            Action::DeleteVolume {
                at,
                seen_by,
                replaced_by,
                only_if_unused,
                ..
            } => self.check_delete(at, seen_by, replaced_by.as_ref(), *only_if_unused),
            Action::MigrateLive { .. } | Action::MigratePaused { .. } => {
                migration_of(action).map_or(Ok(()), |migration| self.check_migration(migration))
            }
            Action::ShutDown { host, vm, .. } => self.check_shut_down(host, vm),
            Action::Define {
                vm,
                from,
                to,
                rewrite,
            } => self.check_define(vm, from, to, rewrite),
            Action::Redefine { host, vm, rewrite } => self.check_redefine(host, vm, rewrite),
            Action::Start {
                host,
                vm,
                not_active_on,
            } => self.check_start(host, vm, not_active_on),
            Action::Undefine { host, vm, kept_by } => self.check_undefine(host, vm, kept_by),
            Action::BlockCopy {
                host,
                vm,
                disk,
                path,
                shallow,
                ..
            } => self.check_block_copy(host, vm, disk, path, *shallow),
            Action::Resume {
                host,
                vm,
                not_active_on,
            } => self.check_resume(host, vm, not_active_on),
            Action::Destroy { host, vm, runs_on } => self.check_destroy(host, vm, runs_on.as_ref()),
            Action::AwaitMigration { vm, to, .. } => {
                if self.adrift.contains_key(vm) || self.is_active(to, vm) {
                    Ok(())
                } else {
                    Err(format!(
                        "no migration of {vm} is under way, and it is not active on {to}"
                    ))
                }
            }
        }
    }

    fn check_delete(
        &self,
        at: &VolumeRef,
        seen_by: &[HostName],
        replaced_by: Option<&VolumeRef>,
        only_if_unused: bool,
    ) -> Result<(), Refusal> {
        let store = self.store(&at.host, &at.pool);
        let unasked = self
            .pools_on(&store)
            .into_iter()
            .find(|(host, _)| *host != at.host && !seen_by.contains(host));
        if let Some((host, _)) = unasked {
            return Err(format!(
                "{host} sees {at} too and is not asked whether it uses it"
            ));
        }
        if self.volume(at).is_err() {
            return Ok(());
        }
        // A copy to it that nobody waits for is ended first.
        let use_of_it = if replaced_by.is_none() && !only_if_unused {
            self.in_use_for_good(at)
        } else {
            self.in_use(at)
        };
        match use_of_it {
            Some(_) if only_if_unused => return Ok(()),
            Some(why) => return Err(why),
            None => {}
        }
        replaced_by.map_or(Ok(()), |by| self.check_replacement(at, by))
    }

    pub(super) fn cost(&self, action: &Action, timing: &Timing) -> Cost {
        let volume = |at: &VolumeRef| {
            self.volume(at)
                .map_or(Bytes::ZERO, super::volumes::allocation)
        };
        let transfer = |bytes: Bytes, limit: Option<BytesPerSecond>| {
            let rate = limit.map_or(timing.bandwidth, |limit| limit.min(timing.bandwidth));
            Cost {
                bytes,
                duration: timing.call.plus(rate.time_for(bytes)),
            }
        };
        let call = |duration: Millis| Cost {
            bytes: Bytes::ZERO,
            duration,
        };
        match action {
            Action::CopyVolume {
                from, bandwidth, ..
            }
            | Action::VerifyVolume {
                from, bandwidth, ..
            } => transfer(volume(from), *bandwidth),
            Action::CompactVolume { from, .. } => transfer(self.chain_bytes(from), None),
            Action::BlockCopy {
                host,
                vm,
                disk,
                shallow,
                bandwidth,
                ..
            } => {
                let path = self.disk_path(host, vm, disk).ok();
                let bytes = path.map(|path| self.copy_bytes(host, &path, *shallow));
                transfer(bytes.unwrap_or_default(), *bandwidth)
            }
            Action::MigrateLive { options, .. } | Action::MigratePaused { options, .. } => {
                let bytes = migration_of(action)
                    .map_or(Bytes::ZERO, |migration| self.migration_bytes(migration));
                transfer(bytes, options.bandwidth)
            }
            Action::AwaitMigration { vm, .. } => match self.adrift.get(vm) {
                Some(migration) => self.cost(migration, timing),
                None => call(timing.call),
            },
            Action::ShutDown { timeout, .. } => call(timing.shut_down.min(*timeout)),
            Action::Start { .. } => call(timing.start),
            _ => call(timing.call),
        }
    }

    /// The action begins: what takes long takes its room and shows as a job.
    pub(super) fn begin(&mut self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::CopyVolume { from, spec, .. } => {
                self.begin_copy(from, spec);
                Ok(())
            }
            Action::CompactVolume { from, spec } => {
                self.begin_compact(from, spec);
                Ok(())
            }
            Action::BlockCopy {
                host,
                vm,
                disk,
                path,
                shallow,
                ..
            } => self.begin_block_copy(host, vm, disk, path, *shallow),
            _ => migration_of(action).map_or(Ok(()), |migration| self.begin_migration(migration)),
        }
    }

    /// The action comes to its end with its whole effect. What is begun over is checked again where others may have
    /// come between.
    pub(super) fn finish(
        &mut self,
        action: &Action,
        timing: &Timing,
        note: &mut Vec<String>,
    ) -> Result<Outcome, Refusal> {
        let carried = |bytes| Outcome {
            bytes,
            downtime: None,
            ..Outcome::default()
        };
        if let Some(migration) = migration_of(action) {
            let bytes = self.finish_migration(migration)?;
            let downtime = migration.live.then_some(timing.switch);
            return Ok(Outcome {
                bytes,
                downtime,
                ..Outcome::default()
            });
        }
        match action {
            Action::CopyVolume { from, spec, .. } => {
                return Ok(carried(self.finish_copy(from, spec)?));
            }
            Action::CompactVolume { from, spec } => {
                self.finish_compact(from, spec)?;
                return Ok(Outcome::default());
            }
            Action::BlockCopy {
                host,
                vm,
                disk,
                path,
                shallow,
                ..
            } => {
                return Ok(carried(
                    self.finish_block_copy(host, vm, disk, path, *shallow)?,
                ));
            }
            Action::AwaitMigration { vm, to, .. } => {
                return match self.adrift.remove(vm) {
                    Some(migration) => {
                        self.undefine(to, vm);
                        let outcome = self.finish(&migration, timing, note)?;
                        // Whoever would have ended what was started to be carried is gone.
                        let is_carried = matches!(migration, Action::MigratePaused { .. });
                        if is_carried && let Ok(arrived) = self.vm_mut(to, vm) {
                            turn_on(arrived, RunState::Paused, "user");
                        }
                        Ok(outcome)
                    }
                    None => Ok(Outcome::default()),
                };
            }
            _ => {}
        }
        self.check(action)?;
        self.finish_call(action, note)?;
        Ok(Outcome::default())
    }

    /// The actions that are one call and carry nothing.
    pub(super) fn finish_call(
        &mut self,
        action: &Action,
        note: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        match action {
            Action::Mark { host, vm, mark, .. } => self.set_mark(host, vm, Some(mark.clone()))?,
            Action::Unmark { host, vm } => self.set_mark(host, vm, None)?,
            Action::CreateVolume { spec } => self.create(spec),
            Action::DeleteVolume {
                at,
                only_if_empty,
                only_if_unused,
                replaced_by,
                ..
            } => {
                if *only_if_empty && self.is_written(at) {
                    note.push(format!("{at} is left in place: something is written in it"));
                    return Ok(());
                }
                if replaced_by.is_none() && !only_if_unused {
                    self.end_copies_to(at);
                }
                match self.in_use(at) {
                    Some(why) => note.push(format!("{at} is left in place: {why}")),
                    None => self.delete(at),
                }
            }
            Action::ShutDown { host, vm, .. } => self.shut_down(host, vm)?,
            Action::Define {
                vm,
                from,
                to,
                rewrite,
            } => {
                let mut after = self.relocated(vm, from, to, rewrite)?;
                set_complete(&mut after)?;
                if let Some(state) = self.hosts.get_mut(to) {
                    state.vms.insert(vm.clone(), after);
                }
            }
            Action::Redefine { host, vm, rewrite } => {
                let after = self.relocated(vm, host, host, rewrite)?;
                *self.vm_mut(host, vm)? = after;
            }
            Action::Start { host, vm, .. } => self.run(host, vm, "booted")?,
            Action::Resume { host, vm, .. } => self.run(host, vm, "unpaused")?,
            Action::Destroy { host, vm, .. } => {
                if let Ok(paused) = self.vm_mut(host, vm)
                    && paused.power.is_active()
                {
                    turn_off(paused, "destroyed");
                }
            }
            Action::Undefine { host, vm, .. } => self.undefine(host, vm),
            // These need nothing but the check, or are no single call.
            Action::VerifyVolume { .. }
            | Action::CopyVolume { .. }
            | Action::CompactVolume { .. }
            | Action::BlockCopy { .. }
            | Action::MigrateLive { .. }
            | Action::MigratePaused { .. }
            | Action::AwaitMigration { .. } => {}
        }
        Ok(())
    }

    /// The action breaks off: jobs end where they were. `cleanly`: it takes back what it made, as a performer does
    /// that is there to do so.
    pub(super) fn break_off(&mut self, action: &Action, cleanly: bool) {
        match action {
            Action::CopyVolume { spec, .. } | Action::CompactVolume { spec, .. } if cleanly => {
                self.delete(&spec.at);
            }
            Action::BlockCopy { host, vm, .. } => {
                self.end_copies_of(host, vm);
            }
            _ => {
                if let Some(Migration { vm, from, to, .. }) = migration_of(action) {
                    self.end_job(from, vm, to);
                }
            }
        }
    }
}
