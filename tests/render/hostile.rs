//! Names that try to be more than names.

use domicile::model::{HostName, VmName};
use domicile::plan::{Change, Difference, Plan};

/// Each is a name that libvirt takes; none may act on what shows it.
pub(super) const NAMES: &[&str] = &[
    "a|b|c",
    "`code` ``more``",
    "```` ends a fence",
    "\\|x\\\\|",
    "<b>bold<",
    "<!-- hidden",
    "--> shown",
    "<details><summary>x<",
    "@octocat and @org",
    "#123 GH-7 org#5 !4 $2 ~label %1",
    "[text](javascript:alert(1))",
    "![image][ref] [ref]: x",
    "http:x www.example.com a@example.com",
    "**bold** _it_ ~~gone~~",
    "&lt;b&gt; &amp; &#60;",
    "\"; click s1 call x(); \"",
    "end",
    "right\u{202e}left\u{2066}",
    "zero\u{200b}width\u{feff}",
    "$math$ $$more$$",
    ":smile: :x:",
    "1. list",
    "- item",
    "deadbeefcafe",
];

/// The plan with every VM and host called this, with its own name behind it.
pub(super) fn renamed(plan: &Plan, name: &str) -> Plan {
    let mut plan = plan.clone();
    let vm = |vm: &VmName| VmName::new(format!("{name}{vm}")).expect("a valid name");
    let host = |host: &HostName| HostName::new(format!("{name}{host}")).expect("a valid name");
    for a_move in &mut plan.moves {
        a_move.vm = vm(&a_move.vm);
        a_move.from = host(&a_move.from);
        a_move.to = host(&a_move.to);
        a_move.reason = format!("{}: {name}", a_move.reason);
        if let Some(definition) = &mut a_move.definition {
            definition.after = definition.after.replace("old", &format!("{name}\n{name}"));
        }
    }
    for Change { vm: of, what } in &mut plan.changes {
        *of = vm(of);
        if let Difference::Host { is, wanted } = what {
            *is = host(is);
            *wanted = host(wanted);
        }
    }
    for finding in &mut plan.findings {
        finding.vm = finding.vm.as_ref().map(vm);
        finding.host = finding.host.as_ref().map(host);
        finding.message = format!("{name} {}\n{name}", finding.message);
        finding.remedy = format!("{} {name}", finding.remedy);
    }
    for step in &mut plan.steps {
        step.vms = step.vms.iter().map(vm).collect();
        if let domicile::plan::Action::Mark {
            host: on, vm: of, ..
        }
        | domicile::plan::Action::ShutDown {
            host: on, vm: of, ..
        } = &mut step.action
        {
            *on = host(on);
            *of = vm(of);
        }
    }
    plan
}
