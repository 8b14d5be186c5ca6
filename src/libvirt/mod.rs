//! Real hosts, over libvirt: the only place that knows `virt` and `virt-sys`.

#[expect(dead_code, reason = "the steps that use the rest are being added")]
mod connection;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the steps that use the rest are being added")
)]
mod error;
#[expect(dead_code, reason = "the steps that use the rest are being added")]
mod ffi;
mod hosts;
mod observe;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the steps that use the rest are being added")
)]
mod typed_params;

pub use hosts::LibvirtHosts;

/// The version of the libvirt library that this program runs with, such as `9.0.0`.
#[must_use]
pub fn library_version() -> String {
    ffi::library_version().map_or_else(
        || "unknown".into(),
        |(major, minor, release)| format!("{major}.{minor}.{release}"),
    )
}
