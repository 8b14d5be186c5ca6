//! The nouns and quantities of Domicile, checked when they are made. No I/O, no YAML, no libvirt.

mod calibration;
mod host;
mod name;
mod quantity;
mod vm;
mod volume;

pub use calibration::Calibration;
pub use host::OsFamily;
pub use name::{
    ClusterName, DiskTarget, HostName, InvalidName, MacAddress, NetworkName, PoolName, VmName,
    VolumeName, in_shell,
};
pub use quantity::{Bytes, BytesPerSecond, InvalidQuantity, Millis};
pub use vm::{
    CpuMode, DiskDevice, Interface, InterfaceSource, JobKind, MoveMark, Noted, PowerState, RunState,
};
pub use volume::{BackingLayer, VolumeFormat, VolumeRef};
