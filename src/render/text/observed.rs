//! A reading of all hosts as three tables: hosts, pools, VMs.

use std::iter::once;

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use crate::model::RunState;
use crate::observed::{Disk, Observed, Reading, Vm, VmDetail};
use crate::render::page::{Page, plain};
use crate::render::{Role, Style, clean};

/// Tables of hosts, pools and VMs; a host that did not answer is listed with its reason.
#[must_use]
pub fn observed(observed: &Observed, style: &Style) -> String {
    let mut page = Page::new(style);
    section(&mut page, "Hosts", &hosts(observed, style));
    unreachable(&mut page, observed);
    section(&mut page, "Pools", &pools(observed, style));
    section(&mut page, "VMs", &vms(observed, style));
    gaps(&mut page, observed);
    page.blank();
    page.line(0, 2, &[(Role::Heading, closing(observed))]);
    page.finish()
}

fn section(page: &mut Page<'_>, title: &str, table: &Table) {
    if table.is_empty() {
        return;
    }
    page.blank();
    page.line(0, 0, &[(Role::Heading, title.to_owned())]);
    page.table(table);
}

fn table(style: &Style, header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(style.width).unwrap_or(u16::MAX))
        .set_header(header.iter().map(|title| Cell::new(title.to_uppercase())));
    if style.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    for index in numbers {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cell(text: impl AsRef<str>) -> Cell {
    let lines: Vec<_> = text.as_ref().split('\n').map(clean).collect();
    Cell::new(lines.join("\n"))
}

/// libvirt's way to write a version in one number.
fn version(number: u64) -> String {
    format!(
        "{}.{}.{}",
        number / 1_000_000,
        number / 1000 % 1000,
        number % 1000
    )
}

fn hosts(observed: &Observed, style: &Style) -> Table {
    let header = [
        "host", "libvirt", "QEMU", "CPU", "CPUs", "memory", "for VMs", "VMs", "running",
    ];
    let mut table = table(style, &header, &[4, 5, 6, 7, 8]);
    for (name, reading) in &observed.hosts {
        match reading {
            Reading::Reached(host) => {
                let active: Vec<&Vm> = host
                    .vms
                    .values()
                    .filter(|vm| vm.power.is_active())
                    .collect();
                let given: crate::model::Bytes = active.iter().map(|vm| vm.memory).sum();
                table.add_row([
                    cell(name),
                    cell(version(host.libvirt_version)),
                    cell(version(host.hypervisor_version)),
                    cell(&host.cpu_model),
                    cell(host.cpus.to_string()),
                    cell(host.memory.to_string()),
                    cell(given.to_string()),
                    cell(host.vms.len().to_string()),
                    cell(active.len().to_string()),
                ]);
            }
            Reading::Unreachable { .. } => {
                table.add_row([cell(name), cell("unreachable").fg(Color::Red)]);
            }
        }
    }
    table
}

fn unreachable(page: &mut Page<'_>, observed: &Observed) {
    for (name, reading) in &observed.hosts {
        if let Reading::Unreachable { reason, after } = reading {
            page.blank();
            let what = format!("{name} did not answer (waited {after}):");
            page.line(0, 2, &[(Role::Bad, what), plain(reason.as_str())]);
        }
    }
}

fn pools(observed: &Observed, style: &Style) -> Table {
    let header = [
        "host", "pool", "kind", "state", "size", "free", "volumes", "storage",
    ];
    let mut table = table(style, &header, &[4, 5, 6]);
    for (name, host) in observed.reached() {
        for (pool_name, pool) in &host.pools {
            table.add_row([
                cell(name),
                cell(pool_name),
                cell(&pool.kind),
                cell(if pool.active { "active" } else { "inactive" }),
                cell(pool.capacity.to_string()),
                cell(pool.available.to_string()),
                cell(pool.volumes.len().to_string()),
                cell(pool.storage.as_deref().unwrap_or(&pool.path)),
            ]);
        }
    }
    table
}

fn vms(observed: &Observed, style: &Style) -> Table {
    let header = [
        "VM",
        "host",
        "state",
        "memory",
        "vCPUs",
        "disks and networks",
        "to know",
    ];
    let mut table = table(style, &header, &[3, 4]);
    for (host_name, host) in observed.reached() {
        for (name, vm) in &host.vms {
            table.add_row([
                cell(name),
                cell(host_name),
                cell(state(vm)),
                cell(vm.memory.to_string()),
                cell(vm.vcpus.to_string()),
                cell(devices(vm)),
                cell(remarks(vm)),
            ]);
        }
    }
    table
}

fn state(vm: &Vm) -> String {
    let word = match vm.power.state {
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::ShutOff => "off",
        RunState::Crashed => "crashed",
    };
    match vm.power.state {
        RunState::Paused | RunState::Crashed => format!("{word} ({})", vm.power.reason),
        RunState::Running | RunState::ShutOff => word.to_owned(),
    }
}

fn devices(vm: &Vm) -> String {
    let Some(detail) = &vm.detail else {
        return "not looked into".to_owned();
    };
    let disks = detail.disks.iter().map(disk);
    let interfaces = detail.interfaces.iter().map(|interface| {
        use crate::model::InterfaceSource::{Bridge, Direct, Network, Other};
        let source = match &interface.source {
            Bridge(name) => format!("bridge {name}"),
            Network(name) => format!("network {name}"),
            Direct(name) => format!("device {name}"),
            Other(kind) => kind.clone(),
        };
        format!("{} {source}", interface.mac)
    });
    disks.chain(interfaces).collect::<Vec<_>>().join("\n")
}

fn disk(disk: &Disk) -> String {
    let place = match (&disk.volume, &disk.path) {
        (Some((pool, volume)), _) => format!("{pool}/{volume}"),
        (None, Some(path)) => path.clone(),
        (None, None) => "empty".to_owned(),
    };
    let sizes = disk.allocation.zip(disk.capacity);
    let sizes = sizes.map(|(used, capacity)| format!("{used} of {capacity}"));
    let below = disk.backing.iter().map(|layer| match &layer.volume {
        Some((pool, volume)) => format!("on {pool}/{volume}"),
        None => format!("on {}", layer.path),
    });
    let first = format!("{} {place} {}", disk.target, disk.format);
    let parts: Vec<String> = once(first).chain(sizes).chain(below).collect();
    parts.join(" ")
}

/// What a person wants to know before moving the VM.
fn remarks(vm: &Vm) -> String {
    let mut remarks = Vec::new();
    if !vm.persistent {
        remarks.push("transient".to_owned());
    }
    if vm.managed_save {
        remarks.push("has a saved state".to_owned());
    }
    if let Some(detail) = &vm.detail {
        details(detail, &mut remarks);
    }
    remarks.join("\n")
}

fn details(detail: &VmDetail, remarks: &mut Vec<String>) {
    let mut count = |things: &[String], what: &str| {
        if !things.is_empty() {
            remarks.push(format!("{what}: {}", things.join(", ")));
        }
    };
    count(&detail.host_devices, "host devices");
    count(&detail.snapshots, "snapshots");
    count(&detail.local_paths, "needs");
    if detail.tpm {
        remarks.push("TPM".to_owned());
    }
    if detail.nvram.is_some() {
        remarks.push("UEFI".to_owned());
    }
    if let Some(job) = detail.job {
        use crate::model::JobKind::{Block, MigrationIn, MigrationOut, Other};
        let job = match job {
            MigrationOut => "is migrating away",
            MigrationIn => "is migrating in",
            Block => "has a block job",
            Other => "has a job",
        };
        remarks.push(job.to_owned());
    }
    if let Some(mark) = &detail.mark {
        remarks.push(format!("unfinished move {} -> {}", mark.from, mark.to));
    }
    if let Some(why) = &detail.unreadable_mark {
        remarks.push(format!("metadata of Domicile cannot be read: {why}"));
    }
}

fn gaps(page: &mut Page<'_>, observed: &Observed) {
    for (name, host) in observed.reached() {
        for gap in &host.gaps {
            page.blank();
            page.line(
                0,
                2,
                &[
                    (Role::Warning, format!("{name} was not read in full:")),
                    plain(gap.as_str()),
                ],
            );
        }
    }
}

fn closing(observed: &Observed) -> String {
    let reached = observed.reached().count();
    let vms: usize = observed.reached().map(|(_, host)| host.vms.len()).sum();
    format!(
        "{reached} of {} hosts answered; they have {vms} VMs.",
        observed.hosts.len()
    )
}
