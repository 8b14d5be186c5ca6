//! What is left when something breaks off: what daemons do by themselves, what a restart of a daemon or a host leaves,
//! calls that have their effect after nobody waits for them any more, and storage that is full.

use super::effects::migration_of;
use super::migrate::Migration;
use super::vms::{end_copies, power, turn_off, turn_on};
use super::world::{World, find};
use crate::desired::Driver;
use crate::model::{HostName, JobKind, Noted, PoolName, RunState, VmName};
use crate::plan::Action;

/// Whether a call that nobody waits for any more may still have its effect: it is one call to one daemon.
fn is_one_call(action: &Action) -> bool {
    match action {
        Action::Mark { .. }
        | Action::Unmark { .. }
        | Action::CreateVolume { .. }
        | Action::DeleteVolume { .. }
        | Action::ShutDown { .. }
        | Action::Define { .. }
        | Action::Redefine { .. }
        | Action::Start { .. }
        | Action::Undefine { .. }
        | Action::Resume { .. }
        | Action::Destroy { .. } => true,
        Action::CopyVolume { .. }
        | Action::CompactVolume { .. }
        | Action::VerifyVolume { .. }
        | Action::MigrateLive { .. }
        | Action::MigratePaused { .. }
        | Action::BlockCopy { .. }
        | Action::AwaitMigration { .. } => false,
    }
}

/// The call without what is asked before it and not by the daemon itself.
fn alone(action: Action) -> Action {
    match action {
        Action::Start { host, vm, .. } => Action::Start {
            host,
            vm,
            not_active_on: Vec::new(),
        },
        Action::Resume { host, vm, .. } => Action::Resume {
            host,
            vm,
            not_active_on: Vec::new(),
        },
        Action::Mark { host, vm, mark, .. } => Action::Mark {
            host,
            vm,
            mark,
            seen: None,
        },
        other => other,
    }
}

impl World {
    /// Nobody waits for this call any more, and it will still have its effect. `false`: it is not such a call.
    pub(super) fn postpone(&mut self, action: &Action) -> bool {
        if is_one_call(action) {
            self.late.push(alone(action.clone()));
        }
        is_one_call(action)
    }

    /// The daemons come to the calls for which nobody waits any more, and do what they can of them.
    pub(super) fn catch_up(&mut self) {
        for action in std::mem::take(&mut self.late) {
            if self.check(&action).is_ok() {
                // What a daemon refuses by then is without effect.
                let _ = self.finish_call(&action, &mut Vec::new());
            }
        }
    }

    /// This process dies in the midst of an action, or the link to its hosts is cut. A daemon goes on with what it does
    /// by itself, or leaves the hosts in one of the states that a broken migration leaves; `variant` chooses among those
    /// that libvirt knows.
    pub(super) fn orphan(&mut self, action: &Action, variant: u64) {
        self.leave(action, variant, true);
    }

    /// A daemon of the action's hosts restarts in the midst of it: nothing goes on by itself.
    pub(super) fn restarted(&mut self, action: &Action, variant: u64) {
        self.leave(action, variant, false);
    }

    /// What a call that nobody hears the end of has done nevertheless.
    fn go_on_alone(&mut self, action: &Action, variant: u64) {
        if let Action::ShutDown { host, vm, .. } = action
            && variant.is_multiple_of(2)
            && self.is_active(host, vm)
        {
            // The guest was asked, and follows although nobody waits for it any more.
            let _ = self.shut_down(host, vm);
        }
        if let Action::CreateVolume { spec } = action
            && variant.is_multiple_of(2)
        {
            // The daemon has made it, and nobody was there to note it.
            self.create_noted(spec, Noted::Claimed);
        }
    }

    fn leave(&mut self, action: &Action, variant: u64, may_go_on: bool) {
        self.go_on_alone(action, variant);
        let Some(migration) = migration_of(action) else {
            // QEMU goes on copying, and to write to both, until somebody ends the job.
            if !matches!(action, Action::BlockCopy { .. }) {
                self.break_off(action, false);
            }
            return;
        };
        let Migration {
            vm,
            from,
            to,
            options,
            live,
        } = migration;
        let goes_on = may_go_on && options.driver != Driver::Managed;
        match (live, variant % 4) {
            (_, 0) if goes_on => {
                if !live && let Ok(source) = self.vm_mut(from, vm) {
                    turn_on(source, RunState::Paused, "starting up");
                }
                let mut shell = self.relocated(vm, from, to, &options.rewrite);
                if let Ok(shell) = &mut shell {
                    shell.persistent = false;
                    shell.power = power(RunState::Paused, "migration");
                    if let Some(detail) = &mut shell.detail {
                        detail.job = Some(JobKind::MigrationIn);
                    }
                }
                if let (Ok(shell), Some(state)) = (shell, self.hosts.get_mut(to)) {
                    state.vms.insert(vm.clone(), shell);
                    // The shell holds the memory by now.
                    self.reserved.remove(&(to.clone(), vm.clone()));
                    self.adrift.insert(vm.clone(), action.clone());
                }
            }
            // The source stands still, and the destination never came to life.
            (true, 1) => {
                self.break_off(action, false);
                if let Ok(source) = self.vm_mut(from, vm) {
                    source.power = power(RunState::Paused, "migration");
                }
            }
            // The destination runs, and the source was not told to forget it.
            (true, 2) => {
                let source = self.vm(from, vm).cloned();
                if self.finish_migration(migration).is_ok()
                    && let (Ok(mut source), Some(state)) = (source, self.hosts.get_mut(from))
                {
                    turn_off(&mut source, "migrated");
                    state.vms.insert(vm.clone(), source);
                }
            }
            // It was started paused for the migration and stays so.
            (false, 2) => {
                self.break_off(action, false);
                if let Ok(source) = self.vm_mut(from, vm) {
                    turn_on(source, RunState::Paused, "starting up");
                }
            }
            // It has arrived paused and was not ended there.
            (false, 1) => {
                if self.finish_migration(migration).is_ok()
                    && let Ok(arrived) = self.vm_mut(to, vm)
                {
                    turn_on(arrived, RunState::Paused, "user");
                }
            }
            _ => self.break_off(action, false),
        }
    }

    /// The machine of a host loses power. Its VMs are off, and migrations to and from it end where the other host
    /// has them.
    pub(super) fn crash(&mut self, host: &HostName) {
        let ended: Vec<(VmName, HostName, HostName)> = self
            .adrift
            .iter()
            .filter_map(|(vm, action)| {
                let Migration { from, to, .. } = migration_of(action)?;
                (from == host || to == host).then(|| (vm.clone(), from.clone(), to.clone()))
            })
            .collect();
        for (vm, from, to) in ended {
            self.adrift.remove(&vm);
            self.end_job(&from, &vm, &to);
            self.undefine(&to, &vm);
        }
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        let mut crashed = Vec::new();
        state.vms.retain(|_, vm| {
            if vm.power.is_active() {
                crashed.push(vm.uuid.clone());
                turn_off(vm, "unknown");
            }
            vm.persistent
        });
        self.crashed.extend(crashed);
    }

    /// The machine of a host is up again, and its daemon starts what is to be started with it.
    pub(super) fn boot(&mut self, host: &HostName) {
        let Ok(state) = self.host(host) else {
            return;
        };
        let wanted = state.vms.iter().filter(|(_, vm)| vm.autostart);
        let wanted: Vec<VmName> = wanted.map(|(name, _)| name.clone()).collect();
        for vm in wanted {
            if self.check_start(host, &vm, &[]).is_ok() {
                let _ = self.run(host, &vm, "booted");
            }
        }
    }

    /// Somebody fills the storage that an action writes to. `false`: it writes to none.
    pub(super) fn fill_storage(&mut self, action: &Action) -> bool {
        let Some((host, pool)) = self.written_pool(action) else {
            return false;
        };
        for (host, pool) in self.pools_on(&self.store(&host, &pool)) {
            let Some(state) = self.hosts.get_mut(&host) else {
                continue;
            };
            if let Some(state) = state.pools.get_mut(&pool) {
                let taken = std::mem::take(&mut state.available);
                let filled = self.filled.entry((host, pool)).or_default();
                *filled = filled.plus(taken);
            }
        }
        true
    }

    /// The copies of a VM's disks end, and it goes on with the volumes that it has.
    pub(super) fn end_copies_of(&mut self, host: &HostName, vm: &VmName) {
        if let Ok(detail) = self.detail_mut(host, vm) {
            detail.job = None;
            end_copies(detail);
        }
    }

    /// The storage has its room again.
    pub(super) fn empty_storage(&mut self) {
        for ((host, pool), taken) in std::mem::take(&mut self.filled) {
            let state = self.hosts.get_mut(&host);
            if let Some(pool) = state.and_then(|state| state.pools.get_mut(&pool)) {
                pool.available = pool.available.plus(taken);
            }
        }
    }

    fn written_pool(&self, action: &Action) -> Option<(HostName, PoolName)> {
        let of_path = |host: &HostName, path: &str| {
            let (pool, _) = find(self.hosts.get(host)?, path)?;
            Some((host.clone(), pool))
        };
        match action {
            Action::CreateVolume { spec }
            | Action::CopyVolume { spec, .. }
            | Action::CompactVolume { spec, .. } => {
                Some((spec.at.host.clone(), spec.at.pool.clone()))
            }
            Action::BlockCopy { host, path, .. } => of_path(host, path),
            _ => {
                let Migration { to, options, .. } = migration_of(action)?;
                let mut new = options.disks.iter();
                let path = new.find_map(|disk| options.rewrite.disks.get(disk))?;
                of_path(to, &path.path)
            }
        }
    }
}
