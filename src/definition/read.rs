//! A domain's XML to the facts that moving it depends on.

use roxmltree::Node;

use super::{DefinitionError, device, disk, mark, needs, xml};
use crate::model::{Bytes, CpuMode, Interface, InterfaceSource, MacAddress, MoveMark, VmName};
use crate::observed::{Disk, Needs};

/// What a definition says, without what only its host knows (sizes, which volume a path is).
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Its name.
    pub name: VmName,
    /// Its UUID, in lower case; empty where the text has none, as one that was never defined.
    pub uuid: String,
    /// The most memory it may have (`<memory>`): its balloon may be emptied at any time.
    pub memory: Bytes,
    /// vCPUs it has now (`<vcpu current>`), or else all of them.
    pub vcpus: u32,
    /// Machine type.
    pub machine: String,
    /// How its CPU is chosen. libvirt writes the running VM's model in place of `host-model`, so only the
    /// persistent definition tells.
    pub cpu: CpuMode,
    /// Disks and drives in order. The path of a `volume` source is unknown, and so are all sizes. The chain of
    /// images is what the text says of it, which in a persistent definition is mostly nothing.
    pub disks: Vec<Disk>,
    /// Whether a copy or an active commit of a disk is under way (`<mirror>`, only in a running VM's definition).
    pub mirror: bool,
    /// Interfaces in order. One that is on a network of libvirt is that, also where a running VM's definition says
    /// which bridge or device the network gave it.
    pub interfaces: Vec<Interface>,
    /// Bridges that its interfaces are ports of. In a running VM's definition they are there.
    pub bridges: Vec<String>,
    /// Path of the UEFI variable store.
    pub nvram: Option<String>,
    /// Whether it has an emulated TPM.
    pub tpm: bool,
    /// Local paths that its start needs besides disks, drives and variable store.
    pub local_paths: Vec<String>,
    /// Devices that cannot leave their host, each in libvirt's words.
    pub host_devices: Vec<String>,
    /// Whether it has SPICE graphics.
    pub spice: bool,
    /// What else it demands of its host.
    pub needs: Needs,
    /// Its `<cpu>` element to the letter.
    pub cpu_xml: Option<String>,
    /// What Domicile wrote when it began to move it.
    pub mark: Mark,
}

/// What is in the place of Domicile's mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    #[default]
    None,
    /// A mark.
    Read(Box<MoveMark>),
    /// Something of ours that cannot be read, with the reason.
    Unreadable(String),
}

/// Reads a definition, of a running VM or a persistent one.
///
/// # Errors
/// When the text is no XML of a domain, is too large or too deep, or lacks what every definition has.
pub fn read(definition: &str) -> Result<Facts, DefinitionError> {
    let document = xml::parse(definition, "domain")?;
    let domain = document.root_element();
    let missing = |what| DefinitionError::Missing { what };
    let devices = xml::child(domain, "devices");
    let of_kind = |name| {
        devices
            .into_iter()
            .flat_map(move |all| xml::children(all, name))
    };
    let disks: Vec<Disk> = of_kind("disk").map(disk::read).collect::<Result<_, _>>()?;
    Ok(Facts {
        name: VmName::new(xml::text_at(domain, &["name"]).ok_or(missing("<name>"))?)?,
        uuid: xml::text_at(domain, &["uuid"])
            .unwrap_or_default()
            .to_ascii_lowercase(),
        memory: xml::child(domain, "memory")
            .and_then(|memory| xml::amount(memory, "KiB"))
            .ok_or(missing("<memory>"))?,
        vcpus: vcpus_of(domain).ok_or(missing("<vcpu>"))?,
        machine: xml::attribute_at(domain, &["os", "type"], "machine")
            .unwrap_or_default()
            .to_owned(),
        cpu: cpu_of(domain),
        mirror: of_kind("disk").any(|disk| xml::child(disk, "mirror").is_some()),
        disks,
        interfaces: of_kind("interface")
            .map(interface_of)
            .collect::<Result<_, _>>()?,
        nvram: nvram_of(domain),
        tpm: of_kind("tpm")
            .any(|tpm| xml::attribute_at(tpm, &["backend"], "type") == Some("emulator")),
        local_paths: device::local_paths(domain),
        host_devices: device::host_devices(domain),
        spice: of_kind("graphics").any(|graphics| graphics.attribute("type") == Some("spice")),
        bridges: of_kind("interface")
            .filter_map(|interface| xml::attribute_at(interface, &["source"], "bridge"))
            .map(str::to_owned)
            .collect(),
        needs: needs::read(domain),
        cpu_xml: xml::child(domain, "cpu")
            .and_then(|cpu| definition.get(cpu.range()))
            .map(str::to_owned),
        mark: mark_of(&mark::elements(&document)),
    })
}

fn vcpus_of(domain: Node<'_, '_>) -> Option<u32> {
    let Some(element) = xml::child(domain, "vcpu") else {
        // libvirt's default.
        return Some(1);
    };
    let current = element.attribute("current").map(str::to_owned);
    current.or_else(|| xml::text_of(element))?.parse().ok()
}

fn cpu_of(domain: Node<'_, '_>) -> CpuMode {
    let Some(cpu) = xml::child(domain, "cpu") else {
        return CpuMode::Default;
    };
    match cpu.attribute("mode") {
        Some("host-passthrough") => CpuMode::HostPassthrough,
        Some("host-model") => CpuMode::HostModel,
        Some("maximum") => CpuMode::Maximum,
        // A `<cpu>` with nothing but a topology leaves the model to QEMU.
        _ if xml::child(cpu, "model").is_none() => CpuMode::Default,
        _ => CpuMode::Custom,
    }
}

/// The connection of an interface, by the attribute that libvirt's type keeps it in.
fn interface_of(interface: Node<'_, '_>) -> Result<Interface, DefinitionError> {
    let mac =
        xml::attribute_at(interface, &["mac"], "address").ok_or(DefinitionError::Missing {
            what: "<mac address> of an interface",
        })?;
    let kind = interface.attribute("type").unwrap_or("unknown");
    let named = |name| xml::attribute_at(interface, &["source"], name).map(str::to_owned);
    let source = match (named("network"), kind) {
        (Some(network), "network" | "bridge" | "direct") => Some(InterfaceSource::Network(network)),
        (_, "bridge") => named("bridge").map(InterfaceSource::Bridge),
        (_, "direct") => named("dev").map(InterfaceSource::Direct),
        _ => None,
    };
    Ok(Interface {
        mac: MacAddress::new(mac)?,
        source: source.unwrap_or_else(|| InterfaceSource::Other(kind.to_owned())),
        mtu: xml::attribute_at(interface, &["mtu"], "size").and_then(|size| size.parse().ok()),
        filter: xml::attribute_at(interface, &["filterref"], "filter").map(str::to_owned),
    })
}

/// Older versions of libvirt write the path as text, newer ones can write a `<source>` as for a disk.
fn nvram_of(domain: Node<'_, '_>) -> Option<String> {
    let nvram = xml::at(domain, &["os", "nvram"])?;
    let source = ["file", "dev", "name"]
        .iter()
        .find_map(|name| xml::attribute_at(nvram, &["source"], name));
    source.map(str::to_owned).or_else(|| xml::text_of(nvram))
}

fn mark_of(elements: &[Node<'_, '_>]) -> Mark {
    match elements {
        [] => Mark::None,
        [one] => match mark::parsed(*one) {
            Ok(mark) => Mark::Read(Box::new(mark)),
            Err(reason) => Mark::Unreadable(reason),
        },
        _ => Mark::Unreadable("it has several marks of a move".into()),
    }
}
