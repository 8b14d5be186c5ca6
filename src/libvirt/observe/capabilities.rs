//! The XML of `virConnectGetCapabilities` to what a host is.

use roxmltree::Node;

use crate::definition::xml::{self, XmlError};
use crate::model::Bytes;

/// What a host's capabilities say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// libvirt's host UUID; empty where the driver has none.
    pub(super) uuid: String,
    /// Architecture of the host's CPU.
    pub(super) arch: String,
    /// The `<cpu>` element to the letter.
    pub(super) cpu_xml: String,
    /// Its model; empty where libvirt knows none.
    pub(super) cpu_model: String,
    /// Processors and memory, where the topology tells them.
    pub(super) size: Option<(u32, Bytes)>,
    /// Machine types for guests of the host's architecture, aliases included.
    pub(super) machines: Vec<String>,
}

/// Reads the XML.
pub(super) fn read(text: &str) -> Result<Capabilities, XmlError> {
    let document = xml::parse(text, "capabilities")?;
    let root = document.root_element();
    let cpu = xml::at(root, &["host", "cpu"]);
    let arch = xml::text_at(root, &["host", "cpu", "arch"]).unwrap_or_default();
    Ok(Capabilities {
        uuid: xml::text_at(root, &["host", "uuid"])
            .unwrap_or_default()
            .to_ascii_lowercase(),
        cpu_xml: cpu
            .and_then(|cpu| text.get(cpu.range()))
            .unwrap_or_default()
            .to_owned(),
        cpu_model: cpu
            .and_then(|cpu| xml::text_at(cpu, &["model"]))
            .unwrap_or_default(),
        size: size_of(root),
        machines: machines_of(root, &arch),
        arch,
    })
}

/// The sum over the NUMA cells.
fn size_of(root: Node<'_, '_>) -> Option<(u32, Bytes)> {
    let cells = xml::at(root, &["host", "topology", "cells"])?;
    let mut size = (0_u32, Bytes::ZERO);
    for cell in xml::children(cells, "cell") {
        let cpus: u32 = xml::attribute_at(cell, &["cpus"], "num")?.parse().ok()?;
        let memory = xml::amount(xml::child(cell, "memory")?, "KiB")?;
        size = (size.0.saturating_add(cpus), size.1.plus(memory));
    }
    (size.0 > 0).then_some(size)
}

fn machines_of(root: Node<'_, '_>, arch: &str) -> Vec<String> {
    let mut machines = Vec::new();
    for guest in xml::children(root, "guest") {
        let matching = xml::children(guest, "arch")
            .filter(|offered| offered.attribute("name") == Some(arch))
            .flat_map(|offered| offered.descendants())
            .filter(|inner| inner.has_tag_name("machine"));
        for machine in matching {
            machines.extend(xml::text_of(machine));
            machines.extend(machine.attribute("canonical").map(str::to_owned));
        }
    }
    machines.sort();
    machines.dedup();
    machines
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "<capabilities><host><uuid>287AEE32-f584-4cf6-83f6-c632c92c6c2f</uuid>
      <cpu><arch>x86_64</arch><model>EPYC</model><feature name='x'/></cpu>
      <topology><cells num='2'>
        <cell id='0'><memory unit='KiB'>1024</memory><cpus num='2'><cpu id='0'/></cpus></cell>
        <cell id='1'><memory unit='KiB'>2048</memory><cpus num='4'/></cell>
      </cells></topology></host>
      <guest><os_type>hvm</os_type><arch name='x86_64'><machine canonical='pc-q35-7.2'>q35</machine>
        <domain type='kvm'><machine>pc-q35-2.0</machine></domain></arch></guest>
      <guest><os_type>hvm</os_type><arch name='aarch64'><machine>virt</machine></arch></guest></capabilities>";

    #[test]
    fn a_host_with_two_cells_is_as_large_as_both() {
        let read = read(HOST).unwrap();
        assert_eq!(read.size, Some((6, Bytes::from_mib(3))));
        assert_eq!(read.uuid, "287aee32-f584-4cf6-83f6-c632c92c6c2f");
        assert_eq!(
            (read.arch.as_str(), read.cpu_model.as_str()),
            ("x86_64", "EPYC")
        );
        assert!(read.cpu_xml.starts_with("<cpu>") && read.cpu_xml.ends_with("</cpu>"));
    }

    #[test]
    fn machine_types_are_those_of_the_hosts_own_architecture() {
        let machines = read(HOST).unwrap().machines;
        assert_eq!(machines, ["pc-q35-2.0", "pc-q35-7.2", "q35"]);
    }

    #[test]
    fn a_driver_that_tells_little_is_read_too() {
        let read = read("<capabilities><host/></capabilities>").unwrap();
        assert_eq!(read.size, None);
        assert_eq!(read.uuid, "");
    }
}
