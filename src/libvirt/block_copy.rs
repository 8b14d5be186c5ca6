//! A running VM's disk copied to a new volume, and the VM switched over to it (libvirt's block copy and pivot).

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use roxmltree::Document;
use virt_sys as sys;

use super::connection::Connection;
use super::context::Context;
use super::domain::Guest;
use super::error::CallError;
use super::failure::Failure;
use super::ffi::{self, BlockJob};
use super::typed_params::Params;
use super::volume_xml::{self, escaped};
use crate::hypervisor::{Outcome, Progress};
use crate::model::{Bytes, BytesPerSecond, DiskTarget, HostName, VmName, VolumeFormat};

/// How often the copy is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What an image occupies in which no guest has written: its header and tables.
const EMPTY_MAX: Bytes = Bytes(4 << 20);

/// What is copied, and to where.
pub(super) struct Order<'a> {
    /// Which disk.
    pub(super) disk: &'a DiskTarget,
    /// Path of the new volume, which exists.
    pub(super) path: &'a str,
    /// Its format.
    pub(super) format: &'a VolumeFormat,
    /// Whether only the top image is copied and the ones below it stay.
    pub(super) shallow: bool,
    /// Rate limit.
    pub(super) bandwidth: Option<BytesPerSecond>,
}

/// Copies and switches over. A copy to the same volume that is under way, from an apply that was killed, is
/// continued.
pub(super) fn run(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    order: &Order,
) -> Result<Outcome, Failure> {
    let connection = context.work(host)?;
    let guest = Guest::get(&connection, vm)?;
    let state = guest.state()?;
    if !state.is_running() && !state.is_paused() {
        return Err(Failure::on(host, format!("{vm} is {state}, not running"))
            .with_help("It changed since the plan was made. Plan again."));
    }
    let disk = order.disk.as_str();
    let paths = Paths::of(&guest, disk)?;
    if paths.live.as_deref() == Some(order.path) && paths.copy.is_none() {
        return prove(&guest, vm, order).map(|()| Outcome::default());
    }
    let under_way = guest.call(|domain| ffi::block_job(domain, disk))?;
    match (under_way, paths.copy.as_deref()) {
        (None, _) => start(context, &guest, order)?,
        (Some(_), Some(copy)) if copy == order.path => {
            context.watch.note("continuing a copy that is under way");
        }
        (Some(_), _) => {
            let why = format!("disk {disk} of {vm} is busy with another block job");
            return Err(Failure::on(host, why).with_help(format!(
                "See virsh blockjob {} {} --info, then plan again.",
                vm.in_shell(),
                order.disk.in_shell()
            )));
        }
    }
    let copied = follow(context, &guest, vm, order)?;
    prove(&guest, vm, order)?;
    Ok(Outcome {
        bytes: copied,
        downtime: None,
        ..Outcome::default()
    })
}

fn start(context: &Context, guest: &Guest, order: &Order) -> Result<(), Failure> {
    let connection = guest.connection();
    let volume = connection.call(|connect| connect.lookup_storage_vol_by_path(order.path))?;
    let xml = connection.call(|_| volume.xml_desc(0))?;
    let facts = volume_xml::read(&xml).map_err(|problem| Failure::on(guest.host(), problem))?;
    if facts.format != *order.format {
        let why = format!("{} is {}, not {}", order.path, facts.format, order.format);
        return Err(Failure::on(guest.host(), why));
    }
    // What it already holds would show through where a shallow copy has nothing to write.
    if facts.kind == "file" && facts.allocation > EMPTY_MAX {
        let why = format!(
            "{} is not empty: {} are written in it",
            order.path, facts.allocation
        );
        return Err(Failure::on(guest.host(), why)
            .with_help("Remove it if nothing needs it, then plan again."));
    }
    super::usage::expect_no_writer(connection, order.path)?;
    let (kind, attribute) = match facts.kind.as_str() {
        "block" => ("block", "dev"),
        _ => ("file", "file"),
    };
    let target = format!(
        "<disk type='{kind}'><source {attribute}='{}'/><driver name='qemu' type='{}'/></disk>",
        escaped(order.path),
        escaped(order.format.as_str()),
    );
    let mut params = Params::default();
    if let Some(rate) = order.bandwidth {
        params.unsigned(sys::VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, rate.0);
    }
    // A persistent domain may only copy with a job that a restart of the VM would not resume. The volume exists, with
    // its format and what it stands on, so libvirt is to use it as it is.
    let mut flags = sys::VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | sys::VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB;
    if order.shallow {
        flags |= sys::VIR_DOMAIN_BLOCK_COPY_SHALLOW;
    }
    context.expect_not_cancelled()?;
    guest
        .call(|domain| ffi::block_copy(domain, order.disk.as_str(), &target, &mut params, flags))?;
    Ok(())
}

/// Waits until the copy is complete and switches over; returns how much was copied.
fn follow(context: &Context, guest: &Guest, vm: &VmName, order: &Order) -> Result<Bytes, Failure> {
    let disk = order.disk.as_str();
    let mut last = BlockJob {
        kind: 0,
        done: 0,
        total: 0,
    };
    let mut told = Instant::now();
    loop {
        let connection_again = || find_again(context, guest);
        let guest = Context::insist(connection_again)?;
        if context.is_cancelled() {
            return Err(cancel(&guest, vm, order));
        }
        let job = match guest.call(|domain| ffi::block_job(domain, disk)) {
            Ok(Some(job)) => job,
            Ok(None) => return ended(&guest, vm, order, Bytes(last.done)),
            // A VM that was switched off has no jobs.
            Err(error) if error.is(sys::VIR_ERR_OPERATION_INVALID) => {
                return ended(&guest, vm, order, Bytes(last.done));
            }
            Err(error) => return Err(error.into()),
        };
        let millis = u64::try_from(told.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        context.watch.progress(Progress {
            done: Bytes(job.done),
            total: Bytes(job.total),
            rate: Some(BytesPerSecond(
                job.done.saturating_sub(last.done).saturating_mul(1000) / millis,
            )),
        });
        (last, told) = (job, Instant::now());
        // The two are equal only when every write goes to both; until then libvirt keeps them apart.
        if job.total > 0 && job.done == job.total {
            let pivot = sys::VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT;
            match guest.call(|domain| ffi::block_job_abort(domain, disk, pivot)) {
                Ok(()) => return Ok(Bytes(job.total)),
                Err(error) if error.is(sys::VIR_ERR_BLOCK_COPY_ACTIVE) => {}
                // The answer may be what got lost, not the request.
                Err(error) if error.is_connection() => {}
                Err(error) => return Err(cancel(&guest, vm, order).and(error)),
            }
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn find_again(context: &Context, guest: &Guest) -> Result<Guest, CallError> {
    let connection = context.work(guest.host())?;
    Guest::find_uuid(&connection, guest.uuid())?
        .ok_or_else(|| CallError::ours(guest.host(), "the VM vanished during the copy"))
}

/// The job is gone: either it was switched over, or it was lost.
fn ended(guest: &Guest, vm: &VmName, order: &Order, copied: Bytes) -> Result<Bytes, Failure> {
    if Paths::of(guest, order.disk.as_str())?.live.as_deref() == Some(order.path) {
        return Ok(copied);
    }
    let why = format!(
        "the copy of disk {} of {vm} to {} ended before it was complete ({vm} is {})",
        order.disk,
        order.path,
        guest.state()?
    );
    let help = format!(
        "{vm} still uses its old volume. The reason may be in /var/log/libvirt/qemu/{vm}.log on {}: no room left, \
         or the VM was switched off.",
        guest.host()
    );
    Err(Failure::on(guest.host(), why).with_help(help))
}

/// Ends the copy without switching over; the VM goes on with its old volume.
fn cancel(guest: &Guest, vm: &VmName, order: &Order) -> Failure {
    let disk = order.disk.as_str();
    // Without the flag for asynchronous ending, the call returns when the job has ended.
    let ended = guest.call(|domain| ffi::block_job_abort(domain, disk, 0));
    let left = guest.call(|domain| ffi::block_job(domain, disk));
    match (ended, left) {
        (_, Ok(None)) => Failure::cancelled(),
        (Err(error), _) | (_, Err(error)) => Failure::cancelled().and(format!(
            "the copy of disk {disk} of {vm} may still run: {error}"
        )),
        (Ok(()), Ok(Some(_))) => {
            Failure::cancelled().and(format!("the copy of disk {disk} of {vm} still runs"))
        }
    }
}

/// Ends every copy of a disk to this volume that is under way on its host, without switching over: each VM goes on
/// with the volume that it has.
pub(super) fn end_copies_to(
    context: &Context,
    connection: &Arc<Connection>,
    path: &str,
) -> Result<(), Failure> {
    let active = sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE;
    for domain in connection.call(|connect| connect.list_all_domains(active))? {
        let guest = Guest::of(connection, domain)?;
        let xml = match guest.xml(0) {
            Ok(xml) => xml,
            Err(error) if error.is_no_domain() => continue,
            Err(error) => return Err(error.into()),
        };
        for disk in copied_to(&xml, path) {
            guest.call(|domain| ffi::block_job_abort(domain, &disk, 0))?;
            context
                .watch
                .note(&format!("ended an unfinished copy to {path}"));
        }
    }
    Ok(())
}

/// The targets of the disks that are being copied to this path.
fn copied_to(xml: &str, path: &str) -> Vec<String> {
    let Ok(document) = Document::parse(xml) else {
        return Vec::new();
    };
    let targets = document
        .descendants()
        .filter(|node| node.has_tag_name("target"));
    let all: Vec<String> = targets
        .filter_map(|target| target.attribute("dev").map(str::to_owned))
        .collect();
    all.into_iter()
        .filter(|target| paths_in(xml, target).1.as_deref() == Some(path))
        .collect()
}

/// Proves that the VM uses the new volume, now and at its next start.
fn prove(guest: &Guest, vm: &VmName, order: &Order) -> Result<(), Failure> {
    let paths = Paths::of(guest, order.disk.as_str())?;
    for (path, which) in [(&paths.live, "running"), (&paths.persistent, "persistent")] {
        if path.as_deref() != Some(order.path) {
            let path = path.as_deref().unwrap_or("nothing");
            let why = format!(
                "disk {} of {vm} is {path} in its {which} definition, not {}",
                order.disk, order.path
            );
            return Err(Failure::on(guest.host(), why));
        }
    }
    match paths.copy {
        None => Ok(()),
        Some(copy) => Err(Failure::on(
            guest.host(),
            format!(
                "disk {} of {vm} is still being copied to {copy}",
                order.disk
            ),
        )),
    }
}

/// Where a disk is.
struct Paths {
    /// In the running VM.
    live: Option<String>,
    /// In its persistent definition.
    persistent: Option<String>,
    /// Where a block copy takes it.
    copy: Option<String>,
}

impl Paths {
    fn of(guest: &Guest, disk: &str) -> Result<Self, Failure> {
        let live = guest.xml(0)?;
        let persistent = guest.xml(sys::VIR_DOMAIN_XML_INACTIVE)?;
        let (live, copy) = paths_in(&live, disk);
        let (persistent, _) = paths_in(&persistent, disk);
        Ok(Self {
            live,
            persistent,
            copy,
        })
    }
}

/// The path of a disk in a domain's XML, and of the volume that it is being copied to.
fn paths_in(xml: &str, target: &str) -> (Option<String>, Option<String>) {
    let Ok(document) = Document::parse(xml) else {
        return (None, None);
    };
    let source_in = |node: roxmltree::Node| {
        let source = node.children().find(|inner| inner.has_tag_name("source"))?;
        let path = source.attribute("file").or_else(|| source.attribute("dev"));
        path.map(str::to_owned)
    };
    for disk in document
        .descendants()
        .filter(|node| node.has_tag_name("disk"))
    {
        let child = |name| disk.children().find(|inner| inner.has_tag_name(name));
        if child("target").and_then(|node| node.attribute("dev")) == Some(target) {
            return (source_in(disk), child("mirror").and_then(source_in));
        }
    }
    (None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_and_its_copy_under_way_are_told_apart() {
        let xml = "<domain><devices>
            <disk><source file='/a'/><backingStore><source file='/base'/></backingStore>
              <mirror type='file' job='copy' ready='yes'><source file='/b'/></mirror><target dev='vda'/></disk>
            <disk><source dev='/dev/vg/c'/><target dev='vdb'/></disk>
        </devices></domain>";
        assert_eq!(paths_in(xml, "vda"), (Some("/a".into()), Some("/b".into())));
        assert_eq!(paths_in(xml, "vdb"), (Some("/dev/vg/c".into()), None));
        assert_eq!(paths_in(xml, "vdc"), (None, None));
        assert_eq!(copied_to(xml, "/b"), ["vda"]);
        assert!(copied_to(xml, "/a").is_empty());
    }
}
