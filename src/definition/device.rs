//! Which parts of a definition tie a VM to its host, in words for people.

use roxmltree::Node;

use super::xml;

/// Kernel files that every host has.
const EVERYWHERE: [&str; 4] = ["/dev/random", "/dev/urandom", "/dev/hwrng", "/dev/null"];

/// Local paths that the VM's start needs besides its disks, drives and variable store: kernel, initrd, device tree,
/// firmware, ACPI tables, entropy sources, pipes, render nodes.
pub(super) fn local_paths(domain: Node<'_, '_>) -> Vec<String> {
    let texts = [
        &["os", "kernel"][..],
        &["os", "initrd"],
        &["os", "dtb"],
        &["os", "shim"],
        &["os", "loader"],
        &["os", "acpi", "table"],
    ];
    let mut paths: Vec<String> = texts
        .iter()
        .filter_map(|path| xml::text_at(domain, path))
        .collect();
    for device in devices(domain) {
        paths.extend(path_of_device(device));
    }
    paths.retain(|path| path.starts_with('/') && !EVERYWHERE.contains(&path.as_str()));
    paths.sort();
    paths.dedup();
    paths
}

fn path_of_device(device: Node<'_, '_>) -> Option<String> {
    let attribute = |path: &[&str], name| xml::attribute_at(device, path, name).map(str::to_owned);
    match (device.tag_name().name(), device.attribute("type")) {
        ("rng", _) => xml::text_at(device, &["backend"]),
        ("serial" | "console" | "parallel" | "channel", Some("pipe")) => {
            attribute(&["source"], "path")
        }
        ("graphics", _) => attribute(&["gl"], "rendernode"),
        ("smartcard", _) => xml::text_at(device, &["database"]),
        _ => None,
    }
}

/// Devices and resources of the host that the VM holds and that cannot leave it, each in libvirt's words.
pub(super) fn host_devices(domain: Node<'_, '_>) -> Vec<String> {
    devices(domain).filter_map(host_device).collect()
}

fn devices<'a, 'i: 'a>(domain: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> + 'a {
    xml::children(domain, "devices")
        .flat_map(|devices| devices.children())
        .filter(Node::is_element)
}

fn host_device(device: Node<'_, '_>) -> Option<String> {
    let kind = device.attribute("type").unwrap_or_default();
    let source = xml::child(device, "source");
    let named = |name| {
        xml::attribute_at(device, &["source"], name)
            .unwrap_or("?")
            .to_owned()
    };
    let told = match device.tag_name().name() {
        "hostdev" => {
            let kind = device
                .attribute("type")
                .or_else(|| device.attribute("mode"))
                .unwrap_or("unknown");
            format!(
                "hostdev {kind} {}",
                source.map_or_else(String::new, address_of)
            )
        }
        "interface" => match kind {
            "hostdev" => format!(
                "interface hostdev {}",
                source.map_or_else(String::new, address_of)
            ),
            "vdpa" => format!("interface vdpa {}", named("dev")),
            _ => return None,
        },
        "disk" => match kind {
            "nvme" => format!("disk nvme {}", source.map_or_else(String::new, address_of)),
            "vhostuser" => format!("disk vhostuser {}", named("path")),
            "vhostvdpa" => format!("disk vhostvdpa {}", named("dev")),
            _ => return data_file(device),
        },
        "filesystem" => {
            let driver = xml::attribute_at(device, &["driver"], "type").unwrap_or("9p");
            let folder = ["dir", "socket", "file", "dev", "name"]
                .iter()
                .find_map(|name| xml::attribute_at(device, &["source"], name));
            format!("filesystem {driver} {}", folder.unwrap_or("?"))
        }
        // The one that is master carries its contents along.
        "shmem" => {
            let model = xml::attribute_at(device, &["model"], "type").unwrap_or("ivshmem");
            if device.attribute("role") == Some("master") && model != "ivshmem" {
                return None;
            }
            format!("shmem {model} {}", device.attribute("name").unwrap_or("?"))
        }
        "memory" => {
            let path = xml::text_at(device, &["source", "path"])?;
            let model = device.attribute("model").unwrap_or("memory");
            format!("memory {model} {path}")
        }
        "tpm" if xml::attribute_at(device, &["backend"], "type") == Some("passthrough") => {
            "tpm passthrough".to_owned()
        }
        "smartcard" if device.attribute("mode") == Some("host") => "smartcard host".to_owned(),
        "input" => match kind {
            "evdev" => format!("input evdev {}", named("dev")),
            "passthrough" => format!("input passthrough {}", named("evdev")),
            _ => return None,
        },
        name @ ("serial" | "console" | "parallel" | "channel") if kind == "dev" => {
            format!("{name} dev {}", named("path"))
        }
        _ => return None,
    };
    Some(told.trim_end().to_owned())
}

/// The second file in which the data of a disk's image lies, and which nothing else here follows.
fn data_file(disk: Node<'_, '_>) -> Option<String> {
    let mut images = disk.descendants();
    let store = images.find(|image| image.has_tag_name("dataStore"))?;
    let source = xml::child(store, "source");
    let path = source.and_then(|source| source.attributes().next());
    let path = path.map_or("?", |attribute| attribute.value());
    let target = xml::attribute_at(disk, &["target"], "dev").unwrap_or("?");
    Some(format!("disk {target} with a data file {path}"))
}

/// How a source names a device of the host: its PCI address, its USB identity, its SCSI address, its UUID.
pub(super) fn address_of(source: Node<'_, '_>) -> String {
    let hex = |node: Node<'_, '_>, name: &str| {
        let text = node.attribute(name).unwrap_or("0");
        text.strip_prefix("0x").unwrap_or(text).to_owned()
    };
    if let Some(address) = xml::child(source, "address") {
        if let Some(uuid) = address.attribute("uuid") {
            return uuid.to_owned();
        }
        if address.attribute("slot").is_some() {
            return format!(
                "{:0>4}:{:0>2}:{:0>2}.{}",
                hex(address, "domain"),
                hex(address, "bus"),
                hex(address, "slot"),
                hex(address, "function")
            );
        }
        let parts: Vec<&str> = ["bus", "device", "target", "unit"]
            .iter()
            .filter_map(|name| address.attribute(*name))
            .collect();
        let adapter = xml::attribute_at(source, &["adapter"], "name");
        return adapter
            .into_iter()
            .chain(parts)
            .collect::<Vec<_>>()
            .join(":");
    }
    if let (Some(vendor), Some(product)) =
        (xml::child(source, "vendor"), xml::child(source, "product"))
    {
        return format!("{}:{}", hex(vendor, "id"), hex(product, "id"));
    }
    source
        .attributes()
        .find(|attribute| ["wwpn", "dev", "name"].contains(&attribute.name()))
        .map(|attribute| attribute.value().to_owned())
        .unwrap_or_default()
}
