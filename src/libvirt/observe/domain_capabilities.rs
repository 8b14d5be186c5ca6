//! The XML of `virConnectGetDomainCapabilities` to what speaks against a VM on that host.
//!
//! Lists that an older libvirt does not have say nothing. Lists that are no full account of what QEMU can are not
//! compared at all.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use crate::definition::Facts;
use crate::definition::xml::{self, XmlError};
use crate::model::CpuMode;

/// Disk buses that libvirt lists where the machine has them. Others work without being listed.
const LISTED_BUSES: [&str; 6] = ["ide", "fdc", "scsi", "virtio", "usb", "sata"];

/// What a hypervisor offers for one machine type. `None` and a missing key: its libvirt does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DomainCapabilities {
    vcpus_max: Option<u32>,
    cpu_modes: BTreeMap<String, bool>,
    buses: Option<Vec<String>>,
    graphics: Option<Vec<String>>,
    videos: Option<Vec<String>>,
    tpm_models: Option<Vec<String>>,
    tpm_backends: Option<Vec<String>>,
    firmwares: Option<Vec<String>>,
    secure: Option<Vec<String>>,
    securities: Option<Vec<String>>,
    loaders: Option<Vec<String>>,
}

/// Reads the XML.
pub(super) fn read(text: &str) -> Result<DomainCapabilities, XmlError> {
    let document = xml::parse(text, "domainCapabilities")?;
    let root = document.root_element();
    let device = |name, list| listed(xml::at(root, &["devices", name]), list);
    let os = xml::child(root, "os");
    let loader = os.and_then(|os| xml::child(os, "loader"));
    Ok(DomainCapabilities {
        vcpus_max: xml::attribute_at(root, &["vcpu"], "max").and_then(|max| max.parse().ok()),
        cpu_modes: xml::child(root, "cpu")
            .into_iter()
            .flat_map(|cpu| xml::children(cpu, "mode"))
            .filter_map(|mode| Some((mode.attribute("name")?.to_owned(), is_supported(mode)?)))
            .collect(),
        buses: device("disk", "bus"),
        graphics: device("graphics", "type"),
        videos: device("video", "modelType"),
        tpm_models: device("tpm", "model"),
        tpm_backends: device("tpm", "backendModel"),
        firmwares: listed(os, "firmware"),
        secure: listed(loader, "secure"),
        securities: securities(root),
        loaders: loader.map(values),
    })
}

fn is_supported(element: Node<'_, '_>) -> Option<bool> {
    element.attribute("supported").map(|answer| answer == "yes")
}

/// The values of a list in an element; none at all where the element is not supported.
fn listed(element: Option<Node<'_, '_>>, name: &str) -> Option<Vec<String>> {
    let element = element?;
    if is_supported(element) == Some(false) {
        return Some(Vec::new());
    }
    xml::children(element, "enum")
        .find(|list| list.attribute("name") == Some(name))
        .map(values)
}

fn values(list: Node<'_, '_>) -> Vec<String> {
    xml::children(list, "value")
        .filter_map(xml::text_of)
        .collect()
}

/// Kinds of launch security. Before 10.5 libvirt told of SEV alone, by an element of its own.
fn securities(root: Node<'_, '_>) -> Option<Vec<String>> {
    let features = xml::child(root, "features")?;
    if let Some(kinds) = listed(xml::child(features, "launchSecurity"), "sectype") {
        return Some(kinds);
    }
    let sev = is_supported(xml::child(features, "sev")?)?;
    Some(if sev { vec!["sev".into()] } else { Vec::new() })
}

impl DomainCapabilities {
    /// What speaks against a VM with this definition, each as a sentence.
    pub(super) fn against(&self, facts: &Facts) -> Vec<String> {
        let needs = &facts.needs;
        let missing = |what: &str, wanted: &BTreeSet<&str>, offered: &Option<Vec<String>>| {
            let offered = offered.as_ref()?;
            let not_there = |one: &&&str| !one.is_empty() && !offered.iter().any(|o| o == **one);
            let reason = |one: &&str| format!("it offers no {what} {one}{}", instead(offered));
            Some(
                wanted
                    .iter()
                    .filter(not_there)
                    .map(reason)
                    .collect::<Vec<_>>(),
            )
        };
        let buses = facts.disks.iter().map(|disk| disk.bus.as_str());
        let buses = buses.filter(|bus| LISTED_BUSES.contains(bus)).collect();
        let graphics = needs.graphics.iter().map(String::as_str).collect();
        let videos = needs.videos.iter().map(String::as_str).collect();
        let models = needs.tpms.iter().map(|tpm| tpm.model.as_str()).collect();
        let backends = needs.tpms.iter().map(|tpm| tpm.backend.as_str()).collect();
        // Of `s390-pv` libvirt tells by an element of its own, which is not read.
        let security = needs.launch_security.as_deref();
        let security = security
            .filter(|kind| *kind != "s390-pv")
            .into_iter()
            .collect();
        let mut reasons: Vec<String> = [
            missing("disks on bus", &buses, &self.buses),
            missing("graphics of type", &graphics, &self.graphics),
            missing("video cards of model", &videos, &self.videos),
            missing("TPMs of model", &models, &self.tpm_models),
            missing("TPMs of backend", &backends, &self.tpm_backends),
            missing("launch security of type", &security, &self.securities),
        ]
        .into_iter()
        .flatten()
        .flatten()
        .collect();
        reasons.extend(self.against_firmware(facts));
        reasons.extend(self.against_cpu(facts));
        reasons
    }

    /// Firmware that libvirt is to choose. What a definition names by its path can be there without being listed.
    fn against_firmware(&self, facts: &Facts) -> Option<String> {
        let kind = facts.needs.firmware.as_ref()?;
        if facts.needs.loader.is_some() {
            return None;
        }
        if self
            .firmwares
            .as_ref()
            .is_some_and(|all| !all.contains(kind))
        {
            return Some(format!("it offers no firmware of kind {kind}"));
        }
        let secure = self.secure.as_ref()?;
        (facts.needs.secure_boot && !secure.iter().any(|one| one == "yes"))
            .then(|| format!("it offers no firmware of kind {kind} with secure boot"))
    }

    fn against_cpu(&self, facts: &Facts) -> Option<String> {
        if let Some(max) = self.vcpus_max
            && facts.needs.vcpus_max > max
        {
            let wanted = facts.needs.vcpus_max;
            return Some(format!(
                "it offers at most {max} vCPUs to that machine type, and {wanted} are defined"
            ));
        }
        let mode = match facts.cpu {
            CpuMode::Custom => "custom",
            CpuMode::HostModel => "host-model",
            CpuMode::HostPassthrough => "host-passthrough",
            CpuMode::Maximum => "maximum",
            CpuMode::Default => return None,
        };
        (self.cpu_modes.get(mode) == Some(&false))
            .then(|| format!("it does not offer CPUs of mode {mode}"))
    }

    /// Whether the firmware image that the definition names is among those that the host lists.
    pub(super) fn lists_loader(&self, facts: &Facts) -> Option<bool> {
        let loader = facts.needs.loader.as_ref()?;
        Some(self.loaders.as_ref()?.contains(loader))
    }
}

fn instead(offered: &[String]) -> String {
    if offered.is_empty() {
        String::new()
    } else {
        format!(", only {}", offered.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition;

    /// As libvirt 11.3 with QEMU 10.0 prints it for an emulated machine, shortened.
    const TRIXIE: &str = "<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path><domain>qemu</domain>
      <machine>pc-i440fx-10.0</machine><arch>x86_64</arch><vcpu max='255'/>
      <os supported='yes'><enum name='firmware'><value>efi</value></enum>
        <loader supported='yes'><value>/usr/share/OVMF/OVMF_CODE_4M.fd</value>
          <enum name='type'><value>rom</value><value>pflash</value></enum>
          <enum name='secure'><value>no</value></enum></loader></os>
      <cpu><mode name='host-passthrough' supported='no'/><mode name='maximum' supported='yes'/>
        <mode name='host-model' supported='yes'/><mode name='custom' supported='yes'/></cpu>
      <devices>
        <disk supported='yes'><enum name='bus'><value>ide</value><value>fdc</value><value>virtio</value></enum></disk>
        <graphics supported='yes'><enum name='type'><value>vnc</value></enum></graphics>
        <video supported='yes'><enum name='modelType'><value>vga</value><value>virtio</value></enum></video>
        <tpm supported='yes'><enum name='model'><value>tpm-tis</value><value>tpm-crb</value></enum>
          <enum name='backendModel'><value>passthrough</value></enum></tpm>
      </devices>
      <features><sev supported='no'/></features></domainCapabilities>";

    fn against(definition: &str) -> Vec<String> {
        read(TRIXIE)
            .unwrap()
            .against(&definition::read(definition).unwrap())
    }

    fn domain(rest: &str, devices: &str) -> String {
        format!(
            "<domain type='qemu'><name>a</name><memory>1</memory>{rest}<devices>{devices}</devices></domain>"
        )
    }

    #[test]
    fn what_a_host_offers_speaks_against_nothing() {
        let plain = domain(
            "<vcpu>255</vcpu><cpu mode='maximum'/><os firmware='efi'/>",
            "<disk><target dev='vda' bus='virtio'/></disk><disk><target dev='sda' bus='sd'/></disk>
             <graphics type='vnc'/><video><model type='virtio'/></video>
             <tpm model='tpm-tis'><backend type='passthrough'/></tpm>",
        );
        assert_eq!(against(&plain), Vec::<String>::new());
    }

    #[test]
    fn what_a_host_does_not_offer_is_named_with_what_it_offers_instead() {
        let demanding = domain(
            "<vcpu>256</vcpu><launchSecurity type='sev'/>
             <os firmware='efi'><loader secure='yes'/></os>",
            "<disk><target dev='sda' bus='sata'/></disk><disk><target dev='sdb' bus='sata'/></disk>
             <graphics type='spice'/><video><model type='qxl'/></video>
             <tpm model='tpm-spapr'><backend type='emulator'/></tpm>",
        );
        assert_eq!(
            against(&demanding),
            [
                "it offers no disks on bus sata, only ide, fdc, virtio",
                "it offers no graphics of type spice, only vnc",
                "it offers no video cards of model qxl, only vga, virtio",
                "it offers no TPMs of model tpm-spapr, only tpm-tis, tpm-crb",
                "it offers no TPMs of backend emulator, only passthrough",
                "it offers no launch security of type sev",
                "it offers no firmware of kind efi with secure boot",
                "it offers at most 255 vCPUs to that machine type, and 256 are defined",
            ]
        );
        let passthrough = domain("<cpu mode='host-passthrough'/>", "");
        assert_eq!(
            against(&passthrough),
            ["it does not offer CPUs of mode host-passthrough"]
        );
    }

    #[test]
    fn what_a_host_does_not_tell_speaks_against_nothing() {
        let silent = read("<domainCapabilities/>").unwrap();
        assert_eq!(silent, DomainCapabilities::default());
        let demanding = include_str!("../../../tests/data/definitions/demanding.xml");
        let facts = definition::read(demanding).unwrap();
        assert_eq!(silent.against(&facts), Vec::<String>::new());
        assert_eq!(silent.lists_loader(&facts), None);
    }

    #[test]
    fn firmware_that_is_named_by_its_path_is_looked_for_among_the_listed() {
        let lists = |loader: &str| {
            let facts = definition::read(&domain(&format!("<os>{loader}</os>"), "")).unwrap();
            read(TRIXIE).unwrap().lists_loader(&facts)
        };
        let listed = "<loader secure='yes'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>";
        assert_eq!(lists(listed), Some(true));
        assert_eq!(
            lists("<loader>/usr/share/qemu/other.fd</loader>"),
            Some(false)
        );
        assert_eq!(lists(""), None);
    }
}
