//! What libvirt answers instead of a result, with the host that it came from.

use virt::error::Error;
use virt_sys as sys;

use super::ffi;
use crate::model::HostName;

/// A libvirt call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {message}")]
pub(super) struct CallError {
    /// The host that was asked.
    pub(super) host: HostName,
    /// libvirt's number for the kind of failure (`virErrorNumber`).
    pub(super) code: u32,
    /// libvirt's number for the part of it that failed (`virErrorDomain`).
    pub(super) domain: u32,
    /// The system's number where a system call failed (`errno`), else 0.
    pub(super) errno: i32,
    /// libvirt's words on one line, or ours where the call never reached libvirt.
    pub(super) message: String,
}

impl CallError {
    /// What libvirt reported for a call to this host, on the thread that made it and before any other call.
    pub(super) fn new(host: &HostName, error: &Error) -> Self {
        Self {
            host: host.clone(),
            code: error.code().to_raw(),
            domain: error.domain().to_raw(),
            errno: ffi::errno_of_last_error(error.code().to_raw()),
            message: one_line(error.message()),
        }
    }

    /// A failure that libvirt has no code for, such as an answer that makes no sense.
    pub(super) fn ours(host: &HostName, message: impl Into<String>) -> Self {
        Self {
            host: host.clone(),
            code: sys::VIR_ERR_INTERNAL_ERROR,
            domain: sys::VIR_FROM_NONE,
            errno: 0,
            message: message.into(),
        }
    }

    /// Whether it is this kind of failure, one of libvirt's `VIR_ERR_…`.
    pub(super) fn is(&self, code: u32) -> bool {
        self.code == code
    }

    /// Whether the host has no VM of that name or UUID.
    pub(super) fn is_no_domain(&self) -> bool {
        self.is(sys::VIR_ERR_NO_DOMAIN)
    }

    /// Whether the pool has no volume of that name.
    pub(super) fn is_no_volume(&self) -> bool {
        self.is(sys::VIR_ERR_NO_STORAGE_VOL)
    }

    /// Whether the host cannot give a guest the CPU that it was asked about: something of it is missing, or has a name
    /// that its libvirt has never heard, with which it does not start a guest either.
    pub(super) fn is_cpu_refusal(&self) -> bool {
        self.is(sys::VIR_ERR_CPU_INCOMPATIBLE)
            || (self.is(sys::VIR_ERR_INTERNAL_ERROR) && self.domain == sys::VIR_FROM_CPU)
    }

    /// Whether the file that the host was to open is not there.
    pub(super) fn is_no_file(&self) -> bool {
        self.is(sys::VIR_ERR_SYSTEM_ERROR) && self.errno == libc::ENOENT
    }

    /// Whether the failure may lie in the way to the daemon, so that nothing is known of what became of the call.
    pub(super) fn is_connection(&self) -> bool {
        self.domain == sys::VIR_FROM_RPC
            || self.domain == sys::VIR_FROM_REMOTE
            || self.is(sys::VIR_ERR_NO_CONNECT)
            || self.is(sys::VIR_ERR_INVALID_CONN)
            || self.is(sys::VIR_ERR_RPC)
    }
}

/// Text of a host as one line without control characters, since it ends up on terminals and in logs.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|part: char| part.is_control() || part == ' ')
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_host_cannot_break_out_of_its_line() {
        assert_eq!(
            one_line("internal error: qemu\n\u{1b}[31mboom\r\n"),
            "internal error: qemu [31mboom"
        );
    }
}
