//! What migrations and block copies demand and do.

use super::images::Image;
use super::vms::{check_host_fits, turn_off};
use super::volumes::allocation;
use super::world::{Refusal, World, find, is_local};
use crate::definition::{DiskRewrite, Rewrite};
use crate::model::{Bytes, DiskDevice, DiskTarget, HostName, JobKind, VmName, VolumeFormat};
use crate::observed::{Disk, QemuAnswer};
use crate::plan::{CopyMode, MigrationOptions};

/// A migration, live or of a VM that is started paused for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration<'a> {
    pub(super) vm: &'a VmName,
    pub(super) from: &'a HostName,
    pub(super) to: &'a HostName,
    pub(super) options: &'a MigrationOptions,
    /// Whether the guest runs while it migrates.
    pub(super) live: bool,
}

/// A disk that is copied: where its path is before and after.
struct Copied<'a> {
    disk: &'a Disk,
    path: &'a str,
    new_path: &'a str,
}

/// Whether copies stand on the bases of their originals.
fn is_thin(options: &MigrationOptions) -> bool {
    options.copy == CopyMode::Incremental
}

impl World {
    pub(super) fn check_migration(&self, migration: Migration<'_>) -> Result<(), Refusal> {
        let Migration {
            vm,
            from,
            to,
            options,
            live,
        } = migration;
        if live {
            self.check_active(from, vm)?;
        } else {
            self.check_off(from, vm)?;
        }
        self.check_name_free(vm, from, to)?;
        self.check_memory(to, vm, self.memory_in(migration)?)?;
        let detail = self.detail(from, vm)?;
        if !detail.snapshots.is_empty() {
            return Err(format!(
                "{vm} has snapshots, with which libvirt does not migrate it"
            ));
        }
        if let Some(device) = detail.host_devices.first() {
            return Err(format!("{vm} has a device of its host: {device}"));
        }
        if let Some(QemuAnswer::Answered { blockers, .. }) = &detail.qemu
            && let Some(blocker) = blockers.first()
        {
            return Err(format!("QEMU does not migrate {vm}: {blocker}"));
        }
        for disk in &detail.disks {
            self.check_disk(migration, disk)?;
        }
        let unknown = options
            .disks
            .iter()
            .find(|target| !detail.disks.iter().any(|disk| disk.target == **target));
        if let Some(target) = unknown {
            return Err(format!("{vm} has no disk {target}"));
        }
        let after = self.relocated(vm, from, to, &options.rewrite)?;
        check_host_fits(self.host(to)?, &after, to)
    }

    fn check_disk(&self, migration: Migration<'_>, disk: &Disk) -> Result<(), Refusal> {
        let Migration {
            from, to, options, ..
        } = migration;
        let Some(path) = disk.path.as_deref().filter(|_| is_local(disk)) else {
            return Ok(());
        };
        let new_path = options
            .rewrite
            .disks
            .get(&disk.target)
            .map_or(path, |new| new.path.as_str());
        if options.disks.contains(&disk.target) {
            let copied = Copied {
                disk,
                path,
                new_path,
            };
            return match options.copy {
                CopyMode::None => Err(format!(
                    "disk {} is to be copied by a migration that copies none",
                    disk.target
                )),
                CopyMode::Full => self.check_target(from, to, &copied, false),
                CopyMode::Incremental => self.check_target(from, to, &copied, true),
            };
        }
        let (here, there) = (self.place_of(from, path), self.place_of(to, new_path));
        if here.is_some() && there.is_none() {
            return Err(format!("{to} has no {new_path} for disk {}", disk.target));
        }
        // libvirt's own check: a disk that is not copied must be on storage that both see, unless nobody writes it.
        let may_differ =
            disk.readonly || matches!(disk.device, DiskDevice::Cdrom | DiskDevice::Floppy);
        if here != there && !may_differ {
            return Err(format!(
                "disk {} is not copied, and {new_path} on {to} is not the storage of {path} on {from}",
                disk.target
            ));
        }
        Ok(())
    }

    /// A volume that is to receive a disk: there, of its size, alone or on the right base, with room for the data.
    fn check_target(
        &self,
        from: &HostName,
        to: &HostName,
        copied: &Copied<'_>,
        thin: bool,
    ) -> Result<(), Refusal> {
        let Copied {
            disk,
            path,
            new_path,
        } = copied;
        let found = find(self.host(to)?, new_path);
        let (pool, name) = found
            .ok_or_else(|| format!("{to} has no volume {new_path} for disk {}", disk.target))?;
        let target = self
            .pool(to, &pool)?
            .volumes
            .get(&name)
            .and_then(|volume| volume.detail.as_ref());
        let source = self
            .volume_of(from, path)
            .and_then(|volume| volume.detail.as_ref());
        if let (Some(source), Some(target)) = (source, target) {
            if source.capacity != target.capacity {
                return Err(format!(
                    "{new_path} on {to} is of {} and disk {} of {}",
                    target.capacity, disk.target, source.capacity
                ));
            }
            if target.backing.is_some() != (thin && source.backing.is_some()) {
                return Err(format!(
                    "{new_path} on {to} and disk {} do not both stand on a base",
                    disk.target
                ));
            }
        }
        let room = self
            .copy_bytes(from, path, thin)
            .minus(target.map_or(Bytes::ZERO, |target| target.allocation));
        self.check_room(to, &pool, room)
    }

    /// What a copy carries: the image alone where its base stays below it, else all that it stands on besides.
    pub(super) fn copy_bytes(&self, host: &HostName, path: &str, thin: bool) -> Bytes {
        let of = |path: &str| self.volume_of(host, path).map_or(Bytes::ZERO, allocation);
        let below = self.chain_below(host, path);
        let layers = below.iter().filter(|_| !thin);
        of(path).plus(layers.map(|(path, _)| of(path)).sum())
    }

    fn copied_paths(
        &self,
        host: &HostName,
        vm: &VmName,
        targets: &[DiskTarget],
        rewrite: &Rewrite,
    ) -> Vec<(String, String)> {
        let disks = self
            .detail(host, vm)
            .map(|detail| detail.disks.as_slice())
            .unwrap_or_default();
        let copied = disks.iter().filter(|disk| targets.contains(&disk.target));
        copied
            .filter_map(|disk| {
                let path = disk.path.clone()?;
                let new = rewrite.disks.get(&disk.target);
                Some((path.clone(), new.map_or(path, |new| new.path.clone())))
            })
            .collect()
    }

    /// Memory that a migration takes at its destination: none that counts where the guest's code never runs, since
    /// QEMU touches only what the guest does.
    fn memory_in(&self, migration: Migration<'_>) -> Result<Bytes, Refusal> {
        let vm = self.vm(migration.from, migration.vm)?;
        Ok(if migration.live {
            vm.memory
        } else {
            Bytes::ZERO
        })
    }

    /// Bytes of disks and memory that a migration carries.
    pub(super) fn migration_bytes(&self, migration: Migration<'_>) -> Bytes {
        let Migration {
            vm,
            from,
            options,
            live,
            ..
        } = migration;
        let memory = self.vm(from, vm).map_or(Bytes::ZERO, |vm| vm.memory);
        let disks = self.copied_paths(from, vm, &options.disks, &options.rewrite);
        let disks: Bytes = disks
            .iter()
            .map(|(path, _)| self.copy_bytes(from, path, is_thin(options)))
            .sum();
        if live { memory.plus(disks) } else { disks }
    }

    pub(super) fn begin_migration(&mut self, migration: Migration<'_>) -> Result<(), Refusal> {
        let Migration {
            vm,
            from,
            to,
            options,
            ..
        } = migration;
        let memory = self.memory_in(migration)?;
        self.detail_mut(from, vm)?.job = Some(JobKind::MigrationOut);
        self.reserved.insert((to.clone(), vm.clone()), memory);
        for (path, new_path) in self.copied_paths(from, vm, &options.disks, &options.rewrite) {
            self.fill(from, &path, to, &new_path, is_thin(options));
        }
        Ok(())
    }

    /// A copy's target takes the room that it will need and holds nothing whole until the copy is complete.
    fn fill(&mut self, from: &HostName, path: &str, to: &HostName, new_path: &str, thin: bool) {
        let bytes = self.copy_bytes(from, path, thin);
        if let Some((pool, name)) = self.hosts.get(to).and_then(|state| find(state, new_path)) {
            self.occupy(to, &pool, &name, bytes);
            let place = self.place(to, &pool, &name);
            self.images.entry(place).view = None;
        }
    }

    pub(super) fn end_job(&mut self, host: &HostName, vm: &VmName, to: &HostName) {
        if let Ok(detail) = self.detail_mut(host, vm) {
            detail.job = None;
        }
        self.reserved.remove(&(to.clone(), vm.clone()));
    }

    /// The VM's disks and definition are at the destination, in the state that is named, and nothing at the source.
    pub(super) fn finish_migration(&mut self, migration: Migration<'_>) -> Result<Bytes, Refusal> {
        let Migration {
            vm,
            from,
            to,
            options,
            live,
        } = migration;
        let bytes = self.migration_bytes(migration);
        for (path, new_path) in self.copied_paths(from, vm, &options.disks, &options.rewrite) {
            self.copy_view(from, &path, to, &new_path, is_thin(options));
        }
        self.end_job(from, vm, to);
        let mut after = self.relocated(vm, from, to, &options.rewrite)?;
        after.persistent = true;
        if let Some(detail) = &mut after.detail {
            // Another QEMU runs it now.
            detail.qemu = None;
        }
        if live {
            "migrated".clone_into(&mut after.power.reason);
            // It was measured by the QEMU that is gone.
            if let Some(detail) = &mut after.detail {
                detail.dirty_rate = None;
                detail.resident = None;
            }
        } else {
            turn_off(&mut after, "destroyed");
        }
        self.undefine(from, vm);
        if let Some(state) = self.hosts.get_mut(to) {
            state.vms.insert(vm.clone(), after);
        }
        Ok(bytes)
    }

    /// The target of a copy now reads as its source: alone, or on the base that it stands on.
    fn copy_view(
        &mut self,
        from: &HostName,
        path: &str,
        to: &HostName,
        new_path: &str,
        thin: bool,
    ) {
        let view = self.read(from, path);
        let needs = self
            .place_of(from, path)
            .and_then(|place| self.images.at(&place)?.needs);
        if let Some(place) = self.place_of(to, new_path) {
            let needs = needs.filter(|_| thin);
            *self.images.entry(place) = Image { view, needs };
        }
    }

    pub(super) fn check_block_copy(
        &self,
        host: &HostName,
        vm: &VmName,
        target: &DiskTarget,
        new_path: &str,
        shallow: bool,
    ) -> Result<(), Refusal> {
        self.check_active(host, vm)?;
        let disk = self
            .detail(host, vm)?
            .disks
            .iter()
            .find(|disk| disk.target == *target);
        let disk = disk.ok_or_else(|| format!("{vm} has no disk {target}"))?;
        let Some(path) = disk.path.as_deref() else {
            return Err(format!("disk {target} of {vm} is an empty drive"));
        };
        if path == new_path {
            return Err(format!("disk {target} of {vm} is {path} already"));
        }
        if self.copy_bytes(host, new_path, true) > Bytes::ZERO {
            return Err(format!("{new_path} is not empty"));
        }
        self.check_target(
            host,
            host,
            &Copied {
                disk,
                path,
                new_path,
            },
            shallow,
        )
    }

    pub(super) fn begin_block_copy(
        &mut self,
        host: &HostName,
        vm: &VmName,
        target: &DiskTarget,
        new_path: &str,
        shallow: bool,
    ) -> Result<(), Refusal> {
        let path = self.disk_path(host, vm, target)?;
        let detail = self.detail_mut(host, vm)?;
        detail.job = Some(JobKind::Block);
        let mut disks = detail.disks.iter_mut();
        if let Some(disk) = disks.find(|disk| disk.target == *target) {
            disk.copied_to = Some(new_path.to_owned());
        }
        self.fill(host, &path, host, new_path, shallow);
        Ok(())
    }

    pub(super) fn finish_block_copy(
        &mut self,
        host: &HostName,
        vm: &VmName,
        target: &DiskTarget,
        new_path: &str,
        shallow: bool,
    ) -> Result<Bytes, Refusal> {
        let path = self.disk_path(host, vm, target)?;
        let bytes = self.copy_bytes(host, &path, shallow);
        self.copy_view(host, &path, host, new_path, shallow);
        self.end_copies_of(host, vm);
        let new = DiskRewrite {
            path: new_path.to_owned(),
            backing: self.chain_below(host, new_path),
        };
        let rewrite = Rewrite {
            disks: [(target.clone(), new)].into(),
            ..Rewrite::default()
        };
        let after = self.relocated(vm, host, host, &rewrite)?;
        *self.vm_mut(host, vm)? = after;
        Ok(bytes)
    }

    /// The images below a volume, the nearest first.
    pub(super) fn chain_below(&self, host: &HostName, path: &str) -> Vec<(String, VolumeFormat)> {
        let mut chain: Vec<(String, VolumeFormat)> = Vec::new();
        let below = |path: &str| self.volume_of(host, path)?.detail.as_ref()?.backing.clone();
        let mut next = below(path);
        while let Some(layer) = next.filter(|layer| !chain.contains(layer)) {
            next = below(&layer.0);
            chain.push(layer);
        }
        chain
    }

    pub(super) fn disk_path(
        &self,
        host: &HostName,
        vm: &VmName,
        target: &DiskTarget,
    ) -> Result<String, Refusal> {
        let disk = self
            .detail(host, vm)?
            .disks
            .iter()
            .find(|disk| disk.target == *target);
        let path = disk.and_then(|disk| disk.path.clone());
        path.ok_or_else(|| format!("{vm} has no disk {target}"))
    }
}
