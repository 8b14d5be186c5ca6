//! Hosts as they are written to hosts as they are demanded.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::document::{Host, HostLimits};
use super::fault::Fault;
use super::merge::{Place, Section};
use super::uri::{self, Complaint, User};
use super::written::Written;
use crate::desired;
use crate::model::{BytesPerSecond, HostName};

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
                limits: limits.map(limits_of).unwrap_or_default(),
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
        for (field, message) in host.limits.iter().flat_map(out_of_range) {
            let path = path(&format!("limits.{field}"));
            self.out_of_range(path, place, &["limits", field], message);
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

fn limits_of(limits: &HostLimits) -> desired::HostLimits {
    desired::HostLimits {
        vms: limits.vms,
        vcpu_ratio: limits.vcpu_ratio,
        parallel: limits.parallel,
        parallel_in: limits.parallel_in,
        parallel_out: limits.parallel_out,
        upload: limits.upload.map(|written| written.0),
        download: limits.download.map(|written| written.0),
    }
}

/// libvirt limits a migration in whole MiB a second, so less than one cannot be kept.
const BUDGET_MIN: BytesPerSecond = BytesPerSecond(1024 * 1024);

/// The fields whose value cannot be used, with the reason.
fn out_of_range(limits: &HostLimits) -> Vec<(&'static str, &'static str)> {
    let no_ratio = |ratio: f64| !ratio.is_finite() || ratio <= 0.0;
    let too_little = |rate: Written<BytesPerSecond>| rate.0 < BUDGET_MIN;
    let checks = [
        (
            limits.vcpu_ratio.is_some_and(no_ratio),
            "vcpu_ratio",
            "the ratio of vCPUs to processors must be a number above 0",
        ),
        (
            limits.parallel == Some(0),
            "parallel",
            "with 0 migrations at once no VM could ever leave or reach the host",
        ),
        (
            limits.parallel_in == Some(0),
            "parallel_in",
            "with 0 migrations at once no VM could ever reach the host; `maintenance: true` says so",
        ),
        (
            limits.parallel_out == Some(0),
            "parallel_out",
            "with 0 migrations at once no VM could ever leave the host",
        ),
        (
            limits.upload.is_some_and(too_little),
            "upload",
            "libvirt limits migrations in whole MiB a second, so a budget is 1MiB/s or more",
        ),
        (
            limits.download.is_some_and(too_little),
            "download",
            "libvirt limits migrations in whole MiB a second, so a budget is 1MiB/s or more",
        ),
    ];
    let wrong = checks.into_iter().filter(|(wrong, ..)| *wrong);
    wrong.map(|(_, field, message)| (field, message)).collect()
}

fn check_given(
    text: Option<&String>,
    check: impl FnOnce(&str) -> Result<(), Complaint>,
) -> Result<(), Complaint> {
    text.map_or(Ok(()), |text| check(text))
}
