//! How long `domicile plan` takes for 5,000 moves on 5,000 hosts with 50,000 VMs, from the recorded reading to the last
//! line, and how much memory: each as a ratio to its bound.

#![expect(clippy::print_stdout, reason = "a benchmark is for reading")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const HOSTS: usize = 5000;
const VMS_EACH: usize = 10;
const MOVES: usize = 5000;
const TIME_MAX: Duration = Duration::from_secs(10);
const MEMORY_MAX: u64 = 1 << 30;
const RUNS: usize = 3;

/// What the VMs' disks are.
#[derive(Clone, Copy, PartialEq)]
enum Disks {
    /// Each stands alone in a pool of its host.
    Own,
    /// Each is a linked clone of its host's base.
    Clones,
    /// Each is on storage that a hundred hosts share.
    Shared,
}

/// Every `MOVES`-th VM goes to the next host, in one great ring: each host gives one away and takes one.
fn wanted(vm: usize) -> usize {
    let host = vm / VMS_EACH;
    if vm.is_multiple_of(HOSTS * VMS_EACH / MOVES) {
        (host + 1) % HOSTS
    } else {
        host
    }
}

fn manifest(disks: Disks) -> String {
    let mut text = String::from("version: 1\n");
    let mut line = |line: std::fmt::Arguments<'_>| text.write_fmt(line).unwrap_or_default();
    line(format_args!("limits: {{ parallel: 400 }}\n"));
    line(format_args!(
        "migration: {{ live_clones: true, remove_unused_bases: {} }}\nhosts:\n",
        disks == Disks::Clones
    ));
    for host in 0..HOSTS {
        line(format_args!(
            "  kvm{host}: {{ uri: \"qemu+tcp://kvm{host}/system\", limits: {{ upload: 1GiB/s }} }}\n"
        ));
    }
    line(format_args!("vms:\n"));
    for vm in 0..HOSTS * VMS_EACH {
        line(format_args!("  vm-{vm}: kvm{}\n", wanted(vm)));
    }
    text
}

/// A definition of the usual size.
fn definition(vm: usize, path: &str) -> String {
    let mut text = format!(
        "<domain type='kvm'><name>vm-{vm}</name><uuid>10000000-0000-0000-0000-{vm:012}</uuid>\
         <memory unit='KiB'>4194304</memory><currentMemory unit='KiB'>4194304</currentMemory>\
         <vcpu>2</vcpu><os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os><devices>\
         <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{path}'/>\
         <target dev='vda' bus='virtio'/></disk>"
    );
    for port in 0..24 {
        let _ = write!(
            text,
            "<controller type='pci' index='{port}' model='pcie-root-port'><target chassis='{port}' port='{port}'/></controller>"
        );
    }
    text + "</devices></domain>"
}

fn pool(host: usize, disks: Disks) -> (String, String) {
    match disks {
        Disks::Own | Disks::Clones => ("/var/lib/libvirt/images".into(), "null".into()),
        Disks::Shared => (
            "/mnt/nas".into(),
            format!("\"nfs://nas{}/export\"", host / 100),
        ),
    }
}

fn vm(number: usize, folder: &str, disks: Disks) -> String {
    let path = format!("{folder}/vm-{number}.qcow2");
    let xml = definition(number, &path);
    let backing = if disks == Disks::Clones {
        format!(
            "{{\"path\":\"{folder}/golden.qcow2\",\"format\":\"qcow2\",\"capacity\":10737418240,\
             \"allocation\":2147483648,\"volume\":[\"default\",\"golden.qcow2\"]}}"
        )
    } else {
        String::new()
    };
    let (high, middle, low) = (number >> 16, number >> 8 & 255, number & 255);
    format!(
        "\"vm-{number}\":{{\"uuid\":\"10000000-0000-0000-0000-{number:012}\",\
         \"power\":{{\"state\":\"running\",\"reason\":\"booted\"}},\"persistent\":true,\
         \"memory\":4294967296,\"vcpus\":2,\"managed_save\":false,\"autostart\":false,\"detail\":{{\
         \"live_xml\":\"{xml}\",\"inactive_xml\":\"{xml}\",\"machine\":\"pc-q35-10.0\",\"cpu\":\"host-model\",\
         \"disks\":[{{\"target\":\"vda\",\"device\":\"disk\",\"bus\":\"virtio\",\"source_kind\":\"file\",\
         \"path\":\"{path}\",\"volume\":[\"default\",\"vm-{number}.qcow2\"],\"format\":\"qcow2\",\
         \"capacity\":10737418240,\"allocation\":1073741824,\"backing\":[{backing}],\"readonly\":false,\
         \"shareable\":false,\"transient\":false,\"cache\":null}}],\
         \"interfaces\":[{{\"mac\":\"52:54:00:{high:02x}:{middle:02x}:{low:02x}\",\"source\":{{\"bridge\":\"br0\"}},\
         \"mtu\":null,\"filter\":null}}],\
         \"nvram\":null,\"tpm\":false,\"local_paths\":[],\"host_devices\":[],\"spice\":false,\"snapshots\":[],\
         \"job\":null,\"mark\":null,\"unreadable_mark\":null}}}}"
    )
}

fn volume(name: &str, folder: &str, backing: &str) -> String {
    format!(
        "\"{name}\":{{\"path\":\"{folder}/{name}\",\"detail\":{{\"format\":\"qcow2\",\"capacity\":10737418240,\
         \"allocation\":1073741824,\"backing\":{backing}}}}}"
    )
}

fn observed(path: &Path, disks: Disks) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write!(
        out,
        "{{\"format_version\":\"1.1\",\"taken_at\":0,\"hosts\":{{"
    )?;
    for host in 0..HOSTS {
        let (folder, storage) = pool(host, disks);
        let own: Vec<usize> = (host * VMS_EACH..(host + 1) * VMS_EACH).collect();
        let backing = if disks == Disks::Clones {
            format!("[\"{folder}/golden.qcow2\",\"qcow2\"]")
        } else {
            "null".into()
        };
        let seen = match disks {
            Disks::Shared => {
                (host / 100 * 100 * VMS_EACH..(host / 100 + 1) * 100 * VMS_EACH).collect()
            }
            Disks::Own | Disks::Clones => own.clone(),
        };
        let mut volumes: Vec<String> = seen
            .iter()
            .take(own.len())
            .chain(&own)
            .map(|vm| volume(&format!("vm-{vm}.qcow2"), &folder, &backing))
            .collect();
        volumes.sort();
        volumes.dedup();
        if disks == Disks::Clones {
            volumes.push(volume("golden.qcow2", &folder, "null"));
        }
        let vms: Vec<String> = own
            .iter()
            .map(|number| vm(*number, &folder, disks))
            .collect();
        let comma = if host == 0 { "" } else { "," };
        write!(
            out,
            "{comma}\"kvm{host}\":{{\"reached\":{{\"uuid\":\"00000000-0000-0000-0000-{host:012}\",\
             \"hostname\":\"kvm{host}\",\"libvirt_version\":11003000,\"hypervisor_version\":10000002,\
             \"arch\":\"x86_64\",\"cpu_xml\":\"\",\"cpu_model\":\"qemu64\",\"cpus\":64,\"memory\":47244640256,\
             \"memory_free\":4294967296,\"machines\":[\"pc-q35-10.0\"],\"pools\":{{\"default\":{{\"kind\":\"dir\",\
             \"active\":true,\"path\":\"{folder}\",\"storage\":{storage},\"capacity\":107374182400,\
             \"available\":53687091200,\"volumes\":{{{}}}}}}},\"bridges\":[\"br0\"],\"networks\":{{}},\
             \"vms\":{{{}}},\"gaps\":[]}}}}",
            volumes.join(","),
            vms.join(","),
        )?;
    }
    write!(out, "}}}}")?;
    out.flush()
}

/// The most memory that a process had so far, from the kernel; 0 where that is not told.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0_u64) * 1024
}

/// Waits for a process and looks at its memory meanwhile.
fn followed(mut child: Child) -> io::Result<(ExitStatus, u64)> {
    let mut most = 0;
    loop {
        most = most.max(peak(child.id()));
        if let Some(status) = child.try_wait()? {
            return Ok((status, most));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn measure(what: &str, disks: Disks, extra: &[&str]) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("fleet.yaml"), manifest(disks))?;
    observed(&folder.path().join("observed.json"), disks)?;
    let (mut best, mut most) = (Duration::MAX, 0);
    for _ in 0..RUNS {
        let start = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_domicile"))
            .args(["plan", "--observed", "observed.json"])
            .args(extra)
            .current_dir(folder.path())
            .stdout(File::create(folder.path().join("plan"))?)
            .stdin(Stdio::null())
            .spawn()?;
        let (status, memory) = followed(child)?;
        best = best.min(start.elapsed());
        most = most.max(memory);
        assert_eq!(status.code(), Some(0), "{what}");
    }
    let shown = fs::read_to_string(folder.path().join("plan"))?;
    let closing = shown.lines().rfind(|line| line.starts_with("Plan:"));
    println!("{what}: {}", closing.unwrap_or("as JSON"));
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let memory = most as f64 / MEMORY_MAX as f64;
    let time = best.as_secs_f64() / TIME_MAX.as_secs_f64();
    println!("{what}: {best:.1?}, {time:.2} of the bound of {TIME_MAX:?}");
    println!(
        "{what}: {} MiB at most, {memory:.2} of the bound of {} MiB",
        most >> 20,
        MEMORY_MAX >> 20
    );
    Ok(())
}

fn main() -> io::Result<()> {
    measure("local disks", Disks::Own, &[])?;
    measure("local disks, JSON", Disks::Own, &["--json"])?;
    measure("linked clones", Disks::Clones, &[])?;
    measure("storage of a hundred hosts", Disks::Shared, &[])
}
