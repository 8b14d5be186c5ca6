//! The mark of a move under way, written into a domain's metadata, where it travels with the VM.

use virt_sys as sys;

use super::context::Context;
use super::domain::Guest;
use super::failure::Failure;
use super::volume::{Pool, Volume};
use crate::definition::{self, Mark};
use crate::hypervisor::Outcome;
use crate::model::{Bytes, HostName, MoveMark, Noted, VmName};
use crate::plan::{Owner, VolumeSpec};

const ELEMENT: i32 = sys::VIR_DOMAIN_METADATA_ELEMENT.cast_signed();

/// The namespace of what stands, in the live definition alone, in a VM that was started paused to be carried: its
/// guest has executed nothing, so nothing is lost when it is ended.
const CARRIED: &str = "https://domicile.dev/xmlns/carried/1";

/// Writes the mark and reads it back. From then on the VM does not start with its host: the mark knows that it did.
pub(super) fn write(
    context: &Context,
    host: &HostName,
    vm: &VmName,
    mark: &MoveMark,
) -> Result<Outcome, Failure> {
    let guest = Guest::get(&context.work(host)?, vm)?;
    if !guest.is_persistent()? {
        let why = format!("{vm} has no persistent definition");
        return Err(Failure::on(host, why)
            .with_help("Define it first: virsh dumpxml --migratable, then virsh define."));
    }
    if let Mark::Unreadable(reason) = read(&guest)? {
        return Err(Failure::on(host, format!("{vm}: {reason}")));
    }
    let element = definition::mark_element(mark).map_err(|error| Failure::on(host, error))?;
    set(&guest, Some(&element))?;
    if read(&guest)? != Mark::Read(Box::new(mark.clone())) {
        let why = format!("the mark written to {vm} reads back differently");
        return Err(Failure::on(host, why));
    }
    if mark.autostart {
        guest.call(|domain| domain.set_autostart(false))?;
    }
    Ok(Outcome::default())
}

/// Says in its owner's mark what became of a volume. Only what is noted is ours to remove for whoever finds it later.
pub(super) fn note(context: &Context, spec: &VolumeSpec, noted: Noted) -> Result<(), Failure> {
    let Owner { host, vm } = &spec.owner;
    let guest = Guest::get(&context.work(host)?, vm)?;
    let Mark::Read(mut mark) = read(&guest)? else {
        let why = format!(
            "{vm} has no mark of its move that could say whose {} is",
            spec.at
        );
        return Err(Failure::on(host, why).with_help("Plan again."));
    };
    if !mark.note(&spec.at, noted) {
        let why = format!("the mark of {vm} does not name {}", spec.at);
        return Err(Failure::on(host, why).with_help("Plan again."));
    }
    write(context, host, vm, &mark).map(drop)
}

/// Creates a volume and notes it: its name as claimed before, and the volume as made after. Where the second fails the
/// volume goes, since nobody could tell later that it is ours.
pub(super) fn create(
    context: &Context,
    pool: &Pool,
    spec: &VolumeSpec,
    as_raw: Option<Bytes>,
) -> Result<Volume, Failure> {
    pool.expect_free(spec)?;
    note(context, spec, Noted::Claimed)?;
    match pool.create(spec, as_raw) {
        Ok(made) => match note(context, spec, Noted::Made) {
            Ok(()) => Ok(made),
            Err(failure) => Err(made.removed_after(failure)),
        },
        Err(failure) => match note(context, spec, Noted::NotMade) {
            Ok(()) => Err(failure),
            Err(error) => Err(failure.and(error.why())),
        },
    }
}

/// Says in the mark of a VM that its move is a cold one from now on, so that whoever finds it off knows what to do.
pub(super) fn turn_cold(context: &Context, host: &HostName, vm: &VmName) -> Result<(), Failure> {
    let guest = Guest::get(&context.work(host)?, vm)?;
    match read(&guest)? {
        Mark::Read(mark) => {
            let mark = MoveMark {
                cold: true,
                ..*mark
            };
            write(context, host, vm, &mark).map(drop)
        }
        Mark::None => {
            Err(Failure::on(host, format!("{vm} has no mark of its move")).with_help("Plan again."))
        }
        Mark::Unreadable(reason) => Err(Failure::on(host, format!("{vm}: {reason}"))),
    }
}

/// Removes the mark; where there is none, that is fine. What started with its host before the move does so again.
pub(super) fn remove(context: &Context, host: &HostName, vm: &VmName) -> Result<Outcome, Failure> {
    let guest = Guest::get(&context.work(host)?, vm)?;
    if matches!(read(&guest)?, Mark::Read(mark) if mark.autostart) {
        guest.call(|domain| domain.set_autostart(true))?;
    }
    set(&guest, None)?;
    if !guest.state()?.is_off() {
        clear_carried(&guest)?;
    }
    if read(&guest)? == Mark::None {
        return Ok(Outcome::default());
    }
    Err(Failure::on(
        host,
        format!("the mark on {vm} is still there"),
    ))
}

/// The definition with its mark, if it has one, saying that every disk is proven to be where this definition is going.
pub(super) fn completed(host: &HostName, definition: &str) -> Result<String, Failure> {
    let failed = |error| Failure::on(host, error);
    match definition::read(definition).map_err(failed)?.mark {
        Mark::None => Ok(definition.to_owned()),
        Mark::Read(mut mark) => {
            mark.complete = true;
            definition::with_mark(definition, &mark).map_err(failed)
        }
        Mark::Unreadable(reason) => Err(Failure::on(host, reason)),
    }
}

/// Notes in a running VM that it was started paused to be carried.
pub(super) fn set_carried(guest: &Guest) -> Result<(), Failure> {
    guest.call(|domain| {
        let element = Some("<carried/>");
        let (prefix, namespace) = (Some("domicile-carried"), Some(CARRIED));
        let live = sys::VIR_DOMAIN_AFFECT_LIVE;
        domain.set_metadata(ELEMENT, element, prefix, namespace, live)
    })?;
    Ok(())
}

/// Removes that note, before the guest executes anything.
pub(super) fn clear_carried(guest: &Guest) -> Result<(), Failure> {
    guest.call(|domain| {
        let live = sys::VIR_DOMAIN_AFFECT_LIVE;
        domain.set_metadata(ELEMENT, None, None, Some(CARRIED), live)
    })?;
    Ok(())
}

/// Whether the VM stands still because it was started paused to be carried, in a move that is under way.
pub(super) fn is_carried(guest: &Guest) -> Result<bool, Failure> {
    if !guest.state()?.is_paused() {
        return Ok(false);
    }
    let found = guest.call(|domain| {
        let live = sys::VIR_DOMAIN_AFFECT_LIVE;
        domain.metadata(ELEMENT, Some(CARRIED), live)
    });
    match found {
        Ok(_) => Ok(read(guest)? != Mark::None),
        Err(error) if error.is(sys::VIR_ERR_NO_DOMAIN_METADATA) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read(guest: &Guest) -> Result<Mark, Failure> {
    let definition = guest.xml(sys::VIR_DOMAIN_XML_INACTIVE)?;
    let facts = definition::read(&definition);
    Ok(facts
        .map_err(|error| Failure::on(guest.host(), error))?
        .mark)
}

/// The persistent definition is what outlives everything; the live one is kept the same, so that whichever is read
/// tells the same.
fn set(guest: &Guest, element: Option<&str>) -> Result<(), Failure> {
    let mut flags = sys::VIR_DOMAIN_AFFECT_CONFIG;
    if !guest.state()?.is_off() {
        flags |= sys::VIR_DOMAIN_AFFECT_LIVE;
    }
    guest.call(|domain| {
        let (prefix, namespace) = (MoveMark::PREFIX, MoveMark::NAMESPACE);
        domain.set_metadata(ELEMENT, element, Some(prefix), Some(namespace), flags)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::desired;
    use crate::hypervisor::Unwatched;
    use crate::libvirt::connection::Connections;
    use crate::model::{PoolName, VolumeName};

    #[test]
    fn a_mark_with_any_name_in_it_is_written_read_and_removed() {
        let name = HostName::new("kvm <&> 'one'").unwrap();
        let host = desired::Host {
            uri: "test:///default".into(),
            cluster: None,
            peer_uri: None,
            address: None,
            reserve: desired::Reserve::default(),
            limits: desired::HostLimits::default(),
            maintenance: false,
        };
        let connections = Connections::new(&BTreeMap::from([(name.clone(), host)]));
        let context = Context {
            connections: &connections,
            watch: &Unwatched,
            patience: &std::sync::Arc::default(),
        };
        let pool = PoolName::new("a]]>b").unwrap();
        let mark = MoveMark {
            version: MoveMark::VERSION,
            from: name.clone(),
            from_uuid: "1".into(),
            to: name.clone(),
            to_uuid: "2".into(),
            was_active: true,
            autostart: true,
            cold: false,
            complete: false,
            source_volumes: vec![(pool, VolumeName::new("\"v\"<!--").unwrap())],
            created_volumes: vec![],
            created_bases: vec![],
            temporary_volumes: vec![],
            claimed: Vec::new(),
            made: Vec::new(),
            made_at_source: Vec::new(),
            source_bases: Vec::new(),
            kept_bases: Vec::new(),
        };
        let vm = VmName::new("test").unwrap();
        let guest = Guest::get(&context.work(&name).unwrap(), &vm).unwrap();
        let starts_with_its_host = || guest.call(virt::domain::Domain::autostart).unwrap();
        guest.call(|domain| domain.set_autostart(true)).unwrap();
        write(&context, &name, &vm, &mark).unwrap();
        assert!(guest.xml(0).unwrap().contains(MoveMark::NAMESPACE));
        assert!(!starts_with_its_host());
        remove(&context, &name, &vm).unwrap();
        assert!(!guest.xml(0).unwrap().contains(MoveMark::NAMESPACE));
        assert!(starts_with_its_host());
        remove(&context, &name, &vm).unwrap();
    }
}
