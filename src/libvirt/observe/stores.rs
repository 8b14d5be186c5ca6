//! What definitions refer to by name in a host's libvirt: secrets and network filters, one call for all of each.

use virt_sys as sys;

use super::questions::Questions;
use crate::libvirt::ffi;
use crate::observed::Secret;

/// Every secret, without its value. Nothing where its libvirt cannot tell.
pub(super) fn secrets(questions: &Questions) -> Option<Vec<Secret>> {
    let all = questions.call(|connect| connect.list_all_secrets(0)).ok()?;
    // Known from the handles, without a round trip.
    let identity = |secret: &virt::secret::Secret| {
        Some(Secret {
            uuid: secret.uuid_string().ok()?,
            kind: kind(secret.usage_type().ok()?),
            usage: ffi::secret_usage(secret).unwrap_or_default(),
        })
    };
    let mut secrets: Vec<Secret> = all.iter().filter_map(identity).collect();
    secrets.sort();
    Some(secrets)
}

/// libvirt's word for a kind of use.
fn kind(number: u32) -> String {
    let word = match number {
        sys::VIR_SECRET_USAGE_TYPE_NONE => "none",
        sys::VIR_SECRET_USAGE_TYPE_VOLUME => "volume",
        sys::VIR_SECRET_USAGE_TYPE_CEPH => "ceph",
        sys::VIR_SECRET_USAGE_TYPE_ISCSI => "iscsi",
        sys::VIR_SECRET_USAGE_TYPE_TLS => "tls",
        sys::VIR_SECRET_USAGE_TYPE_VTPM => "vtpm",
        _ => "unknown",
    };
    word.to_owned()
}

/// The name of every network filter. Nothing where its libvirt cannot tell.
pub(super) fn nwfilters(questions: &Questions) -> Option<Vec<String>> {
    let all = questions
        .call(|connect| connect.list_all_nw_filters(0))
        .ok()?;
    let mut names: Vec<String> = all.iter().filter_map(|filter| filter.name().ok()).collect();
    names.sort();
    Some(names)
}
