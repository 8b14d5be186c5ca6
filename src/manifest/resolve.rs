//! Sections to [`Desired`], with the faults that only show when several values are seen together.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::document::{Limits, Spice, Vm};
use super::fault::{Fault, Label};
use super::merge::{Place, Section, Sections, Texts};
use super::settings::Settings;
use super::tree::Content;
use crate::desired::{self, Desired};
use crate::model::{Calibration, ClusterName, MacAddress, VmName};

/// Resolves every name. The result is what is demanded if there are no faults.
pub(super) fn resolve(sections: &Sections, texts: Texts<'_>, faults: &mut Vec<Fault>) -> Desired {
    let mut checker = Checker::new(sections, texts, faults);
    checker.pools_by_their_names(sections);
    Desired {
        clusters: checker.clusters(sections),
        hosts: checker.hosts(&sections.hosts),
        pools: checker.pools(&sections.pools),
        networks: checker.networks(&sections.networks),
        limits: checker.fleet_limits(sections),
        migration: checker.migration(sections),
        profile: sections
            .profile
            .as_ref()
            .map_or_else(Default::default, |(_, profile)| *profile),
        on_failure: sections
            .on_failure
            .as_ref()
            .map_or_else(Default::default, |(_, policy)| *policy),
        apart: sections.placement.apart.clone(),
        together: sections.placement.together.clone(),
        gates: desired::Gates::default(),
        calibration: Calibration::default(),
        vms: checker.vms(&sections.vms),
    }
}

impl Checker<'_, '_, '_> {
    fn clusters(&mut self, sections: &Sections) -> BTreeMap<ClusterName, desired::Cluster> {
        let mut resolved = BTreeMap::new();
        for (name, (place, cluster)) in &sections.clusters {
            let Some(cluster) = cluster else { continue };
            let path = format!("clusters.{name}.limits.parallel");
            let limits = self.limits(cluster.limits, path, *place, &["limits", "parallel"]);
            let cluster = desired::Cluster {
                network: cluster.network,
                spice_denied: cluster.spice == Spice::Denied,
                os: cluster.os.clone(),
                os_version: cluster.os_version.clone(),
                full_mesh: cluster.full_mesh.clone(),
                limits,
            };
            resolved.insert(name.clone(), cluster);
        }
        resolved
    }

    fn fleet_limits(&mut self, sections: &Sections) -> desired::Limits {
        let Some((place, limits)) = sections.limits else {
            return desired::Limits::default();
        };
        self.limits(Some(limits), "limits.parallel".into(), place, &["parallel"])
    }

    fn limits(
        &mut self,
        limits: Option<Limits>,
        path: String,
        place: Place,
        keys: &[&str],
    ) -> desired::Limits {
        let parallel = limits.and_then(|limits| limits.parallel);
        if parallel == Some(0) {
            let message = "with 0 migrations at once nothing could ever be moved";
            self.out_of_range(path, place, keys, message);
        }
        desired::Limits { parallel }
    }

    fn vms(&mut self, vms: &Section<VmName, Vm>) -> BTreeMap<VmName, desired::Vm> {
        let mut resolved = BTreeMap::new();
        let mut macs: BTreeMap<&MacAddress, (&VmName, Place)> = BTreeMap::new();
        for (name, (place, vm)) in vms {
            let Some(vm) = vm else { continue };
            let path = format!("vms.{name}");
            let subject = format!("VM `{name}` shall live on");
            self.host(
                &vm.host,
                &format!("{path}.host"),
                &subject,
                |texts, text| texts.value(*place, &["host"], text),
            );
            for mac in vm.interfaces.keys() {
                if let Some((other, first)) = macs.insert(mac, (name, *place)) {
                    let label = self.label_of(mac, *place, "and again here");
                    let first = self.label_of(mac, first, "first here");
                    let message = format!(
                        "VMs `{other}` and `{name}` have an interface with the same MAC address {mac}"
                    );
                    let fault = Fault::new(
                        "mac-twice",
                        format!("{path}.interfaces.{mac}"),
                        label,
                        message,
                    );
                    self.note(
                        fault
                            .second(first)
                            .help("give each interface an address of its own"),
                    );
                }
            }
            let migration = vm.migration.as_ref().map(Settings::overrides);
            if let Some(settings) = &migration {
                self.settings(
                    settings,
                    &format!("{path}.migration"),
                    *place,
                    &["migration"],
                );
                self.method(vm.method, settings, name, *place);
            }
            let vm = desired::Vm {
                host: vm.host.clone(),
                disks: vm.disks.clone(),
                interfaces: vm.interfaces.clone(),
                method: vm.method,
                migration: migration.unwrap_or_default(),
            };
            resolved.insert(name.clone(), vm);
        }
        resolved
    }

    /// The label of an interface, however its address is written.
    fn label_of(&self, mac: &MacAddress, place: Place, text: &str) -> Label {
        let tree = &self.texts.trees[place.source];
        let interfaces = self.texts.found(place, &["interfaces"]);
        let entries = interfaces.map(|(_, interfaces)| tree.content(interfaces));
        let Some(Content::Map(entries)) = entries else {
            return self.texts.key(place, &[], text);
        };
        let is_it = |key: &str| MacAddress::new(key).as_ref() == Ok(mac);
        let written = entries.iter().find(|(key, _)| is_it(tree.key(*key)));
        let key = written.map_or(place.key, |(key, _)| *key);
        self.texts.label(place.source, key, text)
    }
}
