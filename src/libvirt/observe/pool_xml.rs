//! A pool's XML to facts.

use roxmltree::Node;

use crate::definition::xml::{self, XmlError};
use crate::model::Bytes;

/// What a pool's XML says (`virStoragePoolGetXMLDesc`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolFacts {
    /// libvirt's type of pool.
    pub(super) kind: String,
    /// Folder or device directory of its volumes; empty where it has none.
    pub(super) path: String,
    /// What identifies the storage across hosts, if something does.
    pub(super) storage: Option<String>,
    /// Its size; nothing while it is not active.
    pub(super) capacity: Bytes,
    /// Room for new data; nothing while it is not active.
    pub(super) available: Bytes,
}

/// Reads a pool.
pub(super) fn read(text: &str) -> Result<PoolFacts, XmlError> {
    let document = xml::parse(text, "pool")?;
    let root = document.root_element();
    let kind = root.attribute("type").unwrap_or("unknown");
    let size = |name| {
        xml::child(root, name)
            .and_then(|size| xml::amount(size, "bytes"))
            .unwrap_or_default()
    };
    Ok(PoolFacts {
        kind: kind.to_owned(),
        path: xml::text_at(root, &["target", "path"]).unwrap_or_default(),
        storage: xml::child(root, "source").and_then(|source| storage(kind, source)),
        capacity: size("capacity"),
        available: size("available"),
    })
}

/// The server and what it offers, as a URI. Local kinds have no such name: a folder or volume group of the same
/// name on another host is another one, which only the manifest can say otherwise.
fn storage(kind: &str, source: Node<'_, '_>) -> Option<String> {
    let hosts = || {
        let mut names: Vec<String> = xml::children(source, "host")
            .filter_map(|host| {
                let name = host.attribute("name")?;
                Some(match host.attribute("port") {
                    Some(port) => format!("{name}:{port}"),
                    None => name.to_owned(),
                })
            })
            .collect();
        names.sort();
        (!names.is_empty()).then(|| names.join(","))
    };
    let attribute = |element: &str, name| xml::attribute_at(source, &[element], name);
    let name = || xml::text_at(source, &["name"]);
    match kind {
        "netfs" => {
            let scheme = match attribute("format", "type") {
                Some("glusterfs") => "gluster",
                Some("cifs") => "cifs",
                _ => "nfs",
            };
            let folder = attribute("dir", "path")?;
            let slash = if folder.starts_with('/') { "" } else { "/" };
            Some(format!("{scheme}://{}{slash}{folder}", hosts()?))
        }
        "gluster" => {
            let folder = attribute("dir", "path").unwrap_or("/");
            let folder = folder.trim_matches('/');
            let whole = format!("gluster://{}/{}/{folder}", hosts()?, name()?);
            Some(whole.trim_end_matches('/').to_owned())
        }
        "iscsi" | "iscsi-direct" => Some(format!(
            "iscsi://{}/{}",
            hosts()?,
            attribute("device", "path")?
        )),
        "rbd" => Some(format!("rbd://{}/{}", hosts().unwrap_or_default(), name()?)),
        "sheepdog" => Some(format!("sheepdog://{}/{}", hosts()?, name()?)),
        "vstorage" => Some(format!("vstorage://{}", name()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage_of(xml: &str) -> Option<String> {
        read(xml).unwrap().storage
    }

    #[test]
    fn storage_that_several_hosts_can_see_has_a_name_of_its_own() {
        assert_eq!(
            storage_of("<pool type='netfs'><source><host name='nas'/><dir path='/export/vms'/><format type='nfs'/></source></pool>").as_deref(),
            Some("nfs://nas/export/vms")
        );
        assert_eq!(
            storage_of("<pool type='rbd'><source><name>vms</name><host name='mon2' port='6789'/><host name='mon1'/></source></pool>").as_deref(),
            Some("rbd://mon1,mon2:6789/vms")
        );
        assert_eq!(
            storage_of("<pool type='iscsi'><source><host name='san'/><device path='iqn.2024-01.san:vms'/></source></pool>").as_deref(),
            Some("iscsi://san/iqn.2024-01.san:vms")
        );
        assert_eq!(
            storage_of("<pool type='gluster'><source><host name='g1'/><dir path='/'/><name>vol</name></source></pool>").as_deref(),
            Some("gluster://g1/vol")
        );
        assert_eq!(
            storage_of("<pool type='dir'><source/><target><path>/srv</path></target></pool>"),
            None
        );
        assert_eq!(
            storage_of("<pool type='logical'><source><name>vg0</name></source></pool>"),
            None
        );
    }

    #[test]
    fn a_pool_tells_its_room() {
        let read = read("<pool type='dir'><capacity unit='bytes'>100</capacity><available unit='KiB'>1</available><target><path>/srv</path></target></pool>").unwrap();
        assert_eq!((read.capacity, read.available), (Bytes(100), Bytes(1024)));
        assert_eq!(read.path, "/srv");
    }
}
