//! Who uses an image: every domain and every image of a host that names it, as a disk or below one.
//!
//! What is asked is whether an image may be removed or read at rest, so whatever looks like a use counts as one: any
//! attribute or text of a domain's XML that is the path, in its live definition, its persistent one and those that
//! its snapshots keep. An image that nobody can look into counts as standing on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roxmltree::{Document, Node};
use virt::domain::Domain;
use virt_sys as sys;

use super::connection::Connection;
use super::error::{CallError, one_line};
use super::failure::Failure;
use super::volume::Pool;
use super::volume_xml::VolumeFacts;
use crate::model::{PoolName, VolumeFormat};

/// The most images in one chain; QEMU's and libvirt's own limit is 200.
const CHAIN_MAX: usize = 200;

/// Refuses where an active domain of the host has the image as a disk that it may write to.
pub(super) fn expect_no_writer(connection: &Arc<Connection>, path: &str) -> Result<(), Failure> {
    let active = sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE;
    for domain in connection.call(|connect| connect.list_all_domains(active))? {
        let Some(xml) = xml_of(connection, || domain.xml_desc(0))? else {
            continue;
        };
        let document = parsed(connection, &xml)?;
        if writes_to(&document, path) {
            let why = format!("{} runs and writes to {path}", name_of(&document));
            return Err(Failure::on(&connection.host, why)
                .with_help("It changed since the plan was made. Plan again."));
        }
    }
    Ok(())
}

/// What a host's pools hold, by the pool's name.
pub(super) struct Storage(BTreeMap<String, Vec<VolumeFacts>>);

/// The images below one.
enum Chain {
    /// All of their paths.
    Known(Vec<String>),
    /// The path of the image that nobody can look into.
    Unknown(String),
}

impl Storage {
    /// Reads every active pool as it last looked at its storage: making a pool look again may stop it where that
    /// fails, and most of these are none of our business.
    pub(super) fn read(connection: &Arc<Connection>) -> Result<Self, Failure> {
        let active = sys::VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE;
        let mut volumes = BTreeMap::new();
        for pool in connection.call(|connect| connect.list_all_storage_pools(active))? {
            let name = connection.call(|_| pool.name())?;
            let checked = PoolName::new(name.as_str())
                .map_err(|error| Failure::on(&connection.host, error))?;
            volumes.insert(name, Pool::find(connection, &checked)?.all_facts()?);
        }
        Ok(Self(volumes))
    }

    /// Every volume with its pool.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &VolumeFacts)> {
        self.0
            .iter()
            .flat_map(|(pool, volumes)| volumes.iter().map(move |volume| (pool.as_str(), volume)))
    }

    fn chain(&self, top: &Image) -> Chain {
        let mut below = Vec::new();
        if top.is_raw {
            return Chain::Known(below);
        }
        let mut path = top.path.clone();
        for _ in 0..CHAIN_MAX {
            let Some((_, volume)) = self.all().find(|(_, volume)| volume.path == path) else {
                return Chain::Unknown(path);
            };
            match &volume.backing {
                None => return Chain::Known(below),
                Some((next, format)) => {
                    below.push(next.clone());
                    if *format == VolumeFormat::Raw {
                        return Chain::Known(below);
                    }
                    path.clone_from(next);
                }
            }
        }
        Chain::Unknown(path)
    }
}

/// Every name by which a host may call one volume.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Its paths.
    pub(super) paths: BTreeSet<String>,
    /// Its pools' names and its name in each.
    pub(super) volumes: BTreeSet<(String, String)>,
}

/// Every use of a volume that one host can tell, each as a sentence's end; none where the host does not use it.
///
/// # Errors
/// Where the host cannot tell.
pub(super) fn users(
    connection: &Arc<Connection>,
    storage: &Storage,
    names: &Names,
) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for (pool, volume) in storage.all() {
        let below = volume.backing.as_ref().map(|(below, _)| below);
        if below.is_some_and(|below| names.paths.contains(below)) {
            found.push(format!("{} of pool {pool} stands on it", volume.path));
        }
    }
    for domain in connection.call(|connect| connect.list_all_domains(0))? {
        found.extend(uses_of(connection, &domain, storage, names)?);
    }
    let with_snapshots = sys::VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT;
    for domain in connection.call(|connect| connect.list_all_domains(with_snapshots))? {
        for snapshot in connection.call(|_| domain.list_all_snapshots(0))? {
            let Some(xml) = xml_of(connection, || snapshot.xml_desc(0))? else {
                continue;
            };
            let document = parsed(connection, &xml)?;
            if names.are_in(&document) {
                found.push(format!("a snapshot of {} uses it", name_of(&document)));
            }
        }
    }
    Ok(found)
}

/// The uses by one domain, in its live and its persistent definition.
fn uses_of(
    connection: &Arc<Connection>,
    domain: &Domain,
    storage: &Storage,
    names: &Names,
) -> Result<Option<String>, Failure> {
    // Only an active domain has an id, and the handle knows it from the list.
    let live = match domain.id() {
        Some(_) => xml_of(connection, || domain.xml_desc(0))?,
        None => None,
    };
    let mut explained = BTreeSet::new();
    if let Some(xml) = &live {
        let document = parsed(connection, xml)?;
        if names.are_in(&document) {
            return Ok(Some(format!("{} uses it", name_of(&document))));
        }
        // A running domain lists the whole chain of each of its disks.
        explained.extend(images_of(&document).into_iter().map(|image| image.path));
    }
    let inactive = sys::VIR_DOMAIN_XML_INACTIVE;
    let Some(xml) = xml_of(connection, || domain.xml_desc(inactive))? else {
        return Ok(None);
    };
    let document = parsed(connection, &xml)?;
    let vm = name_of(&document);
    if names.are_in(&document) {
        return Ok(Some(format!("{vm} uses it")));
    }
    for image in images_of(&document) {
        if explained.contains(&image.path) {
            continue;
        }
        match storage.chain(&image) {
            Chain::Known(below) if below.iter().any(|path| names.paths.contains(path)) => {
                return Ok(Some(format!("{vm} uses it below {}", image.path)));
            }
            Chain::Known(_) => {}
            Chain::Unknown(path) => {
                return Ok(Some(format!(
                    "{vm} uses {path}, which is in no pool, so nobody can tell whether that stands on it"
                )));
            }
        }
    }
    Ok(None)
}

/// The XML, or nothing where the domain or snapshot has just vanished.
fn xml_of(
    connection: &Arc<Connection>,
    read: impl FnOnce() -> Result<String, virt::error::Error>,
) -> Result<Option<String>, CallError> {
    match connection.call(|_| read()) {
        Ok(xml) => Ok(Some(xml)),
        Err(error) if error.is_no_domain() || error.is(sys::VIR_ERR_NO_DOMAIN_SNAPSHOT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parsed<'a>(connection: &Connection, xml: &'a str) -> Result<Document<'a>, Failure> {
    Document::parse(xml).map_err(|error| {
        let why = format!("cannot understand a VM's XML: {error}");
        Failure::on(&connection.host, why)
    })
}

/// The domain's name; in a snapshot's XML the domain's, too.
fn name_of(document: &Document) -> String {
    let domain = document
        .descendants()
        .find(|node| node.has_tag_name("domain"));
    let name = domain
        .unwrap_or(document.root_element())
        .children()
        .find(|inner| inner.has_tag_name("name"))
        .and_then(|name| name.text());
    name.map_or_else(|| "a VM without a name".into(), one_line)
}

fn disks<'a, 'input>(document: &'a Document<'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    let of_devices = |node: &Node| {
        let parent = node.parent_element();
        node.has_tag_name("disk") && parent.is_some_and(|parent| parent.has_tag_name("devices"))
    };
    document.descendants().filter(of_devices)
}

/// The path of the `<source>` right below this node.
fn source_of<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    let source = node.children().find(|inner| inner.has_tag_name("source"))?;
    source.attribute("file").or_else(|| source.attribute("dev"))
}

fn writes_to(document: &Document, path: &str) -> bool {
    disks(document).any(|disk| {
        let child = |name| disk.children().find(|inner| inner.has_tag_name(name));
        let copied_to = child("mirror").and_then(source_of) == Some(path);
        let readonly = child("readonly").is_some();
        copied_to || (!readonly && source_of(disk) == Some(path))
    })
}

/// A disk's image as a definition names it.
struct Image {
    path: String,
    is_raw: bool,
}

fn images_of(document: &Document) -> Vec<Image> {
    let image = |disk: Node| {
        let driver = disk.children().find(|inner| inner.has_tag_name("driver"));
        let format = driver.and_then(|driver| driver.attribute("type"));
        let removable = matches!(disk.attribute("device"), Some("cdrom" | "floppy"));
        Some(Image {
            path: source_of(disk)?.to_owned(),
            // Without a format libvirt takes an image as raw, for fear of what a guest may have written into it.
            is_raw: removable || format.unwrap_or("raw") == "raw",
        })
    };
    disks(document).filter_map(image).collect()
}

impl Names {
    /// Whether any of them is anywhere in this XML.
    fn are_in(&self, document: &Document) -> bool {
        document.descendants().any(|node| {
            let path = |text: &str| self.paths.contains(text);
            let by_volume = match (node.attribute("pool"), node.attribute("volume")) {
                (Some(pool), Some(volume)) => {
                    self.volumes.contains(&(pool.to_owned(), volume.to_owned()))
                }
                _ => false,
            };
            by_volume
                || node.attributes().any(|attribute| path(attribute.value()))
                || (node.is_text() && node.text().is_some_and(|text| path(text.trim())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bytes;

    fn volume(path: &str, backing: Option<(&str, VolumeFormat)>) -> VolumeFacts {
        VolumeFacts {
            name: path.rsplit('/').next().unwrap().into(),
            kind: "file".into(),
            path: path.into(),
            format: VolumeFormat::Qcow2,
            capacity: Bytes(1),
            allocation: Bytes(1),
            physical: Bytes(1),
            backing: backing.map(|(path, format)| (path.into(), format)),
        }
    }

    fn names(path: &str) -> Names {
        Names {
            paths: BTreeSet::from([path.to_owned()]),
            volumes: BTreeSet::from([("fast".to_owned(), "a".to_owned())]),
        }
    }

    fn are_in(xml: &str) -> bool {
        names("/srv/a").are_in(&Document::parse(xml).unwrap())
    }

    #[test]
    fn a_path_anywhere_in_a_definition_is_a_use() {
        assert!(are_in(
            "<domain><disk><source file='/srv/a'/></disk></domain>"
        ));
        assert!(are_in(
            "<domain><disk><backingStore><source dev='/srv/a'/></backingStore></disk></domain>"
        ));
        assert!(are_in("<domain><os><nvram> /srv/a\n</nvram></os></domain>"));
        assert!(are_in("<domain><source pool='fast' volume='a'/></domain>"));
        assert!(!are_in("<domain><source pool='slow' volume='a'/></domain>"));
        assert!(!are_in("<domain><source file='/srv/ab'/></domain>"));
    }

    #[test]
    fn a_chain_is_followed_through_pools_to_its_end() {
        let storage = Storage(BTreeMap::from([
            (
                "fast".into(),
                vec![volume(
                    "/fast/top",
                    Some(("/slow/middle", VolumeFormat::Qcow2)),
                )],
            ),
            (
                "slow".into(),
                vec![volume(
                    "/slow/middle",
                    Some(("/slow/base", VolumeFormat::Raw)),
                )],
            ),
        ]));
        let top = Image {
            path: "/fast/top".into(),
            is_raw: false,
        };
        match storage.chain(&top) {
            Chain::Known(below) => assert_eq!(below, ["/slow/middle", "/slow/base"]),
            Chain::Unknown(path) => panic!("{path}"),
        }
    }

    #[test]
    fn an_image_that_is_in_no_pool_or_stands_on_itself_is_unknown() {
        let storage = Storage(BTreeMap::from([(
            "fast".into(),
            vec![volume(
                "/fast/ring",
                Some(("/fast/ring", VolumeFormat::Qcow2)),
            )],
        )]));
        for path in ["/elsewhere", "/fast/ring"] {
            let top = Image {
                path: path.into(),
                is_raw: false,
            };
            assert!(matches!(storage.chain(&top), Chain::Unknown(_)), "{path}");
        }
    }

    #[test]
    fn a_raw_image_stands_on_nothing_wherever_it_is() {
        let xml = "<domain><devices>
            <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/elsewhere'/></disk>
            <disk type='file' device='cdrom'><source file='/iso'/></disk>
        </devices></domain>";
        let storage = Storage(BTreeMap::new());
        for image in images_of(&Document::parse(xml).unwrap()) {
            assert!(matches!(storage.chain(&image), Chain::Known(below) if below.is_empty()));
        }
    }

    #[test]
    fn a_disk_that_is_only_read_is_not_written_to() {
        let disk = |inner: &str| {
            format!("<domain><devices><disk><source file='/a'/>{inner}</disk></devices></domain>")
        };
        let writes = |xml: &str, path: &str| writes_to(&Document::parse(xml).unwrap(), path);
        assert!(writes(&disk(""), "/a"));
        assert!(!writes(&disk("<readonly/>"), "/a"));
        assert!(writes(&disk("<mirror><source file='/b'/></mirror>"), "/b"));
        assert!(!writes(
            &disk("<backingStore><source file='/base'/></backingStore>"),
            "/base"
        ));
    }
}
