//! Pools and volumes by name into handles, and new volumes that are proven to be what was asked for.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt_sys as sys;

use super::connection::Connection;
use super::error::CallError;
use super::failure::Failure;
use super::volume_xml::{self, VolumeFacts};
use crate::definition::xml;
use crate::model::{Bytes, Noted, PoolName, VolumeName, VolumeRef};
use crate::plan::VolumeSpec;

/// How long a pool may be busy with a job of its own. Creating a volume takes a moment; a large image that is written
/// anew takes hours, and libvirt lets nobody look at the storage again until it is done.
const POOL_BUSY_WITHIN: Duration = Duration::from_secs(12 * 60 * 60);

/// A pool that is active.
pub(super) struct Pool {
    connection: Arc<Connection>,
    handle: StoragePool,
    name: PoolName,
}

/// A volume of a pool.
pub(super) struct Volume {
    connection: Arc<Connection>,
    handle: StorageVol,
    /// Its place, for people.
    at: VolumeRef,
}

impl Pool {
    /// The pool of that name; an inactive one is an error, since nothing is known of its volumes.
    pub(super) fn find(connection: &Arc<Connection>, name: &PoolName) -> Result<Self, Failure> {
        let handle =
            connection.call(|connect| connect.lookup_storage_pool_by_name(name.as_str()))?;
        if !connection.call(|_| handle.is_active())? {
            let host = &connection.host;
            let help = format!(
                "Start it: virsh -c URI-of-{host} pool-start {}",
                name.in_shell()
            );
            return Err(Failure::on(host, format!("pool {name} is not started")).with_help(help));
        }
        Ok(Self {
            connection: Arc::clone(connection),
            handle,
            name: name.clone(),
        })
    }

    /// The pool of that name after it has looked at its storage again.
    pub(super) fn fresh(connection: &Arc<Connection>, name: &PoolName) -> Result<Self, Failure> {
        let pool = Self::find(connection, name)?;
        pool.refresh()?;
        Ok(pool)
    }

    /// Lets libvirt look at the storage again; waits while the pool is busy.
    pub(super) fn refresh(&self) -> Result<(), CallError> {
        let began = Instant::now();
        loop {
            match self.connection.work(|_| self.handle.refresh(0)) {
                Err(error) if is_busy(&error) && began.elapsed() < POOL_BUSY_WITHIN => {
                    thread::sleep(Duration::from_millis(300));
                }
                other => return other,
            }
        }
    }

    fn at(&self, volume: &VolumeName) -> VolumeRef {
        VolumeRef {
            host: self.connection.host.clone(),
            pool: self.name.clone(),
            volume: volume.clone(),
        }
    }

    /// The volume of that name, if there is one.
    pub(super) fn volume(&self, name: &VolumeName) -> Result<Option<Volume>, CallError> {
        let found = self
            .connection
            .call(|_| self.handle.lookup_storage_vol_by_name(name.as_str()));
        match found {
            Ok(volume) => Ok(Some(self.wrapped(volume, name))),
            Err(error) if error.is_no_volume() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn wrapped(&self, handle: StorageVol, name: &VolumeName) -> Volume {
        Volume {
            connection: Arc::clone(&self.connection),
            handle,
            at: self.at(name),
        }
    }

    /// The XML of each of its volumes. One that has vanished, with libvirt's knowledge or without, is left out.
    pub(super) fn all_facts(&self) -> Result<Vec<VolumeFacts>, Failure> {
        let volumes = self.connection.call(|_| self.handle.list_all_volumes(0))?;
        let mut all = Vec::new();
        for volume in volumes {
            match self.connection.call(|_| volume.xml_desc(0)) {
                Ok(xml) => all.push(parsed(&self.connection, &xml)?),
                Err(error) if error.is_no_volume() || error.is_no_file() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    /// Refuses where so many bytes would not fit. A daemon that runs out of room while it takes an upload may end
    /// (seen with 11.3), and everything that runs over its connections with it.
    pub(super) fn expect_room(&self, bytes: Bytes) -> Result<(), Failure> {
        let info = self.connection.call(|_| self.handle.info())?;
        if info.capacity == 0 || info.available >= bytes.0 {
            return Ok(());
        }
        let (name, room) = (&self.name, Bytes(info.available));
        let why = format!("pool {name} has room for {room}, and {bytes} are to be copied there");
        Err(Failure::on(&self.connection.host, why).with_help("Make room there, then plan again."))
    }

    /// What a new volume is to occupy: nothing, but in pools of devices all of it, since libvirt makes a volume group's
    /// volume with less a snapshot that overflows.
    fn allocation_of(&self, spec: &VolumeSpec) -> Result<Bytes, Failure> {
        let xml = self.connection.call(|_| self.handle.xml_desc(0))?;
        let document = xml::parse(&xml, "pool").map_err(|problem| {
            let why = format!("cannot understand the XML of pool {}: {problem}", self.name);
            Failure::on(&self.connection.host, why)
        })?;
        let kind = document.root_element().attribute("type");
        let of_devices = matches!(kind, Some("logical" | "disk"));
        Ok(if of_devices {
            spec.capacity
        } else {
            Bytes::ZERO
        })
    }

    /// Refuses where a volume of that name is there.
    pub(super) fn expect_free(&self, spec: &VolumeSpec) -> Result<(), Failure> {
        match self.volume(&spec.at.volume)? {
            None => Ok(()),
            Some(_) => Err(already_there(spec)),
        }
    }

    /// Creates the volume and proves that it is what was asked for; else removes it again. `as_raw` creates a raw
    /// volume of that length instead, as the vessel for an image that is to be copied into it.
    pub(super) fn create(
        &self,
        spec: &VolumeSpec,
        as_raw: Option<Bytes>,
    ) -> Result<Volume, Failure> {
        let name = &spec.at.volume;
        self.expect_free(spec)?;
        let mut vessel = spec.clone();
        if let Some(length) = as_raw {
            vessel.format = crate::model::VolumeFormat::Raw;
            vessel.capacity = length;
            vessel.backing = None;
        }
        let xml = volume_xml::of_new(&vessel, self.allocation_of(&vessel)?);
        let created = self
            .connection
            .work(|_| StorageVol::create_xml(&self.handle, &xml, 0));
        let volume = match created {
            Ok(volume) => self.wrapped(volume, name),
            Err(error) if error.is(sys::VIR_ERR_STORAGE_VOL_EXIST) => {
                return Err(already_there(spec));
            }
            Err(error) => return Err(error.into()),
        };
        match volume.prove(&vessel) {
            Ok(()) => Ok(volume),
            Err(failure) => Err(volume.removed_after(failure)),
        }
    }

    /// Creates the volume from what a guest reads of another one on the same host, and proves that it is what was
    /// asked for; else removes it again. Returns when all is written. `note` is told of it before libvirt is called,
    /// since that call may outlive this process, and when nothing was made.
    pub(super) fn create_from(
        &self,
        spec: &VolumeSpec,
        original: &Volume,
        note: &dyn Fn(Noted) -> Result<(), Failure>,
    ) -> Result<Volume, Failure> {
        let name = &spec.at.volume;
        self.expect_free(spec)?;
        note(Noted::Made)?;
        let made = self.convert(spec, original);
        let is_there = || matches!(self.volume(name), Ok(Some(_)));
        match made {
            Ok(Some(volume)) => Ok(volume),
            // Somebody else made it just now.
            Ok(None) => {
                note(Noted::NotMade)?;
                Err(already_there(spec))
            }
            Err(failure) if is_there() => Err(failure),
            Err(failure) => match note(Noted::NotMade) {
                Ok(()) => Err(failure),
                Err(error) => Err(failure.and(error.why())),
            },
        }
    }

    /// `None`: a volume of that name is there.
    fn convert(&self, spec: &VolumeSpec, original: &Volume) -> Result<Option<Volume>, Failure> {
        let name = &spec.at.volume;
        let xml = volume_xml::of_new(spec, Bytes::ZERO);
        let created = self
            .connection
            .lasting(|_| StorageVol::create_xml_from(&self.handle, &xml, &original.handle, 0));
        let volume = match created {
            Ok(volume) => self.wrapped(volume, name),
            Err(error) if error.is(sys::VIR_ERR_STORAGE_VOL_EXIST) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match volume.prove(spec) {
            Ok(()) => Ok(Some(volume)),
            Err(failure) => Err(volume.removed_after(failure)),
        }
    }
}

/// Whether a pool does not look at its storage since it is busy: "pool has asynchronous jobs running" has no code of
/// its own.
fn is_busy(error: &CallError) -> bool {
    error.is(sys::VIR_ERR_INTERNAL_ERROR) && error.domain == sys::VIR_FROM_STORAGE
}

fn already_there(spec: &VolumeSpec) -> Failure {
    Failure::new(format!("{} is there already", spec.at)).with_help(
        "Domicile overwrites nothing. Rename or remove that volume if it is not needed, then plan again.",
    )
}

fn parsed(connection: &Connection, xml: &str) -> Result<VolumeFacts, Failure> {
    volume_xml::read(xml).map_err(|problem| {
        Failure::on(
            &connection.host,
            format!("cannot understand a volume's XML: {problem}"),
        )
    })
}

impl Volume {
    /// The volume at that place after its pool has looked at its storage again; an error where it is not there.
    pub(super) fn find(connection: &Arc<Connection>, at: &VolumeRef) -> Result<Self, Failure> {
        Pool::fresh(connection, &at.pool)?
            .volume(&at.volume)?
            .ok_or_else(|| Failure::new(format!("{at} is not there")))
    }

    /// The same where the pool need not look again: a VM's image that a reading has shown. It does not wait for a pool
    /// that is busy.
    pub(super) fn at_hand(connection: &Arc<Connection>, at: &VolumeRef) -> Result<Self, Failure> {
        match Pool::find(connection, &at.pool)?.volume(&at.volume)? {
            Some(volume) => Ok(volume),
            None => Self::find(connection, at),
        }
    }

    /// Its handle.
    pub(super) fn handle(&self) -> &StorageVol {
        &self.handle
    }

    /// What libvirt says about it now.
    pub(super) fn facts(&self) -> Result<VolumeFacts, Failure> {
        let xml = self.connection.call(|_| self.handle.xml_desc(0))?;
        parsed(&self.connection, &xml)
    }

    /// Proves that it is what was asked for.
    pub(super) fn prove(&self, spec: &VolumeSpec) -> Result<(), Failure> {
        match difference(&self.facts()?, spec) {
            None => Ok(()),
            Some(difference) => Err(Failure::new(format!("{} {difference}", self.at))),
        }
    }

    /// Removes it.
    pub(super) fn delete(&self) -> Result<(), CallError> {
        let began = Instant::now();
        loop {
            match self.connection.work(|_| self.handle.delete(0)) {
                // Just after a stream into it has ended it counts as used for a moment.
                Err(error)
                    if error.is(sys::VIR_ERR_OPERATION_INVALID)
                        && began.elapsed() < Duration::from_secs(10) =>
                {
                    thread::sleep(Duration::from_millis(200));
                }
                other => return other,
            }
        }
    }

    /// Removes a volume that this step made, since the step failed; the failure then says if that failed too.
    pub(super) fn removed_after(&self, failure: Failure) -> Failure {
        match self.delete() {
            Ok(()) => failure,
            Err(error) if error.is_no_volume() => failure,
            Err(error) => failure.and(format!("{} could not be removed: {error}", self.at)),
        }
    }
}

/// How a volume differs from what was asked for, as the rest of a sentence about it.
fn difference(is: &VolumeFacts, wanted: &VolumeSpec) -> Option<String> {
    if is.path != wanted.path {
        return Some(format!("has the path {}, not {}", is.path, wanted.path));
    }
    if is.format != wanted.format {
        return Some(format!("is {}, not {}", is.format, wanted.format));
    }
    // A device of a volume group is a whole number of extents.
    let rounded_up = is.kind == "block" && is.capacity > wanted.capacity;
    if is.capacity != wanted.capacity && !rounded_up {
        let (is, wanted) = (is.capacity.0, wanted.capacity.0);
        return Some(format!("holds {is} bytes, not {wanted}"));
    }
    let below = |image: &Option<(String, _)>| {
        image
            .as_ref()
            .map_or("nothing".to_owned(), |(path, _)| path.clone())
    };
    if is.backing != wanted.backing {
        let (is, wanted) = (below(&is.backing), below(&wanted.backing));
        return Some(format!("stands on {is}, not on {wanted}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HostName, VolumeFormat};

    fn wanted() -> VolumeSpec {
        VolumeSpec {
            owner: crate::plan::Owner {
                host: HostName::new("kvm2").unwrap(),
                vm: crate::model::VmName::new("web").unwrap(),
            },
            at: VolumeRef {
                host: HostName::new("kvm1").unwrap(),
                pool: PoolName::new("fast").unwrap(),
                volume: VolumeName::new("a.qcow2").unwrap(),
            },
            path: "/srv/fast/a.qcow2".into(),
            format: VolumeFormat::Qcow2,
            capacity: Bytes(1000),
            backing: Some(("/srv/fast/base".into(), VolumeFormat::Qcow2)),
        }
    }

    fn found() -> VolumeFacts {
        VolumeFacts {
            name: "a.qcow2".into(),
            kind: "file".into(),
            path: "/srv/fast/a.qcow2".into(),
            format: VolumeFormat::Qcow2,
            capacity: Bytes(1000),
            allocation: Bytes(1),
            physical: Bytes(1),
            backing: Some(("/srv/fast/base".into(), VolumeFormat::Qcow2)),
        }
    }

    #[test]
    fn a_volume_as_asked_for_is_accepted() {
        assert_eq!(difference(&found(), &wanted()), None);
    }

    #[test]
    fn every_difference_is_told() {
        let changes: [fn(&mut VolumeFacts); 5] = [
            |is| is.path = "/elsewhere".into(),
            |is| is.format = VolumeFormat::Raw,
            |is| is.capacity = Bytes(1001),
            |is| is.backing = None,
            |is| is.backing = Some(("/srv/fast/base".into(), VolumeFormat::Raw)),
        ];
        for change in changes {
            let mut is = found();
            change(&mut is);
            assert!(difference(&is, &wanted()).is_some(), "{is:?}");
        }
    }

    #[test]
    fn a_device_may_be_larger_by_its_extents_but_never_smaller() {
        let mut is = found();
        is.kind = "block".into();
        is.capacity = Bytes(4096);
        assert_eq!(difference(&is, &wanted()), None);
        is.capacity = Bytes(999);
        assert!(difference(&is, &wanted()).is_some());
    }
}
