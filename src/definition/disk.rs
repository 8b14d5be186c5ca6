//! `<disk>` elements to [`Disk`]s.

use roxmltree::Node;

use super::{DefinitionError, xml};
use crate::model::{BackingLayer, DiskDevice, DiskTarget, PoolName, VolumeFormat, VolumeName};
use crate::observed::Disk;

/// The longest backing chain that libvirt follows (`VIR_STORAGE_SOURCE_MAX_DEPTH` is 200).
const CHAIN_MAX: usize = 200;

/// Reads one disk. Sizes are unknown: the definition does not tell them.
pub(super) fn read(disk: Node<'_, '_>) -> Result<Disk, DefinitionError> {
    let target = xml::attribute_at(disk, &["target"], "dev").ok_or(DefinitionError::Missing {
        what: "<target dev> of a disk",
    })?;
    let kind = kind_of(disk);
    let source = xml::child(disk, "source");
    Ok(Disk {
        target: DiskTarget::new(target)?,
        device: match disk.attribute("device") {
            Some("cdrom") => DiskDevice::Cdrom,
            Some("floppy") => DiskDevice::Floppy,
            Some("lun") => DiskDevice::Lun,
            _ => DiskDevice::Disk,
        },
        bus: xml::attribute_at(disk, &["target"], "bus")
            .unwrap_or_default()
            .to_owned(),
        source_kind: kind.to_owned(),
        path: source.and_then(|source| path_of(kind, source)),
        volume: source.and_then(|source| volume_of(kind, source)),
        format: format_of(xml::attribute_at(disk, &["driver"], "type")),
        capacity: None,
        allocation: None,
        backing: chain_of(disk),
        readonly: xml::child(disk, "readonly").is_some(),
        shareable: xml::child(disk, "shareable").is_some(),
        transient: xml::child(disk, "transient").is_some(),
        cache: xml::attribute_at(disk, &["driver"], "cache").map(str::to_owned),
        startup_policy: xml::attribute_at(disk, &["source"], "startupPolicy").map(str::to_owned),
        serial: xml::text_at(disk, &["serial"]),
        copied_to: copied_to(disk),
    })
}

/// Where a copy takes the disk. A commit into an image below it is a `<mirror>` too, and ends where the disk is already.
fn copied_to(disk: Node<'_, '_>) -> Option<String> {
    let mirror = xml::child(disk, "mirror")?;
    path_of(kind_of(mirror), xml::child(mirror, "source")?)
}

/// libvirt's type of a `<disk>`, `<backingStore>` or `<mirror>`, which is `file` where none is named.
pub(super) fn kind_of<'a>(element: Node<'a, '_>) -> &'a str {
    element.attribute("type").unwrap_or("file")
}

/// The attributes of `<source>` that name what it is, for each type that has its name in one attribute.
pub(super) fn naming_attribute(kind: &str) -> Option<&'static str> {
    match kind {
        "file" => Some("file"),
        "block" | "vhostvdpa" => Some("dev"),
        "dir" => Some("dir"),
        "network" => Some("name"),
        "vhostuser" => Some("path"),
        _ => None,
    }
}

/// Path or name of a source. A `volume` source has neither: it names pool and volume. What libvirt takes for an empty
/// drive (`virStorageSourceIsEmpty`) has none either; any other source that has no name of its own, or none that means
/// anything here, is told in words, since it is there all the same.
fn path_of(kind: &str, source: Node<'_, '_>) -> Option<String> {
    if kind == "nvme" {
        return Some(super::device::address_of(source));
    }
    let named = naming_attribute(kind).and_then(|name| source.attribute(name));
    if let Some(path) = named.filter(|path| !path.is_empty()) {
        return Some(path.to_owned());
    }
    match kind {
        "file" | "block" | "dir" => None,
        "volume" if volume_of(kind, source).is_some() => None,
        "volume" => {
            let part = |name| source.attribute(name).unwrap_or("?");
            Some(format!(
                "volume {} of pool {}",
                part("volume"),
                part("pool")
            ))
        }
        "network" => {
            let protocol = source.attribute("protocol").unwrap_or("network");
            let host = xml::attribute_at(source, &["host"], "name").unwrap_or("?");
            Some(format!("{protocol} at {host}, without a name"))
        }
        other => Some(format!("a source of type {other}, without a name")),
    }
}

fn volume_of(kind: &str, source: Node<'_, '_>) -> Option<(PoolName, VolumeName)> {
    if kind != "volume" {
        return None;
    }
    let pool = PoolName::new(source.attribute("pool")?).ok()?;
    let volume = VolumeName::new(source.attribute("volume")?).ok()?;
    Some((pool, volume))
}

/// libvirt takes an image without a named format for raw.
fn format_of(name: Option<&str>) -> VolumeFormat {
    name.map_or(VolumeFormat::Raw, VolumeFormat::from_libvirt)
}

/// The images below, the nearest first. libvirt writes what it read from the images into the definition of a running
/// VM; an element with neither a type nor a source is the end of the chain. An image that is not named is there all the
/// same: without it the one above would seem to stand alone.
fn chain_of(disk: Node<'_, '_>) -> Vec<BackingLayer> {
    let mut layers = Vec::new();
    let mut above = disk;
    while let Some(element) = xml::child(above, "backingStore") {
        let source = xml::child(element, "source");
        if is_end_of_chain(element) || layers.len() == CHAIN_MAX {
            break;
        }
        let kind = kind_of(element);
        let volume = source.and_then(|source| volume_of(kind, source));
        let named = volume
            .as_ref()
            .map(|(pool, volume)| format!("{pool}/{volume}"));
        let path = source.and_then(|source| path_of(kind, source)).or(named);
        layers.push(BackingLayer {
            path: path.unwrap_or_else(|| format!("an image of type {kind}, without a name")),
            format: format_of(xml::attribute_at(element, &["format"], "type")),
            capacity: None,
            allocation: None,
            volume,
        });
        above = element;
    }
    layers
}

/// Whether a `<backingStore>` says that there is nothing below.
pub(super) fn is_end_of_chain(element: Node<'_, '_>) -> bool {
    element.attribute("type").is_none() && xml::child(element, "source").is_none()
}
