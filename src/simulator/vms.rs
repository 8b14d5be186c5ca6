//! What the actions on VMs demand and do, except for migrations.

use super::world::{Refusal, World, find, is_local};
use crate::definition::{self, Rewrite};
use crate::model::{
    BackingLayer, HostName, InterfaceSource, MoveMark, PowerState, RunState, VmName, VolumeFormat,
};
use crate::observed::{Disk, Host, Vm, VmDetail};
use crate::plan::Seen;

pub(super) fn power(state: RunState, reason: &str) -> PowerState {
    PowerState {
        state,
        reason: reason.to_owned(),
    }
}

/// The VM holds no memory any more, and what is true only of one that runs ends with it.
pub(super) fn turn_off(vm: &mut Vm, reason: &str) {
    vm.power = power(RunState::ShutOff, reason);
    let Some(detail) = vm.detail.as_deref_mut() else {
        return;
    };
    detail.live_xml = None;
    detail.live_cpu = None;
    detail.dirty_rate = None;
    detail.resident = None;
    detail.job = None;
    end_copies(detail);
    detail.pending.clear();
    if let Some(needs) = detail.later_needs.take() {
        detail.needs = *needs;
    }
}

/// No disk is being copied any more.
pub(super) fn end_copies(detail: &mut VmDetail) {
    for disk in &mut detail.disks {
        disk.copied_to = None;
    }
}

/// The VM holds memory from now on, by its persistent definition.
pub(super) fn turn_on(vm: &mut Vm, state: RunState, reason: &str) {
    let was_active = vm.power.is_active();
    vm.power = power(state, reason);
    vm.managed_save = false;
    let Some(detail) = vm.detail.as_deref_mut().filter(|_| !was_active) else {
        return;
    };
    detail.live_xml = Some(detail.inactive_xml.clone());
    detail.live_cpu.clone_from(&detail.inactive_cpu);
}

impl World {
    /// Refuses what libvirt refuses while a job runs on the VM.
    pub(super) fn check_idle(&self, host: &HostName, vm: &VmName) -> Result<(), Refusal> {
        match self.detail(host, vm)?.job {
            Some(job) => Err(format!("a job ({job:?}) runs on {vm} on {host}")),
            None => Ok(()),
        }
    }

    pub(super) fn check_active(&self, host: &HostName, vm: &VmName) -> Result<(), Refusal> {
        self.check_idle(host, vm)?;
        if self.is_active(host, vm) {
            Ok(())
        } else {
            Err(format!("{vm} is not active on {host}"))
        }
    }

    pub(super) fn check_off(&self, host: &HostName, vm: &VmName) -> Result<(), Refusal> {
        self.check_idle(host, vm)?;
        if self.is_active(host, vm) {
            return Err(format!("{vm} is active on {host}"));
        }
        Ok(())
    }

    /// Whether a VM is as the plan saw it.
    pub(super) fn check_seen(
        &self,
        host: &HostName,
        vm: &VmName,
        seen: Option<&Seen>,
    ) -> Result<(), Refusal> {
        let (found, detail) = (self.vm(host, vm)?, self.detail(host, vm)?);
        let Some(seen) = seen else {
            return Ok(());
        };
        let facts = definition::read(&detail.inactive_xml).map_err(|error| error.to_string())?;
        let active = found.power.is_active();
        let now = Seen::of(&facts, active, detail.snapshots.len(), seen.to.clone());
        match seen.differs_from(&now) {
            Some(difference) => Err(format!("{vm} is not as the plan saw it: {difference}")),
            None => Ok(()),
        }
    }

    pub(super) fn check_mark(&self, host: &HostName, vm: &VmName) -> Result<(), Refusal> {
        self.check_idle(host, vm)?;
        if !self.vm(host, vm)?.persistent {
            return Err(format!("{vm} has no persistent definition on {host}"));
        }
        match &self.detail(host, vm)?.unreadable_mark {
            Some(reason) => Err(format!(
                "the mark of {vm} on {host} cannot be read: {reason}"
            )),
            None => Ok(()),
        }
    }

    /// Writes the mark, or removes it, in the persistent definition. With the mark it does not start with its host.
    pub(super) fn set_mark(
        &mut self,
        host: &HostName,
        vm: &VmName,
        mark: Option<MoveMark>,
    ) -> Result<(), Refusal> {
        let detail = self.detail_mut(host, vm)?;
        let before = detail.mark.take();
        let is_held = mark.as_ref().is_some_and(|mark| mark.autostart);
        let was_held = before.is_some_and(|mark| mark.autostart);
        let is_over = mark.is_none();
        write_mark(detail, mark)?;
        if is_held || (is_over && was_held) {
            self.vm_mut(host, vm)?.autostart = is_over;
        }
        Ok(())
    }

    /// Before a shutdown. A guest that is off already is no failure.
    pub(super) fn check_shut_down(&self, host: &HostName, vm: &VmName) -> Result<(), Refusal> {
        self.check_idle(host, vm)?;
        if self.vm(host, vm)?.persistent {
            Ok(())
        } else {
            Err(format!(
                "{vm} has no persistent definition on {host} and would be gone"
            ))
        }
    }

    pub(super) fn shut_down(&mut self, host: &HostName, vm: &VmName) -> Result<(), Refusal> {
        let found = self.vm_mut(host, vm)?;
        let was_active = found.power.is_active();
        turn_off(found, "shutdown");
        let uuid = found.uuid.clone();
        if was_active {
            self.stopped.insert(uuid);
        }
        Ok(())
    }

    /// Before the guest's code runs on a host: the named hosts answer that they do not run it.
    pub(super) fn check_not_active(&self, vm: &VmName, on: &[HostName]) -> Result<(), Refusal> {
        for host in on {
            if self
                .host(host)?
                .vms
                .get(vm)
                .is_some_and(|vm| vm.power.is_active())
            {
                return Err(format!("{vm} is active on {host}"));
            }
        }
        Ok(())
    }

    /// Before an instance is ended: it is paused, and either runs elsewhere or never executed anything.
    pub(super) fn check_destroy(
        &self,
        host: &HostName,
        vm: &VmName,
        runs_on: Option<&HostName>,
    ) -> Result<(), Refusal> {
        let found = match (self.vm(host, vm), runs_on) {
            (Ok(found), _) => found,
            // The migration that it is left of has come to its end since.
            (Err(_), Some(other)) => return self.check_runs_on(other, vm),
            (Err(why), None) => return Err(why),
        };
        match found.power.state {
            RunState::ShutOff => return Ok(()),
            RunState::Paused => {}
            _ => return Err(format!("{vm} is {} on {host}", found.power.in_words())),
        }
        let Some(other) = runs_on else {
            return if found.mark().is_some_and(|mark| mark.cold) {
                Ok(())
            } else {
                Err(format!("{vm} on {host} may have executed something"))
            };
        };
        self.check_runs_on(other, vm)
    }

    fn check_runs_on(&self, host: &HostName, vm: &VmName) -> Result<(), Refusal> {
        if self.vm(host, vm)?.power.state == RunState::Running {
            Ok(())
        } else {
            Err(format!("{vm} does not run on {host}"))
        }
    }

    pub(super) fn check_start(
        &self,
        host: &HostName,
        vm: &VmName,
        not_on: &[HostName],
    ) -> Result<(), Refusal> {
        self.check_not_active(vm, not_on)?;
        self.check_off(host, vm)?;
        let found = self.vm(host, vm)?;
        for disk in &self.detail(host, vm)?.disks {
            self.check_startable(host, disk)?;
        }
        self.check_memory(host, vm, found.memory)
    }

    /// QEMU opens the whole chain of every disk.
    fn check_startable(&self, host: &HostName, disk: &Disk) -> Result<(), Refusal> {
        let pools = &self.host(host)?.pools;
        let below = disk.backing.iter().map(|layer| layer.path.as_str());
        for path in disk
            .path
            .as_deref()
            .into_iter()
            .chain(below)
            .filter(|_| is_local(disk))
        {
            let in_pool = pools
                .values()
                .any(|pool| path.starts_with(&format!("{}/", pool.path)));
            if in_pool && self.volume_of(host, path).is_none() {
                return Err(format!("{host} has no {path} for disk {}", disk.target));
            }
        }
        Ok(())
    }

    pub(super) fn run(
        &mut self,
        host: &HostName,
        vm: &VmName,
        reason: &str,
    ) -> Result<(), Refusal> {
        let found = self.vm_mut(host, vm)?;
        turn_on(found, RunState::Running, reason);
        let uuid = found.uuid.clone();
        self.stopped.remove(&uuid);
        self.crashed.remove(&uuid);
        Ok(())
    }

    pub(super) fn check_resume(
        &self,
        host: &HostName,
        vm: &VmName,
        not_on: &[HostName],
    ) -> Result<(), Refusal> {
        self.check_not_active(vm, not_on)?;
        self.check_active(host, vm)
    }

    pub(super) fn check_undefine(
        &self,
        host: &HostName,
        vm: &VmName,
        kept_by: &HostName,
    ) -> Result<(), Refusal> {
        self.check_off(host, vm)?;
        let uuid = &self.vm(host, vm)?.uuid;
        let kept = self
            .vm(kept_by, vm)
            .map_err(|why| format!("{why}, so {host} keeps it"))?;
        if kept_by == host || &kept.uuid != uuid || !(kept.persistent || kept.power.is_active()) {
            return Err(format!("{kept_by} does not have the {vm} that {host} has"));
        }
        Ok(())
    }

    pub(super) fn undefine(&mut self, host: &HostName, vm: &VmName) {
        if let Some(state) = self.hosts.get_mut(host) {
            state.vms.remove(vm);
        }
    }

    /// Before a definition: the name is free at the destination, or it is the same VM's own, off.
    pub(super) fn check_name_free(
        &self,
        vm: &VmName,
        from: &HostName,
        to: &HostName,
    ) -> Result<(), Refusal> {
        let source = self.vm(from, vm)?;
        let uuid_of = |(name, of): (&VmName, &Vm)| {
            (of.uuid == source.uuid && name != vm).then(|| name.clone())
        };
        if let Some(other) = self.host(to)?.vms.iter().find_map(uuid_of) {
            return Err(format!("{to} has a VM {other} with the UUID of {vm}"));
        }
        match self.host(to)?.vms.get(vm) {
            Some(found) if found.uuid != source.uuid => {
                Err(format!("{to} has another VM of the name {vm}"))
            }
            Some(found) if found.power.is_active() => Err(format!("{vm} is active on {to}")),
            _ => Ok(()),
        }
    }

    pub(super) fn check_define(
        &self,
        vm: &VmName,
        from: &HostName,
        to: &HostName,
        rewrite: &Rewrite,
    ) -> Result<(), Refusal> {
        self.check_off(from, vm)?;
        self.check_name_free(vm, from, to)?;
        let state = self.host(to)?;
        let after = self.relocated(vm, from, to, rewrite)?;
        for disk in after.detail.iter().flat_map(|detail| &detail.disks) {
            self.check_startable(to, disk)?;
        }
        check_host_fits(state, &after, to)
    }

    pub(super) fn check_redefine(
        &self,
        host: &HostName,
        vm: &VmName,
        rewrite: &Rewrite,
    ) -> Result<(), Refusal> {
        self.check_off(host, vm)?;
        let after = self.relocated(vm, host, host, rewrite)?;
        for disk in after.detail.iter().flat_map(|detail| &detail.disks) {
            self.check_startable(host, disk)?;
        }
        Ok(())
    }

    /// The VM as its definition is at the destination, with the source's power state.
    pub(super) fn relocated(
        &self,
        vm: &VmName,
        from: &HostName,
        to: &HostName,
        rewrite: &Rewrite,
    ) -> Result<Vm, Refusal> {
        let mut after = self.vm(from, vm)?.clone();
        let state = self.host(to)?;
        let Some(detail) = after.detail.as_deref_mut() else {
            return Err(format!(
                "the reading does not hold the definition of {vm} on {from}"
            ));
        };
        for disk in &mut detail.disks {
            if let Some(new) = rewrite.disks.get(&disk.target) {
                disk.path = Some(new.path.clone());
                disk.backing = new
                    .backing
                    .iter()
                    .map(|layer| layer_at(state, layer))
                    .collect();
                let kind = if new.path.starts_with("/dev/") {
                    "block"
                } else {
                    "file"
                };
                kind.clone_into(&mut disk.source_kind);
            }
            if let Some(path) = disk.path.as_deref().filter(|_| is_local(disk)) {
                let volume = self
                    .volume_of(to, path)
                    .and_then(|volume| volume.detail.as_ref());
                disk.allocation = volume.map(|detail| detail.allocation).or(disk.allocation);
                disk.volume = find(state, path);
            }
        }
        for interface in &mut detail.interfaces {
            if let Some(new) = rewrite.interfaces.get(&interface.mac) {
                interface.source = new.clone();
            }
        }
        rewrite_texts(detail, rewrite)?;
        Ok(after)
    }
}

fn layer_at(host: &Host, (path, format): &(String, VolumeFormat)) -> BackingLayer {
    let volume = find(host, path);
    let state = volume
        .as_ref()
        .and_then(|(pool, name)| host.pools.get(pool)?.volumes.get(name)?.detail.as_ref());
    BackingLayer {
        path: path.clone(),
        format: format.clone(),
        capacity: state.map(|detail| detail.capacity),
        allocation: state.map(|detail| detail.allocation),
        volume,
    }
}

/// What a host refuses in a definition that it is given.
pub(super) fn check_host_fits(host: &Host, vm: &Vm, name: &HostName) -> Result<(), Refusal> {
    let Some(detail) = vm.detail.as_deref() else {
        return Ok(());
    };
    if !host.machines.contains(&detail.machine) {
        return Err(format!(
            "{name} does not offer machine type {}",
            detail.machine
        ));
    }
    for interface in &detail.interfaces {
        let (what, there) = match &interface.source {
            InterfaceSource::Bridge(bridge) => (
                format!("bridge {bridge}"),
                host.has_bridge(bridge) != Some(false),
            ),
            InterfaceSource::Network(network) => {
                let active = host.networks.get(network).copied();
                (format!("active network {network}"), active.unwrap_or(false))
            }
            InterfaceSource::Direct(_) | InterfaceSource::Other(_) => continue,
        };
        if !there {
            return Err(format!("{name} has no {what} for {}", interface.mac));
        }
    }
    Ok(())
}

fn write_mark(detail: &mut VmDetail, mark: Option<MoveMark>) -> Result<(), Refusal> {
    if !detail.inactive_xml.is_empty() {
        let text = &detail.inactive_xml;
        let changed = match &mark {
            Some(mark) => definition::with_mark(text, mark),
            None => definition::without_mark(text),
        };
        detail.inactive_xml = changed.map_err(|error| error.to_string())?;
    }
    detail.mark = mark;
    Ok(())
}

/// Lets the mark of a VM that was defined at its destination say that every disk is there.
pub(super) fn set_complete(vm: &mut Vm) -> Result<(), Refusal> {
    let Some(detail) = vm.detail.as_deref_mut() else {
        return Ok(());
    };
    match detail.mark.clone() {
        Some(mark) => write_mark(
            detail,
            Some(MoveMark {
                complete: true,
                ..mark
            }),
        ),
        None => Ok(()),
    }
}

/// Rewrites the definitions. A recorded reading may hold none, and then there is nothing to rewrite.
fn rewrite_texts(detail: &mut VmDetail, changes: &Rewrite) -> Result<(), Refusal> {
    let texts = std::iter::once(&mut detail.inactive_xml).chain(&mut detail.live_xml);
    for text in texts.filter(|text| !text.is_empty()) {
        *text = definition::rewrite(text, changes).map_err(|error| error.to_string())?;
    }
    Ok(())
}
