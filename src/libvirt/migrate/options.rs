//! How a migration is to be run, as libvirt's flags and parameters.

use virt::error::Error;
use virt_sys as sys;

use crate::desired::OnStall;
use crate::libvirt::typed_params::Params;
use crate::plan::{CopyMode, MigrationOptions};

/// The two definitions that the VM is to have at the destination.
pub(super) struct Definitions {
    /// Of the running VM; `None`: as it is.
    pub(super) live: Option<String>,
    /// For its next start. Always given: daemons before 10.0 do not derive it from the other.
    pub(super) persistent: String,
}

/// The flags, apart from who drives.
pub(super) fn flags(options: &MigrationOptions, paused: bool) -> u32 {
    // A disk that the guest cannot write to any more must stop the migration, not be carried as it is. Never
    // `UNSAFE`: where libvirt doubts that both hosts see the same storage, so do we.
    let mut flags = sys::VIR_MIGRATE_LIVE
        | sys::VIR_MIGRATE_PERSIST_DEST
        | sys::VIR_MIGRATE_UNDEFINE_SOURCE
        | sys::VIR_MIGRATE_ABORT_ON_ERROR;
    flags |= match options.copy {
        CopyMode::None => 0,
        CopyMode::Full => sys::VIR_MIGRATE_NON_SHARED_DISK,
        CopyMode::Incremental => sys::VIR_MIGRATE_NON_SHARED_INC,
    };
    // Neither can be switched on once the migration runs; a VM that stands still needs neither.
    if paused {
        flags |= sys::VIR_MIGRATE_PAUSED;
    } else {
        if options.on_stall.contains(&OnStall::AutoConverge) {
            flags |= sys::VIR_MIGRATE_AUTO_CONVERGE;
        }
        if options.on_stall.contains(&OnStall::PostCopy) {
            flags |= sys::VIR_MIGRATE_POSTCOPY;
        }
    }
    if options.tls {
        flags |= sys::VIR_MIGRATE_TLS;
    }
    if options.connections.is_some() || is_for_streams(options.compression.as_deref()) {
        flags |= sys::VIR_MIGRATE_PARALLEL;
    }
    if options.compression.is_some() {
        flags |= sys::VIR_MIGRATE_COMPRESSED;
    }
    flags
}

/// Whether the method compresses what goes over parallel streams (QEMU's multifd).
fn is_for_streams(compression: Option<&str>) -> bool {
    matches!(compression, Some("zlib" | "zstd"))
}

/// The parameters.
pub(super) fn params(options: &MigrationOptions, xml: &Definitions) -> Result<Params, Error> {
    let mut params = Params::default();
    params.text(sys::VIR_MIGRATE_PARAM_PERSIST_XML, &xml.persistent)?;
    if let Some(live) = &xml.live {
        params.text(sys::VIR_MIGRATE_PARAM_DEST_XML, live)?;
    }
    if let Some(address) = &options.address {
        params.text(sys::VIR_MIGRATE_PARAM_URI, &migrate_uri(address))?;
    }
    if let Some(rate) = options.bandwidth {
        params.unsigned(sys::VIR_MIGRATE_PARAM_BANDWIDTH, rate.as_mib_per_second());
    }
    if options.copy != CopyMode::None {
        for disk in &options.disks {
            params.text(sys::VIR_MIGRATE_PARAM_MIGRATE_DISKS, disk.as_str())?;
        }
    }
    if let Some(method) = &options.compression {
        params.text(sys::VIR_MIGRATE_PARAM_COMPRESSION, method)?;
    }
    if let Some(count) = options.connections {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        params.int(sys::VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, count);
    }
    Ok(params)
}

/// The URI by which the source's QEMU reaches the destination's, for memory and disks; libvirt picks the ports.
fn migrate_uri(address: &str) -> String {
    let is_bare_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    if is_bare_v6 {
        format!("tcp://[{address}]")
    } else {
        format!("tcp://{address}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Rewrite;
    use crate::desired::Driver;
    use crate::model::{BytesPerSecond, DiskTarget, Millis};

    fn options() -> MigrationOptions {
        MigrationOptions {
            driver: Driver::Auto,
            peer_uri: "qemu+tcp://kvm2/system".into(),
            address: None,
            copy: CopyMode::None,
            disks: vec![],
            rewrite: Rewrite::default(),
            bandwidth: None,
            max_downtime: Millis(300),
            on_stall: vec![],
            stall_after: Millis(1000),
            timeout: None,
            cold: None,
            compression: None,
            connections: None,
            tls: false,
        }
    }

    fn has(flags: u32, flag: u32) -> bool {
        flags & flag != 0
    }

    #[test]
    fn what_the_ladder_may_need_is_prepared_from_the_start() {
        let mut options = options();
        options.on_stall = vec![OnStall::AutoConverge, OnStall::PostCopy];
        let running = flags(&options, false);
        assert!(has(running, sys::VIR_MIGRATE_AUTO_CONVERGE));
        assert!(has(running, sys::VIR_MIGRATE_POSTCOPY));
        // libvirt refuses post-copy for a VM that stands still.
        let paused = flags(&options, true);
        assert!(!has(paused, sys::VIR_MIGRATE_POSTCOPY));
        assert!(has(paused, sys::VIR_MIGRATE_PAUSED));
    }

    #[test]
    fn a_migration_is_never_forced_past_libvirts_doubts() {
        for copy in [CopyMode::None, CopyMode::Full, CopyMode::Incremental] {
            let options = MigrationOptions { copy, ..options() };
            let flags = flags(&options, false);
            assert!(!has(flags, sys::VIR_MIGRATE_UNSAFE));
            let copies = sys::VIR_MIGRATE_NON_SHARED_DISK | sys::VIR_MIGRATE_NON_SHARED_INC;
            assert_ne!(flags & copies, copies);
        }
    }

    #[test]
    fn compression_over_streams_brings_the_streams() {
        let with = |method: &str| MigrationOptions {
            compression: Some(method.into()),
            ..options()
        };
        assert!(has(flags(&with("zstd"), false), sys::VIR_MIGRATE_PARALLEL));
        assert!(!has(
            flags(&with("xbzrle"), false),
            sys::VIR_MIGRATE_PARALLEL
        ));
    }

    #[test]
    fn parameters_name_what_is_asked_for_and_nothing_else() {
        let options = MigrationOptions {
            copy: CopyMode::Full,
            disks: vec![DiskTarget::new("vda").unwrap()],
            bandwidth: Some(BytesPerSecond(100 << 20)),
            address: Some("fd00::2".into()),
            ..options()
        };
        let xml = Definitions {
            live: None,
            persistent: "<domain/>".into(),
        };
        let read = params(&options, &xml).unwrap().values();
        assert_eq!(read.text("migrate_disks"), Some("vda"));
        assert_eq!(read.text("migrate_uri"), Some("tcp://[fd00::2]"));
        assert_eq!(read.text("persistent_xml"), Some("<domain/>"));
        assert_eq!(read.number("bandwidth"), Some(100));
        assert_eq!(read.text("destination_xml"), None);
    }
}
