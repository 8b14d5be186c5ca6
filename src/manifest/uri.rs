//! What a libvirt URI and an address in a manifest must look like. The forms are those of libvirt's `uri.html`.

/// What is wrong with a text: code, message, help.
pub(super) type Complaint = (&'static str, String, String);

/// The ways by which libvirt reaches another machine.
const REMOTE_TRANSPORTS: [&str; 5] = ["ssh", "libssh", "libssh2", "tls", "tcp"];

/// Who will use a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// This machine.
    Us,
    /// The daemons of other hosts.
    Peers,
}

/// Checks a libvirt URI.
pub(super) fn check(uri: &str, user: User) -> Result<(), Complaint> {
    let invalid = |message: String| {
        let help = "write a libvirt URI such as qemu+ssh://root@kvm1/system, qemu+tls://kvm1/system or qemu:///system";
        ("uri-invalid", message, help.to_owned())
    };
    if uri
        .chars()
        .any(|letter| letter.is_whitespace() || letter.is_control())
    {
        return Err(invalid("a URI has no spaces".to_owned()));
    }
    let Some((scheme, rest)) = uri.split_once("://") else {
        return Err(invalid(format!(
            "`{uri}` is not a libvirt URI: it has no `://`"
        )));
    };
    let (driver, transport) = match scheme.split_once('+') {
        Some((driver, transport)) => (driver, Some(transport)),
        None => (scheme, None),
    };
    if driver != "qemu" && driver != "test" {
        let message = format!(
            "`{scheme}` is not a kind of URI that Domicile knows: it moves VMs of QEMU and KVM"
        );
        return Err(invalid(message));
    }
    if let Some(transport) = transport
        && transport != "unix"
        && !REMOTE_TRANSPORTS.contains(&transport)
    {
        let message = format!("`{transport}` is not a way by which libvirt reaches a host");
        let help = format!("libvirt knows {} and unix", REMOTE_TRANSPORTS.join(", "));
        return Err(("uri-invalid", message, help));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let path = rest[authority.len()..]
        .split(['?', '#'])
        .next()
        .unwrap_or_default();
    let (login, machine) = match authority.rsplit_once('@') {
        Some((login, machine)) => (Some(login), machine),
        None => (None, authority),
    };
    if login.is_some_and(|login| login.contains(':')) {
        let help = "use an SSH key, or libvirt's auth.conf for SASL; a manifest is no place for a password";
        let message = "the URI has a password, which libvirt does not read from there";
        return Err(("uri-password", message.to_owned(), help.to_owned()));
    }
    let remote = transport.is_some_and(|transport| transport != "unix");
    if remote && machine.is_empty() {
        return Err(invalid(format!("`{uri}` does not say which machine")));
    }
    if !machine.is_empty() {
        check_machine(machine).map_err(invalid)?;
    }
    if driver == "qemu" && path != "/system" && path != "/session" {
        return Err(invalid(format!(
            "`{uri}` must end in /system, or in /session for VMs of one user"
        )));
    }
    if user == User::Peers && driver == "qemu" && machine.is_empty() {
        let message = format!(
            "`{uri}` means the machine on which it is used, so other hosts would reach themselves"
        );
        let help = "write the URI by which other hosts reach this one, such as qemu+tls://kvm1.internal/system";
        return Err(("peer-uri-local", message, help.to_owned()));
    }
    Ok(())
}

/// Checks the machine and port of a URI.
fn check_machine(machine: &str) -> Result<(), String> {
    let (name, port) = match machine
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => match machine.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (machine, None),
        },
    };
    if let Some(port) = port
        && !port.parse::<u16>().is_ok_and(|port| port > 0)
    {
        return Err(format!(
            "`{port}` is not a port; an IPv6 address stands in brackets: [fd00::1]"
        ));
    }
    check_name(name)
}

/// Checks the address to which migrations are sent: a host name or an IP address.
pub(super) fn check_address(address: &str) -> Result<(), Complaint> {
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    check_name(bare).map_err(|message| {
        let help = "write a host name or an IP address without port or path, such as 10.1.0.2";
        ("address-invalid", message, help.to_owned())
    })
}

fn check_name(name: &str) -> Result<(), String> {
    let ip = name.parse::<std::net::IpAddr>().is_ok()
        || name
            .split_once('%')
            .is_some_and(|(ip, _zone)| ip.parse::<std::net::Ipv6Addr>().is_ok());
    let labels = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    // Digits and dots alone are meant to be an address.
    let wrong_ip = !ip
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if ip || (labels && !wrong_ip) {
        Ok(())
    } else {
        Err(format!("`{name}` is neither a host name nor an IP address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_libvirts_uris_are_right() {
        for uri in [
            "qemu:///system",
            "qemu:///session",
            "qemu+ssh://root@kvm1/system",
            "qemu+ssh://root@kvm1:2222/system?keyfile=/root/.ssh/id&no_verify=1",
            "qemu+tcp://10.1.0.2/system",
            "qemu+tls://[fd00::1]:16514/system",
            "qemu://kvm1.example.org/system",
            "qemu+unix:///system?socket=/run/a/libvirt-sock",
            "test:///default",
            "test+tcp://localhost/default",
        ] {
            assert_eq!(check(uri, User::Us), Ok(()), "{uri}");
        }
    }

    #[test]
    fn other_uris_are_refused_each_with_its_code() {
        for (uri, code) in [
            ("", "uri-invalid"),
            ("kvm1", "uri-invalid"),
            ("ssh://root@kvm1", "uri-invalid"),
            ("xen:///system", "uri-invalid"),
            ("qemu+shs://kvm1/system", "uri-invalid"),
            ("qemu+ssh:///system", "uri-invalid"),
            ("qemu+ssh://kvm1", "uri-invalid"),
            ("qemu+ssh://kvm1/sytem", "uri-invalid"),
            ("qemu+ssh://kvm1:http/system", "uri-invalid"),
            ("qemu+tcp://10.1.0/system", "uri-invalid"),
            ("qemu+ssh://root:secret@kvm1/system", "uri-password"),
            ("qemu+ssh://kvm 1/system", "uri-invalid"),
        ] {
            assert_eq!(check(uri, User::Us).unwrap_err().0, code, "{uri}");
        }
        assert_eq!(
            check("qemu:///system", User::Peers).unwrap_err().0,
            "peer-uri-local"
        );
    }

    #[test]
    fn an_address_is_a_name_or_an_ip_without_more() {
        for address in [
            "10.1.0.2",
            "fd00::1",
            "[fd00::1]",
            "fe80::1%eth0",
            "kvm2.internal",
        ] {
            assert_eq!(check_address(address), Ok(()), "{address}");
        }
        for address in ["", "tcp://10.1.0.2", "10.1.0.2:49152", "10.1.0", "a b"] {
            assert!(check_address(address).is_err(), "{address}");
        }
    }
}
