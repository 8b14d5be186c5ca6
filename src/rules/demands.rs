//! Rules about what a VM's definition demands of the host that runs it: machine, devices, memory, processors, secrets.

use super::case::{Case, Effect, Rule, Verdict, When};
use crate::model::Bytes;
use crate::observed::{Agent, DomainFit, MemoryPages, Needs, SecretRef};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "machine-type",
        title: "the destination lacks the machine type",
        effects: &[Effect::Blocks],
        why: "The machine type is the board that the guest sees. A QEMU that does not know it can neither take over the running VM nor start it.",
        remedy: "Upgrade QEMU at the destination, or change the machine type.",
        source: "libvirt, virQEMUCapsIsMachineSupported",
        judge: machine_type,
    },
    Rule {
        code: "device",
        title: "a device cannot leave its host",
        effects: &[Effect::Blocks],
        why: "A device of the host cannot leave it.",
        remedy: "Detach the device before the move and attach its counterpart afterwards.",
        source: "libvirt, qemuMigrationSrcIsAllowedHostdev",
        judge: device,
    },
    Rule {
        code: "domain-unsupported",
        title: "the destination's hypervisor cannot make the VM",
        effects: &[Effect::Blocks, Effect::RefusesLive],
        why: "Hosts differ in what their QEMU is built with: emulators, acceleration, buses, graphics, TPMs, firmware. What is missing shows when the VM starts, which in a migration is the Prepare phase.",
        remedy: "Install what is missing at the destination, or change the device.",
        source: "libvirt, virConnectGetDomainCapabilities",
        judge: domain_unsupported,
    },
    Rule {
        code: "virt-type",
        title: "the destination does not offer this kind of virtualisation",
        effects: &[Effect::Blocks],
        why: "A VM of type kvm needs processors and a kernel that can; libvirt refuses to start it elsewhere.",
        remedy: "Enable virtualisation in the destination's firmware and load its kvm module.",
        source: "libvirt, virQEMUCapsGet and qemuProcessStartValidate",
        judge: virt_type,
    },
    Rule {
        code: "hugepages",
        title: "the destination has not enough huge pages",
        effects: &[Effect::Blocks],
        why: "A VM that is to be given huge pages does not start where the host has not set aside enough of that size.",
        remedy: "Set them aside at the destination (`vm.nr_hugepages`), or take them out of the definition.",
        source: "libvirt, qemuProcessNeedHugepagesPath; QEMU, memory-backend-file",
        judge: hugepages,
    },
    Rule {
        code: "cpu-pinning",
        title: "the VM is pinned to processors or memory that the destination does not have",
        effects: &[Effect::Blocks],
        why: "libvirt binds a VM to the processors and NUMA cells that its definition names, and refuses to start it where one of them is missing.",
        remedy: "Change the pinning, or choose a host with as many.",
        source: "libvirt, qemuProcessSetupPid and virNumaSetupMemoryPolicy",
        judge: pinning,
    },
    Rule {
        code: "memory-device",
        title: "plugged memory has no fixed place",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "Without slot and base address the destination might put plugged memory elsewhere than the guest knows it, so libvirt refuses.",
        remedy: "Write slot and base into its <memory> devices.",
        source: "libvirt, qemuMigrationSrcIsAllowed",
        judge: memory_device,
    },
    Rule {
        code: "launch-security",
        title: "the guest's memory is encrypted or isolated",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "Memory that the host cannot read (SEV, TDX and their kin) cannot be sent.",
        remedy: "Move it cold through this process.",
        source: "QEMU, migration blockers; Proxmox VE; Nova",
        judge: launch_security,
    },
    Rule {
        code: "listen-address",
        title: "a console listens on an address of its host",
        effects: &[Effect::Risk],
        why: "QEMU listens on the address that the definition names. A host that does not have it cannot start the VM, and which addresses a host has libvirt does not tell.",
        remedy: "Let it listen on 0.0.0.0 or 127.0.0.1, or on a network of libvirt.",
        source: "libvirt, qemuBuildGraphicsCommandLine",
        judge: listen_address,
    },
    Rule {
        code: "host-socket",
        title: "a device is a socket of its host",
        effects: &[Effect::Risk],
        why: "Behind the socket stands a program of the host that knows the guest's state. The destination needs the same program, and what it knows is not carried.",
        remedy: "Connect the device otherwise, or see that the destination has the program.",
        source: "libvirt, formatdomain; QEMU, vhost-user",
        judge: host_socket,
    },
    Rule {
        code: "secret-missing",
        title: "the destination lacks a secret of libvirt",
        effects: &[Effect::Blocks, Effect::Note],
        why: "Encrypted disks and storage with a password need the secret that their definition names. Its value is never carried by a migration, nor by Domicile.",
        remedy: "Define the secret at the destination (`virsh secret-define`, `virsh secret-set-value`).",
        source: "libvirt, qemuDomainSecretInfoSetup",
        judge: secret_missing,
    },
    Rule {
        code: "shutdown-unheard",
        title: "the guest may not notice that it is to shut down",
        effects: &[Effect::Note],
        why: "A guest without ACPI and without a guest agent that answers does not hear the request to shut down. Then the move fails at the end of `shutdown_timeout`, or the guest is switched off, as `on_shutdown_timeout` says.",
        remedy: "Enable ACPI, or install the QEMU guest agent.",
        source: "libvirt, virDomainShutdownFlags",
        judge: shutdown_unheard,
    },
];

/// The destination must know the machine type by its full name; an alias such as `pc` or `q35` is resolved when a VM
/// is defined, so definitions never hold one.
fn machine_type(case: &Case<'_>) -> Vec<Verdict> {
    let machines = &case.destination.machines;
    let known = machines.is_empty() || machines.contains(&case.detail.machine);
    if !case.changes_host() || known {
        return Vec::new();
    }
    vec![Verdict::new(
        "machine-type",
        Effect::Blocks,
        case.to,
        format!(
            "QEMU on {} does not know its machine type {}",
            case.to, case.detail.machine
        ),
        format!(
            "upgrade QEMU on {}, or change the machine type to one that both hosts have",
            case.to
        ),
    )]
}

fn device(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let one = |device: &String| {
        Verdict::new(
            "device",
            Effect::Blocks,
            case.from,
            format!("it uses a device of {}: {device}", case.from),
            "detach the device before the move and attach its counterpart afterwards",
        )
    };
    case.detail.host_devices.iter().map(one).collect()
}

/// What the destination must meet: what the running form demands where that goes over, else what a start demands.
fn needs<'a>(case: &'a Case<'_>) -> &'a Needs {
    if case.may_go_live() {
        &case.detail.needs
    } else {
        case.detail.needs_at_start()
    }
}

fn domain_unsupported(case: &Case<'_>) -> Vec<Verdict> {
    let Some(fit) = case
        .destination
        .fits
        .get(case.name)
        .filter(|_| case.changes_host())
    else {
        return Vec::new();
    };
    let remedy = "install what is missing there, or change its definition";
    let verdict = |effect, form: &str, reasons: &[String]| {
        let message = format!("{} cannot make it {form}: {}", case.to, reasons.join("; "));
        Verdict::new("domain-unsupported", effect, case.to, message, remedy)
    };
    let mut verdicts = Vec::new();
    if let DomainFit::Refused(reasons) = &fit.starting.domain {
        verdicts.push(verdict(Effect::Blocks, "as it is defined", reasons));
    }
    if let Some(DomainFit::Refused(reasons)) = fit.running.as_ref().map(|running| &running.domain)
        && case.may_go_live()
    {
        verdicts.push(verdict(Effect::RefusesLive, "as it runs", reasons));
    }
    verdicts
}

fn virt_type(case: &Case<'_>) -> Vec<Verdict> {
    let (wanted, offered) = (&needs(case).virt_type, &case.destination.offers.virt_types);
    let unknown = wanted.is_empty() || offered.is_empty();
    if !case.changes_host() || unknown || offered.contains(wanted) {
        return Vec::new();
    }
    vec![Verdict::new(
        "virt-type",
        Effect::Blocks,
        case.to,
        format!(
            "it is of type {wanted}, and {} offers {}",
            case.to,
            offered.join(", ")
        ),
        format!("enable {wanted} on {}", case.to),
    )]
}

fn hugepages(case: &Case<'_>) -> Vec<Verdict> {
    let offered = &case.destination.offers.pages;
    let Some(MemoryPages::Sizes(sizes)) = &needs(case).hugepages else {
        return Vec::new();
    };
    if !case.changes_host() || offered.is_empty() {
        return Vec::new();
    }
    let room = |size: &Bytes| {
        let pages = offered.iter().find(|pages| pages.size == *size);
        pages.map_or(0, |pages| pages.count.saturating_mul(size.0))
    };
    // Where several sizes are named, which memory is of which is not known here; each must be there.
    let enough = |size: &Bytes| match sizes.len() {
        1 => room(size) >= case.vm.memory.0,
        _ => room(size) > 0,
    };
    let short = sizes.iter().filter(|size| !enough(size));
    let verdict = |size: &Bytes| {
        Verdict::new(
            "hugepages",
            Effect::Blocks,
            case.to,
            format!(
                "it needs {} in pages of {size}, and {} has set aside {}",
                case.vm.memory,
                case.to,
                Bytes(room(size))
            ),
            format!("set aside more of them on {}", case.to),
        )
    };
    short.map(verdict).collect()
}

fn pinning(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let (needs, offers) = (needs(case), &case.destination.offers);
    let verdict = |message: String| {
        Verdict::new(
            "cpu-pinning",
            Effect::Blocks,
            case.to,
            message,
            "change the pinning in its definition",
        )
    };
    let processor = needs.highest_pinned_cpu.zip(offers.highest_cpu);
    let processor = processor.filter(|(wanted, there)| wanted > there);
    let processor = processor.map(|(wanted, there)| {
        verdict(format!(
            "it is pinned to processor {wanted}, and the last one of {} is {there}",
            case.to
        ))
    });
    let known = !offers.numa_cells.is_empty();
    let mut missing = needs
        .numa_cells
        .iter()
        .filter(|cell| known && !offers.numa_cells.contains(cell));
    let cell = missing.next().map(|cell| {
        verdict(format!(
            "its memory is bound to NUMA cell {cell}, which {} does not have",
            case.to
        ))
    });
    processor.into_iter().chain(cell).collect()
}

fn memory_device(case: &Case<'_>) -> Vec<Verdict> {
    let Some(first) = case.detail.needs.unplaced_memory.first() else {
        return Vec::new();
    };
    case.unmigratable(
        "memory-device",
        case.from,
        &format!("its plugged memory ({first}) has no slot and base address"),
        "write slot and base into its definition",
    )
}

fn launch_security(case: &Case<'_>) -> Vec<Verdict> {
    let Some(kind) = &case.detail.needs.launch_security else {
        return Vec::new();
    };
    case.unmigratable(
        "launch-security",
        case.from,
        &format!("its memory is protected from its host ({kind})"),
        "use `method: cold` with `cold_copy: stream`",
    )
}

fn listen_address(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let verdict = |address: &String| {
        Verdict::new(
            "listen-address",
            Effect::Risk,
            case.to,
            format!(
                "a console of it listens on {address}, which {} may not have",
                case.to
            ),
            "let it listen on 0.0.0.0, 127.0.0.1 or a network",
        )
    };
    needs(case).listen_addresses.iter().map(verdict).collect()
}

fn host_socket(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let verdict = |socket: &String| {
        Verdict::new(
            "host-socket",
            Effect::Risk,
            case.to,
            format!(
                "it is connected to {socket}, which {} may not have",
                case.to
            ),
            "connect the device otherwise, or see that the program behind it runs there",
        )
    };
    needs(case).sockets.iter().map(verdict).collect()
}

fn secret_missing(case: &Case<'_>) -> Vec<Verdict> {
    if !case.changes_host() {
        return Vec::new();
    }
    let name = |secret: &SecretRef| match secret {
        SecretRef::Uuid(uuid) => format!("secret {uuid}"),
        SecretRef::Usage { kind, name } => format!("the {kind} secret {name}"),
    };
    let verdict = |secret: &SecretRef| {
        let remedy = format!("define it there: `virsh secret-define` on {}", case.to);
        let new = |effect, message| {
            Verdict::new("secret-missing", effect, case.to, message, remedy.clone())
        };
        match &case.destination.offers.secrets {
            Some(there) if there.iter().any(|one| one.is(secret)) => None,
            Some(_) => Some(new(
                Effect::Blocks,
                format!("it needs {}, which {} does not have", name(secret), case.to),
            )),
            None => Some(new(
                Effect::Note,
                format!(
                    "it needs {}; whether {} has it is not known",
                    name(secret),
                    case.to
                ),
            )),
        }
    };
    needs(case).secrets.iter().filter_map(verdict).collect()
}

fn shutdown_unheard(case: &Case<'_>) -> Vec<Verdict> {
    let needs = &case.detail.needs;
    let heard = !needs.without_acpi || needs.agent == Some(Agent::Connected);
    if !case.changes_host() || !case.is_active() || heard {
        return Vec::new();
    }
    vec![
        Verdict::new(
            "shutdown-unheard",
            Effect::Note,
            case.from,
            "it has no ACPI and no guest agent that answers, so it may not hear that it is to shut down".to_owned(),
            "shut it down from inside before the move, or enable ACPI",
        )
        .only(When::Reboot),
    ]
}
