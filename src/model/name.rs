//! Text to names. A name that exists has been checked: it is safe as one path component and on one line of output.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} name {text:?} {problem}")]
pub struct InvalidName {
    /// What the name was to name, such as `VM`.
    pub kind: &'static str,
    /// The text as given.
    pub text: String,
    /// What is wrong with it, as the end of a sentence.
    pub problem: &'static str,
}

/// The longest name in bytes: one path component of the usual file systems.
const NAME_BYTES_MAX: usize = 255;

fn problem_of(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty");
    }
    if text.len() > NAME_BYTES_MAX {
        return Some("is longer than 255 bytes");
    }
    if text == "." || text == ".." {
        return Some("means a folder, not a thing in it");
    }
    if text.contains('/') {
        return Some("contains a slash");
    }
    if text.chars().any(char::is_control) {
        return Some("contains a control character");
    }
    None
}

/// A text as one word of a shell: as it is where no shell sees more in it, else in quotes.
#[must_use]
pub fn in_shell(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+:@%,".contains(&byte);
    if text.bytes().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The checked name.
            ///
            /// # Errors
            /// When the text is empty, too long, `.` or `..`, or holds a slash or a control character.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                match problem_of(&text) {
                    Some(problem) => Err(InvalidName { kind: $kind, text, problem }),
                    None => Ok(Self(text)),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as one word of a shell, for a command that a person is told to type.
            #[must_use]
            pub fn in_shell(&self) -> Cow<'_, str> {
                in_shell(&self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A host: a libvirt daemon and its hypervisor, by its key in the manifest.
    HostName, "host"
);
name!(
    /// A cluster of hosts.
    ClusterName, "cluster"
);
name!(
    /// A VM: what libvirt calls a domain's name.
    VmName, "VM"
);
name!(
    /// A storage pool. In the manifest its one name for the fleet, in a reading its name on that host.
    PoolName, "pool"
);
name!(
    /// A storage volume, by its name in its pool.
    VolumeName, "volume"
);
name!(
    /// A network, by its one name for the fleet.
    NetworkName, "network"
);
name!(
    /// A disk's target in the guest, such as `vda` (libvirt's `<target dev>`).
    DiskTarget, "disk"
);

/// The MAC address of an interface, in lower case with colons, which is how libvirt prints it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(String);

impl MacAddress {
    /// The checked and normalised address.
    ///
    /// # Errors
    /// When the text is not six pairs of hexadecimal digits joined by colons or hyphens.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let normal = text.to_ascii_lowercase().replace('-', ":");
        let pairs: Vec<&str> = normal.split(':').collect();
        let right = pairs.len() == 6
            && pairs
                .iter()
                .all(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if right {
            Ok(Self(normal))
        } else {
            Err(InvalidName {
                kind: "interface",
                text: text.to_owned(),
                problem: "is not a MAC address such as 52:54:00:12:34:56",
            })
        }
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl TryFrom<String> for MacAddress {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(&text)
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_folder_or_its_line_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "a\nb",
            "a\u{1b}[31m",
            &"x".repeat(256),
        ] {
            assert!(VolumeName::new(text).is_err(), "{text:?}");
        }
        assert!(VolumeName::new("web 1 (старый).qcow2").is_ok());
    }

    #[test]
    fn a_name_is_one_word_of_a_shell_and_nothing_more() {
        let shown = |name: &str| VmName::new(name).unwrap().in_shell().into_owned();
        assert_eq!(shown("web-1.example"), "web-1.example");
        assert_eq!(shown("web 1"), "'web 1'");
        for name in [
            "$(id)",
            "`id`",
            "a;id",
            "it's",
            "a' ; id '",
            "*",
            "~",
            "a&&b",
            "{a,b}",
            "!!",
        ] {
            let line = format!("printf %s {}", shown(name));
            let output = std::process::Command::new("sh")
                .args(["-c", &line])
                .output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), name);
        }
    }

    #[test]
    fn mac_addresses_compare_however_they_are_written() {
        let plain = MacAddress::new("52:54:00:ab:cd:ef").unwrap();
        assert_eq!(plain, MacAddress::new("52-54-00-AB-CD-EF").unwrap());
        assert!(MacAddress::new("52:54:00:ab:cd").is_err());
        assert!(MacAddress::new("52:54:00:ab:cd:+f").is_err());
    }
}
