//! What a host answers about VMs that shall come to it: two calls for each distinct question, however many VMs ask it,
//! and one each for all secrets and all network filters where a VM refers to some.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use virt_sys as sys;

use super::domain_capabilities::{self, DomainCapabilities};
use super::questions::Questions;
use super::stores;
use super::visitor::{CpuQuestion, Form, Visitor};
use crate::libvirt::error::CallError;
use crate::libvirt::ffi::{self, Emulation};
use crate::model::VmName;
use crate::observed::{Answers, CpuFit, DomainFit, Fit, Secret};

/// What a host was asked so far, so that nothing is asked twice.
pub(super) struct Respondent<'a> {
    questions: &'a Questions,
    cpus: BTreeMap<(Emulation, CpuQuestion), CpuFit>,
    machines: BTreeMap<Emulation, Result<DomainCapabilities, DomainFit>>,
    secrets: OnceCell<Option<Vec<Secret>>>,
    nwfilters: OnceCell<Option<Vec<String>>>,
}

/// What a host answered.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// About each VM.
    pub(super) fits: BTreeMap<VmName, Fit>,
    /// Its secrets, where they were asked for and it told.
    pub(super) secrets: Option<Vec<Secret>>,
    /// Its network filters, where they were asked for and it told.
    pub(super) nwfilters: Option<Vec<String>>,
}

impl<'a> Respondent<'a> {
    pub(super) fn new(questions: &'a Questions) -> Self {
        Self {
            questions,
            cpus: BTreeMap::new(),
            machines: BTreeMap::new(),
            secrets: OnceCell::new(),
            nwfilters: OnceCell::new(),
        }
    }

    /// Asks about these VMs.
    pub(super) fn about(&mut self, visitors: &[Visitor]) -> Answered {
        self.questions.about("whether VMs that shall come fit");
        let mut answered = Answered::default();
        for visitor in visitors {
            let fit = Fit {
                running: visitor.running.as_ref().map(|form| self.answers(form)),
                starting: self.answers(&visitor.starting),
            };
            answered.fits.insert(visitor.name.clone(), fit);
        }
        let questions = self.questions;
        if visitors.iter().any(|visitor| visitor.has_secrets) {
            let all = self.secrets.get_or_init(|| stores::secrets(questions));
            answered.secrets.clone_from(all);
        }
        if visitors.iter().any(|visitor| visitor.has_filters) {
            let all = self.nwfilters.get_or_init(|| stores::nwfilters(questions));
            answered.nwfilters.clone_from(all);
        }
        answered
    }

    fn answers(&mut self, form: &Form) -> Answers {
        let emulation = form.emulation();
        let cpu = self.cpu(&emulation, &form.cpu);
        let (domain, loader_listed) = match self.machine(&emulation) {
            Ok(offered) => {
                let against = offered.against(&form.facts);
                let domain = if against.is_empty() {
                    DomainFit::Supported
                } else {
                    DomainFit::Refused(against)
                };
                (domain, offered.lists_loader(&form.facts))
            }
            Err(domain) => (domain.clone(), None),
        };
        Answers {
            cpu,
            domain,
            loader_listed,
        }
    }

    fn machine(&mut self, of: &Emulation) -> &Result<DomainCapabilities, DomainFit> {
        let questions = self.questions;
        self.machines.entry(of.clone()).or_insert_with(|| {
            let text = questions.call(|connect| {
                connect.domain_capabilities(
                    of.emulator.as_deref(),
                    of.arch.as_deref(),
                    of.machine.as_deref(),
                    of.virt_type.as_deref(),
                    0,
                )
            });
            domain_capabilities::read(&text.map_err(|error| not_made(&error))?)
                .map_err(|error| DomainFit::Unknown(error.to_string()))
        })
    }

    fn cpu(&mut self, of: &Emulation, question: &CpuQuestion) -> CpuFit {
        // The host's own CPU does not depend on the machine.
        let key = match question {
            CpuQuestion::Host(_) => (Emulation::default(), question.clone()),
            _ => (of.clone(), question.clone()),
        };
        let questions = self.questions;
        let ask = || match question {
            CpuQuestion::Guest(cpu) => compared(
                questions.call(|connect| ffi::compare_hypervisor_cpu(connect, of, cpu)),
                CallError::is_cpu_refusal,
            ),
            CpuQuestion::Host(cpu) => {
                let flags = sys::VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE;
                compared(
                    questions.call(|connect| connect.compare_cpu(cpu, flags)),
                    // A libvirt that does not know the other's name for a CPU says nothing about the CPU.
                    |error| error.is(sys::VIR_ERR_CPU_INCOMPATIBLE),
                )
            }
            CpuQuestion::Nothing => CpuFit::Compatible { identical: false },
            CpuQuestion::NoAnswer(reason) => CpuFit::Unknown((*reason).to_owned()),
        };
        self.cpus.entry(key).or_insert_with(ask).clone()
    }
}

fn compared(
    answer: Result<sys::virCPUCompareResult, CallError>,
    is_refusal: impl FnOnce(&CallError) -> bool,
) -> CpuFit {
    match answer {
        Ok(sys::VIR_CPU_COMPARE_IDENTICAL) => CpuFit::Compatible { identical: true },
        Ok(sys::VIR_CPU_COMPARE_SUPERSET) => CpuFit::Compatible { identical: false },
        Ok(_) => CpuFit::Incompatible("its libvirt does not say what is missing".into()),
        Err(error) if is_refusal(&error) => CpuFit::Incompatible(error.message),
        Err(error) => CpuFit::Unknown(error.message),
    }
}

/// libvirt answers with an error where it cannot make such a machine: no such emulator, architecture or machine type,
/// or a domain type that the host cannot do.
fn not_made(error: &CallError) -> DomainFit {
    let refused = error.is(sys::VIR_ERR_INVALID_ARG)
        || error.is(sys::VIR_ERR_CONFIG_UNSUPPORTED)
        || error.is_no_file();
    if refused {
        DomainFit::Refused(vec![error.message.clone()])
    } else {
        DomainFit::Unknown(error.message.clone())
    }
}
