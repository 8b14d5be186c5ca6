//! How the logs of pipelines fold lines that belong together.

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// One that folds nothing.
    None,
    /// GitHub's, and those that follow its workflow commands. Within a group no line is taken for a command, whatever
    /// hosts have put into it.
    Github {
        /// A word that nobody can guess: it ends the part in which no command is obeyed.
        token: String,
    },
    /// GitLab's.
    Gitlab,
}

impl Grouping {
    /// The lines that open a group. `id` is a word of letters; `title` is what is shown of a folded group; `now` is the
    /// time of day in seconds since 1970.
    #[must_use]
    pub fn open(&self, id: &str, title: &str, now: i64) -> String {
        match self {
            Self::None => String::new(),
            Self::Github { token } => format!("::group::{title}\n::stop-commands::{token}\n"),
            Self::Gitlab => {
                format!("\u{1b}[0Ksection_start:{now}:domicile_{id}\r\u{1b}[0K{title}\n")
            }
        }
    }

    /// The lines that close it.
    #[must_use]
    pub fn close(&self, id: &str, now: i64) -> String {
        match self {
            Self::None => String::new(),
            Self::Github { token } => format!("::{token}::\n::endgroup::\n"),
            Self::Gitlab => format!("\u{1b}[0Ksection_end:{now}:domicile_{id}\r\u{1b}[0K\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_opens_and_closes_as_its_log_wants_it() {
        let github = Grouping::Github { token: "t0".into() };
        assert_eq!(
            github.open("plan", "Plan", 7),
            "::group::Plan\n::stop-commands::t0\n"
        );
        assert_eq!(github.close("plan", 9), "::t0::\n::endgroup::\n");
        let open = Grouping::Gitlab.open("plan", "Plan", 7);
        assert_eq!(
            open,
            "\u{1b}[0Ksection_start:7:domicile_plan\r\u{1b}[0KPlan\n"
        );
        assert_eq!(Grouping::None.open("plan", "Plan", 7), "");
    }
}
