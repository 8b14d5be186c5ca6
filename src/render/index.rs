//! A plan's findings by VM, so that a plan of thousands of moves is not searched anew for each of them.

use std::collections::BTreeMap;

use crate::model::VmName;
use crate::plan::{Finding, Plan, Severity};

/// Findings by VM.
pub(super) struct Index<'p> {
    by_vm: BTreeMap<&'p VmName, Vec<&'p Finding>>,
}

impl<'p> Index<'p> {
    pub(super) fn of(plan: &'p Plan) -> Self {
        let mut by_vm: BTreeMap<&VmName, Vec<&Finding>> = BTreeMap::new();
        for finding in &plan.findings {
            if let Some(vm) = &finding.vm {
                by_vm.entry(vm).or_default().push(finding);
            }
        }
        Self { by_vm }
    }

    fn about(&self, vm: &VmName) -> impl Iterator<Item = &'p Finding> {
        self.by_vm.get(vm).into_iter().flatten().copied()
    }

    /// What findings say about the VM, by code, the gravest first.
    pub(super) fn codes(&self, vm: &VmName) -> Vec<(Severity, &'p str)> {
        let own = self.about(vm);
        let mut codes: Vec<_> = own
            .map(|finding| (finding.severity, finding.code.as_str()))
            .collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// Codes of the findings that refuse it.
    pub(super) fn refusals(&self, vm: &VmName) -> Vec<&'p str> {
        let blocking = self
            .about(vm)
            .filter(|finding| finding.severity == Severity::Blocks);
        let mut codes: Vec<&str> = blocking.map(|finding| finding.code.as_str()).collect();
        codes.dedup();
        codes
    }
}
