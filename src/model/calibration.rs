//! What earlier applies teach about how long things take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Millis;

/// How long things took in earlier applies, in thousandths of what was reckoned for them. The default is as reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// Live migrations.
    pub live: u32,
    /// Copies of volumes, through this process or by a daemon, and migrations of VMs that are off.
    pub copy: u32,
    /// The time for which guests stood still in live migrations.
    pub downtime: u32,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            live: 1000,
            copy: 1000,
            downtime: 1000,
        }
    }
}

impl Calibration {
    /// Whether everything took as long as was reckoned, or nobody knows.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// A time that was reckoned, as it will be by these thousandths.
    #[must_use]
    pub fn corrected(thousandths: u32, reckoned: Millis) -> Millis {
        let time = u128::from(reckoned.0) * u128::from(thousandths) / 1000;
        Millis(u64::try_from(time).unwrap_or(u64::MAX))
    }

    /// What was reckoned before it was corrected by these thousandths.
    #[must_use]
    pub fn reckoned(thousandths: u32, corrected: Millis) -> Millis {
        let time = u128::from(corrected.0) * 1000 / u128::from(thousandths.max(1));
        Millis(u64::try_from(time).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_corrected_can_be_taken_back_and_nothing_overflows() {
        let (some, all) = (Millis(12_000), Millis(u64::MAX));
        assert_eq!(Calibration::corrected(1300, some), Millis(15_600));
        assert_eq!(Calibration::reckoned(1300, Millis(15_600)), some);
        assert_eq!(Calibration::corrected(5000, all), all);
        assert_eq!(Calibration::reckoned(0, all), all);
    }
}
