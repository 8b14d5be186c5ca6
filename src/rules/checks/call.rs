//! What the client's library refuses.

use super::check::{Check, Phase, check};

const fn call(
    function: &'static str,
    refuses: &'static str,
    rules: &'static [&'static str],
    besides: &'static str,
) -> Check {
    check(Phase::Call, function, refuses, rules, besides)
}

pub(super) const CHECKS: &[Check] = &[
    call(
        "virDomainMigrate3, virDomainMigrateToURI3",
        "a connection that may only read",
        &["host-unreachable"],
        "Domicile opens connections that may write, or none.",
    ),
    call(
        "virDomainMigrate3, virDomainMigrateUnmanagedCheckCompat",
        "flags that exclude each other: full and incremental copy, tunnelled and parallel, synchronous writes without a copy",
        &[],
        "Domicile asks for one kind of copy at a time, never tunnels and never asks for synchronous writes.",
    ),
    call(
        "virDomainMigrate3",
        "the flags peer-to-peer and tunnelled in a managed migration",
        &[],
        "Domicile makes peer-to-peer migrations by virDomainMigrateToURI3.",
    ),
    call(
        "virDomainMigrateCheckNotLocal",
        "a peer URI that names no machine, or one whose name begins with localhost",
        &["peer-uri"],
        "",
    ),
    call(
        "virDomainMigrate3, virDomainMigrateUnmanagedParams",
        "drivers that do not migrate, or not with these parameters (VIR_DRV_FEATURE_MIGRATION_*)",
        &["live-off"],
        "The QEMU driver of every libvirt since 1.1 has them.",
    ),
];
