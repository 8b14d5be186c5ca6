//! Rules about the VM itself, whatever the method.

use super::case::{Case, Effect, Rule, Verdict};
use crate::model::{JobKind, RunState};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "job-active",
        title: "another job runs on the VM",
        effects: &[Effect::Blocks],
        why: "libvirt allows one job that changes a VM at a time. A migration waits 30 seconds for another one and then fails; a copy or commit of a disk refuses it at once.",
        remedy: "Wait for the end of the job, or end it.",
        source: "libvirt, qemuMigrationSrcIsAllowed and qemuDomainObjBeginAsyncJob",
        judge: job_active,
    },
    Rule {
        code: "managed-save",
        title: "the VM has a saved state",
        effects: &[Effect::Blocks],
        why: "A saved state lies in a file of the host that no migration carries, and a start at the destination without it would lose what the guest had in memory.",
        remedy: "Start the VM, which resumes the saved state, or drop the state.",
        source: "libvirt, migration.rst",
        judge: managed_save,
    },
    Rule {
        code: "snapshots",
        title: "the VM has libvirt snapshots",
        effects: &[Effect::RefusesLive, Effect::RefusesDirect],
        why: "libvirt refuses every migration of a VM with snapshots. The streamed copy takes internal snapshots along, and their metadata is defined again at the destination.",
        remedy: "Delete the snapshots, or let the VM be moved cold.",
        source: "libvirt, qemuMigrationSrcIsAllowed; VMmanager 6, snapshots of virtual machines",
        judge: snapshots,
    },
    Rule {
        code: "transient-vm",
        title: "the VM has no persistent definition",
        effects: &[Effect::Blocks],
        why: "A VM without a persistent definition is gone when it stops, and no mark can be written that would survive a failure.",
        remedy: "Define it.",
        source: "libvirt, virDomainIsPersistent",
        judge: transient,
    },
    Rule {
        code: "crashed",
        title: "the guest has crashed",
        effects: &[Effect::Blocks],
        why: "What a crashed guest holds in memory is evidence, and whether its disks are whole nobody knows.",
        remedy: "Look at it, then destroy or reset it.",
        source: "libvirt, virDomainCrashedReason",
        judge: crashed,
    },
    Rule {
        code: "asleep",
        title: "the guest sleeps",
        effects: &[Effect::Blocks],
        why: "A guest in power management suspend neither runs nor hears that it is to shut down. libvirt neither pauses nor resumes it, and does not carry over that it sleeps: at its destination it would stand still or be woken up.",
        remedy: "Wake it up (`virsh dompmwakeup`).",
        source: "libvirt, virDomainSuspend, virDomainResume and virDomainPMWakeup",
        judge: asleep,
    },
    Rule {
        code: "io-error",
        title: "the guest is paused because of an I/O error",
        effects: &[Effect::Blocks],
        why: "A disk of it does not answer. A copy of that disk may be incomplete, and libvirt refuses to migrate the VM.",
        remedy: "Make the disk answer, then resume the guest.",
        source: "libvirt, qemuMigrationSrcIsAllowed",
        judge: io_error,
    },
    Rule {
        code: "pending-changes",
        title: "the next start changes the VM",
        effects: &[Effect::Note],
        why: "The persistent definition differs from what runs. A live move carries both as they are; a cold one starts the VM by the persistent definition, so that the changes come about.",
        remedy: "See that the changes are wanted: compare `virsh dumpxml` with and without `--inactive`.",
        source: "libvirt, virDomainGetXMLDesc",
        judge: pending_changes,
    },
    Rule {
        code: "unreadable-mark",
        title: "a mark of ours cannot be read",
        effects: &[Effect::Blocks],
        why: "The metadata says that an apply of another version moves this VM, and what it has done already cannot be known.",
        remedy: "Finish that apply with the version of Domicile that began it.",
        source: "Domicile, the mark of a move",
        judge: unreadable_mark,
    },
];

fn job_in_words(job: JobKind) -> &'static str {
    match job {
        JobKind::MigrationOut => "a migration to another host",
        JobKind::MigrationIn => "a migration from another host",
        JobKind::Block => "a copy or commit of a disk",
        JobKind::Other => "a job (a backup, a save, a dump)",
    }
}

/// Whether what runs is a copy that an earlier apply of ours began and that ends when its volume is removed, which is
/// done first.
fn ends_first(case: &Case<'_>) -> bool {
    let goes = |path: &str| {
        let mut discarded = case.discarded.iter().filter(|at| at.host == *case.from);
        discarded.any(|at| {
            let volume = case.observed.volume(at);
            volume.is_some_and(|volume| volume.path == path)
        })
    };
    let disks = case.detail.disks.iter();
    let mut copies = disks
        .filter_map(|disk| disk.copied_to.as_deref())
        .peekable();
    job(case) == Some(JobKind::Block) && copies.peek().is_some() && copies.all(goes)
}

/// A copy of a disk that is under way counts also where libvirt tells of no job.
fn job(case: &Case<'_>) -> Option<JobKind> {
    let mut disks = case.detail.disks.iter();
    let is_copied = disks.any(|disk| disk.copied_to.is_some());
    case.detail.job.or(is_copied.then_some(JobKind::Block))
}

fn job_active(case: &Case<'_>) -> Vec<Verdict> {
    let Some(job) = job(case).filter(|_| !ends_first(case)) else {
        return Vec::new();
    };
    vec![Verdict::new(
        "job-active",
        Effect::Blocks,
        case.from,
        format!("{} runs on it on {}", job_in_words(job), case.from),
        format!(
            "wait for its end, or look at `virsh domjobinfo {}` on {}",
            case.name.in_shell(),
            case.from
        ),
    )]
}

fn managed_save(case: &Case<'_>) -> Vec<Verdict> {
    if !case.vm.managed_save {
        return Vec::new();
    }
    vec![Verdict::new(
        "managed-save",
        Effect::Blocks,
        case.from,
        format!(
            "it has a saved state on {}, which cannot be moved",
            case.from
        ),
        format!(
            "start it to resume the saved state, or drop it with `virsh managedsave-remove {}`",
            case.name.in_shell()
        ),
    )]
}

/// libvirt refuses every migration of a VM with snapshots, paused ones included (`qemuMigrationSrcIsAllowed`); the
/// byte copy takes internal snapshots along, and their metadata is defined again at the destination.
fn snapshots(case: &Case<'_>) -> Vec<Verdict> {
    if case.detail.snapshots.is_empty() || !case.changes_host() {
        return Vec::new();
    }
    let list = case.detail.snapshots.join(", ");
    let verdict = |effect| {
        Verdict::new(
            "snapshots",
            effect,
            case.from,
            format!("it has libvirt snapshots on {} ({list})", case.from),
            format!(
                "delete them with `virsh snapshot-delete {} NAME`",
                case.name.in_shell()
            ),
        )
    };
    vec![verdict(Effect::RefusesLive), verdict(Effect::RefusesDirect)]
}

fn transient(case: &Case<'_>) -> Vec<Verdict> {
    if case.vm.persistent {
        return Vec::new();
    }
    vec![Verdict::new(
        "transient-vm",
        Effect::Blocks,
        case.from,
        format!("it runs on {} without a persistent definition", case.from),
        "define it, so that it is not lost when it stops",
    )]
}

fn crashed(case: &Case<'_>) -> Vec<Verdict> {
    if case.vm.power.state != RunState::Crashed {
        return Vec::new();
    }
    vec![Verdict::new(
        "crashed",
        Effect::Blocks,
        case.from,
        format!(
            "its guest has crashed on {} ({})",
            case.from, case.vm.power.reason
        ),
        format!(
            "look at it, then `virsh destroy {}` or `virsh reset`",
            case.name.in_shell()
        ),
    )]
}

/// Whether a guest sleeps counts where it leaves its host or is shut down; a disk is copied under it as under any other.
fn asleep(case: &Case<'_>) -> Vec<Verdict> {
    let power = &case.vm.power;
    let sleeps = power.state == RunState::Paused && power.reason == "power management";
    if !sleeps || !case.changes_host() {
        return Vec::new();
    }
    vec![Verdict::new(
        "asleep",
        Effect::Blocks,
        case.from,
        format!("its guest sleeps on {} (power management)", case.from),
        format!(
            "wake it up with `virsh dompmwakeup {}`",
            case.name.in_shell()
        ),
    )]
}

fn io_error(case: &Case<'_>) -> Vec<Verdict> {
    let power = &case.vm.power;
    let paused_by_it = power.state == RunState::Paused && power.reason.contains("error");
    if !paused_by_it {
        return Vec::new();
    }
    vec![Verdict::new(
        "io-error",
        Effect::Blocks,
        case.from,
        format!("it is paused on {} because of an I/O error", case.from),
        format!(
            "see `virsh domblkerror {}`, mend it, then `virsh resume`",
            case.name.in_shell()
        ),
    )]
}

fn pending_changes(case: &Case<'_>) -> Vec<Verdict> {
    if case.detail.pending.is_empty() || !case.changes_host() || !case.is_active() {
        return Vec::new();
    }
    let verdict = Verdict::new(
        "pending-changes",
        Effect::Note,
        case.from,
        format!(
            "its next start changes it: {}",
            case.detail.pending.join("; ")
        ),
        "see that this is wanted",
    );
    vec![verdict]
}

fn unreadable_mark(case: &Case<'_>) -> Vec<Verdict> {
    let Some(why) = &case.detail.unreadable_mark else {
        return Vec::new();
    };
    vec![Verdict::new(
        "unreadable-mark",
        Effect::Blocks,
        case.from,
        format!(
            "its metadata on {} has a mark of an apply that cannot be read: {why}",
            case.from
        ),
        "finish that apply with the version of Domicile that began it",
    )]
}
