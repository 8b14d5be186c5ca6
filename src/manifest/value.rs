//! Nodes of a [`Tree`] to values of any type that serde can read, with every fault in them.
//!
//! serde stops at the first fault. So what is wrong is noted and left out, and the value is read again, until it can
//! be read or what is missing cannot be left out.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::scalar::Meaning;
use super::tree::{Content, PartId, Tree};

/// Something in a value that is wrong.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) kind: ProblemKind,
    /// The part that is wrong.
    pub(super) at: Option<PartId>,
    /// The keys that lead there from the value that was read, the innermost first.
    pub(super) path: Vec<String>,
    /// The part without which the rest may be right.
    without: Option<PartId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProblemKind {
    WrongType {
        found: String,
        wanted: String,
    },
    UnknownField {
        field: String,
        known: &'static [&'static str],
    },
    UnknownValue {
        value: String,
        known: &'static [&'static str],
    },
    MissingField(&'static str),
    /// What a type of ours said, such as that a name holds a slash.
    Refused(String),
}

/// The value of a part; `None` when something that it cannot be without is wrong. Every problem is reported.
pub(super) fn read<T: DeserializeOwned>(
    tree: &Tree,
    part: PartId,
    mut report: impl FnMut(Problem),
) -> Option<T> {
    let mut left_out = BTreeSet::new();
    loop {
        let at = At {
            tree,
            left_out: &left_out,
            part,
        };
        let problem = match T::deserialize(at) {
            Ok(value) => return Some(value),
            Err(problem) => problem,
        };
        let without = problem.without;
        // A field that is there, but wrong, has been reported.
        let known = matches!(problem.kind, ProblemKind::MissingField(field)
            if problem.at.is_some_and(|at| is_left_out(tree, at, field, &left_out)));
        if !known {
            report(problem);
        }
        if !without.is_some_and(|part| left_out.insert(part)) {
            return None;
        }
    }
}

fn is_left_out(tree: &Tree, map: PartId, field: &str, left_out: &BTreeSet<PartId>) -> bool {
    tree.find(map, &[field])
        .is_some_and(|(_, value)| left_out.contains(&value))
}

/// A part to be read.
#[derive(Clone, Copy)]
struct At<'t> {
    tree: &'t Tree,
    left_out: &'t BTreeSet<PartId>,
    part: PartId,
}

impl<'t> At<'t> {
    fn content(self) -> Content<'t> {
        self.tree.content(self.part)
    }

    fn to(self, part: PartId) -> Self {
        Self { part, ..self }
    }

    /// What stands here, as the subject of "found".
    fn found(self) -> String {
        match self.content() {
            Content::Scalar(_, Meaning::Null) => "nothing".to_owned(),
            Content::Scalar(text, Meaning::Text) => format!("the text {text:?}"),
            Content::Scalar(text, Meaning::Bool(_)) => format!("`{text}`"),
            Content::Scalar(text, _) => format!("the number {text}"),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a mapping".to_owned(),
        }
    }

    /// Notes that a problem, if its place is not yet known, is with this part.
    fn here<V>(self, result: Result<V, Problem>) -> Result<V, Problem> {
        result.map_err(|mut problem| {
            if problem.at.is_none() {
                problem.at = Some(self.part);
                if let ProblemKind::WrongType { found, .. } = &mut problem.kind {
                    *found = self.found();
                }
            }
            problem
        })
    }

    /// Notes that a problem lies under this key or index, and that its part may be left out.
    fn under<V>(
        self,
        key: impl FnOnce() -> String,
        result: Result<V, Problem>,
    ) -> Result<V, Problem> {
        result.map_err(|mut problem| {
            problem.path.push(key());
            problem.without.get_or_insert(self.part);
            problem
        })
    }
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let value = match self.content() {
            Content::Scalar(text, meaning) => match meaning {
                Meaning::Null => visitor.visit_unit(),
                Meaning::Bool(value) => visitor.visit_bool(value),
                Meaning::Unsigned(value) => visitor.visit_u64(value),
                Meaning::Signed(value) => visitor.visit_i64(value),
                Meaning::Float(value) => visitor.visit_f64(value),
                Meaning::Text => visitor.visit_str(text),
            },
            Content::List(items) => visitor.visit_seq(Items {
                list: self,
                left: items,
                index: 0,
            }),
            Content::Map(entries) => visitor.visit_map(Entries {
                map: self,
                left: entries,
                value: None,
            }),
        };
        self.here(value)
    }

    // A number is text as it was written where text is wanted: a VM may be called 100, and its name is not 1e2.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.content() {
            Content::Scalar(_, Meaning::Null | Meaning::Bool(_))
            | Content::List(_)
            | Content::Map(_) => self.deserialize_any(visitor),
            Content::Scalar(text, _) => self.here(visitor.visit_str(text)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.content() {
            Content::Scalar(_, Meaning::Null) => self.here(visitor.visit_none()),
            _ => self.here(visitor.visit_some(self)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.here(visitor.visit_newtype_struct(self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let value = match self.content() {
            Content::Scalar(text, _) => {
                let text: StrDeserializer<'_, Problem> = text.into_deserializer();
                visitor.visit_enum(text)
            }
            Content::List(_) | Content::Map(_) => Err(Problem::new(ProblemKind::WrongType {
                found: String::new(),
                wanted: one_of(variants),
            })),
        };
        self.here(value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct
    }
}

struct Items<'t> {
    list: At<'t>,
    left: &'t [PartId],
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        while let Some((item, rest)) = self.left.split_first() {
            self.left = rest;
            let index = self.index;
            self.index += 1;
            if !self.list.left_out.contains(item) {
                let item = self.list.to(*item);
                let read = item.here(seed.deserialize(item));
                return item.under(|| format!("[{index}]"), read).map(Some);
            }
        }
        Ok(None)
    }
}

struct Entries<'t> {
    map: At<'t>,
    left: &'t [(PartId, PartId)],
    value: Option<(PartId, PartId)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        while let Some(((key, value), rest)) = self.left.split_first() {
            self.left = rest;
            if !self.map.left_out.contains(value) {
                self.value = Some((*key, *value));
                let text = || self.map.tree.key(*key).to_owned();
                let name = self.map.to(*key).here(seed.deserialize(self.map.to(*key)));
                return self.map.to(*value).under(text, name).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        let value = self.map.to(value);
        let read = value.here(seed.deserialize(value));
        value.under(|| self.map.tree.key(key).to_owned(), read)
    }
}

impl Problem {
    fn new(kind: ProblemKind) -> Self {
        Self {
            kind,
            at: None,
            path: Vec::new(),
            without: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.kind)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(ProblemKind::Refused(message.to_string()))
    }

    fn invalid_type(_found: Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::new(ProblemKind::WrongType {
            // Filled in where the part is known, which still has the text as it was written.
            found: String::new(),
            wanted: in_our_words(&wanted.to_string()),
        })
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::invalid_type(found, wanted)
    }

    fn invalid_length(_length: usize, wanted: &dyn de::Expected) -> Self {
        Self::custom(format!("wanted {wanted}"))
    }

    fn unknown_variant(value: &str, known: &'static [&'static str]) -> Self {
        let value = value.to_owned();
        Self::new(ProblemKind::UnknownValue { value, known })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let field = field.to_owned();
        Self::new(ProblemKind::UnknownField { field, known })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(ProblemKind::MissingField(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` is given twice"))
    }
}

/// serde's words for what it wanted, as a person would say it.
fn in_our_words(wanted: &str) -> String {
    let words = match wanted {
        "a string" | "str" => "text",
        "a boolean" => "true or false",
        "u64" => "a whole number",
        "u32" => "a whole number from 0 to 4294967295",
        "f64" => "a number",
        "a sequence" => "a list, such as [a, b]",
        "a map" => "a mapping, such as { name: value }",
        "option" => "a value",
        other => other,
    };
    words.to_owned()
}

/// The values that are possible, for a sentence.
pub(super) fn one_of(known: &[&str]) -> String {
    match known {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// A type that can also be written as one word.
pub(super) trait ShortForm: DeserializeOwned {
    /// Both ways to write it, as the object of "wanted".
    const WANTED: &'static str;

    /// The value of its short form.
    fn short(text: &str) -> Result<Self, String>;
}

/// Reads either form of a type.
pub(super) struct EitherForm<T>(pub(super) T);

impl<'de, T: ShortForm> de::Deserialize<'de> for EitherForm<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);

        impl<'de, T: ShortForm> Visitor<'de> for Either<T> {
            type Value = T;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(T::WANTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
                T::short(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        // The hint makes a number text as it was written.
        deserializer
            .deserialize_str(Either(std::marker::PhantomData))
            .map(Self)
    }
}
