//! New sources for disks and interfaces, set into a definition's text at their places.
//!
//! Every kind of definition can be rewritten: that of a running VM, which names the chain of images below each disk,
//! and the migratable and the persistent one, which leave that to the images (seen with libvirt 9.0 and 11.3).

use roxmltree::Node;

use super::splice::{Splices, append, escaped};
use super::{DefinitionError, DiskRewrite, Rewrite, disk, xml};
use crate::model::{InterfaceSource, MacAddress, VolumeFormat};

/// The definition with these changes; everything else is kept to the letter.
///
/// # Errors
/// When the text is no definition, has not what is to change, or the change cannot be written.
pub fn rewrite(definition: &str, changes: &Rewrite) -> Result<String, DefinitionError> {
    let document = xml::parse(definition, "domain")?;
    let mut edit = Edit {
        text: definition,
        splices: Splices::default(),
    };
    let devices = xml::child(document.root_element(), "devices");
    let all = |name| {
        devices
            .into_iter()
            .flat_map(move |all| xml::children(all, name))
    };
    for (target, change) in &changes.disks {
        let wanted = Some(target.as_str());
        let named =
            all("disk").filter(|disk| xml::attribute_at(*disk, &["target"], "dev") == wanted);
        let element = only(named, || format!("disk {target}"))?
            .ok_or_else(|| DefinitionError::NoDisk(target.clone()))?;
        edit.set_path(element, &format!("disk {target}"), &change.path)?;
        edit.set_chain(element, &format!("disk {target}"), change)?;
    }
    for (mac, source) in &changes.interfaces {
        let named = all("interface").filter(|interface| {
            xml::attribute_at(*interface, &["mac"], "address")
                .is_some_and(|text| MacAddress::new(text).as_ref() == Ok(mac))
        });
        let element = only(named, || format!("interface {mac}"))?
            .ok_or_else(|| DefinitionError::NoInterface(mac.clone()))?;
        edit.set_connection(element, mac, source)?;
    }
    edit.splices.made_in(definition)
}

/// The only one of these, if there is any. libvirt takes several interfaces of one address, and which of them is meant,
/// nobody could say.
fn only<'a, 'i>(
    mut named: impl Iterator<Item = Node<'a, 'i>>,
    what: impl Fn() -> String,
) -> Result<Option<Node<'a, 'i>>, DefinitionError> {
    let first = named.next();
    match named.next() {
        None => Ok(first),
        Some(_) => Err(DefinitionError::Twice { what: what() }),
    }
}

/// `block` for a device below `/dev`, else `file`. `/dev/shm` holds files.
fn kind_of_path(path: &str) -> &'static str {
    if path.starts_with("/dev/") && !path.starts_with("/dev/shm/") {
        "block"
    } else {
        "file"
    }
}

fn attribute_for(kind: &str) -> &'static str {
    disk::naming_attribute(kind).unwrap_or("file")
}

/// A text and what is to change in it.
struct Edit<'t> {
    text: &'t str,
    splices: Splices,
}

impl Edit<'_> {
    /// Sets the source of a `<disk>` or `<backingStore>`; `of` is what people call it.
    fn set_path(
        &mut self,
        element: Node<'_, '_>,
        of: &str,
        path: &str,
    ) -> Result<(), DefinitionError> {
        if !path.starts_with('/') {
            return Err(DefinitionError::Value {
                what: "an absolute path",
                value: path.to_owned(),
            });
        }
        let (old, new) = (disk::kind_of(element), kind_of_path(path));
        let unchangeable = || DefinitionError::Source {
            of: of.to_owned(),
            kind: old.to_owned(),
            wanted: format!("the path {path}"),
        };
        let source = xml::child(element, "source").ok_or_else(unchangeable)?;
        let naming = match old {
            "file" | "block" => source.attribute_node(attribute_for(old)),
            "volume" => source.attribute_node("volume"),
            _ => None,
        };
        let naming = naming.ok_or_else(unchangeable)?;
        if old != new {
            let name = self.start_of(element);
            match element.attribute_node("type") {
                Some(kind) => self.splices.set_attribute(&kind, "type", new, "a type")?,
                None => self.splices.replace(name..name, format!(" type='{new}'")),
            }
        }
        self.splices
            .set_attribute(&naming, attribute_for(new), path, "a path")?;
        if old == "volume" {
            for gone in ["pool", "mode"] {
                if let Some(attribute) = source.attribute_node(gone) {
                    self.splices.remove_attribute(self.text, &attribute);
                }
            }
        }
        Ok(())
    }

    /// The place right behind an element's name.
    fn start_of(&self, element: Node<'_, '_>) -> usize {
        let start = element.range().start;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.find(|c: char| c.is_whitespace() || c == '/' || c == '>');
        start + length.unwrap_or_default()
    }

    /// Makes the chain of images that a disk names the wanted one. A layer that stays keeps what else it says
    /// (encryption, labels), since only its source is set.
    fn set_chain(
        &mut self,
        disk: Node<'_, '_>,
        of: &str,
        change: &DiskRewrite,
    ) -> Result<(), DefinitionError> {
        let mut above = disk;
        let mut wanted = change.backing.as_slice();
        loop {
            let below = xml::child(above, "backingStore");
            let names_image = below.is_some_and(|it| !disk::is_end_of_chain(it));
            match (below, wanted) {
                (Some(layer), [(path, format), rest @ ..]) if names_image => {
                    self.set_path(layer, &format!("an image below {of}"), path)?;
                    self.set_format(layer, format)?;
                    above = layer;
                    wanted = rest;
                }
                // Both end here, or the definition leaves the rest of the chain to the images themselves.
                (Some(_), []) if !names_image => return Ok(()),
                (None, []) => return Ok(()),
                (None, _) if above == disk => return Ok(()),
                (Some(layer), rest) => {
                    self.splices.replace(layer.range(), chain(rest)?);
                    return Ok(());
                }
                (None, rest) => return append(&mut self.splices, self.text, above, &chain(rest)?),
            }
        }
    }

    fn set_format(
        &mut self,
        layer: Node<'_, '_>,
        format: &VolumeFormat,
    ) -> Result<(), DefinitionError> {
        let named = xml::child(layer, "format").and_then(|it| it.attribute_node("type"));
        match named {
            Some(attribute) => {
                self.splices
                    .set_attribute(&attribute, "type", format.as_str(), "a format")
            }
            None => append(
                &mut self.splices,
                self.text,
                layer,
                &format_element(format)?,
            ),
        }
    }

    fn set_connection(
        &mut self,
        interface: Node<'_, '_>,
        mac: &MacAddress,
        wanted: &InterfaceSource,
    ) -> Result<(), DefinitionError> {
        let source = xml::child(interface, "source");
        let written = interface.attribute("type").unwrap_or_default();
        // A running VM's definition says of which type the network has made an interface, beside the network's name.
        let of_network = source.is_some_and(|source| source.has_attribute("network"));
        let old = match written {
            "bridge" | "direct" if of_network => "network",
            other => other,
        };
        let (new, attribute, name) = match wanted {
            InterfaceSource::Bridge(name) => ("bridge", "bridge", name.as_str()),
            InterfaceSource::Network(name) => ("network", "network", name.as_str()),
            InterfaceSource::Direct(name) => ("direct", "dev", name.as_str()),
            InterfaceSource::Other(kind) => ("", "", kind.as_str()),
        };
        let naming = match old {
            "bridge" => "bridge",
            "network" => "network",
            "direct" => "dev",
            _ => "",
        };
        let places = source
            .and_then(|source| source.attribute_node(naming))
            .zip(interface.attribute_node("type"))
            .filter(|_| !new.is_empty());
        let Some((naming, kind)) = places else {
            return Err(DefinitionError::Source {
                of: format!("interface {mac}"),
                kind: old.to_owned(),
                wanted: if new.is_empty() {
                    name.to_owned()
                } else {
                    format!("{new} {name}")
                },
            });
        };
        if name.is_empty() {
            return Err(DefinitionError::Value {
                what: "the name of a bridge or network",
                value: name.to_owned(),
            });
        }
        if old == new && naming.value() == name {
            return Ok(());
        }
        self.splices.set_attribute(&kind, "type", new, "a type")?;
        self.splices
            .set_attribute(&naming, attribute, name, "the name of a bridge or network")?;
        // What libvirt noted about the old connection of a running VM, or means something for the old type only.
        for gone in ["portid", "bridge", "network", "dev", "portgroup", "mode"] {
            let is_kept = match gone {
                "portgroup" => old == new,
                "mode" => old == new && written == new,
                _ => false,
            };
            let stale = source
                .and_then(|source| source.attribute_node(gone))
                .filter(|found| found.name() != naming.name() && !is_kept);
            if let Some(attribute) = stale {
                self.splices.remove_attribute(self.text, &attribute);
            }
        }
        Ok(())
    }
}

/// The element for these images; for none, the one that ends a chain.
fn chain(images: &[(String, VolumeFormat)]) -> Result<String, DefinitionError> {
    let mut text = String::from("<backingStore/>");
    for (path, format) in images.iter().rev() {
        if !path.starts_with('/') {
            return Err(DefinitionError::Value {
                what: "an absolute path",
                value: path.clone(),
            });
        }
        let kind = kind_of_path(path);
        let attribute = attribute_for(kind);
        let (format, path) = (format_element(format)?, escaped(path, "a path")?);
        text = format!(
            "<backingStore type='{kind}'>{format}<source {attribute}='{path}'/>{text}</backingStore>"
        );
    }
    Ok(text)
}

fn format_element(format: &VolumeFormat) -> Result<String, DefinitionError> {
    Ok(format!(
        "<format type='{}'/>",
        escaped(format.as_str(), "a format")?
    ))
}
