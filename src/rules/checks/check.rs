//! What a check of libvirt is.

/// When libvirt makes a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// In the client's library, before any daemon is asked.
    Call,
    /// At the source, before the destination is told.
    Begin,
    /// At the destination, until its QEMU waits for the VM.
    Prepare,
    /// At the source again, until its QEMU begins to send.
    Perform,
}

impl Phase {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Call => "Call",
            Self::Begin => "Begin",
            Self::Prepare => "Prepare",
            Self::Perform => "Perform",
        }
    }
}

/// One check of libvirt.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// When it is made.
    pub phase: Phase,
    /// The function that makes it.
    pub function: &'static str,
    /// What it refuses, and where the two versions differ.
    pub refuses: &'static str,
    /// Codes of the rules that know of it beforehand.
    pub rules: &'static [&'static str],
    /// What they do not cover, with the reason: why it cannot come about, or why it cannot be known beforehand. Empty
    /// where the rules cover all of it.
    pub besides: &'static str,
}

/// A check.
pub(super) const fn check(
    phase: Phase,
    function: &'static str,
    refuses: &'static str,
    rules: &'static [&'static str],
    besides: &'static str,
) -> Check {
    Check {
        phase,
        function,
        refuses,
        rules,
        besides,
    }
}
