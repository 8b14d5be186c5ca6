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
    })
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

/// Path or name of a source. A `volume` source has neither: it names pool and volume.
fn path_of(kind: &str, source: Node<'_, '_>) -> Option<String> {
    if kind == "nvme" {
        return Some(super::device::address_of(source));
    }
    source
        .attribute(naming_attribute(kind)?)
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
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
/// VM; an element without a source is the end of the chain.
fn chain_of(disk: Node<'_, '_>) -> Vec<BackingLayer> {
    let mut layers = Vec::new();
    let mut above = disk;
    while let Some(element) = xml::child(above, "backingStore") {
        let Some(source) = xml::child(element, "source") else {
            break;
        };
        let kind = kind_of(element);
        let volume = volume_of(kind, source);
        let named = volume
            .as_ref()
            .map(|(pool, volume)| format!("{pool}/{volume}"));
        let Some(path) = path_of(kind, source).or(named) else {
            break;
        };
        layers.push(BackingLayer {
            path,
            format: format_of(xml::attribute_at(element, &["format"], "type")),
            capacity: None,
            allocation: None,
            volume,
        });
        if layers.len() == CHAIN_MAX {
            break;
        }
        above = element;
    }
    layers
}
