//! What of its host a VM takes for itself, and what libvirt starts beside it.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::xml;

/// Names that libvirt gives to interfaces of its own choice; it leaves them out of what it sends to a destination.
const OWN_PREFIXES: [&str; 4] = ["vnet", "vif", "macvtap", "macvlan"];

/// Things of a host that only one VM can have at a time.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Those that the definition names, and that must be free where the VM starts.
    pub(super) named: BTreeSet<String>,
    /// Those that libvirt chose for the VM as it runs.
    pub(super) chosen: BTreeSet<String>,
}

/// Reads them: ports of graphics and serial lines, vsock addresses, names of network devices.
pub(super) fn claims(domain: Node<'_, '_>) -> Claims {
    let mut claims = Claims::default();
    for device in devices(domain) {
        match device.tag_name().name() {
            "graphics" => graphics(device, &mut claims),
            "serial" | "console" | "parallel" | "channel" => claims.named.extend(listens(device)),
            "vsock" => vsock(device, &mut claims),
            "interface" => claims.named.extend(network_device(device)),
            _ => {}
        }
    }
    claims
}

/// Programs that libvirt starts beside QEMU for the VM, each by the name of what is installed. Which of them a host
/// has, it does not tell; of TPMs it does.
pub(super) fn helpers(domain: Node<'_, '_>) -> BTreeSet<String> {
    devices(domain)
        .flat_map(helpers_of)
        .map(str::to_owned)
        .collect()
}

/// Models of the security labels that a definition has, which the host's libvirt must know, and `none` where it asks not
/// to be confined. A label of the `dac` driver that is not fixed is libvirt's own addition, which it leaves out of what
/// it sends.
pub(super) fn security_models(domain: Node<'_, '_>) -> BTreeSet<String> {
    let mut models = BTreeSet::new();
    for label in xml::children(domain, "seclabel") {
        let kind = label.attribute("type").unwrap_or_default();
        if kind == "none" {
            models.insert("none".to_owned());
        }
        let model = label.attribute("model");
        models.extend(
            model
                .filter(|model| *model != "dac" || kind == "static")
                .map(str::to_owned),
        );
    }
    models
}

/// The frequency of the TSC that the clock names, in Hz.
pub(super) fn tsc_frequency(domain: Node<'_, '_>) -> Option<u64> {
    let clock = xml::child(domain, "clock")?;
    let mut timers =
        xml::children(clock, "timer").filter(|timer| timer.attribute("name") == Some("tsc"));
    timers.find_map(|timer| {
        timer
            .attribute("frequency")?
            .parse()
            .ok()
            .filter(|hertz| *hertz > 0)
    })
}

fn devices<'a, 'i: 'a>(domain: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> + 'a {
    xml::children(domain, "devices")
        .flat_map(|devices| devices.children())
        .filter(Node::is_element)
}

fn graphics(device: Node<'_, '_>, claims: &mut Claims) {
    let ports = ["port", "tlsPort"]
        .into_iter()
        .filter_map(|name| device.attribute(name));
    let taken = ports
        .filter_map(|port| port.parse::<u16>().ok())
        .filter(|port| *port > 0)
        .map(|port| format!("port {port}"));
    if device.attribute("autoport") == Some("yes") {
        claims.chosen.extend(taken);
    } else {
        claims.named.extend(taken);
    }
}

/// Where a serial line waits for a connection. On which address matters only where that is not all of them.
fn listens(device: Node<'_, '_>) -> Option<String> {
    let source = xml::children(device, "source").find(|source| {
        source.attribute("mode") == Some("bind") && source.attribute("service").is_some()
    })?;
    let port = source.attribute("service")?;
    Some(match source.attribute("host").unwrap_or_default() {
        "" | "0.0.0.0" | "::" => format!("port {port}"),
        address => format!("port {port} of {address}"),
    })
}

fn vsock(device: Node<'_, '_>, claims: &mut Claims) {
    let Some(cid) = xml::child(device, "cid") else {
        return;
    };
    let taken = cid
        .attribute("address")
        .map(|address| format!("vsock address {address}"));
    if cid.attribute("auto") == Some("yes") {
        claims.chosen.extend(taken);
    } else {
        claims.named.extend(taken);
    }
}

fn network_device(interface: Node<'_, '_>) -> Option<String> {
    let name = xml::attribute_at(interface, &["target"], "dev")?;
    let own = OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    (!own).then(|| format!("network device {name}"))
}

fn helpers_of(device: Node<'_, '_>) -> Vec<&'static str> {
    let driver = |name| xml::attribute_at(device, &["driver"], name);
    let mut helpers = Vec::new();
    match device.tag_name().name() {
        "interface" if xml::attribute_at(device, &["backend"], "type") == Some("passt") => {
            helpers.push("passt");
        }
        "video" if driver("name") == Some("vhostuser") => helpers.push("vhost-user-gpu"),
        "graphics"
            if device.attribute("type") == Some("dbus")
                && device.attribute("p2p") != Some("yes") =>
        {
            helpers.push("dbus-daemon");
        }
        _ => {}
    }
    let managed = |node: &Node<'_, '_>| {
        node.has_tag_name("reservations") && node.attribute("managed") == Some("yes")
    };
    if device.descendants().any(|node| managed(&node)) {
        helpers.push("qemu-pr-helper");
    }
    helpers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::xml;

    const VM: &str = "<domain>
      <clock offset='utc'><timer name='hpet' present='no'/><timer name='tsc' frequency='2592000000'/></clock>
      <devices>
        <graphics type='vnc' port='5901' autoport='no' websocket='-1'><listen type='address'/></graphics>
        <graphics type='spice' port='5902' tlsPort='5903' autoport='yes'/>
        <graphics type='dbus'/>
        <serial type='tcp'><source mode='bind' host='0.0.0.0' service='4555'/></serial>
        <console type='tcp'><source mode='bind' host='10.0.0.1' service='4556'/></console>
        <channel type='tcp'><source mode='connect' host='10.0.0.9' service='4557'/></channel>
        <vsock model='virtio'><cid auto='no' address='7'/></vsock>
        <interface type='bridge'><source bridge='br0'/><target dev='tap-web'/></interface>
        <interface type='user'><backend type='passt'/><target dev='vnet3'/></interface>
        <disk type='block' device='lun'><source dev='/dev/sda'><reservations managed='yes'/></source></disk>
      </devices>
      <seclabel type='dynamic' model='apparmor' relabel='yes'/>
      <seclabel type='dynamic' model='dac' relabel='yes'/>
    </domain>";

    fn texts(all: &BTreeSet<String>) -> Vec<&str> {
        all.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_only_one_vm_can_have_is_told_from_what_libvirt_chose() {
        let document = xml::parse(VM, "domain").unwrap();
        let found = claims(document.root_element());
        let named = [
            "network device tap-web",
            "port 4555",
            "port 4556 of 10.0.0.1",
            "port 5901",
            "vsock address 7",
        ];
        assert_eq!(texts(&found.named), named);
        assert_eq!(texts(&found.chosen), ["port 5902", "port 5903"]);
    }

    #[test]
    fn programs_labels_and_the_clock_are_read() {
        let document = xml::parse(VM, "domain").unwrap();
        let domain = document.root_element();
        assert_eq!(
            texts(&helpers(domain)),
            ["dbus-daemon", "passt", "qemu-pr-helper"]
        );
        assert_eq!(tsc_frequency(domain), Some(2_592_000_000));
        assert_eq!(texts(&security_models(domain)), ["apparmor"]);
        let open = "<domain><seclabel type='none'/><seclabel type='static' model='dac'/></domain>";
        let open = xml::parse(open, "domain").unwrap();
        assert_eq!(
            texts(&security_models(open.root_element())),
            ["dac", "none"]
        );
    }
}
