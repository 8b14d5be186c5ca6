//! `apply --expect`: whether a plan is the one that was reviewed.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use super::exit::Exit;
use super::failure::Failure;
use super::saved::Saved;
use crate::plan::Plan;

/// What an apply was told to expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// The plan of this hash.
    Hash(crate::plan::PlanHash),
    /// The plan of this file.
    File(PathBuf),
}

/// What does not look like a hash is the name of a file.
impl FromStr for Expected {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text
            .parse()
            .map_or_else(|_| Self::File(text.into()), Self::Hash))
    }
}

impl Expected {
    /// Refuses any other plan, with what is different as far as that can be known.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), Failure> {
        let hash = plan.hash();
        let (wanted, told) = match self {
            Self::Hash(wanted) if *wanted == hash => return Ok(()),
            Self::Hash(wanted) => (wanted.clone(), Vec::new()),
            Self::File(path) => {
                let saved = Saved::read(path).map_err(|failure| {
                    failure.help("--expect takes the hash that `domicile plan` prints (64 hexadecimal digits), or a file from `domicile plan --out FILE`")
                })?;
                let meaning = saved.plan.meaning();
                let wanted = meaning.hash();
                if wanted == hash {
                    return Ok(());
                }
                (wanted, meaning.differences(&plan.meaning()))
            }
        };
        let mut lines = vec![
            "the plan is not the one that was expected, so nothing was started".to_owned(),
            format!("  expected: {wanted}"),
            format!("  now:      {hash}"),
        ];
        lines.extend(told.iter().map(|line| format!("  {line}")));
        let help = "review the plan as it is now and expect its hash; with a file from `domicile plan --out FILE` instead of a \
                    hash, what is different is listed here";
        Err(Failure::new(Exit::UNEXPECTED, lines.join("\n")).help(help))
    }
}
