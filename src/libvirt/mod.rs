//! Real hosts, over libvirt: the only place that knows `virt` and `virt-sys`.

mod block_copy;
mod compact;
mod compare;
mod connection;
mod context;
mod copy;
mod define;
mod delete;
mod domain;
mod error;
mod failure;
mod ffi;
mod hosts;
mod lock;
mod mark;
mod migrate;
mod observe;
mod overdue;
mod perform;
mod power;
mod prelaunch;
mod qmp;
mod snapshots;
mod stream;
mod typed_params;
mod usage;
mod volume;
mod volume_xml;

pub use hosts::LibvirtHosts;

/// The version of the libvirt library that this program runs with, such as `9.0.0`.
#[must_use]
pub fn library_version() -> String {
    ffi::library_version().map_or_else(
        || "unknown".into(),
        |(major, minor, release)| format!("{major}.{minor}.{release}"),
    )
}
