//! What a definition demands of its host, besides disks and interfaces.

use std::collections::BTreeSet;
use std::net::IpAddr;

use roxmltree::Node;

use super::{claims, xml};
use crate::observed::{Agent, CpuFeature, FeaturePolicy, MemoryPages, Needs, SecretRef, Tpm};

/// The highest number of a NUMA cell that Linux can have (`CONFIG_NODES_SHIFT` is at most 10).
const CELL_MAX: u32 = 1023;

/// The most ranges that are read of a set of numbers; libvirt writes them joined and in order.
const RANGES_MAX: usize = 512;

/// Folders in which libvirt puts sockets of its own choice.
const OWN_FOLDERS: [&str; 3] = [
    "/var/lib/libvirt/qemu/",
    "/run/libvirt/qemu/",
    "/var/run/libvirt/qemu/",
];

/// Reads them.
pub(super) fn read(domain: Node<'_, '_>) -> Needs {
    let attribute = |path: &[&str], name| xml::attribute_at(domain, path, name).map(str::to_owned);
    let kinds = |device, name| texts(of_kind(domain, device).filter_map(|it| it.attribute(name)));
    let arch = attribute(&["os", "type"], "arch").unwrap_or_default();
    let claims = claims::claims(domain);
    Needs {
        virt_type: domain.attribute("type").unwrap_or_default().to_owned(),
        emulator: xml::text_at(domain, &["devices", "emulator"]),
        vcpus_max: xml::text_at(domain, &["vcpu"]).map_or(1, |count| count.parse().unwrap_or(0)),
        cpu_model: xml::text_at(domain, &["cpu", "model"]),
        nested: features(domain)
            .filter(|feature| ["vmx", "svm"].contains(&feature.name.as_str()))
            .collect(),
        invtsc_without_frequency: invtsc_without_frequency(domain),
        hugepages: hugepages(domain),
        highest_pinned_cpu: highest_pinned_cpu(domain),
        numa_cells: numa_cells(domain),
        unplaced_memory: of_kind(domain, "memory").filter_map(unplaced).collect(),
        launch_security: attribute(&["launchSecurity"], "type"),
        unfiltered_scsi: of_kind(domain, "disk")
            .filter(|disk| disk.attribute("sgio") == Some("unfiltered"))
            .filter_map(|disk| xml::attribute_at(disk, &["target"], "dev"))
            .map(str::to_owned)
            .collect(),
        graphics: kinds("graphics", "type"),
        videos: texts(
            of_kind(domain, "video")
                .filter_map(|video| xml::attribute_at(video, &["model"], "type")),
        ),
        tpms: of_kind(domain, "tpm").map(tpm).collect(),
        loader: xml::text_at(domain, &["os", "loader"]),
        firmware: attribute(&["os"], "firmware"),
        secure_boot: attribute(&["os", "loader"], "secure").as_deref() == Some("yes"),
        listen_addresses: texts(listen_addresses(domain)),
        sockets: texts(devices(domain).flat_map(sockets)),
        secrets: secrets(domain),
        without_acpi: has_power_button(&arch) && xml::at(domain, &["features", "acpi"]).is_none(),
        agent: of_kind(domain, "channel").find_map(agent),
        tsc_frequency: claims::tsc_frequency(domain),
        security_models: claims::security_models(domain),
        claims: claims.named,
        holds: claims.chosen,
        helpers: claims::helpers(domain),
        arch,
    }
}

/// Architectures whose guests are shut down by ACPI.
fn has_power_button(arch: &str) -> bool {
    ["", "x86_64", "i686", "aarch64"].contains(&arch)
}

fn devices<'a, 'i: 'a>(domain: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> + 'a {
    xml::children(domain, "devices")
        .flat_map(|devices| devices.children())
        .filter(Node::is_element)
}

fn of_kind<'a, 'i: 'a>(
    domain: Node<'a, 'i>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'i>> + 'a {
    devices(domain).filter(move |device| device.tag_name().name() == name)
}

/// Each once, in order.
fn texts<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let all: BTreeSet<&str> = all.filter(|text| !text.is_empty()).collect();
    all.into_iter().map(str::to_owned).collect()
}

fn features<'a, 'i: 'a>(domain: Node<'a, 'i>) -> impl Iterator<Item = CpuFeature> + 'a {
    let cpu = xml::child(domain, "cpu").into_iter();
    cpu.flat_map(|cpu| xml::children(cpu, "feature"))
        .filter_map(|feature| {
            Some(CpuFeature {
                name: feature.attribute("name")?.to_owned(),
                policy: match feature.attribute("policy") {
                    // libvirt's default.
                    None | Some("require") => FeaturePolicy::Require,
                    Some("force") => FeaturePolicy::Force,
                    Some("optional") => FeaturePolicy::Optional,
                    Some("disable") => FeaturePolicy::Disable,
                    Some("forbid") => FeaturePolicy::Forbid,
                    Some(_) => return None,
                },
            })
        })
}

fn invtsc_without_frequency(domain: Node<'_, '_>) -> bool {
    let demanded = features(domain).any(|feature| {
        feature.name == "invtsc"
            && matches!(
                feature.policy,
                FeaturePolicy::Require | FeaturePolicy::Force
            )
    });
    let has_frequency = xml::child(domain, "clock")
        .into_iter()
        .flat_map(|clock| xml::children(clock, "timer"))
        .any(|timer| {
            timer.attribute("name") == Some("tsc") && timer.attribute("frequency").is_some()
        });
    demanded && !has_frequency
}

fn hugepages(domain: Node<'_, '_>) -> Option<MemoryPages> {
    let element = xml::at(domain, &["memoryBacking", "hugepages"])?;
    let sizes: BTreeSet<_> = xml::children(element, "page")
        .filter_map(|page| xml::amount_in(page, "size", "KiB"))
        .collect();
    Some(if sizes.is_empty() {
        MemoryPages::Default
    } else {
        MemoryPages::Sizes(sizes)
    })
}

/// Ranges of a set of numbers as libvirt writes it, such as `0-3,8`. What a person left out with `^` counts as in.
fn ranges(text: &str) -> impl Iterator<Item = (u32, u32)> + '_ {
    text.split(',').take(RANGES_MAX).filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    })
}

fn highest_pinned_cpu(domain: Node<'_, '_>) -> Option<u32> {
    let pins = xml::child(domain, "cputune").into_iter();
    let pins = pins
        .flat_map(|tune| tune.children())
        .filter(|pin| ["vcpupin", "emulatorpin", "iothreadpin"].contains(&pin.tag_name().name()));
    xml::child(domain, "vcpu")
        .into_iter()
        .chain(pins)
        .filter_map(|pin| pin.attribute("cpuset"))
        .flat_map(ranges)
        .map(|(_, last)| last)
        .max()
}

fn numa_cells(domain: Node<'_, '_>) -> BTreeSet<u32> {
    let tune = xml::child(domain, "numatune").into_iter();
    tune.flat_map(|tune| tune.children())
        .filter_map(|memory| memory.attribute("nodeset"))
        .take(RANGES_MAX)
        .flat_map(ranges)
        .take(RANGES_MAX)
        .flat_map(|(first, last)| first.min(CELL_MAX)..=last.min(CELL_MAX))
        .collect()
}

/// Plugged memory of the models that libvirt asks for slot and base before it migrates.
fn unplaced(memory: Node<'_, '_>) -> Option<String> {
    let model = memory.attribute("model")?;
    let placed = ["slot", "base"]
        .iter()
        .all(|name| xml::attribute_at(memory, &["address"], name).is_some());
    (["dimm", "nvdimm"].contains(&model) && !placed).then(|| {
        let size = xml::at(memory, &["target", "size"]).and_then(|size| xml::amount(size, "KiB"));
        match size {
            Some(size) => format!("memory {model} of {size}"),
            None => format!("memory {model}"),
        }
    })
}

fn tpm(device: Node<'_, '_>) -> Tpm {
    let backend = xml::attribute_at(device, &["backend"], "type");
    Tpm {
        model: device.attribute("model").unwrap_or_default().to_owned(),
        backend: backend.unwrap_or_default().to_owned(),
    }
}

fn listen_addresses<'a, 'i: 'a>(domain: Node<'a, 'i>) -> impl Iterator<Item = &'a str> + 'a {
    devices(domain)
        .flat_map(|device| match device.tag_name().name() {
            "graphics" => graphics_addresses(device),
            "serial" | "console" | "parallel" | "channel" => xml::children(device, "source")
                .filter(|source| source.attribute("mode") == Some("bind"))
                .filter_map(|source| source.attribute("host"))
                .collect(),
            _ => Vec::new(),
        })
        .filter(|address| is_of_one_host(address))
}

fn graphics_addresses<'a, 'i: 'a>(graphics: Node<'a, 'i>) -> Vec<&'a str> {
    let listens: Vec<_> = xml::children(graphics, "listen").collect();
    if listens.is_empty() {
        return graphics.attribute("listen").into_iter().collect();
    }
    let literal = listens
        .into_iter()
        .filter(|listen| listen.attribute("type") == Some("address"));
    literal
        .filter_map(|listen| listen.attribute("address"))
        .collect()
}

/// Whether an address is one that another host does not have: no wildcard and no loopback.
fn is_of_one_host(address: &str) -> bool {
    match address.parse::<IpAddr>() {
        Ok(address) => !address.is_unspecified() && !address.is_loopback(),
        Err(_) => !address.is_empty() && address != "localhost",
    }
}

fn sockets<'a, 'i: 'a>(device: Node<'a, 'i>) -> Vec<&'a str> {
    let is_unix = |node: &Node<'_, '_>| node.attribute("type") == Some("unix");
    let of_vhost = device.attribute("type") == Some("vhostuser");
    let source_path = |of: Node<'a, 'i>| xml::child(of, "source")?.attribute("path");
    let backend = xml::child(device, "backend");
    let mut paths = Vec::new();
    if device.tag_name().name() == "graphics" {
        paths.extend(device.attribute("socket"));
        paths.extend(
            xml::children(device, "listen").filter_map(|listen| listen.attribute("socket")),
        );
    } else if of_vhost || is_unix(&device) {
        paths.extend(source_path(device));
    }
    paths.extend(backend.filter(is_unix).and_then(source_path));
    paths.retain(|path| {
        path.starts_with('/') && !OWN_FOLDERS.iter().any(|folder| path.starts_with(folder))
    });
    paths
}

fn secrets(domain: Node<'_, '_>) -> Vec<SecretRef> {
    let of_storage = devices(domain)
        .flat_map(|device| device.descendants())
        .filter(|node| node.has_tag_name("secret"))
        .filter_map(secret);
    let of_tpms = of_kind(domain, "tpm")
        .filter_map(|tpm| xml::attribute_at(tpm, &["backend", "encryption"], "secret"))
        .map(|uuid| SecretRef::Uuid(uuid.to_owned()));
    let all: BTreeSet<SecretRef> = of_storage.chain(of_tpms).collect();
    all.into_iter().collect()
}

fn secret(element: Node<'_, '_>) -> Option<SecretRef> {
    if let Some(uuid) = element.attribute("uuid") {
        return Some(SecretRef::Uuid(uuid.to_owned()));
    }
    let kind = match element.attribute("type")? {
        // A passphrase opens a volume.
        "passphrase" => "volume",
        other => other,
    };
    Some(SecretRef::Usage {
        kind: kind.to_owned(),
        name: element.attribute("usage")?.to_owned(),
    })
}

fn agent(channel: Node<'_, '_>) -> Option<Agent> {
    let target = xml::child(channel, "target")?;
    let is_agents = target
        .attribute("name")
        .is_some_and(|name| name.starts_with("org.qemu.guest_agent."));
    is_agents.then(|| match target.attribute("state") {
        Some("connected") => Agent::Connected,
        Some("disconnected") => Agent::Disconnected,
        _ => Agent::Unknown,
    })
}
