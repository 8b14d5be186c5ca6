//! Hosts as they are written to hosts as they are demanded.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::document::Host;
use super::fault::Fault;
use super::merge::{Place, Section};
use super::uri::{self, Complaint, User};
use crate::desired;
use crate::model::HostName;

impl Checker<'_, '_, '_> {
    pub(super) fn hosts(
        &mut self,
        hosts: &Section<HostName, Host>,
    ) -> BTreeMap<HostName, desired::Host> {
        let mut resolved = BTreeMap::new();
        for (name, (place, host)) in hosts {
            let Some(host) = host else { continue };
            self.check_host(name, *place, host);
            let reserve = host.reserve.as_ref();
            let limits = host.limits.as_ref();
            let memory = reserve.and_then(|reserve| reserve.memory);
            let host = desired::Host {
                uri: host.uri.clone(),
                cluster: host.cluster.clone(),
                peer_uri: host.peer_uri.clone(),
                address: host.address.clone(),
                reserve: desired::Reserve {
                    memory: memory.map(|written| written.0).unwrap_or_default(),
                    vcpus: reserve
                        .and_then(|reserve| reserve.vcpus)
                        .unwrap_or_default(),
                },
                limits: desired::HostLimits {
                    vms: limits.and_then(|limits| limits.vms),
                    vcpu_ratio: limits.and_then(|limits| limits.vcpu_ratio),
                    parallel: limits.and_then(|limits| limits.parallel),
                },
                maintenance: host.maintenance,
            };
            resolved.insert(name.clone(), host);
        }
        self.uris_once(hosts);
        resolved
    }

    fn check_host(&mut self, name: &HostName, place: Place, host: &Host) {
        let path = |field: &str| format!("hosts.{name}.{field}");
        let checked = [
            ("uri", uri::check(&host.uri, User::Us)),
            (
                "peer_uri",
                check_given(host.peer_uri.as_ref(), |uri| uri::check(uri, User::Peers)),
            ),
            (
                "address",
                check_given(host.address.as_ref(), uri::check_address),
            ),
        ];
        for (field, result) in checked {
            if let Err((code, message, help)) = result {
                let label = self.texts.value(place, &[field], "here");
                self.note(Fault::new(code, path(field), label, message).help(help));
            }
        }
        if let Some(cluster) = &host.cluster {
            let subject = format!("host `{name}` belongs to");
            self.cluster(cluster, &path("cluster"), &subject, |texts, text| {
                texts.value(place, &["cluster"], text)
            });
        }
        let Some(limits) = &host.limits else { return };
        if limits
            .vcpu_ratio
            .is_some_and(|ratio| !ratio.is_finite() || ratio <= 0.0)
        {
            let message = "the ratio of vCPUs to processors must be a number above 0";
            self.out_of_range(
                path("limits.vcpu_ratio"),
                place,
                &["limits", "vcpu_ratio"],
                message,
            );
        }
        if limits.parallel == Some(0) {
            let message = "with 0 migrations at once no VM could ever leave or reach the host";
            self.out_of_range(
                path("limits.parallel"),
                place,
                &["limits", "parallel"],
                message,
            );
        }
    }

    /// Two names for one host would make Domicile move a VM onto itself, or count the host's room twice.
    fn uris_once(&mut self, hosts: &Section<HostName, Host>) {
        let mut users: BTreeMap<&str, (&HostName, Place, &str)> = BTreeMap::new();
        for (name, (place, host)) in hosts {
            let Some(host) = host else { continue };
            let uris = [
                ("uri", Some(&host.uri)),
                ("peer_uri", host.peer_uri.as_ref()),
            ];
            for (field, uri) in uris {
                let Some(uri) = uri else { continue };
                let uri = uri.trim_end_matches('/');
                let first = *users.entry(uri).or_insert((name, *place, field));
                let (other, first_place, first_field) = first;
                if other == name {
                    continue;
                }
                let label = self.texts.value(*place, &[field], "the same URI");
                let first = self
                    .texts
                    .value(first_place, &[first_field], "used here, too");
                let message = format!(
                    "hosts `{other}` and `{name}` have the same URI, so they would be one host with two names"
                );
                let fault =
                    Fault::new("uri-taken", format!("hosts.{name}.{field}"), label, message);
                let help = "give each host the URI of its own libvirt, or declare it once";
                self.note(fault.second(first).help(help));
            }
        }
    }
}

fn check_given(
    text: Option<&String>,
    check: impl FnOnce(&str) -> Result<(), Complaint>,
) -> Result<(), Complaint> {
    text.map_or(Ok(()), |text| check(text))
}
