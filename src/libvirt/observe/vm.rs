//! Every VM of a host by bulk calls, and a close look at some of them.
//!
//! The bulk costs three calls: state, memory and vCPUs of all (`virConnectGetAllDomainStats`), and two filtered lists
//! which give persistence, saved state and autostart. A close look costs one call for a VM that is off and three for one
//! that runs, and one more for one that has snapshots; a look at a VM that stands beside a move costs one. How fast guests
//! dirty their memory is one call for all.

use std::collections::{BTreeMap, BTreeSet};

use virt::domain::Domain;
use virt::error::Error;
use virt_sys as sys;

use super::parallel;
use super::power::power;
use super::questions::Questions;
use crate::definition::{self, Facts, Mark};
use crate::hypervisor::Look;
use crate::libvirt::error::CallError;
use crate::libvirt::ffi::{self, DomainStats};
use crate::model::{Bytes, BytesPerSecond, JobKind, VmName};
use crate::observed::{Vm, VmDetail};

/// A VM with the handle by which more can be asked.
pub(super) struct Known {
    pub(super) name: VmName,
    pub(super) domain: Domain,
    pub(super) vm: Vm,
}

/// Every VM of the host, without details.
pub(super) fn list(questions: &Questions) -> Result<Vec<Known>, CallError> {
    let all = stats(questions)?;
    let kept = listed(
        questions,
        sys::VIR_CONNECT_LIST_DOMAINS_PERSISTENT | sys::VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE,
    )?;
    let autostart = listed(questions, sys::VIR_CONNECT_LIST_DOMAINS_AUTOSTART)?;
    let vms = parallel::each(&all, |stats| known(questions, stats, &kept, &autostart));
    Ok(vms.into_iter().flatten().collect())
}

/// UUIDs of the VMs that have any snapshot.
pub(super) fn with_snapshots(questions: &Questions) -> BTreeSet<String> {
    let found = listed(questions, sys::VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT);
    questions
        .or_gap("VMs with snapshots could not be listed", found)
        .unwrap_or_default()
}

fn stats(questions: &Questions) -> Result<Vec<DomainStats>, CallError> {
    let cheap = sys::VIR_DOMAIN_STATS_STATE | sys::VIR_DOMAIN_STATS_BALLOON;
    // A VM whose monitor hangs, or that a migration holds, must not keep the others waiting.
    let flags = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
    let ask = |what| questions.call(|connect| ffi::all_domain_stats(connect, what, flags));
    match ask(cheap | sys::VIR_DOMAIN_STATS_VCPU) {
        // Figures of every vCPU come along, which can be too much for one message.
        Err(error) if error.is(sys::VIR_ERR_RPC) => ask(cheap),
        other => other,
    }
}

fn listed(questions: &Questions, filter: u32) -> Result<BTreeSet<String>, CallError> {
    let found = questions.call(|connect| connect.list_all_domains(filter))?;
    // Known from the handles, without a round trip.
    Ok(found
        .iter()
        .filter_map(|domain| domain.uuid_string().ok())
        .collect())
}

/// `kept` are the VMs that are persistent and have no saved state. Only a VM that is active can be not persistent,
/// and only one that is off can have a saved state, so that one list tells both.
fn known(
    questions: &Questions,
    stats: &DomainStats,
    kept: &BTreeSet<String>,
    autostart: &BTreeSet<String>,
) -> Option<Known> {
    let uuid = stats.domain.uuid_string().ok()?;
    let text = stats.domain.name().ok()?;
    let name = VmName::new(text)
        .map_err(|error| questions.gap(error.to_string()))
        .ok()?;
    let number = |name| {
        stats
            .values
            .number(name)
            .and_then(|number| u32::try_from(number).ok())
    };
    // A VM that went while the figures were collected has no state.
    let power = power(
        number("state.state")?,
        number("state.reason").unwrap_or_default(),
    );
    let told = stats
        .values
        .number("balloon.maximum")
        .zip(number("vcpu.current"));
    let (memory, vcpus) = match told {
        Some((kib, vcpus)) => (Bytes::from_kib(kib), vcpus),
        None => size_of(questions, &name, &stats.domain)?,
    };
    let is_kept = kept.contains(&uuid);
    let vm = Vm {
        persistent: is_kept || !power.is_active(),
        managed_save: !is_kept && !power.is_active(),
        autostart: autostart.contains(&uuid),
        uuid,
        power,
        memory,
        vcpus,
        detail: None,
    };
    Some(Known {
        name,
        domain: stats.domain.clone(),
        vm,
    })
}

/// For drivers that leave sizes out of the bulk (`virDomainGetInfo`).
fn size_of(questions: &Questions, name: &VmName, domain: &Domain) -> Option<(Bytes, u32)> {
    match questions.call(|_| domain.info()) {
        Ok(info) => Some((Bytes::from_kib(info.max_mem), info.nr_virt_cpu)),
        Err(error) if error.is_no_domain() => None,
        Err(error) => {
            questions.gap(format!("size of VM {name}: {}", error.message));
            None
        }
    }
}

/// What a close look at a VM tells.
pub(super) struct Seen {
    /// What only its definitions tell, with disks as they name them.
    pub(super) detail: VmDetail,
    /// Bridges of the host that it is connected to as it runs.
    pub(super) bridges: Vec<String>,
    /// Whether this is all there is to see.
    pub(super) closely: bool,
}

/// A look at a VM. Nothing where it went meanwhile or cannot be read, which then is a gap.
pub(super) fn look(
    questions: &Questions,
    known: &Known,
    look: Look,
    with_snapshots: &BTreeSet<String>,
) -> Option<Seen> {
    let beside = match look {
        Look::Beside => glance(questions, known),
        Look::No | Look::Closely => Ok(None),
    };
    let seen = match beside {
        Ok(None) => try_look(questions, known, with_snapshots.contains(&known.vm.uuid)),
        Ok(Some(seen)) => Ok(seen),
        Err(blind) => Err(blind),
    };
    match seen {
        Ok(seen) => Some(seen),
        Err(Blind::Gone) => None,
        Err(Blind::Unreadable(reason)) => {
            questions.gap(format!("VM {}: {reason}", known.name));
            None
        }
    }
}

/// Why a VM could not be looked into.
enum Blind {
    /// It is no longer there.
    Gone,
    /// What it says makes no sense, or was not told.
    Unreadable(String),
}

impl From<CallError> for Blind {
    fn from(error: CallError) -> Self {
        if error.is_no_domain() {
            Self::Gone
        } else {
            Self::Unreadable(error.message)
        }
    }
}

fn facts_of(xml: &str) -> Result<Facts, Blind> {
    definition::read(xml).map_err(|error| unreadable(&error))
}

fn unreadable(error: &definition::DefinitionError) -> Blind {
    Blind::Unreadable(format!("its definition cannot be read: {error}"))
}

/// One call, for what others must know of a VM. Nothing where it carries a mark of ours, since then more must be known.
fn glance(questions: &Questions, known: &Known) -> Result<Option<Seen>, Blind> {
    let active = known.vm.power.is_active();
    let flags = if active {
        0
    } else {
        sys::VIR_DOMAIN_XML_INACTIVE
    };
    let text = questions.call(|_| known.domain.xml_desc(flags))?;
    let facts = facts_of(&text)?;
    if facts.mark != Mark::None {
        return Ok(None);
    }
    let bridges = if active {
        facts.bridges.clone()
    } else {
        Vec::new()
    };
    let (live, texts) = if active {
        let live = Some(text.clone());
        (
            Some(facts.clone()),
            Texts {
                live,
                inactive: text,
            },
        )
    } else {
        let live = None;
        (
            None,
            Texts {
                live,
                inactive: text,
            },
        )
    };
    Ok(Some(Seen {
        detail: detail(texts.without_secrets()?, live, facts, None, Vec::new()),
        bridges,
        closely: false,
    }))
}

fn try_look(questions: &Questions, known: &Known, has_snapshots: bool) -> Result<Seen, Blind> {
    let text = |flags| questions.call(|_| known.domain.xml_desc(flags));
    let live_xml = if known.vm.power.is_active() {
        Some(text(0)?)
    } else {
        None
    };
    let inactive_xml = match &live_xml {
        Some(live) if !known.vm.persistent => live.clone(),
        _ => text(sys::VIR_DOMAIN_XML_INACTIVE)?,
    };
    let persistent = facts_of(&inactive_xml)?;
    let live = live_xml.as_deref().map(facts_of).transpose()?;
    let job = live.as_ref().and_then(|live| job(questions, known, live));
    let snapshots = if has_snapshots {
        snapshots(questions, &known.domain)?
    } else {
        Vec::new()
    };
    let bridges = live.as_ref().map(|live| live.bridges.clone());
    let texts = Texts {
        live: live_xml,
        inactive: inactive_xml,
    };
    Ok(Seen {
        detail: detail(texts.without_secrets()?, live, persistent, job, snapshots),
        bridges: bridges.unwrap_or_default(),
        closely: true,
    })
}

/// Both definitions of a VM to the letter.
struct Texts {
    live: Option<String>,
    inactive: String,
}

impl Texts {
    /// A reading lies in files and goes into bug reports. What a move needs of a secret it asks the host for.
    fn without_secrets(self) -> Result<Self, Blind> {
        let shown =
            |text: &str| definition::without_secrets(text).map_err(|error| unreadable(&error));
        Ok(Self {
            live: self.live.as_deref().map(shown).transpose()?,
            inactive: shown(&self.inactive)?,
        })
    }
}

/// The running VM decides about what it holds now; its persistent definition about what is chosen: the CPU, whose
/// running form is always a named model, and the connections, whose running form is a network's bridge.
fn detail(
    texts: Texts,
    live: Option<Facts>,
    persistent: Facts,
    job: Option<JobKind>,
    snapshots: Vec<String>,
) -> VmDetail {
    let pending = live
        .as_ref()
        .map(|live| definition::pending(live, &persistent));
    let (cpu, interfaces) = (persistent.cpu, persistent.interfaces.clone());
    let inactive_cpu = persistent.cpu_xml.clone();
    let live_cpu = live.as_ref().and_then(|live| live.cpu_xml.clone());
    let later_needs = live
        .as_ref()
        .filter(|live| live.needs != persistent.needs)
        .map(|_| Box::new(persistent.needs.clone()));
    let mark = match (persistent.mark.clone(), &live) {
        (Mark::None, Some(live)) => live.mark.clone(),
        (mark, _) => mark,
    };
    let now = live.unwrap_or(persistent);
    let (mark, unreadable_mark) = match mark {
        Mark::None => (None, None),
        Mark::Read(mark) => (Some(*mark), None),
        Mark::Unreadable(reason) => (None, Some(reason)),
    };
    VmDetail {
        live_xml: texts.live,
        inactive_xml: texts.inactive,
        machine: now.machine,
        cpu,
        disks: now.disks,
        interfaces,
        nvram: now.nvram,
        tpm: now.tpm,
        local_paths: now.local_paths,
        host_devices: now.host_devices,
        spice: now.spice,
        snapshots,
        job,
        mark,
        unreadable_mark,
        needs: now.needs,
        later_needs,
        live_cpu,
        inactive_cpu,
        pending: pending.unwrap_or_default(),
        dirty_rate: None,
        resident: None,
        qemu: None,
    }
}

/// A guest's memory, as far as hosts know: what it occupies, and how fast it changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) resident: Option<Bytes>,
    pub(super) dirtied: Option<BytesPerSecond>,
}

/// The memory of guests, by UUID. How fast they change it is known where somebody had it measured: QEMU keeps the result,
/// and nothing is measured for this.
pub(super) fn memory(questions: &Questions, known: &[&mut Known]) -> BTreeMap<String, Memory> {
    let active = known.iter().filter(|known| known.vm.power.is_active());
    let domains: Vec<&Domain> = active.map(|known| &known.domain).collect();
    if domains.is_empty() {
        return BTreeMap::new();
    }
    let flags = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
    let what = sys::VIR_DOMAIN_STATS_DIRTYRATE | sys::VIR_DOMAIN_STATS_BALLOON;
    let told = questions.call(|_| ffi::domain_list_stats(&domains, what, flags));
    let of_vm = |stats: DomainStats| {
        let number = |name| stats.values.number(name);
        let is_measured = number("dirtyrate.calc_status") == Some(MEASURED);
        let mib = number("dirtyrate.megabytes_per_second").filter(|_| is_measured);
        let memory = Memory {
            resident: number("balloon.rss").map(Bytes::from_kib),
            dirtied: mib.map(|mib| BytesPerSecond(mib.saturating_mul(1 << 20))),
        };
        Some((stats.domain.uuid_string().ok()?, memory))
    };
    // A driver that cannot tell, or a VM that went, leaves them unknown.
    told.unwrap_or_default()
        .into_iter()
        .filter_map(of_vm)
        .collect()
}

/// `VIR_DOMAIN_DIRTYRATE_MEASURED`, in the type of the figures.
const MEASURED: u64 = sys::VIR_DOMAIN_DIRTYRATE_MEASURED as u64;

/// The job on a VM that is active. A job on a disk is seen by the copy that the definition then names, which a
/// commit into a lower image or a pull does not show; libvirt itself refuses to migrate during these. Where libvirt
/// does not tell, a job is assumed, since a VM is not touched then.
fn job(questions: &Questions, known: &Known, live: &Facts) -> Option<JobKind> {
    let on_disk = live.mirror.then_some(JobKind::Block);
    match questions.call(|_| ffi::job_stats(&known.domain, 0)) {
        Ok(job) if job.kind == sys::VIR_DOMAIN_JOB_NONE => on_disk,
        Ok(job) => Some(match job.values.number("operation") {
            Some(MIGRATION_IN) => JobKind::MigrationIn,
            Some(MIGRATION_OUT) => JobKind::MigrationOut,
            _ => JobKind::Other,
        }),
        // A driver without jobs, or a VM that ended just now.
        Err(error)
            if error.is(sys::VIR_ERR_NO_SUPPORT) || error.is(sys::VIR_ERR_OPERATION_INVALID) =>
        {
            on_disk
        }
        // libvirt tells about a migration at its source only, and at the destination says so.
        Err(error) if error.is(sys::VIR_ERR_OPERATION_UNSUPPORTED) => Some(JobKind::MigrationIn),
        Err(error) => {
            questions.gap(format!("job on VM {}: {}", known.name, error.message));
            Some(JobKind::Other)
        }
    }
}

/// `VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN`, in the type of the figures.
const MIGRATION_IN: u64 = sys::VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN as u64;
/// `VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT`, in the type of the figures.
const MIGRATION_OUT: u64 = sys::VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT as u64;

fn snapshots(questions: &Questions, domain: &Domain) -> Result<Vec<String>, CallError> {
    let list = || -> Result<Vec<String>, Error> {
        let found = domain.list_all_snapshots(0)?;
        found
            .iter()
            .map(virt::domain_snapshot::DomainSnapshot::name)
            .collect()
    };
    let mut names = questions.call(|_| list())?;
    names.sort();
    Ok(names)
}
