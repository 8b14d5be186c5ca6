//! A definition for people's eyes: what may be a secret in it is left out, all else stays to the letter.
//!
//! libvirt itself leaves out the passwords of displays where it is not asked for them. What stands in QEMU's own command
//! line and in what the guest is told by its firmware it does not know, and tells everybody.

use roxmltree::Node;

use super::splice::Splices;
use super::{DefinitionError, xml};

/// What stands in place of a secret.
const LEFT_OUT: &str = "(left out)";

/// Words in an argument of QEMU that make it one which may hold a secret.
const SUSPICIOUS: [&str; 4] = ["secret", "passw", "token", "key="];

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
            if is_password {
                splices.remove_attribute(definition, &attribute);
            } else if attribute.name() == "value" && is_argument(element) {
                let value = attribute.value().to_ascii_lowercase();
                if SUSPICIOUS.iter().any(|word| value.contains(word)) {
                    splices.replace(attribute.range_value(), LEFT_OUT);
                }
            }
        }
        if tells_guest(element) {
            for text in element.children().filter(Node::is_text) {
                splices.replace(text.range(), LEFT_OUT);
            }
        }
    }
    splices.made_in(definition)
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
            <devices><graphics type='vnc' passwd='hunter2' port='1'/><graphics type='spice' passwd=\"hunter2\"/></devices>\
            <qemu:commandline><qemu:arg value='-object'/><qemu:arg value='secret,id=a,data=hunter2'/></qemu:commandline>\
            </domain>";
        let shown = without_secrets(text).unwrap();
        assert!(!shown.contains(SECRET), "{shown}");
        for kept in [
            "<name>web</name>",
            "port='1'",
            "'opt/ignition'",
            "'-object'",
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
