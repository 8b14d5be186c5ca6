//! The parser's events to a [`Tree`] and the faults of the YAML itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::fault::{Fault, Label};
use super::scalar::{Meaning, meaning};
use super::tree::{Kind, Part, PartId, Positions, Tree};

/// The most lists and mappings in one another; a manifest has six.
const DEPTH_MAX: usize = 64;

/// The most parts of a tree, every alias counted at the size of what it means.
const PARTS_MAX: u64 = 4_000_000;

/// Reads one text. The tree has everything that could be read; without faults, that is everything.
pub(super) fn build(text: &str, source: usize) -> (Tree, Vec<Fault>) {
    let mut builder = Builder {
        source,
        text,
        tree: Tree {
            positions: Positions::new(text),
            ..Tree::default()
        },
        open: Vec::new(),
        anchors: BTreeMap::new(),
        size: 0,
        faults: Vec::new(),
    };
    builder.tree.whole = builder.run().is_ok();
    (builder.tree, builder.faults)
}

/// What follows in the text cannot be read; the reason is among the faults.
struct Stop;

struct Builder<'s> {
    source: usize,
    text: &'s str,
    tree: Tree,
    open: Vec<Frame>,
    /// By the parser's number of the anchor; `None` while what it names is not complete.
    anchors: BTreeMap<usize, Option<(PartId, u64)>>,
    /// Nodes, every alias counted at the size of what it means.
    size: u64,
    faults: Vec<Fault>,
}

/// A list or mapping that has begun.
struct Frame {
    start: u32,
    /// 0: none.
    anchor: usize,
    /// [`Builder::size`] when it began.
    size_before: u64,
    content: Open,
}

enum Open {
    List(Vec<PartId>),
    Map {
        entries: Vec<(PartId, PartId)>,
        key: Option<PartId>,
    },
}

impl Builder<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let mut parser = Parser::new_from_str(self.text);
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            match next {
                Ok((Event::DocumentStart(_), span)) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.several_documents(span));
                    }
                }
                Ok((event, span)) => self.event(event, span)?,
                Err(error) => return Err(self.syntax(&error)),
            }
        }
        Ok(())
    }

    fn stop(&mut self, fault: Fault) -> Stop {
        self.faults.push(fault);
        Stop
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain || self.is_text_by_tag(tag, span);
                let kind = Kind::Scalar {
                    text: text.as_ref().into(),
                    quoted,
                };
                self.grow(1, span)?;
                let id = self.add(kind, span);
                self.complete(id, anchor, 1);
            }
            Event::Alias(anchor) => {
                let Some((target, size)) = self.anchors.get(&anchor).copied().flatten() else {
                    let fault = Fault::new(
                        "yaml-alias",
                        self.path(),
                        self.label(span, "inside of what it means"),
                        "this alias stands inside of what it means, so it has no end",
                    );
                    return Err(self.stop(fault));
                };
                self.grow(size, span)?;
                let id = self.add(Kind::Alias(target), span);
                self.complete(id, 0, 0);
            }
            Event::SequenceStart(anchor, tag) => {
                self.is_text_by_tag(tag, span);
                self.begin(Open::List(Vec::new()), anchor, span)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.is_text_by_tag(tag, span);
                let content = Open::Map {
                    entries: Vec::new(),
                    key: None,
                };
                self.begin(content, anchor, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, content: Open, anchor: usize, span: Span) -> Result<(), Stop> {
        if self.open.len() == DEPTH_MAX {
            let fault = Fault::new(
                "too-deep",
                "",
                self.label(span, "one too many"),
                format!("more than {DEPTH_MAX} lists and mappings stand in one another"),
            );
            return Err(self.stop(fault.help("a manifest needs six; is this the right file?")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        self.open.push(Frame {
            start: character(span.start.index()),
            anchor,
            size_before: self.size,
            content,
        });
        self.grow(1, span)
    }

    fn end(&mut self, span: Span) -> Result<(), Stop> {
        let Some(frame) = self.open.pop() else {
            return Ok(());
        };
        let kind = match frame.content {
            Open::List(items) => Kind::List(items.into()),
            Open::Map { entries, .. } => {
                let entries = self.with_merges(entries, span)?;
                Kind::Map(self.without_repeats(entries).into())
            }
        };
        let id = self.add_at(kind, frame.start, character(span.end.index()));
        self.complete(id, frame.anchor, self.size - frame.size_before);
        Ok(())
    }

    /// Puts a complete part where it belongs.
    fn complete(&mut self, id: PartId, anchor: usize, size: u64) {
        if anchor > 0 {
            self.anchors.insert(anchor, Some((id, size)));
        }
        let Some(frame) = self.open.last_mut() else {
            let nothing = matches!(&self.tree.part(id).kind,
                Kind::Scalar { text, quoted: false } if meaning(text) == Meaning::Null);
            self.tree.root = (!nothing).then_some(id);
            return;
        };
        match &mut frame.content {
            Open::List(items) => items.push(id),
            Open::Map { entries, key } => match key.take() {
                None => *key = Some(id),
                Some(key) => entries.push((key, id)),
            },
        }
    }

    /// Carries out `<<: *anchor` and `<<: [*a, *b]`: the entries of these mappings, unless they stand here.
    fn with_merges(
        &mut self,
        entries: Vec<(PartId, PartId)>,
        span: Span,
    ) -> Result<Vec<(PartId, PartId)>, Stop> {
        let is_merge = |builder: &Self, key: PartId| matches!(&builder.tree.part(key).kind, Kind::Scalar { text, quoted: false } if &**text == "<<");
        if !entries.iter().any(|(key, _)| is_merge(self, *key)) {
            return Ok(entries);
        }
        let (merges, mut own): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|(key, _)| is_merge(self, *key));
        let mut keys: BTreeSet<String> = own
            .iter()
            .map(|(key, _)| self.tree.key(*key).to_owned())
            .collect();
        for (_, value) in merges {
            let mappings = match &self.tree.part(self.followed(value)).kind {
                Kind::List(items) => items.to_vec(),
                _ => vec![value],
            };
            for mapping in mappings {
                let Kind::Map(inherited) = &self.tree.part(self.followed(mapping)).kind else {
                    self.faults.push(Fault::new(
                        "yaml-merge",
                        self.path(),
                        self.label_of(mapping, "not a mapping"),
                        "`<<` takes over the entries of a mapping, and this is none",
                    ));
                    continue;
                };
                let inherited = inherited.clone();
                self.grow(inherited.len() as u64, span)?;
                let new = inherited
                    .iter()
                    .filter(|(key, _)| keys.insert(self.tree.key(*key).to_owned()));
                own.extend(new);
            }
        }
        Ok(own)
    }

    /// Only the first entry of each key, and only keys that are text or a number.
    fn without_repeats(&mut self, entries: Vec<(PartId, PartId)>) -> Vec<(PartId, PartId)> {
        let mut firsts: BTreeMap<String, PartId> = BTreeMap::new();
        let mut kept = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let fault = match &self.tree.part(self.followed(key)).kind {
                Kind::Scalar { text, quoted } => {
                    let strange =
                        !quoted && matches!(meaning(text), Meaning::Null | Meaning::Bool(_));
                    let text = text.to_string();
                    match firsts.get(&text) {
                        _ if strange => Some(self.strange_key(key, &text)),
                        Some(first) => Some(self.repeated(*first, key, &text)),
                        None => {
                            firsts.insert(text, key);
                            None
                        }
                    }
                }
                Kind::List(_) | Kind::Map(_) | Kind::Alias(_) => Some(Fault::new(
                    "key-not-text",
                    self.path(),
                    self.label_of(key, "stands as a key"),
                    "a list or mapping stands where a name or field is wanted",
                )),
            };
            match fault {
                Some(fault) => self.faults.push(fault),
                None => kept.push((key, value)),
            }
        }
        kept
    }

    fn strange_key(&self, key: PartId, text: &str) -> Fault {
        let label = self.label_of(key, "not text");
        if text.is_empty() {
            return Fault::new(
                "key-not-text",
                self.path(),
                label,
                "a key is missing before this colon",
            );
        }
        let message = format!("YAML takes `{text}` for a value of its own and not for a name");
        Fault::new("key-not-text", self.path(), label, message)
            .help(format!("if it is a name, put it in quotes: \"{text}\""))
    }

    fn repeated(&self, first: PartId, second: PartId, text: &str) -> Fault {
        let path = joined(&self.path(), text);
        Fault::new(
            "defined-twice",
            path,
            self.label_of(second, "and again here"),
            format!("`{text}` is defined twice"),
        )
        .second(self.label_of(first, "first defined here"))
        .help("remove one of the two, or give it another name")
    }

    fn several_documents(&mut self, span: Span) -> Stop {
        let fault = Fault::new(
            "several-documents",
            "",
            self.label(span, "a second document begins here"),
            "the file has several YAML documents",
        );
        self.stop(fault.help(
            "join them, or put each into a file of its own: `-f` takes several files and folders",
        ))
    }

    fn syntax(&mut self, error: &ScanError) -> Stop {
        let at = character(error.marker().index());
        let label = |at: u32, text: &str| {
            let span = self
                .tree
                .positions
                .span(at, at.saturating_add(1), self.text);
            self.label_at(span, text)
        };
        let here = label(at, "here");
        if error.info().contains("unknown anchor") {
            let message = "no `&` before this alias gives anything its name";
            let fault = Fault::new("yaml-alias", self.path(), here, message);
            return self.stop(fault.help("text that begins with `*` must stand in quotes"));
        }
        let before = &self.text[..here.span.start];
        let line_start = before.rfind('\n').map_or(0, |found| found + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let indent = &line[..line.len() - line.trim_start().len()];
        let help = if indent.contains('\t') {
            "indent with spaces: YAML does not allow tabs there"
        } else {
            "look at the indentation, the quotes and the brackets here and in the line above; text with `: `, ` #` \
             or a first character such as `*`, `&`, `@`, `%` or `{` must stand in quotes"
        };
        let message = format!("this is not YAML: {}", error.info());
        let mut fault = Fault::new("yaml-syntax", self.path(), here, message);
        if let Some(frame) = self.open.last()
            && error.info().contains("flow")
        {
            fault = fault.second(label(frame.start, "this has no end"));
        }
        self.stop(fault.help(help))
    }

    /// Whether a tag makes a scalar text. Tags of YAML's own types say nothing new; another one is a fault.
    fn is_text_by_tag(&mut self, tag: Option<Cow<'_, Tag>>, span: Span) -> bool {
        let Some(tag) = tag else {
            return false;
        };
        if !tag.is_yaml_core_schema() {
            let name = tag.to_string();
            let label = self.label(span, "has a tag");
            let message = format!("the tag `{name}` means nothing in a manifest");
            let fault = Fault::new("yaml-tag", self.path(), label, message);
            self.faults.push(fault.help("leave it out"));
        }
        tag.suffix == "str"
    }

    fn grow(&mut self, parts: u64, span: Span) -> Result<(), Stop> {
        self.size = self.size.saturating_add(parts);
        if self.size <= PARTS_MAX {
            return Ok(());
        }
        let fault = Fault::new(
            "too-large",
            self.path(),
            self.label(span, "the limit is passed here"),
            format!(
                "the manifest has more than {PARTS_MAX} values, aliases counted at their full size"
            ),
        );
        Err(self.stop(fault.help("a manifest of 100,000 VMs has fewer; is this the right file?")))
    }

    fn add(&mut self, kind: Kind, span: Span) -> PartId {
        let (start, end) = (character(span.start.index()), character(span.end.index()));
        self.add_at(kind, start, end)
    }

    fn add_at(&mut self, kind: Kind, start: u32, end: u32) -> PartId {
        // PARTS_MAX is far below what does not fit.
        let id = PartId(u32::try_from(self.tree.parts.len()).unwrap_or(u32::MAX));
        self.tree.parts.push(Part { start, end, kind });
        id
    }

    fn followed(&self, id: PartId) -> PartId {
        match self.tree.part(id).kind {
            Kind::Alias(target) => target,
            Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => id,
        }
    }

    /// The keys that lead to what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.open {
            match &frame.content {
                Open::List(items) => path = format!("{path}[{}]", items.len()),
                Open::Map { key: Some(key), .. } => path = joined(&path, self.tree.key(*key)),
                Open::Map { key: None, .. } => {}
            }
        }
        path
    }

    fn label(&self, span: Span, text: &str) -> Label {
        let (start, end) = (character(span.start.index()), character(span.end.index()));
        self.label_at(self.tree.positions.span(start, end, self.text), text)
    }

    fn label_of(&self, id: PartId, text: &str) -> Label {
        self.label_at(self.tree.span(id, self.text), text)
    }

    fn label_at(&self, span: Range<usize>, text: &str) -> Label {
        Label {
            source: self.source,
            span,
            text: text.to_owned(),
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A position as the tree keeps it. The size limit of a manifest is far below what does not fit.
fn character(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
