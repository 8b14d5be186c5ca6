//! A plan's steps and what each waits for, as a graph: for Mermaid and for Graphviz.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::clean;
use super::text::word;
use crate::model::{Bytes, Millis};
use crate::plan::{Move, Plan, Step, StepId, Why};

/// A step shorter than this by the forecast is shown without its duration.
const WORTH_TELLING: Millis = Millis(1000);

/// The steps in groups, one for each VM that moves; steps that several VMs share stand in none.
struct Groups<'p> {
    vms: Vec<(&'p Move, Vec<usize>)>,
    shared: Vec<usize>,
}

impl<'p> Groups<'p> {
    fn of(plan: &'p Plan) -> Self {
        let mut vms: Vec<(&Move, Vec<usize>)> = plan
            .moves
            .iter()
            .map(|a_move| (a_move, Vec::new()))
            .collect();
        let places: BTreeMap<StepId, usize> = plan
            .moves
            .iter()
            .enumerate()
            .flat_map(|(place, a_move)| a_move.steps.iter().map(move |step| (*step, place)))
            .collect();
        let mut shared = Vec::new();
        for (index, step) in plan.steps.iter().enumerate() {
            let place = match step.vms.as_slice() {
                [_] => places
                    .get(&StepId(index))
                    .and_then(|place| vms.get_mut(*place)),
                _ => None,
            };
            match place {
                Some((_, steps)) => steps.push(index),
                None => shared.push(index),
            }
        }
        Self { vms, shared }
    }
}

fn title(a_move: &Move) -> String {
    let Move {
        vm,
        kind,
        from,
        to,
        reboots,
        ..
    } = a_move;
    let reboot = if *reboots { ", reboots" } else { "" };
    format!("{vm}: {} from {from} to {to}{reboot}", word(*kind))
}

fn label(index: usize, step: &Step) -> String {
    let forecast = step.forecast;
    let mut label = format!("{} {}", index + 1, step.action);
    if forecast.bytes > Bytes::ZERO {
        let _ = write!(label, ", {}", forecast.bytes);
    }
    if forecast.duration >= WORTH_TELLING {
        let _ = write!(label, ", {}", super::text::time(forecast.duration));
    }
    label
}

/// What stands at an edge; the order of one VM's own steps needs no reason.
fn reason(why: Why) -> Option<&'static str> {
    match why {
        Why::SameVm => None,
        Why::BaseFirst => Some("base first"),
        Why::FreesRoom => Some("frees room"),
        Why::KeepsApart => Some("keeps apart"),
        Why::CopyBeforeDelete => Some("copy before delete"),
    }
}

/// The plan's steps as a Mermaid flowchart.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    let groups = Groups::of(plan);
    let step = |out: &mut String, indent: &str, index: usize| {
        let label = mermaid_text(&label(index, &plan.steps[index]));
        let _ = writeln!(out, "{indent}s{}[\"{label}\"]", index + 1);
    };
    for (place, (a_move, steps)) in groups.vms.iter().enumerate() {
        let title = mermaid_text(&title(a_move));
        let _ = writeln!(out, "  subgraph v{}[\"{title}\"]", place + 1);
        for index in steps {
            step(&mut out, "    ", *index);
        }
        out.push_str("  end\n");
    }
    for index in &groups.shared {
        step(&mut out, "  ", *index);
    }
    for (index, step) in plan.steps.iter().enumerate() {
        for dependency in &step.after {
            let from = dependency.step;
            let reason = reason(dependency.why).map(|reason| format!("|{reason}|"));
            let reason = reason.unwrap_or_default();
            let _ = writeln!(out, "  s{from} -->{reason} s{}", index + 1);
        }
    }
    out
}

/// The plan's steps as a directed graph in Graphviz's language.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let mut out = String::from("digraph plan {\n  rankdir=LR\n  fontname=\"sans-serif\"\n");
    let groups = Groups::of(plan);
    let step = |out: &mut String, indent: &str, index: usize| {
        let label = dot_text(&label(index, &plan.steps[index]));
        let _ = writeln!(
            out,
            "{indent}s{} [shape=box, fontname=\"sans-serif\", label={label}]",
            index + 1
        );
    };
    for (place, (a_move, steps)) in groups.vms.iter().enumerate() {
        let title = dot_text(&title(a_move));
        let _ = writeln!(
            out,
            "  subgraph cluster_{} {{\n    label={title}",
            place + 1
        );
        for index in steps {
            step(&mut out, "    ", *index);
        }
        out.push_str("  }\n");
    }
    for index in &groups.shared {
        step(&mut out, "  ", *index);
    }
    for (index, step) in plan.steps.iter().enumerate() {
        for dependency in &step.after {
            let from = dependency.step;
            let reason = reason(dependency.why)
                .map(|reason| format!(" [fontname=\"sans-serif\", label=\"{reason}\"]"));
            let reason = reason.unwrap_or_default();
            let _ = writeln!(out, "  s{from} -> s{}{reason}", index + 1);
        }
    }
    out.push_str("}\n");
    out
}

/// A text within Mermaid's quotes or as the name of a task: what could mean something to Mermaid, to Markdown or to a
/// browser is written as Mermaid's code for the character.
pub(super) fn mermaid_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in clean(text).chars() {
        let plain = letter.is_alphanumeric() || " -_./,+()".contains(letter);
        if plain || !letter.is_ascii() {
            safe.push(letter);
        } else {
            let _ = write!(safe, "#{};", u32::from(letter));
        }
    }
    safe
}

/// A text in Graphviz's quotes.
fn dot_text(text: &str) -> String {
    let text = clean(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}
