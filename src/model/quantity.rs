//! Quantities with their unit in the type. In JSON they are whole numbers of the base unit; people write and read
//! them as `16GiB`, `800MiB/s`, `300ms`.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct InvalidQuantity {
    /// The text as given.
    pub text: String,
    /// What was wanted, with an example.
    pub wanted: &'static str,
}

/// An amount of memory or storage in bytes.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From kibibytes, which is what libvirt counts memory in.
    #[must_use]
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1024))
    }

    /// From mebibytes.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1024 * 1024))
    }

    /// The sum, or the largest amount there is: a reading that overflows must look too big, never small.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left, at least nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&bytesize::ByteSize(self.0).display().iec().to_string())
    }
}

impl FromStr for Bytes {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let wanted = "an amount such as 16GiB, 512MiB or 4096";
        // A fraction or a sign would be rounded without a word.
        text.parse::<bytesize::ByteSize>()
            .ok()
            .filter(|_| text.starts_with(|first: char| first.is_ascii_digit()))
            .map(|size| Self(size.0))
            .ok_or_else(|| InvalidQuantity {
                text: text.to_owned(),
                wanted,
            })
    }
}

/// A rate in bytes a second.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct BytesPerSecond(pub u64);

impl BytesPerSecond {
    /// The rate in whole MiB/s as libvirt's migration takes it, at least one.
    #[must_use]
    pub fn as_mib_per_second(self) -> u64 {
        (self.0 / (1024 * 1024)).max(1)
    }

    /// How long these bytes take at this rate; at no rate at all, for ever.
    #[must_use]
    pub fn time_for(self, bytes: Bytes) -> Millis {
        match bytes.0.saturating_mul(1000).checked_div(self.0) {
            Some(millis) => Millis(millis),
            None => Millis(u64::MAX),
        }
    }

    /// How much this rate carries in that time.
    #[must_use]
    pub fn in_time(self, time: Millis) -> Bytes {
        let bytes = u128::from(self.0).saturating_mul(u128::from(time.0)) / 1000;
        Bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for BytesPerSecond {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&format!("{}/s", Bytes(self.0)))
    }
}

impl FromStr for BytesPerSecond {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let error = || InvalidQuantity {
            text: text.to_owned(),
            wanted: "a rate such as 800MiB/s or 400Mbit/s",
        };
        let amount = text.strip_suffix("/s").ok_or_else(error)?.trim_end();
        for (unit, bits) in [("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1000)] {
            if let Some(count) = amount.strip_suffix(unit) {
                let count: u64 = count.trim_end().parse().map_err(|_| error())?;
                return count
                    .checked_mul(bits)
                    .map(|all| Self(all / 8))
                    .ok_or_else(error);
            }
        }
        amount
            .parse::<Bytes>()
            .map(|size| Self(size.0))
            .map_err(|_| error())
    }
}

/// A span of time in milliseconds.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The sum, or the longest time there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Millis {
    fn sum<I: Iterator<Item = Self>>(spans: I) -> Self {
        spans.fold(Self::ZERO, Self::plus)
    }
}

impl From<Millis> for Duration {
    fn from(span: Millis) -> Self {
        Self::from_millis(span.0)
    }
}

impl From<Duration> for Millis {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }
}

/// At most two units, as precise as a forecast deserves: `1h 5m`, `36.2s`, `300ms`.
impl fmt::Display for Millis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let text = match self.0 {
            0..1000 => format!("{}ms", self.0),
            1000..60_000 => format!("{seconds}.{}s", self.0 % 1000 / 100),
            60_000..3_600_000 => format!("{}m {}s", seconds / 60, seconds % 60),
            _ => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        };
        out.pad(&text)
    }
}

impl FromStr for Millis {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        humantime::parse_duration(text)
            .map(Self::from)
            .map_err(|_| InvalidQuantity {
                text: text.to_owned(),
                wanted: "a time such as 300ms, 5m or 1h 30m",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_people_write_them() {
        assert_eq!("16GiB".parse(), Ok(Bytes(16 << 30)));
        assert_eq!("4096".parse(), Ok(Bytes(4096)));
        assert_eq!("800MiB/s".parse(), Ok(BytesPerSecond(800 << 20)));
        assert_eq!("400Mbit/s".parse(), Ok(BytesPerSecond(50_000_000)));
        assert_eq!("5m".parse(), Ok(Millis(300_000)));
    }

    #[test]
    fn a_wrong_or_missing_unit_is_refused() {
        for text in ["", "GiB", "-1GiB", "16Gob", "1e3", "NaN"] {
            assert!(text.parse::<Bytes>().is_err(), "{text:?}");
        }
        assert!("800MiB".parse::<BytesPerSecond>().is_err());
        assert!("300".parse::<Millis>().is_err());
        assert!(
            "99999999999999999999Mbit/s"
                .parse::<BytesPerSecond>()
                .is_err()
        );
    }

    #[test]
    fn times_show_two_units_at_most() {
        assert_eq!(Millis(300).to_string(), "300ms");
        assert_eq!(Millis(36_240).to_string(), "36.2s");
        assert_eq!(Millis(3_900_000).to_string(), "1h 5m");
    }
}
