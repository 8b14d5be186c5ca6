//! A VM on one host as a handle: what it is doing, what it is, and the few acts that several steps need.

use std::sync::Arc;

use virt::domain::Domain;
use virt_sys as sys;

use super::connection::Connection;
use super::error::CallError;
use super::failure::Failure;
use super::ffi;
use crate::model::{HostName, VmName};

/// What a VM is doing, in libvirt's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    state: u32,
    reason: u32,
}

impl State {
    /// Of libvirt's numbers.
    pub(super) const fn new(state: u32, reason: u32) -> Self {
        Self { state, reason }
    }

    /// Whether the guest's code is executed, or may be at any moment: blocked and shutting down count as running.
    pub(super) fn is_running(self) -> bool {
        matches!(
            self.state,
            sys::VIR_DOMAIN_RUNNING | sys::VIR_DOMAIN_BLOCKED | sys::VIR_DOMAIN_SHUTDOWN
        )
    }

    /// Whether it holds no memory and executes nothing.
    pub(super) fn is_off(self) -> bool {
        self.state == sys::VIR_DOMAIN_SHUTOFF
    }

    /// Whether it stands still and could go on.
    pub(super) fn is_paused(self) -> bool {
        self.state == sys::VIR_DOMAIN_PAUSED
    }

    /// Whether it stands still because of a migration that began or ended there.
    pub(super) fn is_paused_by_migration(self) -> bool {
        self.is_paused()
            && matches!(
                self.reason,
                sys::VIR_DOMAIN_PAUSED_MIGRATION | sys::VIR_DOMAIN_PAUSED_STARTING_UP
            )
    }

    /// Whether a post-copy migration broke: its memory lies on two hosts, and ending either side loses the VM.
    pub(super) fn is_torn(self) -> bool {
        match self.state {
            sys::VIR_DOMAIN_PAUSED => matches!(
                self.reason,
                sys::VIR_DOMAIN_PAUSED_POSTCOPY_FAILED | sys::VIR_DOMAIN_PAUSED_POSTCOPY
            ),
            sys::VIR_DOMAIN_RUNNING => self.reason == sys::VIR_DOMAIN_RUNNING_POSTCOPY_FAILED,
            _ => false,
        }
    }
}

/// For people.
impl std::fmt::Display for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self.state {
            sys::VIR_DOMAIN_RUNNING => "running",
            sys::VIR_DOMAIN_BLOCKED => "running (blocked)",
            sys::VIR_DOMAIN_SHUTDOWN => "shutting down",
            sys::VIR_DOMAIN_PAUSED if self.is_torn() => "paused in a broken post-copy migration",
            sys::VIR_DOMAIN_PAUSED if self.is_paused_by_migration() => "paused by a migration",
            sys::VIR_DOMAIN_PAUSED => "paused",
            sys::VIR_DOMAIN_SHUTOFF => "off",
            sys::VIR_DOMAIN_CRASHED => "crashed",
            sys::VIR_DOMAIN_PMSUSPENDED => "suspended",
            _ => "in an unknown state",
        })
    }
}

/// A VM on one host.
#[derive(Clone)]
pub(super) struct Guest {
    connection: Arc<Connection>,
    domain: Domain,
    uuid: String,
}

impl Guest {
    /// The VM of that name on the host, if it has one.
    pub(super) fn find(
        connection: &Arc<Connection>,
        vm: &VmName,
    ) -> Result<Option<Self>, CallError> {
        let found = connection.call(|connect| connect.lookup_domain_by_name(vm.as_str()));
        Self::wrapped(connection, found)
    }

    /// The VM of that UUID on the host, if it has one.
    pub(super) fn find_uuid(
        connection: &Arc<Connection>,
        uuid: &str,
    ) -> Result<Option<Self>, CallError> {
        let found = connection.call(|connect| connect.lookup_domain_by_uuid_string(uuid));
        Self::wrapped(connection, found)
    }

    /// The VM of that name; an error where the host has none.
    pub(super) fn get(connection: &Arc<Connection>, vm: &VmName) -> Result<Self, Failure> {
        Self::find(connection, vm)?.ok_or_else(|| {
            Failure::on(&connection.host, format!("there is no VM {vm}"))
                .with_help("It changed since the plan was made. Plan again.")
        })
    }

    fn wrapped(
        connection: &Arc<Connection>,
        found: Result<Domain, CallError>,
    ) -> Result<Option<Self>, CallError> {
        let domain = match found {
            Ok(domain) => domain,
            Err(error) if error.is_no_domain() => return Ok(None),
            Err(error) => return Err(error),
        };
        Self::of(connection, domain).map(Some)
    }

    /// The VM of a handle that a call returned.
    pub(super) fn of(connection: &Arc<Connection>, domain: Domain) -> Result<Self, CallError> {
        // Known from the handle, without a round trip.
        let uuid = domain
            .uuid_string()
            .map_err(|error| CallError::new(&connection.host, &error))?;
        Ok(Self {
            connection: Arc::clone(connection),
            domain,
            uuid,
        })
    }

    /// The connection by which it was found.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The host it was found on.
    pub(super) fn host(&self) -> &HostName {
        &self.connection.host
    }

    /// Its UUID as libvirt prints it.
    pub(super) fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Makes one counted call on it.
    pub(super) fn call<T>(
        &self,
        call: impl FnOnce(&Domain) -> Result<T, virt::error::Error>,
    ) -> Result<T, CallError> {
        self.connection.call(|_| call(&self.domain))
    }

    /// The same for a call whose work grows with the VM's memory or disks.
    pub(super) fn work<T>(
        &self,
        call: impl FnOnce(&Domain) -> Result<T, virt::error::Error>,
    ) -> Result<T, CallError> {
        self.connection.work(|_| call(&self.domain))
    }

    /// The same for a call that may last for hours and is watched while it does.
    pub(super) fn lasting<T>(
        &self,
        call: impl FnOnce(&Domain) -> Result<T, virt::error::Error>,
    ) -> Result<T, CallError> {
        self.connection.lasting(|_| call(&self.domain))
    }

    /// What it is doing.
    pub(super) fn state(&self) -> Result<State, CallError> {
        let (state, reason) = self.call(ffi::state)?;
        Ok(State::new(state, reason))
    }

    /// Whether it has a definition that outlives its running.
    pub(super) fn is_persistent(&self) -> Result<bool, CallError> {
        self.call(Domain::is_persistent)
    }

    /// Its XML; `flags` are of `virDomainXMLFlags`.
    pub(super) fn xml(&self, flags: u32) -> Result<String, CallError> {
        self.call(|domain| domain.xml_desc(flags))
    }

    /// Its persistent definition with its secrets, for defining it again; never shown or stored.
    pub(super) fn definition(&self) -> Result<String, CallError> {
        self.xml(sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE)
    }

    /// Refuses unless it is off.
    pub(super) fn expect_off(&self, vm: &VmName) -> Result<(), Failure> {
        let state = self.state()?;
        if state.is_off() {
            return Ok(());
        }
        Err(
            Failure::on(self.host(), format!("{vm} is {state}, not off"))
                .with_help("It changed since the plan was made. Plan again."),
        )
    }

    /// Refuses where it has a saved state: that lies on its host, never moves, and would be lost.
    pub(super) fn expect_no_saved_state(&self, vm: &VmName) -> Result<(), Failure> {
        if !self.call(|domain| domain.has_managed_save(0))? {
            return Ok(());
        }
        Err(Failure::on(
            self.host(),
            format!("{vm} has a saved state, which cannot be moved"),
        )
        .with_help(format!(
            "Start it, or drop the state: virsh managedsave-remove {}. Then plan again.",
            vm.in_shell()
        )))
    }

    /// Removes its definition. The UEFI variables and an emulated TPM's state stay where they are: libvirt would
    /// remove the file by its path, and nothing tells whether the VM's new home uses the same file.
    pub(super) fn undefine(&self) -> Result<(), CallError> {
        let xml = self.xml(sys::VIR_DOMAIN_XML_INACTIVE)?;
        let mut flags = sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM;
        // Daemons before 8.9 do not know this one.
        if xml.contains("<tpm ") {
            flags |= sys::VIR_DOMAIN_UNDEFINE_KEEP_TPM;
        }
        self.call(|domain| domain.undefine_flags(flags))
    }
}

/// Proves that none of these hosts has the VM active, neither by name nor by UUID.
pub(super) fn expect_not_active(
    hosts: &[Arc<Connection>],
    vm: &VmName,
    uuid: &str,
) -> Result<(), Failure> {
    for connection in hosts {
        let found = [
            Guest::find(connection, vm)?,
            Guest::find_uuid(connection, uuid)?,
        ];
        for guest in found.into_iter().flatten() {
            let state = guest.state()?;
            if !state.is_off() {
                let why = format!("{vm} is {state} there");
                return Err(Failure::on(&connection.host, why).with_help(
                    "A VM may never run on two hosts. See which of the two is right, then plan again.",
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_may_execute_counts_as_running() {
        for state in [
            sys::VIR_DOMAIN_RUNNING,
            sys::VIR_DOMAIN_BLOCKED,
            sys::VIR_DOMAIN_SHUTDOWN,
        ] {
            assert!(State { state, reason: 0 }.is_running());
        }
        for state in [sys::VIR_DOMAIN_PAUSED, sys::VIR_DOMAIN_CRASHED] {
            let state = State { state, reason: 0 };
            assert!(!state.is_running() && !state.is_off());
        }
    }

    #[test]
    fn a_broken_post_copy_is_told_from_any_other_pause() {
        let torn = State {
            state: sys::VIR_DOMAIN_PAUSED,
            reason: sys::VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,
        };
        let by_user = State {
            state: sys::VIR_DOMAIN_PAUSED,
            reason: sys::VIR_DOMAIN_PAUSED_USER,
        };
        assert!(torn.is_torn() && !by_user.is_torn());
        assert!(!by_user.is_paused_by_migration());
    }

    #[test]
    fn a_vm_that_runs_elsewhere_may_not_be_started() {
        let host = HostName::new("kvm1").unwrap();
        let within = std::time::Duration::from_secs(5);
        let open = Connection::open(&host, "test:///default", within, Arc::default());
        let connection = Arc::new(open.unwrap());
        let vm = VmName::new("test").unwrap();
        let other = VmName::new("other").unwrap();
        let uuid = Guest::get(&connection, &vm).unwrap().uuid().to_owned();
        let nowhere = "00000000-0000-4000-8000-000000000000";
        let hosts = [connection];
        assert!(expect_not_active(&hosts, &vm, nowhere).is_err());
        assert!(expect_not_active(&hosts, &other, &uuid).is_err());
        assert!(expect_not_active(&hosts, &other, nowhere).is_ok());
    }
}
