//! Machine types and the emulator's path to where a host's QEMU comes from.
//!
//! Capabilities do not name the operating system. Red Hat and Ubuntu put machine types of their own into QEMU, and
//! Red Hat keeps it in a place of its own; Debian, SUSE and others leave no mark, so that theirs stay unknown.

use crate::model::OsFamily;

/// Red Hat's place for QEMU.
const RED_HAT_EMULATOR: &str = "/usr/libexec/qemu-kvm";

/// Ubuntu's names for its newest machine type of each chipset.
const UBUNTU_ALIASES: [&str; 2] = ["ubuntu", "ubuntu-q35"];

/// Releases of Ubuntu that machine types were named after, the oldest first.
const UBUNTU_RELEASES: [&str; 24] = [
    "trusty", "utopic", "vivid", "wily", "xenial", "yakkety", "zesty", "artful", "bionic",
    "cosmic", "disco", "eoan", "focal", "groovy", "hirsute", "impish", "jammy", "kinetic", "lunar",
    "mantic", "noble", "oracular", "plucky", "questing",
];

/// Where a host's QEMU comes from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The family, where something proves one.
    pub(super) family: Option<OsFamily>,
    /// The newest release that a machine type is named after.
    pub(super) release: Option<String>,
}

impl Origin {
    /// By the machine types, each with the one that it is another name for, and the emulator's path.
    pub(super) fn of(machines: &[(String, Option<String>)], emulator: Option<&str>) -> Self {
        let names = || {
            let both = machines
                .iter()
                .map(|(name, canonical)| (name, canonical.as_deref()));
            both.flat_map(|(name, canonical)| [Some(name.as_str()), canonical])
                .flatten()
        };
        let newest = names().filter_map(red_hat_release).max();
        let red_hat = newest.is_some() || emulator == Some(RED_HAT_EMULATOR);
        let alias = machines
            .iter()
            .filter(|(name, _)| UBUNTU_ALIASES.contains(&name.as_str()))
            .find_map(|(_, canonical)| ubuntu_release(canonical.as_deref()?));
        let known = names().filter_map(known_ubuntu_release).max();
        match (red_hat, alias.or(known.map(|index| UBUNTU_RELEASES[index]))) {
            (true, None) => Self {
                family: Some(OsFamily::Redhat),
                release: newest.map(|numbers| format!("rhel {}", dotted(&numbers))),
            },
            (false, Some(release)) => Self {
                family: Some(OsFamily::Debian),
                release: Some(format!("ubuntu {release}")),
            },
            // No sign, or signs that contradict each other.
            _ => Self::default(),
        }
    }
}

fn dotted(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(".")
}

/// The numbers in `pc-q35-rhel9.6.0`, `rhel6.6.0`.
fn red_hat_release(machine: &str) -> Option<Vec<u32>> {
    let part = machine
        .split('-')
        .find_map(|part| part.strip_prefix("rhel"))?;
    part.split('.').map(|number| number.parse().ok()).collect()
}

/// The release in `pc-q35-noble`, `pc-i440fx-noble-v2`: what stands after the chipset. It may be one of a later day.
fn ubuntu_release(machine: &str) -> Option<&str> {
    let part = machine.split('-').nth(2)?;
    let is_name = part.chars().all(|letter| letter.is_ascii_lowercase());
    (is_name && !part.is_empty()).then_some(part)
}

fn known_ubuntu_release(machine: &str) -> Option<usize> {
    machine
        .split('-')
        .find_map(|part| UBUNTU_RELEASES.iter().position(|release| *release == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(machines: &[(&str, &str)], emulator: &str) -> (Option<OsFamily>, Option<String>) {
        let machines: Vec<_> = machines
            .iter()
            .map(|(name, canonical)| {
                let canonical = (!canonical.is_empty()).then(|| (*canonical).to_owned());
                ((*name).to_owned(), canonical)
            })
            .collect();
        let origin = Origin::of(&machines, Some(emulator));
        (origin.family, origin.release)
    }

    const QEMU: &str = "/usr/bin/qemu-system-x86_64";

    #[test]
    fn red_hat_is_known_by_its_machine_types_or_the_place_of_qemu() {
        let machines = [
            ("pc-q35-rhel8.6.0", ""),
            ("q35", "pc-q35-rhel9.6.0"),
            ("pc-i440fx-rhel7.6.0", ""),
            ("pc-q35-rhel10.0.0", ""),
        ];
        let family = Some(OsFamily::Redhat);
        assert_eq!(
            origin(&machines, RED_HAT_EMULATOR),
            (family, Some("rhel 10.0.0".into()))
        );
        assert_eq!(
            origin(&machines[..3], QEMU),
            (family, Some("rhel 9.6.0".into()))
        );
        assert_eq!(origin(&[("pc", "")], RED_HAT_EMULATOR), (family, None));
        assert_eq!(
            origin(&[("rhel6.6.0", "")], QEMU),
            (family, Some("rhel 6.6.0".into()))
        );
    }

    #[test]
    fn ubuntu_is_known_by_its_machine_types_and_a_later_one_by_its_own_name_for_the_newest() {
        let family = Some(OsFamily::Debian);
        let jammy = [
            ("pc-i440fx-focal", ""),
            ("pc-i440fx-jammy-hpb", ""),
            ("pc-q35-bionic", ""),
        ];
        assert_eq!(origin(&jammy, QEMU), (family, Some("ubuntu jammy".into())));
        let later = [
            ("pc-i440fx-noble", ""),
            ("ubuntu", "pc-i440fx-zzz"),
            ("pc", "pc-i440fx-11.0"),
        ];
        assert_eq!(origin(&later, QEMU), (family, Some("ubuntu zzz".into())));
        assert_eq!(
            origin(&[("virt-noble", "")], "/usr/bin/qemu-system-aarch64"),
            (family, Some("ubuntu noble".into()))
        );
    }

    #[test]
    fn what_proves_nothing_or_two_things_is_unknown() {
        let plain = [
            ("pc", "pc-i440fx-10.0"),
            ("pc-q35-7.2", ""),
            ("microvm", ""),
            ("x-remote", ""),
        ];
        assert_eq!(origin(&plain, QEMU), (None, None));
        assert_eq!(origin(&[], QEMU), (None, None));
        let both = [("pc-q35-rhel9.6.0", ""), ("pc-q35-noble", "")];
        assert_eq!(origin(&both, QEMU), (None, None));
        assert_eq!(
            origin(&[("pc-i440fx-noble", "")], RED_HAT_EMULATOR),
            (None, None)
        );
    }
}
