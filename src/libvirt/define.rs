//! Definitions made, changed and removed, each after proof of what must be there first.

use std::sync::Arc;

use roxmltree::{Document, Node};
use virt_sys as sys;

use super::connection::Connection;
use super::context::Context;
use super::domain::{Guest, State};
use super::error::CallError;
use super::failure::Failure;
use super::{mark, snapshots};
use crate::definition::{self, Rewrite};
use crate::hypervisor::Outcome;
use crate::model::{DiskTarget, HostName, VmName};
use crate::plan::Seen;

/// Defines the VM at the destination from its definition at the source, its mark saying that the copies are complete.
pub(super) fn define(
    context: &Context,
    vm: &VmName,
    from: &HostName,
    to: &HostName,
    rewrite: &Rewrite,
) -> Result<Outcome, Failure> {
    let original = Guest::get(&context.work(from)?, vm)?;
    original.expect_off(vm)?;
    original.expect_no_saved_state(vm)?;
    let destination = context.work(to)?;
    let defined_before = expect_free(&destination, vm, original.uuid())?;
    let before = original.definition()?;
    let after = rewritten(from, &before, rewrite)?;
    expect_disks(original.connection(), &destination, &after, &before)?;
    let after = mark::completed(from, &after)?;
    context.expect_not_cancelled()?;
    let made = destination.call(|connect| connect.define_domain_xml(&after))?;
    let made = Guest::of(&destination, made)?;
    match complete(&original, &made, vm, rewrite) {
        Ok(()) => Ok(Outcome::default()),
        Err(failure) if defined_before => Err(failure),
        Err(failure) => Err(match made.undefine() {
            Ok(()) => failure,
            Err(error) => failure.and(format!("its new definition could not be removed: {error}")),
        }),
    }
}

/// What a definition alone does not carry.
fn complete(original: &Guest, made: &Guest, vm: &VmName, rewrite: &Rewrite) -> Result<(), Failure> {
    carry_autostart(original, made)?;
    snapshots::carry(original, made, rewrite)?;
    made.expect_off(vm)?;
    if made.uuid() != original.uuid() {
        let why = format!("{vm} was defined with another UUID");
        return Err(Failure::on(made.host(), why));
    }
    if original.definition()?.contains("<nvram") {
        // Only a migration carries the file's contents, and no call of libvirt reads or writes it.
        log::warn!("{vm} begins at {} with fresh UEFI variables", made.host());
    }
    Ok(())
}

/// Changes the definition of a VM that is off.
pub(super) fn redefine(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    rewrite: &Rewrite,
) -> Result<Outcome, Failure> {
    let connection = context.work(host)?;
    let guest = Guest::get(&connection, vm)?;
    guest.expect_off(vm)?;
    guest.expect_no_saved_state(vm)?;
    let before = guest.definition()?;
    let after = rewritten(host, &before, rewrite)?;
    expect_disks(&connection, &connection, &after, &before)?;
    context.expect_not_cancelled()?;
    connection.call(|connect| connect.define_domain_xml(&after))?;
    let carried = snapshots::carry(&guest, &guest, rewrite).and_then(|()| {
        let now = guest.definition()?;
        expect_paths(host, vm, &now, rewrite)
    });
    match carried {
        Ok(()) => Ok(Outcome::default()),
        Err(failure) => match connection.call(|connect| connect.define_domain_xml(&before)) {
            Ok(_) => Err(failure),
            Err(error) => {
                Err(failure.and(format!("its old definition could not be put back: {error}")))
            }
        },
    }
}

/// Removes the VM's definition where another host is proven to have the VM with its disks.
pub(super) fn undefine(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    kept_by: &HostName,
) -> Result<Outcome, Failure> {
    if host == kept_by {
        return Err(Failure::on(host, "it cannot keep what it is to give up"));
    }
    let Some(guest) = Guest::find(&context.work(host)?, vm)? else {
        context.watch.note(&format!("{host} has no {vm} any more"));
        return Ok(Outcome::default());
    };
    let keeper = context.work(kept_by)?;
    let Some(kept) = Guest::find_uuid(&keeper, guest.uuid())? else {
        let why = format!("it does not have {vm} with the UUID that {host} knows it by");
        return Err(Failure::on(kept_by, why)
            .with_help("Nothing was removed. See where the VM is, then plan again."));
    };
    let there = kept.state()?;
    end_what_a_migration_left(&guest, vm, there)?;
    guest.expect_off(vm)?;
    let (before, after) = (guest.definition()?, kept.definition()?);
    if there.is_off() {
        expect_disks(guest.connection(), &keeper, &after, &before)?;
    }
    if !kept.is_persistent()? {
        let why = format!("{vm} runs there without a persistent definition");
        return Err(Failure::on(kept_by, why).with_help(format!(
            "Nothing was removed. On {kept_by}: virsh dumpxml --inactive {}, then virsh define.",
            vm.in_shell()
        )));
    }
    carry_autostart(&guest, &kept)?;
    guest.undefine()?;
    expect_gone(&guest, vm)
}

/// Sets the destination's autostart where the source has it: no migration carries it.
pub(super) fn carry_autostart(from: &Guest, to: &Guest) -> Result<(), CallError> {
    if from.call(virt::domain::Domain::autostart)? {
        to.call(|domain| domain.set_autostart(true))?;
    }
    Ok(())
}

/// Proves that the host does not know the VM any more.
pub(super) fn expect_gone(guest: &Guest, vm: &VmName) -> Result<Outcome, Failure> {
    match Guest::find_uuid(guest.connection(), guest.uuid())? {
        None => Ok(Outcome::default()),
        Some(_) => Err(Failure::on(
            guest.host(),
            format!("{vm} is still defined after its definition was removed"),
        )),
    }
}

/// A migration whose last word was lost leaves the source paused while the destination runs. What stands still at the
/// source is then a shell without a future, and the only thing that could go wrong is that somebody resumes it.
pub(super) fn end_what_a_migration_left(
    guest: &Guest,
    vm: &VmName,
    at_destination: State,
) -> Result<(), Failure> {
    let here = guest.state()?;
    if here.is_torn() || at_destination.is_torn() {
        return Err(super::power::torn(guest.host(), vm));
    }
    if here.is_paused_by_migration() && at_destination.is_running() {
        guest.call(virt::domain::Domain::destroy)?;
    }
    Ok(())
}

/// Refuses where the host has another VM of that name or UUID, or this one active; says whether it has this one, off.
pub(super) fn expect_free(
    connection: &Arc<Connection>,
    vm: &VmName,
    uuid: &str,
) -> Result<bool, Failure> {
    let refused = |why: String, help: &str| Err(Failure::on(&connection.host, why).with_help(help));
    let by_name = Guest::find(connection, vm)?;
    let by_uuid = Guest::find_uuid(connection, uuid)?;
    let other = by_name.as_ref().is_some_and(|found| found.uuid() != uuid);
    if other || (by_name.is_none() && by_uuid.is_some()) {
        let why = format!("it has another VM with the name or the UUID of {vm}");
        return refused(
            why,
            "Rename or remove the one that is wrong, then plan again.",
        );
    }
    let Some(found) = by_name else {
        return Ok(false);
    };
    let state = found.state()?;
    if !state.is_off() {
        let why = format!("{vm} is {state} there already");
        return refused(why, "It changed since the plan was made. Plan again.");
    }
    Ok(true)
}

/// Refuses where the VM is not as the plan saw it, or the host that it goes to has taken another of its name since.
pub(super) fn expect_as_seen(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    seen: &Seen,
) -> Result<(), Failure> {
    let guest = Guest::get(&context.work(host)?, vm)?;
    let facts = definition::read(&guest.xml(sys::VIR_DOMAIN_XML_INACTIVE)?)
        .map_err(|error| Failure::on(host, error))?;
    let snapshots = guest.call(|domain| domain.list_all_snapshots(0))?.len();
    let active = !guest.state()?.is_off();
    let now = Seen::of(&facts, active, snapshots, seen.to.clone());
    if let Some(difference) = seen.differs_from(&now) {
        let why = format!("{vm} is not as the plan saw it: {difference}");
        return Err(Failure::on(host, why).with_help("Nothing was begun. Plan again."));
    }
    if let Some(to) = &seen.to {
        expect_free(&context.work(to)?, vm, guest.uuid())?;
    }
    Ok(())
}

/// The definition with its changes.
pub(super) fn rewritten(host: &HostName, xml: &str, rewrite: &Rewrite) -> Result<String, Failure> {
    if rewrite.is_empty() {
        return Ok(xml.to_owned());
    }
    definition::rewrite(xml, rewrite).map_err(|error| Failure::on(host, error))
}

fn document<'a>(host: &HostName, xml: &'a str) -> Result<Document<'a>, Failure> {
    Document::parse(xml)
        .map_err(|error| Failure::on(host, format!("cannot understand a VM's XML: {error}")))
}

/// A disk's target, and its source element.
fn disks<'a, 'input>(
    document: &'a Document<'input>,
) -> impl Iterator<Item = (&'a str, Node<'a, 'input>)> {
    document
        .descendants()
        .filter(|node| node.has_tag_name("disk"))
        .filter(|disk| !matches!(disk.attribute("device"), Some("cdrom" | "floppy")))
        .filter_map(|disk| {
            let child = |name| disk.children().find(|inner| inner.has_tag_name(name));
            Some((child("target")?.attribute("dev")?, child("source")?))
        })
}

fn path_of<'a>(source: &Node<'a, '_>) -> Option<&'a str> {
    source.attribute("file").or_else(|| source.attribute("dev"))
}

/// Proves that the disks of a definition are where it says: each is a volume of the host, or a path that is no volume at
/// the `origin` either and that the definition there has too, which then is no business of the move.
fn expect_disks(
    origin: &Arc<Connection>,
    connection: &Arc<Connection>,
    after: &str,
    before: &str,
) -> Result<(), Failure> {
    let host = &connection.host;
    let (after, before) = (document(host, after)?, document(host, before)?);
    for (target, source) in disks(&after) {
        if let (Some(pool), Some(volume)) = (source.attribute("pool"), source.attribute("volume")) {
            connection.call(|connect| {
                connect
                    .lookup_storage_pool_by_name(pool)?
                    .lookup_storage_vol_by_name(volume)
            })?;
            continue;
        }
        let Some(path) = path_of(&source) else {
            continue;
        };
        if is_volume(connection, path)? {
            continue;
        }
        let is_kept = disks(&before).any(|(_, old)| path_of(&old) == Some(path));
        if !is_kept || is_volume(origin, path)? {
            let why = format!("disk {target} is not there: no pool has {path}");
            return Err(Failure::on(host, why));
        }
    }
    Ok(())
}

/// Whether a pool of the host has that path; the one of its folder looks at its storage again before it is said to lack
/// it.
fn is_volume(connection: &Arc<Connection>, path: &str) -> Result<bool, CallError> {
    let find = || match connection.call(|connect| connect.lookup_storage_vol_by_path(path)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_no_volume() => Ok(false),
        Err(error) => Err(error),
    };
    if find()? {
        return Ok(true);
    }
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    let pool = connection.call(|connect| connect.lookup_storage_pool_by_target_path(folder));
    // Without such a pool, or where it cannot look again, what was known counts.
    let Ok(pool) = pool else { return Ok(false) };
    match connection.call(|_| pool.refresh(0)) {
        Ok(()) => find(),
        Err(_) => Ok(false),
    }
}

/// Proves that each of these disks of a definition has its volume there. libvirt would create what is missing, in its
/// own way, and leave it behind after a failure.
pub(super) fn expect_targets(
    connection: &Arc<Connection>,
    definition: &str,
    targets: &[DiskTarget],
) -> Result<(), Failure> {
    let host = &connection.host;
    let document = document(host, definition)?;
    for target in targets {
        let found = disks(&document).find(|(name, _)| *name == target.as_str());
        let Some(path) = found.and_then(|(_, source)| path_of(&source)) else {
            let why = format!("disk {target} has no path in the definition that is to go there");
            return Err(Failure::on(host, why));
        };
        match connection.call(|connect| connect.lookup_storage_vol_by_path(path)) {
            Ok(_) => {}
            Err(error) if error.is_no_volume() => {
                let why = format!("there is no volume {path} for disk {target}");
                return Err(Failure::on(host, why)
                    .with_help("It changed since the plan was made. Plan again."));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Proves that a definition has the paths that a rewrite asked for.
pub(super) fn expect_paths(
    host: &HostName,
    vm: &VmName,
    xml: &str,
    rewrite: &Rewrite,
) -> Result<(), Failure> {
    let document = document(host, xml)?;
    for (target, wanted) in &rewrite.disks {
        let found = document
            .descendants()
            .filter(|node| node.has_tag_name("disk"))
            .filter_map(|disk| {
                let child = |name| disk.children().find(|inner| inner.has_tag_name(name));
                let named = child("target")?.attribute("dev")? == target.as_str();
                named.then(|| child("source"))?
            })
            .find_map(|source| path_of(&source));
        if found != Some(wanted.path.as_str()) {
            let found = found.unwrap_or("nothing");
            let why = format!("disk {target} of {vm} is {found}, not {}", wanted.path);
            return Err(Failure::on(host, why));
        }
    }
    Ok(())
}

/// Flags for the XML of a running VM as another host may take it, secrets included; never shown or stored.
pub(super) const MIGRATABLE: u32 = sys::VIR_DOMAIN_XML_MIGRATABLE | sys::VIR_DOMAIN_XML_SECURE;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::definition::DiskRewrite;
    use crate::model::DiskTarget;

    #[test]
    fn a_definition_that_kept_its_old_path_is_noticed() {
        let xml = "<domain><devices><disk><source file='/new/a'/><target dev='vda'/></disk>
            <disk device='cdrom'><target dev='sda'/></disk></devices></domain>";
        let host = HostName::new("kvm1").unwrap();
        let vm = VmName::new("web-1").unwrap();
        let check = |target: &str, path: &str| {
            let disk = DiskRewrite {
                path: path.into(),
                backing: vec![],
            };
            let rewrite = Rewrite {
                disks: BTreeMap::from([(DiskTarget::new(target).unwrap(), disk)]),
                interfaces: BTreeMap::new(),
            };
            expect_paths(&host, &vm, xml, &rewrite)
        };
        assert!(check("vda", "/new/a").is_ok());
        assert!(check("vda", "/old/a").is_err());
        assert!(check("sda", "/new/a").is_err());
        assert!(check("vdb", "/new/a").is_err());
    }

    /// A host of libvirt's test driver with a pool that has these volumes.
    fn host(name: &str, volumes: &[&str]) -> (tempfile::NamedTempFile, Arc<Connection>) {
        let volume = |name: &&str| {
            format!(
                "<volume type='file'><name>{name}</name><capacity>1</capacity><target><path>/srv/pool/{name}</path></target></volume>"
            )
        };
        let volumes: String = volumes.iter().map(volume).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        let pool = format!(
            "<pool type='dir'><name>pool</name><target><path>/srv/pool</path></target>{volumes}</pool>"
        );
        std::fs::write(file.path(), format!("<node>{pool}</node>")).unwrap();
        let name = HostName::new(name).unwrap();
        let host = crate::desired::Host {
            uri: format!("test://{}", file.path().display()),
            cluster: None,
            peer_uri: None,
            address: None,
            reserve: crate::desired::Reserve::default(),
            limits: crate::desired::HostLimits::default(),
            maintenance: false,
        };
        let connections =
            super::super::connection::Connections::new(&BTreeMap::from([(name.clone(), host)]));
        let purpose = super::super::connection::Purpose::Work;
        let connection = connections.get(&name, purpose).unwrap();
        (file, connection)
    }

    #[test]
    fn a_disk_that_keeps_its_path_must_be_there_too_unless_it_is_in_no_pool() {
        let (_one, from) = host("kvm1", &["a"]);
        let (_two, without) = host("kvm2", &[]);
        let (_three, with) = host("kvm3", &["a"]);
        let xml = |path: &str| {
            format!(
                "<domain><devices><disk><source file='{path}'/><target dev='vda'/></disk></devices></domain>"
            )
        };
        let check = |to: &Arc<Connection>, path: &str| {
            let definition = xml(path);
            expect_disks(&from, to, &definition, &definition)
        };
        assert!(check(&with, "/srv/pool/a").is_ok());
        assert!(check(&without, "/srv/pool/a").is_err());
        assert!(check(&without, "/elsewhere/a").is_ok());
        assert!(expect_disks(&from, &with, &xml("/srv/pool/b"), &xml("/srv/pool/a")).is_err());
    }
}
