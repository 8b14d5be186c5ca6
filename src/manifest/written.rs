//! Names and quantities as a manifest writes them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::model::{Bytes, BytesPerSecond, InvalidQuantity, Millis};

/// A quantity that is written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written<T>(pub(super) T);

/// What a kind of quantity looks like.
pub(super) trait Quantity: FromStr<Err = InvalidQuantity> {
    /// Name of its schema.
    const NAME: &'static str;
    /// What a person writes, as the object of "wanted".
    const WANTED: &'static str;
    /// What a person writes, as a regular expression of JSON Schema.
    const PATTERN: &'static str;
}

impl Quantity for Bytes {
    const NAME: &'static str = "Amount";
    const WANTED: &'static str = "an amount such as 16GiB, 512MiB or 4096 (bytes)";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]+)? *([kKmMgGtTpPeE]([iI]?[bB])?|[bB])?$";
}

impl Quantity for BytesPerSecond {
    const NAME: &'static str = "Rate";
    const WANTED: &'static str = "a rate such as 800MiB/s or 400Mbit/s";
    const PATTERN: &'static str =
        r"^[0-9]+(\.[0-9]+)? *([kKmMgGtTpPeE]([iI]?[bB])?|[bB]|[kMG]bit)? */s$";
}

impl Quantity for Millis {
    const NAME: &'static str = "Time";
    const WANTED: &'static str = "a time such as 300ms, 5m or 1h 30m";
    const PATTERN: &'static str = r"^([0-9]+ *[a-zA-Z]+ *)+$";
}

impl<'de, T: Quantity> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);

        impl<T: Quantity> Visitor<'_> for Text<T> {
            type Value = T;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(T::WANTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text(PhantomData)).map(Self)
    }
}

impl<T: Quantity> JsonSchema for Written<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": format!("Write {}.", T::WANTED),
            "type": ["string", "integer"],
            "pattern": T::PATTERN,
            "minimum": 0,
        })
    }
}
