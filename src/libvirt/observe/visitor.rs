//! A VM as it was read at its source, to what its destination must be asked about it.

use crate::definition::{self, Facts, xml};
use crate::libvirt::ffi::Emulation;
use crate::model::{CpuMode, VmName};
use crate::observed::{Host, Vm, VmDetail};

/// A VM that shall come to a host.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Its name.
    pub(super) name: VmName,
    /// As it runs.
    pub(super) running: Option<Form>,
    /// As its persistent definition says.
    pub(super) starting: Form,
    /// Whether it refers to secrets of libvirt.
    pub(super) has_secrets: bool,
    /// Whether its traffic goes through network filters of libvirt.
    pub(super) has_filters: bool,
}

/// One form of a VM.
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// What its definition says.
    pub(super) facts: Facts,
    /// What its CPU must be compared with, if with anything.
    pub(super) cpu: CpuQuestion,
}

/// What a host must be asked about a CPU.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CpuQuestion {
    /// Whether its hypervisor can give a guest this `<cpu>`.
    Guest(String),
    /// Whether its own CPU has all of this host's `<cpu>`.
    Host(String),
    /// Nothing: every host can give it one.
    Nothing,
    /// Nothing, since libvirt has no answer, for this reason.
    NoAnswer(&'static str),
}

impl Visitor {
    /// Nothing where the VM was not looked into.
    pub(super) fn of(name: &VmName, vm: &Vm, source: &Host) -> Option<Self> {
        let detail = vm.detail.as_deref()?;
        let facts = |xml: &str| definition::read(xml).ok();
        let running = detail.live_xml.as_deref().and_then(facts);
        let starting = facts(&detail.inactive_xml)?;
        Some(Self {
            name: name.clone(),
            has_secrets: has_secrets(detail),
            has_filters: has_filters(&starting) || running.as_ref().is_some_and(has_filters),
            running: running.map(|facts| Form {
                cpu: as_it_runs(&facts, source),
                facts,
            }),
            starting: Form {
                cpu: as_it_starts(&starting),
                facts: starting,
            },
        })
    }
}

fn has_secrets(detail: &VmDetail) -> bool {
    !detail.needs.secrets.is_empty() || !detail.needs_at_start().secrets.is_empty()
}

fn has_filters(facts: &Facts) -> bool {
    let mut interfaces = facts.interfaces.iter();
    interfaces.any(|interface| interface.filter.is_some())
}

/// The guest has seen the CPU that it runs with and must find the same.
fn as_it_runs(facts: &Facts, source: &Host) -> CpuQuestion {
    match (facts.cpu, &facts.cpu_xml) {
        (CpuMode::HostPassthrough, _) if source.cpu_xml.is_empty() => {
            CpuQuestion::NoAnswer("its source does not tell its own CPU")
        }
        (CpuMode::HostPassthrough, _) => CpuQuestion::Host(source.cpu_xml.clone()),
        (CpuMode::Maximum, _) => CpuQuestion::NoAnswer(
            "a CPU of mode maximum is whatever the QEMU of its host can do, which libvirt does not compare",
        ),
        (CpuMode::Custom | CpuMode::HostModel, Some(cpu)) => CpuQuestion::Guest(cpu.clone()),
        _ => CpuQuestion::NoAnswer(
            "its definition leaves the CPU to QEMU, which libvirt does not compare",
        ),
    }
}

/// A guest that starts sees the CPU for the first time: only a named one must be there, unless the definition tells
/// libvirt not to check it, and QEMU then leaves out what the host does not have.
fn as_it_starts(facts: &Facts) -> CpuQuestion {
    match (facts.cpu, &facts.cpu_xml) {
        (CpuMode::Custom, Some(cpu)) if !is_unchecked(cpu) => CpuQuestion::Guest(cpu.clone()),
        _ => CpuQuestion::Nothing,
    }
}

/// Whether libvirt is told not to check that the host can give it that CPU (`<cpu check='none'>`).
fn is_unchecked(cpu: &str) -> bool {
    let document = xml::parse(cpu, "cpu");
    document.is_ok_and(|cpu| cpu.root_element().attribute("check") == Some("none"))
}

impl Form {
    /// The hypervisor and machine that it needs.
    pub(super) fn emulation(&self) -> Emulation {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let needs = &self.facts.needs;
        Emulation {
            emulator: needs.emulator.clone(),
            arch: told(&needs.arch),
            machine: told(&self.facts.machine),
            virt_type: told(&needs.virt_type),
        }
    }
}
