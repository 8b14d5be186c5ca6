//! What a reading tells about a host or VM, for the comment beside it: a few words for each fact, the most important
//! first.

use crate::model::{Bytes, DiskDevice, JobKind, RunState};
use crate::observed::{Disk, Host, Vm, VmDetail};

/// What a host is.
pub(super) fn host(host: &Host) -> String {
    let active = host.vms.values().filter(|vm| vm.power.is_active()).count();
    let off = host.vms.len() - active;
    let version = host.hypervisor_version;
    let mut notes = vec![
        format!(
            "{}, {}",
            counted(host.cpus.into(), "CPU"),
            amount(host.memory)
        ),
        format!(
            "QEMU {}.{}.{}",
            version / 1_000_000,
            version / 1000 % 1000,
            version % 1000
        ),
        format!("{} running, {off} off", counted(active as u64, "VM")),
    ];
    let gaps = host.gaps.iter().map(|gap| format!("not read: {gap}"));
    notes.extend(gaps);
    notes.join(", ")
}

/// Whether a VM runs.
pub(super) fn power(vm: &Vm) -> &'static str {
    match vm.power.state {
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::ShutOff => "off",
        RunState::Crashed => "crashed",
    }
}

/// What a VM is, and what stands in the way of moving it.
pub(super) fn vm(vm: &Vm, host: &Host) -> String {
    let mut notes = Vec::new();
    if vm.power.state != RunState::Running {
        notes.push(power(vm).to_owned());
    }
    let obstacles = obstacles(vm);
    if !obstacles.is_empty() {
        notes.push(format!("cannot move: {}", obstacles.join(" and ")));
    }
    notes.push(amount(vm.memory));
    notes.push(counted(vm.vcpus.into(), "vCPU"));
    if !vm.persistent {
        notes.push("not defined, so it is gone once it is off".to_owned());
    }
    if let Some(detail) = &vm.detail {
        notes.extend(detail.disks.iter().filter_map(disk));
        notes.extend(particulars(detail, host));
    }
    notes.join(", ")
}

fn disk(disk: &Disk) -> Option<String> {
    let target = &disk.target;
    // An empty drive is nothing to know.
    let path = disk.path.as_deref()?;
    if disk.device != DiskDevice::Disk {
        return Some(format!("{target} with {}", file_name(path)));
    }
    let size = disk
        .capacity
        .map(|size| format!(" {}", amount(size)))
        .unwrap_or_default();
    let place = match &disk.volume {
        Some((pool, _)) => format!(" in {pool}"),
        None => format!(" outside of any pool ({path})"),
    };
    let base = disk.backing.first();
    let base = base.map(|base| format!(" on base {}", file_name(&base.path)));
    Some(format!("{target}{size}{place}{}", base.unwrap_or_default()))
}

/// Why a VM cannot move as it is.
fn obstacles(vm: &Vm) -> Vec<String> {
    let mut obstacles = Vec::new();
    if vm.managed_save {
        obstacles.push("it has a saved state (start it or remove that first)".to_owned());
    }
    if let Some(detail) = &vm.detail {
        if !detail.host_devices.is_empty() {
            obstacles.push(format!(
                "it uses {} of its host",
                detail.host_devices.join(", ")
            ));
        }
        if let Some(reason) = &detail.unreadable_mark {
            obstacles.push(format!(
                "its metadata of Domicile cannot be read ({reason})"
            ));
        }
    }
    obstacles
}

fn particulars(detail: &VmDetail, host: &Host) -> Vec<String> {
    let mut notes = Vec::new();
    match detail.job {
        Some(JobKind::MigrationIn | JobKind::MigrationOut) => {
            notes.push("is being migrated".to_owned());
        }
        Some(JobKind::Block) => notes.push("a block job runs on it".to_owned()),
        Some(JobKind::Other) => notes.push("a job runs on it".to_owned()),
        None => {}
    }
    if detail.mark.is_some() {
        notes.push("a move of it was not finished".to_owned());
    }
    if !detail.snapshots.is_empty() {
        notes.push(counted(detail.snapshots.len() as u64, "snapshot"));
    }
    if detail.tpm {
        notes.push("TPM".to_owned());
    }
    // Files in a pool are disks or media, which have been said.
    let paths = detail.local_paths.iter();
    let needed = paths.filter(|path| host.volume_at(path).is_none());
    notes.extend(needed.map(|path| format!("needs {path}")));
    notes
}

/// Sizes here are mostly whole: `16 GiB`, not `16.0 GiB`.
fn amount(bytes: Bytes) -> String {
    bytes.to_string().replace(".0 ", " ")
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
