//! A grammar and a seed to a document that the grammar allows.
//!
//! What the grammar leaves open is chosen at random: which of several patterns, how often, in which order, and how
//! the text is written (quotes, spaces, comments, CDATA). Below a depth the shallowest patterns are taken, so that
//! every document ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::Rng;
use proptest::strategy::{Strategy, ValueTree};
use proptest::string::{RegexGeneratorStrategy, string_regex};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::grammar::{Data, Grammar, NEVER, Name, Pattern};
use super::part::{Item, Part, as_libvirt_writes};

/// Levels below which nothing is there that need not be.
const DEPTH: u32 = 9;

/// How often a text is made anew until it is what it must be.
const TRIES: usize = 2000;

/// Texts that a reader could stumble over.
const TEXTS: [&str; 8] = [
    "",
    "plain",
    " spaces around ",
    "<&>\"'",
    "]]>",
    "/srv/a b/ü.qcow2",
    "x\ny",
    "18446744073709551616",
];

/// What nearly every VM has, by the names of its definitions: where one of these can be chosen, it mostly is.
const USUAL: [&str; 6] = [
    "devices",
    "disk",
    "interface",
    "diskSourceFile",
    "diskSourceBlock",
    "diskSourceVolume",
];

/// Names in the place of any name.
const NAMES: [&str; 5] = ["note", "disk", "interface", "metadata", "x-1"];

/// Makes documents of one grammar.
pub(crate) struct Documents<'a> {
    grammar: &'a Grammar,
    texts: BTreeMap<String, RegexGeneratorStrategy<String>>,
}

impl<'a> Documents<'a> {
    pub(crate) fn of(grammar: &'a Grammar) -> Self {
        Self {
            grammar,
            texts: BTreeMap::new(),
        }
    }

    /// The document of that seed. Those of odd seeds are right by the schema and wrong for libxml2, by which libvirt holds
    /// documents to it: elements that may stand in any order are mixed across parts that hold several elements each.
    pub(crate) fn of_seed(&mut self, seed: u64) -> String {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut walk = Walk {
            documents: self,
            runner: TestRunner::new_with_rng(Config::default(), rng),
            mixed: !seed.is_multiple_of(2),
        };
        let mut whole = Part::default();
        let start = walk.documents.grammar.start();
        walk.make(start, &mut whole, DEPTH, false);
        if let Some(Item::Element(_, domain)) = whole.items.first_mut()
            && seed % 4 < 3
        {
            as_libvirt_writes(domain);
        }
        let mut text = String::new();
        walk.write_all(&whole, &mut text, false);
        text
    }
}

/// One document on its way.
struct Walk<'d, 'a> {
    documents: &'d mut Documents<'a>,
    runner: TestRunner,
    /// Whether what may stand in any order is mixed, also across parts that hold several elements each.
    mixed: bool,
}

impl<'a> Walk<'_, 'a> {
    fn below(&mut self, bound: usize) -> usize {
        let random = self.runner.rng().next_u32() as usize;
        random % bound.max(1)
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Adds what a pattern asks for. `many`: the children of this element are what the documents are made for.
    fn make(&mut self, pattern: &'a Pattern, into: &mut Part, depth: u32, many: bool) {
        let grammar = self.documents.grammar;
        match pattern {
            Pattern::Element(name, content) => {
                let is_devices = matches!(name, Name::Is { local, .. } if local == "devices");
                let mut inner = Part::default();
                self.make(content, &mut inner, depth.saturating_sub(1), is_devices);
                into.items.push(Item::Element(self.name(name), inner));
            }
            Pattern::Attribute(name, content) => {
                let name = self.name(name);
                let value = self.text_of(content);
                if into.attributes.iter().all(|(other, _)| *other != name) {
                    into.attributes.push((name, value));
                }
            }
            Pattern::Text | Pattern::Value(_) | Pattern::Data(_) | Pattern::List(_) => {
                into.items.push(Item::Text(self.text_of(pattern)));
            }
            Pattern::Empty => {}
            Pattern::NotAllowed => panic!("a pattern that is not allowed was chosen"),
            Pattern::Ref(name) => self.make(grammar.named(name), into, depth, many),
            Pattern::Group(all) => {
                for part in all {
                    self.make(part, into, depth, many);
                }
            }
            Pattern::Interleave(all) => self.interleave(all, into, depth, many),
            Pattern::Choice(all) => {
                let is_usual = |one: &&Pattern| matches!(one, Pattern::Ref(name) if USUAL.contains(&name.as_str()));
                let usual: Vec<&Pattern> = all.iter().filter(is_usual).collect();
                let one = if !usual.is_empty() && !self.once_in(3) {
                    usual[self.below(usual.len())]
                } else {
                    self.choose(all, depth)
                };
                self.make(one, into, depth, many);
            }
            Pattern::Many(least, content) => {
                let most = if many { 14 } else { 3 };
                let fits = grammar.depth(content) <= depth;
                let more = if fits { self.below(most) } else { 0 };
                for _ in 0..(*least).max(more) {
                    self.make(content, into, depth, many);
                }
            }
        }
    }

    fn choose(&mut self, all: &'a [Pattern], depth: u32) -> &'a Pattern {
        let grammar = self.documents.grammar;
        let possible: Vec<&Pattern> = all
            .iter()
            .filter(|one| grammar.depth(one) <= depth)
            .collect();
        if possible.is_empty() {
            let shallowest = all.iter().min_by_key(|one| grammar.depth(one)).unwrap();
            assert!(grammar.depth(shallowest) < NEVER, "no pattern is possible");
            return shallowest;
        }
        possible[self.below(possible.len())]
    }

    /// Every part's own order stays; between them it is random.
    fn interleave(&mut self, all: &'a [Pattern], into: &mut Part, depth: u32, many: bool) {
        let mut streams = Vec::new();
        for part in all {
            let mut made = Part {
                // So that no attribute comes twice.
                attributes: std::mem::take(&mut into.attributes),
                items: Vec::new(),
            };
            self.make(part, &mut made, depth, many);
            into.attributes = made.attributes;
            made.items.reverse();
            streams.push(made.items);
        }
        loop {
            streams.retain(|stream| !stream.is_empty());
            if streams.is_empty() {
                return;
            }
            let next = self.below(streams.len());
            let mut stream = std::mem::take(&mut streams[next]);
            if self.mixed {
                into.items.extend(stream.pop());
                streams[next] = stream;
            } else {
                stream.reverse();
                into.items.extend(stream);
            }
        }
    }

    fn name(&mut self, name: &Name) -> Name {
        match name {
            Name::Is { .. } => name.clone(),
            Name::Any => Name::Is {
                namespace: ["", "urn:a", "urn:b"][self.below(3)].to_owned(),
                local: NAMES[self.below(NAMES.len())].to_owned(),
            },
        }
    }

    fn text_of(&mut self, pattern: &'a Pattern) -> String {
        let grammar = self.documents.grammar;
        match pattern {
            Pattern::Text => TEXTS[self.below(TEXTS.len())].to_owned(),
            Pattern::Empty => String::new(),
            Pattern::Value(text) => text.clone(),
            Pattern::Data(data) => self.data(data),
            Pattern::Ref(name) => self.text_of(grammar.named(name)),
            Pattern::Choice(all) => {
                let one = self.choose(all, 0);
                self.text_of(one)
            }
            Pattern::List(content) => self.text_of(content),
            Pattern::Group(all) => {
                let words: Vec<String> = all.iter().map(|part| self.text_of(part)).collect();
                words.join(" ")
            }
            Pattern::Many(least, content) => {
                let count = (*least).max(self.below(3));
                let words: Vec<String> = (0..count).map(|_| self.text_of(content)).collect();
                words.join(" ")
            }
            other => panic!("a text cannot be {other:?}"),
        }
    }

    fn data(&mut self, data: &'a Data) -> String {
        for _ in 0..TRIES {
            let text = match &data.pattern {
                Some(pattern) => self.by_pattern(pattern),
                None => self.by_kind(data),
            };
            if is_allowed(data, &text) {
                return text;
            }
        }
        panic!("no text is found for {data:?}");
    }

    fn by_pattern(&mut self, pattern: &str) -> String {
        let texts = &mut self.documents.texts;
        let strategy = texts
            .entry(pattern.to_owned())
            .or_insert_with(|| string_regex(&rust_regex(pattern)).unwrap());
        strategy.new_tree(&mut self.runner).unwrap().current()
    }

    fn by_kind(&mut self, data: &Data) -> String {
        let Some((least, most)) = range_of(&data.kind) else {
            return match data.kind.as_str() {
                "string" => TEXTS[self.below(TEXTS.len())].to_owned(),
                "NCName" => NAMES[self.below(NAMES.len())].to_owned(),
                "anyURI" => "http://example.org/a?b=c&d".to_owned(),
                "dateTime" => "2026-02-28T23:59:59Z".to_owned(),
                "double" => ["0.5", "-1e9", "INF"][self.below(3)].to_owned(),
                other => panic!("the type {other} is not understood"),
            };
        };
        let (least, most) = (
            data.least.unwrap_or(least).max(least),
            data.most.unwrap_or(most).min(most),
        );
        let span = u64::try_from(most - least).unwrap_or(u64::MAX);
        let random = self.runner.rng().next_u64();
        let chosen = match self.below(4) {
            0 => least,
            1 => most,
            // Most numbers that people write are small.
            2 => least.max(0) + i128::from(random % 64),
            _ => least + i128::from(random % span.saturating_add(1).max(1)),
        };
        chosen.min(most).to_string()
    }

    fn write_all(&mut self, part: &Part, out: &mut String, spaced: bool) {
        for item in &part.items {
            if spaced {
                self.write_space(out);
            }
            match item {
                Item::Element(name, inner) => self.write(name, inner, out),
                Item::Text(text)
                    if self.once_in(6) && !text.contains("]]>") && !text.contains('\r') =>
                {
                    write!(out, "<![CDATA[{text}]]>").unwrap();
                }
                Item::Text(text) => out.push_str(&escaped(text)),
            }
        }
        if spaced {
            self.write_space(out);
        }
    }

    fn write(&mut self, name: &Name, part: &Part, out: &mut String) {
        let tag = Self::write_name(name, "e");
        out.push('<');
        out.push_str(tag.trim_end());
        for (index, (name, value)) in part.attributes.iter().enumerate() {
            let written = Self::write_name(name, &format!("a{index}"));
            let (name, declared) = written.split_once(' ').unwrap_or((&written, ""));
            let space = [" ", "  ", "\n"][self.below(3)];
            let quote = ['\'', '"'][self.below(2)];
            write!(
                out,
                " {declared}{space}{name}={quote}{}{quote}",
                escaped(value)
            )
            .unwrap();
        }
        let tag = tag.split(' ').next().unwrap_or_default();
        if part.items.is_empty() && !self.once_in(4) {
            out.push_str(["/>", " />"][self.below(2)]);
            return;
        }
        out.push('>');
        let spaced = !part.items.iter().any(|item| matches!(item, Item::Text(_)));
        self.write_all(part, out, spaced && !part.items.is_empty());
        write!(out, "</{tag}>").unwrap();
    }

    /// The name with its prefix, and after a space what declares that.
    fn write_name(name: &Name, prefix: &str) -> String {
        match name {
            Name::Is { namespace, local } if namespace.is_empty() => local.clone(),
            Name::Is { namespace, local } => {
                format!("{prefix}:{local} xmlns:{prefix}='{namespace}'")
            }
            Name::Any => panic!("a name was left open"),
        }
    }

    fn write_space(&mut self, out: &mut String) {
        out.push_str(match self.below(9) {
            0 => "",
            1 => "\n<!-- <disk> & 'metadata' -->",
            2 => "\t<?note <interface> ?>",
            _ => "\n  ",
        });
    }
}

/// The least and most that a type of whole numbers can be.
fn range_of(kind: &str) -> Option<(i128, i128)> {
    Some(match kind {
        "short" => (i128::from(i16::MIN), i128::from(i16::MAX)),
        "int" => (i128::from(i32::MIN), i128::from(i32::MAX)),
        "long" | "integer" => (i128::from(i64::MIN), i128::from(i64::MAX)),
        "unsignedShort" => (0, i128::from(u16::MAX)),
        "unsignedInt" => (0, i128::from(u32::MAX)),
        "unsignedLong" => (0, i128::from(u64::MAX)),
        "positiveInteger" => (1, i128::from(u64::MAX)),
        _ => return None,
    })
}

fn is_allowed(data: &Data, text: &str) -> bool {
    let in_range = range_of(&data.kind).is_none_or(|(least, most)| {
        text.parse::<i128>().is_ok_and(|number| {
            number >= data.least.unwrap_or(least).max(least)
                && number <= data.most.unwrap_or(most).min(most)
        })
    });
    let writable = text.chars().all(
        |character| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..),
    );
    in_range
        && writable
        && !data.except.contains(text)
        && data.longest.is_none_or(|most| text.chars().count() <= most)
}

/// What stands for any character: libvirt's parser knows fewer than Unicode has today.
const ANY: &str = " -~\u{fc}\u{20ac}\u{448}";

/// XML Schema's expressions match the whole text and know no anchors: `^` and `$` stand for themselves.
fn rust_regex(pattern: &str) -> String {
    let mut out = String::new();
    let mut in_class = false;
    let mut letters = pattern.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'s') => {
                letters.next();
                out.push(' ');
            }
            '\\' => {
                out.push(letter);
                out.extend(letters.next());
            }
            '[' if letters.peek() == Some(&'^') => {
                in_class = true;
                write!(out, "[{ANY}&&[").unwrap();
            }
            '[' => {
                in_class = true;
                out.push_str("[[");
            }
            ']' => {
                in_class = false;
                out.push_str("]]");
            }
            '.' if !in_class => write!(out, "[{ANY}]").unwrap(),
            '^' | '$' if !in_class => {
                out.push('\\');
                out.push(letter);
            }
            _ => out.push(letter),
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '\'' => "&apos;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\t' | '\n' | '\r' => format!("&#{};", letter as u32),
            other => other.to_string(),
        })
        .collect()
}
