//! A definition for people's eyes: what may be a secret in it is left out, all else stays to the letter.
//!
//! libvirt itself leaves out the passwords of displays where it is not asked for them. What stands in QEMU's own command
//! line, in the address of an image on a web server and in what the guest is told by its firmware it does not know, and
//! tells everybody.

use roxmltree::Node;

use super::splice::Splices;
use super::{DefinitionError, xml};

/// What stands in place of a secret.
const LEFT_OUT: &str = "(left out)";

/// Words in an argument of QEMU or of a guest's kernel that make it one which may hold a secret.
const SUSPICIOUS: [&str; 6] = ["secret", "passw", "token", "key=", "credential", ",string="];

/// The definition without what may be a secret.
///
/// # Errors
/// When the text is no definition.
pub fn without_secrets(definition: &str) -> Result<String, DefinitionError> {
    let document = xml::parse(definition, "domain")?;
    let mut splices = Splices::default();
    for element in document.descendants().filter(Node::is_element) {
        for attribute in element.attributes() {
            let is_password = attribute.name().eq_ignore_ascii_case("passwd");
            let is_secret = match attribute.name() {
                "value" if is_argument(element) => {
                    // A variable of the environment says by its name what it holds.
                    is_suspicious(attribute.value())
                        || element.attribute("name").is_some_and(names_secret)
                }
                // The part of a web address behind the question mark.
                "query" => element.tag_name().name() == "source",
                _ => false,
            };
            if is_password {
                splices.remove_attribute(definition, &attribute);
            } else if is_secret {
                splices.replace(attribute.range_value(), LEFT_OUT);
            }
        }
        if tells_guest(element) || starts_with_secret(element) {
            for text in element.children().filter(Node::is_text) {
                splices.replace(text.range(), LEFT_OUT);
            }
        }
    }
    splices.made_in(definition)
}

fn is_suspicious(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SUSPICIOUS.iter().any(|word| text.contains(word))
}

/// As [`is_suspicious`], for a name, which ends where a value would begin.
fn names_secret(name: &str) -> bool {
    is_suspicious(name) || name.to_ascii_lowercase().ends_with("key")
}

/// Whether it is a cookie for a web server, or a command line of a guest's kernel that may hold a secret.
fn starts_with_secret(element: Node<'_, '_>) -> bool {
    match element.tag_name().name() {
        "cookie" => true,
        "cmdline" => element.text().is_some_and(is_suspicious),
        _ => false,
    }
}

/// Whether it is part of QEMU's own command line or environment.
fn is_argument(element: Node<'_, '_>) -> bool {
    let parent = element
        .parent_element()
        .map(|parent| parent.tag_name().name());
    parent == Some("commandline")
}

/// Whether its text is handed to the guest as it is, as the credentials and settings of a first boot are.
fn tells_guest(element: Node<'_, '_>) -> bool {
    let name = element.tag_name().name();
    let mut above = element.ancestors().skip(1).filter(Node::is_element);
    name == "entry"
        && above.any(|outer| {
            outer.tag_name().name() == "oemStrings" || outer.attribute("type") == Some("fwcfg")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hunter2";

    #[test]
    fn what_may_be_a_secret_is_left_out_and_all_else_stays() {
        let text = "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>web</name>\
            <sysinfo type='smbios'><oemStrings><entry>io.systemd.credential:x=hunter2</entry></oemStrings></sysinfo>\
            <sysinfo type='fwcfg'><entry name='opt/ignition'>hunter2</entry></sysinfo>\
            <os><cmdline>console=ttyS0 k3s.token=hunter2</cmdline></os>\
            <devices><graphics type='vnc' passwd='hunter2' port='1'/><graphics type='spice' passwd=\"hunter2\"/>\
            <disk type='network' device='cdrom'><source protocol='https' name='a.iso' query='sig=hunter2'>\
            <cookies><cookie name='c'>hunter2</cookie></cookies></source></disk></devices>\
            <qemu:commandline><qemu:arg value='-object'/><qemu:arg value='secret,id=a,data=hunter2'/>\
            <qemu:arg value='name=opt/x,string=hunter2'/><qemu:env name='API_KEY' value='hunter2'/></qemu:commandline>\
            </domain>";
        let shown = without_secrets(text).unwrap();
        assert!(!shown.contains(SECRET), "{shown}");
        for kept in [
            "<name>web</name>",
            "port='1'",
            "'opt/ignition'",
            "'-object'",
            "name='a.iso'",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        assert_eq!(without_secrets(&shown).unwrap(), shown);
    }

    #[test]
    fn a_definition_without_secrets_stays_to_the_letter() {
        let text = include_str!("../../tests/data/definitions/everything.xml");
        let shown = without_secrets(text).unwrap();
        assert_eq!(without_secrets(&shown).unwrap(), shown);
        let plain = "<domain>\n  <name>a</name>\n <devices><disk type='file'/></devices></domain>";
        assert_eq!(without_secrets(plain).unwrap(), plain);
    }
}
