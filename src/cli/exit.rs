//! Exit codes, all of them. The table in `README.md` is held to this list by a test.

use std::process::ExitCode;

/// How a command ended, as the number that the shell sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The number.
    pub code: u8,
    /// What it means, for the documentation.
    pub meaning: &'static str,
}

impl Exit {
    /// What was asked is done.
    pub const DONE: Self = Self {
        code: 0,
        meaning: "done; for `plan` without `--detailed-exitcode` also when there are changes",
    };
    /// It could not be done.
    pub const ERROR: Self = Self {
        code: 1,
        meaning: "an error, such as a faulty manifest or no host that answers; nothing was changed",
    };
    /// The plan has something to do.
    pub const CHANGES: Self = Self {
        code: 2,
        meaning: "`plan --detailed-exitcode`: there are changes",
    };
    /// A finding refuses a wanted change.
    pub const BLOCKED: Self = Self {
        code: 3,
        meaning: "a wanted change is refused, the findings say why; `apply` started nothing",
    };
    /// A person did not say yes.
    pub const DECLINED: Self = Self {
        code: 4,
        meaning: "`apply`: the answer was not `yes`; nothing was changed",
    };
    /// Some moves failed.
    pub const INCOMPLETE: Self = Self {
        code: 5,
        meaning: "`apply`: some moves failed or were not begun, the rest is done",
    };
    /// A person asked to stop.
    pub const CANCELLED: Self = Self {
        code: 6,
        meaning: "`apply`: stopped on request (Ctrl-C or a signal)",
    };
    /// A plan is not what would be planned now.
    pub const STALE: Self = Self {
        code: 7,
        meaning: "`apply`: the hosts have changed since the plan was made; nothing was changed",
    };
    /// Another apply works on a host.
    pub const LOCKED: Self = Self {
        code: 8,
        meaning: "`apply`: a host is locked by another apply; nothing was changed",
    };
    /// The plan is not the one that was demanded.
    pub const UNEXPECTED: Self = Self {
        code: 9,
        meaning: "`apply --expect`: the plan is another one than was expected; nothing was changed",
    };
    /// Somebody else changed something.
    pub const DRIFT: Self = Self {
        code: 10,
        meaning: "`plan --drift`: something differs from what the last apply left",
    };
    /// The command line makes no sense.
    pub const USAGE: Self = Self {
        code: 64,
        meaning: "the command line makes no sense",
    };
    /// A bug.
    pub const BUG: Self = Self {
        code: 70,
        meaning: "a bug in Domicile",
    };

    /// Every code, in order.
    pub const ALL: [Self; 13] = [
        Self::DONE,
        Self::ERROR,
        Self::CHANGES,
        Self::BLOCKED,
        Self::DECLINED,
        Self::INCOMPLETE,
        Self::CANCELLED,
        Self::STALE,
        Self::LOCKED,
        Self::UNEXPECTED,
        Self::DRIFT,
        Self::USAGE,
        Self::BUG,
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code)
    }
}
