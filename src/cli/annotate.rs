//! Faults and findings, each with its line in the manifest, for the review of a change.

use std::collections::BTreeMap;
use std::env;
use std::ops::Range;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::args::{AnnotationArguments, AnnotationFormat};
use super::console::remark;
use super::exit::Exit;
use super::failure::Failure;
use super::files;
use super::manifest::{Manifest, open, read};
use crate::manifest::{Fault, Source};
use crate::model::VmName;
use crate::plan::{Finding, Severity};
use crate::render::annotations::{Annotation, Place, github, gitlab, sarif};
use crate::render::progress::Level;
use crate::rules;

/// Loads a manifest; where it has faults they are written down as was asked for, too.
pub(super) fn annotated(
    arguments: &AnnotationArguments,
    paths: &[PathBuf],
) -> Result<Manifest, Failure> {
    if matches!(
        arguments.annotations,
        Some(AnnotationFormat::Gitlab | AnnotationFormat::Sarif)
    ) && arguments.annotations_out.is_none()
    {
        return Err(
            Failure::new(Exit::USAGE, "the annotations are a file of their own")
                .help("name it with --annotations-out FILE"),
        );
    }
    match open(read(paths)?) {
        Ok(manifest) => Ok(manifest),
        Err(faulty) => {
            let places = Places::of(&faulty.sources);
            let all = faulty.faults.iter();
            let list = all.map(|fault| of_fault(fault, &places)).collect();
            write(arguments, list, &faulty.sources)?;
            Err(faulty.failure())
        }
    }
}

impl Manifest {
    /// Writes findings down as was asked for.
    pub(super) fn annotate(
        &self,
        arguments: &AnnotationArguments,
        findings: &[Finding],
    ) -> Result<(), Failure> {
        if arguments.annotations.is_none() {
            return Ok(());
        }
        let places = Places::of(&self.sources);
        let of_finding = |finding: &Finding| Annotation {
            level: match finding.severity {
                Severity::Blocks => Level::Error,
                Severity::Risk => Level::Warn,
                Severity::Note => Level::Info,
            },
            code: finding.code.clone(),
            message: match &finding.vm {
                Some(vm) => format!("{vm}: {}", finding.message),
                None => finding.message.clone(),
            },
            remedy: finding.remedy.clone(),
            place: self
                .place(finding)
                .and_then(|(source, span)| places.place(source, &span)),
            fingerprint: fingerprint(&[
                &finding.code,
                finding.vm.as_ref().map_or("", |vm| vm.as_str()),
                finding.host.as_ref().map_or("", |host| host.as_str()),
            ]),
        };
        write(
            arguments,
            findings.iter().map(of_finding).collect(),
            &self.sources,
        )
    }

    /// The place of the manifest that a finding is about: of the VM's disk, interface or settings where the finding
    /// tells which, else the VM, else the host.
    fn place(&self, finding: &Finding) -> Option<(usize, Range<usize>)> {
        let own = finding.vm.as_ref().map(|vm| self.keys_of_vm(vm, finding));
        let host = finding.host.as_ref();
        let keys = own.or_else(|| Some(vec!["hosts".to_owned(), host?.to_string()]))?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = self.loaded.place(&self.sources, &keys)?;
        Some((found.source, found.span))
    }

    fn keys_of_vm(&self, vm: &VmName, finding: &Finding) -> Vec<String> {
        let mut keys = vec!["vms".to_owned(), vm.to_string()];
        let Some(wanted) = self.loaded.desired.vms.get(vm) else {
            return keys;
        };
        // Rules about a disk or an interface begin their messages with it.
        let mut words = finding.message.split_whitespace();
        let about = (words.next(), words.next().unwrap_or_default());
        let is_disk = |disk: &&crate::model::DiskTarget| disk.as_str() == about.1;
        match about.0 {
            Some("disk") if wanted.disks.keys().any(|disk| is_disk(&disk)) => {
                keys.extend(["disks".to_owned(), about.1.to_owned()]);
            }
            Some("interface") if wanted.interfaces.keys().any(|mac| mac.as_str() == about.1) => {
                keys.extend(["interfaces".to_owned(), about.1.to_owned()]);
            }
            _ => match finding.code.as_str() {
                "reboot-forbidden" => {
                    keys.extend(["migration", "allow_reboot"].map(str::to_owned));
                }
                "downtime-limit" => {
                    keys.extend(["migration", "max_cold_downtime"].map(str::to_owned));
                }
                code if refuses_live(code) && finding.severity == Severity::Blocks => {
                    keys.push("method".to_owned());
                }
                _ => {
                    let wanted_there = finding.host.as_ref() == Some(&wanted.host);
                    keys.extend(wanted_there.then(|| "host".to_owned()));
                }
            },
        }
        keys
    }
}

/// Whether it is a rule that only ever speaks against moving live: where it refuses the whole move, the manifest's
/// method wants no other.
fn refuses_live(code: &str) -> bool {
    rules::rule(code).is_some_and(|rule| rule.effects == [rules::Effect::RefusesLive])
}

fn of_fault(fault: &Fault, places: &Places) -> Annotation {
    Annotation {
        level: Level::Error,
        code: fault.code.to_owned(),
        message: fault.message.clone(),
        remedy: fault.help.clone().unwrap_or_default(),
        place: places.place(fault.label.source, &fault.label.span),
        fingerprint: fingerprint(&[fault.code, &fault.path, &fault.message]),
    }
}

fn fingerprint(parts: &[&str]) -> String {
    // No name holds this character, so the parts cannot run into each other.
    hex::encode(Sha256::digest(parts.join("\u{0}").as_bytes()))
}

/// Two findings of one rule about the same objects are told apart by which of them comes first.
fn tell_apart(list: &mut [Annotation]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for one in list {
        let count = seen.entry(one.fingerprint.clone()).or_default();
        if *count > 0 {
            one.fingerprint = fingerprint(&[&one.fingerprint, &count.to_string()]);
        }
        *count += 1;
    }
}

fn write(
    arguments: &AnnotationArguments,
    mut list: Vec<Annotation>,
    sources: &[Source],
) -> Result<(), Failure> {
    let Some(format) = arguments.annotations else {
        return Ok(());
    };
    tell_apart(&mut list);
    let first = sources.first().map(|source| path_of(&source.name));
    let first = first.unwrap_or_default();
    let title = |code: &str| rules::rule(code).map(|rule| rule.title.to_owned());
    let made = match format {
        AnnotationFormat::Github => Ok(github(&list)),
        AnnotationFormat::Gitlab => gitlab(&list, &first),
        AnnotationFormat::Sarif => sarif(&list, &first, env!("CARGO_PKG_VERSION"), title),
    };
    let text = made.map_err(|error| {
        Failure::error(format!(
            "the annotations cannot be written as JSON: {error}"
        ))
    })?;
    if let Some(path) = &arguments.annotations_out {
        return files::replace(path, &text);
    }
    text.lines().for_each(remark);
    Ok(())
}

/// A path as reviews know it: with slashes, from the current folder where it is below that.
fn path_of(name: &str) -> String {
    let here = env::current_dir().ok();
    let below = here.and_then(|here| Some(Path::new(name).strip_prefix(here).ok()?.to_owned()));
    let path = below.map_or_else(|| name.to_owned(), |path| path.display().to_string());
    let path = path.replace(MAIN_SEPARATOR, "/");
    path.strip_prefix("./").map_or(path.clone(), str::to_owned)
}

/// Bytes of the sources to lines and columns.
struct Places<'s> {
    sources: &'s [Source],
    /// The first byte of each line of each source.
    starts: Vec<Vec<usize>>,
}

impl<'s> Places<'s> {
    fn of(sources: &'s [Source]) -> Self {
        let starts = |source: &Source| {
            let breaks = source.text.match_indices('\n');
            let after = breaks.map(|(at, _)| at + 1);
            [0].into_iter().chain(after).collect()
        };
        Self {
            sources,
            starts: sources.iter().map(starts).collect(),
        }
    }

    fn place(&self, source: usize, span: &Range<usize>) -> Option<Place> {
        let (text, starts) = (self.sources.get(source)?, self.starts.get(source)?);
        let line = starts.partition_point(|start| *start <= span.start);
        let start = *starts.get(line.checked_sub(1)?)?;
        let letters = |range: Range<usize>| {
            let piece = text.text.get(range).unwrap_or_default();
            piece.chars().count()
        };
        let column = letters(start..span.start) + 1;
        Some(Place {
            file: path_of(&text.name),
            line,
            column,
            end: column + letters(span.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_1_and_in_characters() {
        let sources = [Source::new("./fleet.yaml", "a: 1\n# é\né: wrong\n")];
        let places = Places::of(&sources);
        let at = sources[0].text.find("wrong").unwrap();
        let place = places.place(0, &(at..at + 5)).unwrap();
        assert_eq!(
            place,
            Place {
                file: "fleet.yaml".into(),
                line: 3,
                column: 4,
                end: 9
            }
        );
        assert_eq!(places.place(0, &(0..0)).unwrap().line, 1);
        assert_eq!(places.place(1, &(0..0)), None);
    }
}
