//! What a plan rests on of one VM, and whether that still holds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::Facts;
use crate::model::{DiskTarget, HostName, VolumeRef};

/// What a plan saw of a VM, and on which its way of moving it rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Whether it held memory.
    pub active: bool,
    /// How many snapshots of libvirt it had.
    pub snapshots: usize,
    /// The source of each disk and drive in its persistent definition; `None`: an empty one.
    pub disks: BTreeMap<DiskTarget, Option<String>>,
    /// Devices of its host that it held by its persistent definition, in libvirt's words.
    pub host_devices: Vec<String>,
    /// Images of which only what a guest reads is kept: where one holds more, such as internal snapshots that no
    /// reading shows, nothing is begun.
    #[serde(default)]
    pub compacted: Vec<VolumeRef>,
    /// The host that it goes to, where that is another one: it must not have another VM of its name or UUID.
    pub to: Option<HostName>,
}

impl Seen {
    /// What there is to see of a VM with this persistent definition.
    #[must_use]
    pub fn of(facts: &Facts, active: bool, snapshots: usize, to: Option<HostName>) -> Self {
        let source = |disk: &crate::observed::Disk| {
            let volume = disk.volume.as_ref();
            let volume = volume.map(|(pool, volume)| format!("{pool}/{volume}"));
            disk.path.clone().or(volume)
        };
        let disks = facts.disks.iter();
        Self {
            active,
            snapshots,
            disks: disks
                .map(|disk| (disk.target.clone(), source(disk)))
                .collect(),
            host_devices: facts.host_devices.clone(),
            compacted: Vec::new(),
            to,
        }
    }

    /// What is different now, in a sentence; `None` where all is as the plan saw it.
    #[must_use]
    pub fn differs_from(&self, now: &Self) -> Option<String> {
        if self.active != now.active {
            let word = |active| if active { "running" } else { "off" };
            return Some(format!(
                "it was {} and is {}",
                word(self.active),
                word(now.active)
            ));
        }
        if self.snapshots != now.snapshots {
            let (then, now) = (self.snapshots, now.snapshots);
            return Some(format!("it had {then} snapshots and has {now}"));
        }
        let of = |seen: &Self, disk: &DiskTarget| match seen.disks.get(disk) {
            None => "not there".to_owned(),
            Some(None) => "empty".to_owned(),
            Some(Some(path)) => path.clone(),
        };
        let all = self.disks.keys().chain(now.disks.keys());
        let changed = all.into_iter().find(|disk| of(self, disk) != of(now, disk));
        if let Some(disk) = changed {
            return Some(format!(
                "disk {disk} was {} and is {}",
                of(self, disk),
                of(now, disk)
            ));
        }
        (self.host_devices != now.host_devices)
            .then(|| "the devices of its host that it holds have changed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            active: true,
            snapshots: 0,
            disks: [(
                DiskTarget::new("vda").unwrap(),
                Some("/srv/web.qcow2".into()),
            )]
            .into(),
            host_devices: Vec::new(),
            compacted: Vec::new(),
            to: None,
        }
    }

    #[test]
    fn what_a_move_rests_on_is_told_when_it_has_changed() {
        assert_eq!(seen().differs_from(&seen()), None);
        let mut now = seen();
        now.active = false;
        let told = seen().differs_from(&now);
        assert_eq!(told.as_deref(), Some("it was running and is off"));
        let mut now = seen();
        now.snapshots = 1;
        let told = seen().differs_from(&now);
        assert_eq!(told.as_deref(), Some("it had 0 snapshots and has 1"));
        let mut now = seen();
        now.disks.insert(DiskTarget::new("sda").unwrap(), None);
        let told = seen().differs_from(&now);
        assert_eq!(told.as_deref(), Some("disk sda was not there and is empty"));
        let mut now = seen();
        now.host_devices.push("hostdev usb 1d6b:0002".into());
        assert!(seen().differs_from(&now).is_some());
    }
}
