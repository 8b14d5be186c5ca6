//! The XML of `virConnectGetCapabilities` to what a host is.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::origin::Origin;
use crate::definition::xml::{self, XmlError};
use crate::model::Bytes;
use crate::observed::{Offers, Pages, Tsc};

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
    /// What its hypervisor offers, without what has calls of its own.
    pub(super) offers: Offers,
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
        offers: offers_of(root, &arch),
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

/// What is offered to guests of that architecture (`<guest><arch>`).
fn offered<'a, 'i: 'a>(root: Node<'a, 'i>, arch: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    xml::children(root, "guest")
        .flat_map(|guest| xml::children(guest, "arch"))
        .filter(move |offered| offered.attribute("name") == Some(arch))
}

fn machines_of(root: Node<'_, '_>, arch: &str) -> Vec<String> {
    let mut machines = Vec::new();
    for machine in machine_elements(root, arch) {
        machines.extend(xml::text_of(machine));
        machines.extend(machine.attribute("canonical").map(str::to_owned));
    }
    machines.sort();
    machines.dedup();
    machines
}

fn machine_elements<'a, 'i: 'a>(
    root: Node<'a, 'i>,
    arch: &'a str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    offered(root, arch)
        .flat_map(|offered| offered.descendants())
        .filter(|inner| inner.has_tag_name("machine"))
}

fn offers_of(root: Node<'_, '_>, arch: &str) -> Offers {
    let kinds = || offered(root, arch).flat_map(|offered| xml::children(offered, "domain"));
    let emulator = offered(root, arch)
        .chain(kinds())
        .find_map(|offered| xml::text_at(offered, &["emulator"]));
    let machines: Vec<_> = machine_elements(root, arch)
        .filter_map(|machine| {
            let canonical = machine.attribute("canonical").map(str::to_owned);
            Some((xml::text_of(machine)?, canonical))
        })
        .collect();
    let origin = Origin::of(&machines, emulator.as_deref());
    let mut virt_types: Vec<String> = kinds()
        .filter_map(|domain| domain.attribute("type"))
        .map(str::to_owned)
        .collect();
    virt_types.sort();
    virt_types.dedup();
    let features = xml::at(root, &["host", "migration_features"]);
    let transports = features
        .and_then(|features| xml::child(features, "uri_transports"))
        .into_iter()
        .flat_map(|all| xml::children(all, "uri_transport"))
        .filter_map(xml::text_of);
    Offers {
        emulator,
        virt_types,
        os_family: origin.family,
        os_release: origin.release,
        live_migration: features.map(|features| xml::child(features, "live").is_some()),
        migration_transports: transports.collect(),
        pages: pages_of(root),
        numa_cells: numbers(cells_of(root)),
        highest_cpu: numbers(processors_of(root)).last().copied(),
        tsc: tsc_of(root),
        security_models: security_models_of(root),
        ..Offers::default()
    }
}

fn tsc_of(root: Node<'_, '_>) -> Option<Tsc> {
    let cpu = xml::at(root, &["host", "cpu"])?;
    let mut counters = xml::children(cpu, "counter");
    let tsc = counters.find(|counter| counter.attribute("name") == Some("tsc"))?;
    Some(Tsc {
        frequency: tsc.attribute("frequency")?.parse().ok()?,
        scaling: tsc.attribute("scaling").map(|scaling| scaling == "yes"),
    })
}

fn security_models_of(root: Node<'_, '_>) -> Vec<String> {
    let host = xml::child(root, "host").into_iter();
    host.flat_map(|host| xml::children(host, "secmodel"))
        .filter_map(|model| xml::text_at(model, &["model"]))
        .collect()
}

fn cells_of<'a, 'i: 'a>(root: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    xml::at(root, &["host", "topology", "cells"])
        .into_iter()
        .flat_map(|cells| xml::children(cells, "cell"))
}

fn processors_of<'a, 'i: 'a>(root: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    cells_of(root)
        .flat_map(|cell| xml::children(cell, "cpus"))
        .flat_map(|cpus| xml::children(cpus, "cpu"))
}

/// Their numbers, ascending.
fn numbers<'a, 'i: 'a>(elements: impl Iterator<Item = Node<'a, 'i>>) -> Vec<u32> {
    let mut numbers: Vec<u32> = elements
        .filter_map(|element| element.attribute("id")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The sum over the NUMA cells, for each size.
fn pages_of(root: Node<'_, '_>) -> Vec<Pages> {
    let mut counts: BTreeMap<Bytes, u64> = BTreeMap::new();
    for pages in cells_of(root).flat_map(|cell| xml::children(cell, "pages")) {
        let count = xml::text_of(pages).and_then(|count| count.parse::<u64>().ok());
        if let (Some(size), Some(count)) = (xml::amount_in(pages, "size", "KiB"), count) {
            let sum = counts.entry(size).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    let pages = |(size, count)| Pages { size, count };
    counts.into_iter().map(pages).collect()
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

    /// As libvirt 9.0 on Debian prints it, shortened.
    const DEBIAN: &str = "<capabilities><host><cpu><arch>x86_64</arch><model>kvm64</model>
      <counter name='tsc' frequency='2592000000' scaling='no'/></cpu>
      <secmodel><model>apparmor</model><doi>0</doi></secmodel><secmodel><model>dac</model><doi>0</doi></secmodel>
      <migration_features><live/><uri_transports>
        <uri_transport>tcp</uri_transport><uri_transport>rdma</uri_transport>
      </uri_transports></migration_features>
      <topology><cells num='2'>
        <cell id='0'><memory unit='KiB'>24684084</memory>
          <pages unit='KiB' size='4'>6171021</pages><pages unit='KiB' size='2048'>8</pages>
          <cpus num='2'><cpu id='0' socket_id='0'/><cpu id='1' socket_id='0'/></cpus></cell>
        <cell id='8'><memory unit='KiB'>24684084</memory>
          <pages unit='KiB' size='4'>6171021</pages><pages unit='KiB' size='1048576'>0</pages>
          <pages unit='KiB' size='2048'>4</pages><cpus num='1'><cpu id='9'/></cpus></cell>
      </cells></topology></host>
      <guest><os_type>hvm</os_type><arch name='i686'><emulator>/usr/bin/qemu-system-i386</emulator>
        <domain type='xen'/></arch></guest>
      <guest><os_type>hvm</os_type><arch name='x86_64'><emulator>/usr/bin/qemu-system-x86_64</emulator>
        <machine maxCpus='255'>pc-i440fx-7.2</machine><machine canonical='pc-q35-7.2' maxCpus='288'>q35</machine>
        <domain type='qemu'/><domain type='kvm'/></arch></guest></capabilities>";

    #[test]
    fn what_a_host_offers_is_read() {
        let offers = read(DEBIAN).unwrap().offers;
        assert_eq!(
            offers.emulator.as_deref(),
            Some("/usr/bin/qemu-system-x86_64")
        );
        assert_eq!(offers.virt_types, ["kvm", "qemu"]);
        assert_eq!(offers.live_migration, Some(true));
        assert_eq!(offers.migration_transports, ["tcp", "rdma"]);
        let pages: Vec<(u64, u64)> = offers
            .pages
            .iter()
            .map(|pages| (pages.size.0, pages.count))
            .collect();
        assert_eq!(pages, [(4096, 12_342_042), (2 << 20, 12), (1 << 30, 0)]);
        assert_eq!(offers.numa_cells, [0, 8]);
        assert_eq!(offers.security_models, ["apparmor", "dac"]);
        let tsc = offers.tsc.map(|tsc| (tsc.frequency, tsc.scaling));
        assert_eq!(tsc, Some((2_592_000_000, Some(false))));
        assert_eq!(offers.highest_cpu, Some(9));
        // Debian leaves no mark of its own, and secrets and filters have calls of their own.
        assert_eq!((offers.os_family, offers.os_release), (None, None));
        assert_eq!((offers.secrets, offers.nwfilters), (None, None));
    }

    #[test]
    fn the_origin_of_qemu_is_read_from_its_machine_types() {
        let red_hat = DEBIAN.replace("pc-q35-7.2", "pc-q35-rhel9.4.0");
        let offers = read(&red_hat).unwrap().offers;
        assert_eq!(offers.os_family, Some(crate::model::OsFamily::Redhat));
        assert_eq!(offers.os_release.as_deref(), Some("rhel 9.4.0"));
    }

    #[test]
    fn a_driver_that_tells_little_is_read_too() {
        let read = read("<capabilities><host/></capabilities>").unwrap();
        assert_eq!(read.size, None);
        assert_eq!(read.uuid, "");
        assert_eq!(read.offers, Offers::default());
    }
}
