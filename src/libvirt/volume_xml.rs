//! A volume's XML as libvirt writes it into facts, and what a new volume shall be into XML.

use roxmltree::Node;

use crate::definition::xml;
use crate::model::{Bytes, VolumeFormat};
use crate::plan::VolumeSpec;

/// What libvirt says about one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VolumeFacts {
    /// Its name in its pool.
    pub(super) name: String,
    /// libvirt's type of volume: `file`, `block`, `dir`, `network`, …
    pub(super) kind: String,
    /// Absolute path on its host.
    pub(super) path: String,
    /// Format of its contents.
    pub(super) format: VolumeFormat,
    /// Virtual size.
    pub(super) capacity: Bytes,
    /// Bytes that it occupies.
    pub(super) allocation: Bytes,
    /// Length of the file or device; the capacity where libvirt does not say it.
    pub(super) physical: Bytes,
    /// Path and format of the image below it, as its header names them.
    pub(super) backing: Option<(String, VolumeFormat)>,
}

/// Reads the XML of `virStorageVolGetXMLDesc`.
///
/// # Errors
/// When it is not the XML of a volume with path and sizes, with what is missing.
pub(super) fn read(text: &str) -> Result<VolumeFacts, String> {
    let document = xml::parse(text, "volume").map_err(|error| error.to_string())?;
    let volume = document.root_element();
    let target = xml::child(volume, "target").ok_or("no <target>")?;
    let size = |name| xml::child(volume, name).and_then(|size| xml::amount(size, "bytes"));
    let capacity = size("capacity").ok_or("no capacity")?;
    // What is below is there also where libvirt has no path for it, such as an export of a server that has no name.
    let backing = xml::child(volume, "backingStore").map(|below| {
        let path = xml::text_at(below, &["path"]);
        let path = path.unwrap_or_else(|| "an image without a path".into());
        (path, format(below))
    });
    Ok(VolumeFacts {
        name: xml::text_at(volume, &["name"]).ok_or("no name")?,
        kind: volume.attribute("type").unwrap_or("file").to_owned(),
        path: xml::text_at(target, &["path"]).ok_or("no path")?,
        format: format(target),
        capacity,
        allocation: size("allocation").unwrap_or(capacity),
        physical: size("physical").unwrap_or(capacity),
        backing,
    })
}

/// A volume without a format, of a pool of block devices, is raw.
fn format(element: Node<'_, '_>) -> VolumeFormat {
    let name = xml::attribute_at(element, &["format"], "type");
    VolumeFormat::from_libvirt(name.unwrap_or("raw"))
}

/// The XML for `virStorageVolCreateXML`: the exact capacity, and so much of it allocated.
pub(super) fn of_new(spec: &VolumeSpec, allocation: Bytes) -> String {
    let format = spec.format.as_str();
    // Without a version libvirt may choose 0.10, which cannot mark a range of an overlay as zero.
    let version = match spec.format {
        VolumeFormat::Qcow2 => "<compat>1.1</compat>",
        _ => "",
    };
    let backing = spec
        .backing
        .as_ref()
        .map_or(String::new(), |(path, below)| {
            format!(
                "<backingStore><path>{}</path><format type='{}'/></backingStore>",
                escaped(path),
                escaped(below.as_str())
            )
        });
    format!(
        "<volume><name>{}</name><capacity unit='bytes'>{}</capacity><allocation unit='bytes'>{}</allocation>\
         <target><format type='{}'/>{version}</target>{backing}</volume>",
        escaped(spec.at.volume.as_str()),
        spec.capacity.0,
        allocation.0,
        escaped(format),
    )
}

/// The text as XML content or attribute value.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HostName, PoolName, VolumeName, VolumeRef};

    const OVERLAY: &str = "<volume type='file'>
  <name>web-1.qcow2</name>
  <key>/srv/fast/web-1.qcow2</key>
  <capacity unit='bytes'>67108864</capacity>
  <allocation unit='bytes'>200704</allocation>
  <physical unit='bytes'>196616</physical>
  <target>
    <path>/srv/fast/web-1.qcow2</path>
    <format type='qcow2'/>
    <permissions><mode>0600</mode></permissions>
    <compat>1.1</compat>
  </target>
  <backingStore>
    <path>/srv/fast/base.img</path>
    <format type='raw'/>
    <permissions><mode>0600</mode></permissions>
  </backingStore>
</volume>";

    #[test]
    fn an_overlay_is_read_with_its_sizes_and_its_base() {
        let facts = read(OVERLAY).unwrap();
        assert_eq!(facts.path, "/srv/fast/web-1.qcow2");
        assert_eq!(facts.format, VolumeFormat::Qcow2);
        assert_eq!(facts.capacity, Bytes(67_108_864));
        assert_eq!(facts.physical, Bytes(196_616));
        let base = ("/srv/fast/base.img".to_owned(), VolumeFormat::Raw);
        assert_eq!(facts.backing, Some(base));
    }

    #[test]
    fn xml_without_sizes_is_no_volume() {
        assert!(read("<volume><target><path>/x</path></target></volume>").is_err());
        assert!(read("<volume").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn what_is_to_be_created_reads_back_as_asked_for() {
        let spec = VolumeSpec {
            at: VolumeRef {
                host: HostName::new("kvm1").unwrap(),
                pool: PoolName::new("fast").unwrap(),
                volume: VolumeName::new("a&b <'1'>.qcow2").unwrap(),
            },
            path: String::new(),
            format: VolumeFormat::Qcow2,
            capacity: Bytes(1025),
            backing: Some(("/srv/<base>".into(), VolumeFormat::Raw)),
        };
        let xml = of_new(&spec, Bytes(512)).replace("<target>", "<target><path>/x</path>");
        let facts = read(&xml).unwrap();
        assert_eq!(facts.capacity, Bytes(1025));
        assert_eq!(facts.allocation, Bytes(512));
        assert_eq!(facts.backing, spec.backing);
        assert_eq!(facts.name, "a&b <'1'>.qcow2");
    }
}
