//! How long reading a manifest of 10,000 VMs takes, and how much memory: each as a ratio to its bound.

#![expect(clippy::print_stdout, reason = "a benchmark is for reading")]

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use domicile::manifest;

const VMS: usize = 10_000;
const HOSTS: usize = 50;
const TIME_MAX: Duration = Duration::from_secs(1);
const MEMORY_MAX: u64 = 200 << 20;
const RUNS: usize = 5;

/// A manifest in which every VM has its full form.
fn text(wrong: bool) -> String {
    let mut text = String::from("version: 1\nhosts:\n");
    let mut line = |line: std::fmt::Arguments<'_>| text.write_fmt(line).unwrap_or_default();
    for host in 0..HOSTS {
        line(format_args!(
            "  kvm{host}: qemu+ssh://root@kvm{host}/system\n"
        ));
    }
    line(format_args!(
        "networks: {{ public: {{ kvm0: br0, kvm1: br-pub }} }}\nvms:\n"
    ));
    for vm in 0..VMS {
        let host = if wrong { "kmv" } else { "kvm" };
        line(format_args!("  vm-{vm}:\n    host: {host}{}\n", vm % HOSTS));
        line(format_args!("    disks: {{ vda: fast, vdb: bulk }}\n"));
        let (high, low) = (vm / 256, vm % 256);
        line(format_args!(
            "    interfaces: {{ \"52:54:00:00:{high:02x}:{low:02x}\": public }}\n"
        ));
        line(format_args!(
            "    method: live\n    migration: {{ max_downtime: 300ms, bandwidth: 800MiB/s }}\n"
        ));
    }
    text
}

/// The most memory that this process ever had, from the kernel; 0 where that is not told.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0_u64) * 1024
}

fn measure(what: &str, wrong: bool) -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("fleet.yaml");
    fs::write(&path, text(wrong))?;
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        let sources = manifest::read(std::slice::from_ref(&path)).unwrap_or_default();
        let faults = manifest::load(&sources).map_or_else(|faults| faults.len(), |_| 0);
        best = best.min(start.elapsed());
        assert_eq!(faults, if wrong { VMS } else { 0 });
    }
    let peak = peak();
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let memory = peak as f64 / MEMORY_MAX as f64;
    let time = best.as_secs_f64() / TIME_MAX.as_secs_f64();
    println!("{what}: {best:.0?}, {time:.2} of the bound of {TIME_MAX:?}");
    println!(
        "{what}: {} MiB at most, {memory:.2} of the bound of {} MiB",
        peak >> 20,
        MEMORY_MAX >> 20
    );
    Ok(())
}

fn main() -> std::io::Result<()> {
    measure("10,000 VMs", false)?;
    measure("10,000 VMs, a fault in each", true)
}
