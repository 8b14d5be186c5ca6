//! Figures on real hosts, each as a ratio measured in this run: `cargo bench --bench hosts [WORD]` as root.
//!
//! A word limits the run to figures whose name holds it. Every figure says what was measured against what, the bound
//! it is held to, and the single measurements, since one machine plays all hosts and is noisy.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures, and stops where a host does not answer"
)]

#[path = "../lab/lab.rs"]
#[expect(
    dead_code,
    reason = "the lab's tests need more of it than the figures do"
)]
mod lab;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use lab::Lab;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn list(values: &[f64]) -> String {
    let values: Vec<_> = values.iter().map(|value| format!("{value:.2}")).collect();
    values.join(" ")
}

fn print(figure: &str, ratio: f64, bound: f64, detail: &str) {
    let verdict = if ratio <= bound { "within" } else { "ABOVE" };
    println!("{figure:<44} ratio {ratio:>6.2}  bound {bound:<5} {verdict}\n    {detail}");
}

/// The events of an apply, from its JSON output.
fn apply_events(lab: &Lab, manifest: &std::path::Path) -> (Vec<serde_json::Value>, Duration) {
    let path = manifest.to_str().unwrap();
    let began = Instant::now();
    let output = lab.domicile(&["apply", "-f", path, "--auto-approve", "--json"]);
    let took = began.elapsed();
    assert!(output.status.success(), "apply failed");
    let lines = String::from_utf8(output.stdout).unwrap();
    (
        lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
        took,
    )
}

/// How long the longest step of an apply took, in seconds.
fn longest_step(events: &[serde_json::Value]) -> f64 {
    let took = |event: &serde_json::Value| {
        let value = event.pointer("/what/took").or_else(|| event.get("took"));
        value.and_then(serde_json::Value::as_f64)
    };
    let done = |event: &&serde_json::Value| event.to_string().contains("step-done");
    events
        .iter()
        .filter(done)
        .filter_map(took)
        .fold(0.0, f64::max)
        / 1000.0
}

/// A live move with a local disk, against `virsh migrate` with the same options, in turn.
fn live_move() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest(
        "kvm1",
        "web",
        &["--disk", "vda=default:qcow2:96M", "--fill", "64"],
    );
    let there = lab.manifest("vms:\n  web: kvm2\n");
    let (mut ours, mut whole, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let image = "/var/lib/libvirt/images/web-vda.qcow2";
    for _ in 0..5 {
        let (events, took) = apply_events(&lab, &there);
        ours.push(longest_step(&events));
        whole.push(took.as_secs_f64());
        lab.on(
            "kvm1",
            &[
                "virsh",
                "vol-create-as",
                "default",
                "web-vda.qcow2",
                "96M",
                "--format",
                "qcow2",
                "--allocation",
                "0",
            ],
        );
        let began = Instant::now();
        let uri = "qemu+tcp://kvm1/system";
        let flags = [
            "--live",
            "--p2p",
            "--persistent",
            "--undefinesource",
            "--copy-storage-all",
            "--abort-on-error",
            "--auto-converge",
        ];
        lab.on(
            "kvm2",
            &[&["virsh", "migrate"], &flags[..], &["web", uri]].concat(),
        );
        theirs.push(began.elapsed().as_secs_f64());
        lab.on("kvm2", &["virsh", "vol-delete", image]);
    }
    let detail = format!(
        "seconds: the migration by domicile {}; by virsh {}; the whole apply, reading, proving and cleaning up included, {}",
        list(&ours),
        list(&theirs),
        list(&whole)
    );
    print(
        "live move with a local disk / virsh migrate",
        median(ours) / median(theirs),
        1.1,
        &detail,
    );
}

fn bytes_sent(lab: &Lab, host: &str) -> f64 {
    let text = lab.on(host, &["cat", "/sys/class/net/eth0/statistics/tx_bytes"]);
    text.parse().unwrap()
}

/// A drain over slow links, against the time that the link needs for the bytes that crossed it.
fn drain() {
    const LINK: f64 = 400_000_000.0 / 8.0;
    let lab = Lab::up(&["kvm1", "kvm2", "kvm3"]);
    let mut vms = String::new();
    for number in 1..=6 {
        lab.guest(
            "kvm1",
            &format!("vm-{number}"),
            &["--disk", "vda=default:qcow2:112M", "--fill", "96"],
        );
        writeln!(vms, "  vm-{number}: kvm{}", 2 + number % 2).unwrap();
    }
    for host in ["kvm1", "kvm2", "kvm3"] {
        lab.lab("link", &[host, "400mbit"]);
    }
    let manifest = lab.manifest(&format!("vms:\n{vms}"));
    let before = bytes_sent(&lab, "kvm1");
    let (_, took) = apply_events(&lab, &manifest);
    let sent = bytes_sent(&lab, "kvm1") - before;
    let detail = format!(
        "{:.1} s for {:.0} MiB over the uplink, which needs {:.1} s",
        took.as_secs_f64(),
        sent / 1_048_576.0,
        sent / LINK
    );
    print(
        "drain of six VMs / bytes over bandwidth",
        took.as_secs_f64() / (sent / LINK),
        1.15,
        &detail,
    );
}

/// How long `virsh` reads the disk, and then writes what it read, in seconds.
fn one_after_the_other(lab: &Lab) -> (f64, f64) {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("image");
    let file = file.to_str().unwrap();
    let one_way = |verb: &str, uri: &str, volume: &str| {
        let began = Instant::now();
        lab.lab(
            "hub",
            &["virsh", "-c", uri, verb, volume, file, "--pool", "default"],
        );
        began.elapsed().as_secs_f64()
    };
    let reading = one_way(
        "vol-download",
        "qemu+tcp://10.77.0.11/system",
        "web-vda.qcow2",
    );
    lab.on(
        "kvm2",
        &[
            "virsh",
            "vol-create-as",
            "default",
            "scratch",
            "900M",
            "--format",
            "raw",
            "--allocation",
            "0",
        ],
    );
    let writing = one_way("vol-upload", "qemu+tcp://10.77.0.12/system", "scratch");
    lab.on(
        "kvm2",
        &["virsh", "vol-delete", "scratch", "--pool", "default"],
    );
    (reading, writing)
}

/// A cold copy through this process, against the slower of reading and writing alone.
fn cold_copy() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--disk", "vda=default:qcow2:2G", "--off"]);
    let image = "/var/lib/libvirt/images/web-vda.qcow2";
    lab.on("kvm1", &["qemu-io", "-c", "write -P 0x5a 0 700M", image]);
    lab.on("kvm1", &["virsh", "pool-refresh", "default"]);
    let written = occupied(&lab, "kvm1", image);
    let (reading, writing) = one_after_the_other(&lab);
    let before = bytes_sent(&lab, "kvm1");
    let manifest = lab.manifest("migration: { cold_copy: stream }\nvms:\n  web: kvm2\n");
    let (events, _) = apply_events(&lab, &manifest);
    let sent = bytes_sent(&lab, "kvm1") - before;
    let ours = longest_step(&events);
    let slower = reading.max(writing);
    let detail = format!(
        "seconds: {ours:.2}; virsh vol-download {reading:.2}, then vol-upload {writing:.2}"
    );
    print(
        "cold copy through us / the slower side",
        ours / slower,
        1.3,
        &detail,
    );
    let detail = format!(
        "{:.0} MiB sent of {:.0} MiB ever written",
        sent / 1_048_576.0,
        written / 1_048_576.0
    );
    print(
        "bytes sent / bytes ever written",
        sent / written,
        1.05,
        &detail,
    );
}

/// The bytes that a file occupies on a host.
fn occupied(lab: &Lab, host: &str, path: &str) -> f64 {
    let kib = lab.on(host, &["du", "-k", path]);
    kib.split_whitespace()
        .next()
        .unwrap()
        .parse::<f64>()
        .unwrap()
        * 1024.0
}

/// The most memory that our process takes while it copies a disk, against 64 MiB.
fn memory() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.guest("kvm1", "web", &["--disk", "vda=default:qcow2:2G", "--off"]);
    let image = "/var/lib/libvirt/images/web-vda.qcow2";
    lab.on("kvm1", &["qemu-io", "-c", "write -P 0x5a 0 700M", image]);
    lab.on("kvm1", &["virsh", "pool-refresh", "default"]);
    let manifest = lab.manifest("migration: { cold_copy: stream }\nvms:\n  web: kvm2\n");
    let path = manifest.to_str().unwrap();
    let mut child = lab.start_domicile(&["apply", "-f", path, "--auto-approve"]);
    let mut peak_kib: f64 = 0.0;
    while child.try_wait().unwrap().is_none() {
        // `timeout` is the child, and its only child is domicile.
        let tasks = format!("/proc/{0}/task/{0}/children", child.id());
        let ours = std::fs::read_to_string(tasks).unwrap_or_default();
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", ours.trim())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mib = peak_kib / 1024.0;
    let detail = format!(
        "{mib:.0} MiB at most while {:.0} MiB were copied",
        occupied(&lab, "kvm2", image) / 1_048_576.0
    );
    print(
        "memory of a copy through us / 64 MiB",
        mib / 64.0,
        1.0,
        &detail,
    );
}

/// Ten linked clones of one base, against the base once and what each has changed.
fn clones() {
    let lab = Lab::up(&["kvm1", "kvm2"]);
    lab.lab("base", &["kvm1", "default", "golden.qcow2", "64"]);
    let folder = "/var/lib/libvirt/images";
    let mut needed = occupied(&lab, "kvm1", &format!("{folder}/golden.qcow2"));
    let mut vms = String::new();
    for number in 0..10 {
        let name = format!("web-{number}");
        lab.guest(
            "kvm1",
            &name,
            &["--disk", "vda=default:qcow2:64M:golden.qcow2", "--off"],
        );
        let image = format!("{folder}/{name}-vda.qcow2");
        lab.on("kvm1", &["qemu-io", "-c", "write -P 0x5a 8M 8M", &image]);
        needed += occupied(&lab, "kvm1", &image);
        writeln!(vms, "  {name}: kvm2").unwrap();
    }
    let manifest = lab.manifest(&format!("vms:\n{vms}"));
    let before = bytes_sent(&lab, "kvm1");
    apply_events(&lab, &manifest);
    let sent = bytes_sent(&lab, "kvm1") - before;
    let detail = format!(
        "{:.0} MiB sent of {:.0} MiB needed",
        sent / 1_048_576.0,
        needed / 1_048_576.0
    );
    print(
        "ten clones / base once and their changes",
        sent / needed,
        1.05,
        &detail,
    );
}

fn main() {
    let wanted = std::env::args()
        .skip(1)
        .find(|word| !word.starts_with('-'))
        .unwrap_or_default();
    let figures: [(&str, fn()); 5] = [
        ("live-move", live_move),
        ("drain", drain),
        ("cold-copy", cold_copy),
        ("memory", memory),
        ("clones", clones),
    ];
    for (name, figure) in figures {
        if name.contains(&wanted) {
            figure();
        }
    }
}
