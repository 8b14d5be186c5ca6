//! Files to what they demand, and their faults to reports that show the lines.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

use super::exit::Exit;
use super::explain;
use super::failure::Failure;
use crate::desired::{Desired, MigrationOverrides};
use crate::manifest::{self, Fault, Label, Loaded, Source};
use crate::render::clean;
use crate::rules;

/// A manifest without faults, and the texts that it came from.
pub(super) struct Manifest {
    pub(super) loaded: Loaded,
    pub(super) sources: Vec<Source>,
}

/// What is wrong with a manifest.
pub(super) struct Faulty {
    pub(super) sources: Vec<Source>,
    pub(super) faults: Vec<Fault>,
}

/// Reads and loads a manifest.
pub(super) fn load(paths: &[PathBuf]) -> Result<Desired, Failure> {
    open(read(paths)?)
        .map(|manifest| manifest.loaded.desired)
        .map_err(|faulty| faulty.failure())
}

/// Reads the files of a manifest.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    manifest::read(paths).map_err(|error| {
        Failure::error(error.to_string()).help(
            "name the manifest with -f FILE or -f FOLDER; `domicile import --uri URI` writes one of what is on your hosts",
        )
    })
}

/// Loads a manifest from its texts.
pub(super) fn open(sources: Vec<Source>) -> Result<Manifest, Faulty> {
    let faults = match manifest::load(&sources) {
        Ok(loaded) => {
            let faults = unknown_codes(&loaded, &sources);
            if faults.is_empty() {
                return Ok(Manifest { loaded, sources });
            }
            faults
        }
        Err(faults) => faults,
    };
    Err(Faulty { sources, faults })
}

impl Faulty {
    /// As a command's end.
    pub(super) fn failure(&self) -> Failure {
        Failure {
            exit: Exit::ERROR,
            reports: reports(&self.sources, &self.faults),
        }
    }
}

/// Accepted risks that no rule has: what was meant would be refused without a word why.
fn unknown_codes(loaded: &Loaded, sources: &[Source]) -> Vec<Fault> {
    let desired = &loaded.desired;
    let mut faults = Vec::new();
    let mut look = |keys: &[&str], settings: &MigrationOverrides| {
        for code in settings.accept.iter().flatten() {
            if rules::rule(code).is_none() {
                let place = loaded.place(sources, keys);
                let label = Label {
                    source: place.as_ref().map_or(0, |place| place.source),
                    span: place.map_or(0..0, |place| place.span),
                    text: "no such rule".to_owned(),
                };
                let message = format!("`{code}` is no code of a rule");
                let fault = Fault::new("unknown-rule", keys.join("."), label, message);
                faults.push(fault.help(explain::advice(code)));
            }
        }
    };
    look(&["migration", "accept"], &desired.migration.fleet);
    for (cluster, settings) in &desired.migration.clusters {
        let keys = ["migration", "clusters", cluster.as_str(), "accept"];
        look(&keys, settings);
    }
    for (_, _, settings) in &desired.migration.pairs {
        look(&["migration", "pairs"], settings);
    }
    for (vm, wanted) in &desired.vms {
        look(
            &["vms", vm.as_str(), "migration", "accept"],
            &wanted.migration,
        );
    }
    faults
}

type Text = Arc<NamedSource<String>>;

fn reports(sources: &[Source], faults: &[Fault]) -> Vec<miette::Report> {
    let texts: Vec<Text> = sources
        .iter()
        .map(|source| {
            Arc::new(NamedSource::new(
                clean(&source.name),
                harmless(&source.text),
            ))
        })
        .collect();
    let report = |fault: &Fault| -> miette::Report { FaultReport::new(&texts, fault).into() };
    faults.iter().map(report).collect()
}

/// The text with characters that could act on the terminal replaced, each by as many bytes as it had, so that places
/// in the one are places in the other.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        let mut buffer = [0; 4];
        let one: &str = letter.encode_utf8(&mut buffer);
        if letter == '\n' || letter == '\t' || (letter == '\r') || clean(one) == one {
            shown.push(letter);
        } else {
            shown.extend(std::iter::repeat_n('?', letter.len_utf8()));
        }
    }
    shown
}

/// A fault as miette wants it.
struct FaultReport {
    message: String,
    severity: Severity,
    help: Option<String>,
    text: Option<Text>,
    labels: Vec<LabeledSpan>,
    /// A place in another file that belongs to it.
    elsewhere: Vec<FaultReport>,
}

impl FaultReport {
    fn new(texts: &[Text], fault: &Fault) -> Self {
        let mut labels = vec![labeled(&fault.label)];
        let mut elsewhere = Vec::new();
        if let Some(second) = &fault.second {
            if second.source == fault.label.source {
                labels.push(labeled(second));
            } else {
                elsewhere.push(Self {
                    message: clean(&second.text).into_owned(),
                    severity: Severity::Advice,
                    help: None,
                    text: texts.get(second.source).cloned(),
                    labels: vec![labeled(second)],
                    elsewhere: Vec::new(),
                });
            }
        }
        Self {
            message: format!("{}: {}", fault.code, clean(&fault.message)),
            severity: Severity::Error,
            help: fault.help.as_deref().map(|help| clean(help).into_owned()),
            text: texts.get(fault.label.source).cloned(),
            labels,
            elsewhere,
        }
    }
}

fn labeled(label: &Label) -> LabeledSpan {
    let text = clean(&label.text).into_owned();
    LabeledSpan::new(
        (!text.is_empty()).then_some(text),
        label.span.start,
        label.span.len(),
    )
}

impl fmt::Debug for FaultReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl fmt::Display for FaultReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for FaultReport {}

impl Diagnostic for FaultReport {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let text = self.text.as_ref()?;
        Some(text.as_ref())
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(
            self.elsewhere.iter().map(|other| other as &dyn Diagnostic),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifests_own_text_cannot_act_on_the_terminal_and_keeps_its_places() {
        let text = "vms:\n  \u{1b}[2Jweb\u{202e}: kvm1 # \u{85}é\n";
        let shown = harmless(text);
        assert_eq!(shown, "vms:\n  ?[2Jweb???: kvm1 # ??é\n");
        assert_eq!(shown.len(), text.len());
    }
}
