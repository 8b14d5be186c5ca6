//! Rules that are watched where more than one case is seen: over the whole fleet, and over the time of a plan.

use super::case::{Effect, Rule, over_the_whole_plan};

const BLOCKS: &[Effect] = &[Effect::Blocks];
const NOTE: &[Effect] = &[Effect::Note];

const fn rule(
    code: &'static str,
    title: &'static str,
    effects: &'static [Effect],
    [why, remedy, source]: [&'static str; 3],
) -> Rule {
    Rule {
        code,
        title,
        effects,
        why,
        remedy,
        source,
        judge: over_the_whole_plan,
    }
}

pub(super) const RULES: &[Rule] = &[
    rule(
        "host-unreachable",
        "a host could not be read",
        &[Effect::Blocks, Effect::Risk],
        [
            "Nothing is known of a host that does not answer: not what it has room for, not which VMs it runs.",
            "Make the host reachable. Where it is up and its libvirt daemon hangs, restart the daemon; its guests run on. VMs that have nothing to do with it are moved all the same.",
            "libvirt, virConnectOpenAuth",
        ],
    ),
    rule(
        "same-host-uuid",
        "two hosts are one, or have one identity",
        BLOCKS,
        [
            "libvirt refuses to migrate between hosts of one UUID, and two names for one host would make a move delete what it has just moved.",
            "Remove one of the two names, or give the cloned host a UUID of its own.",
            "libvirt, qemuMigrationCookieXMLParse",
        ],
    ),
    rule(
        "capacity",
        "the destination has no memory, vCPUs or places left",
        BLOCKS,
        [
            "A host that gives VMs more memory than it has kills one of them. Room is counted at every moment of the plan: a destination is occupied from the start of a move, a source until its end.",
            "Move something away first, choose another host, or change the host's reserve and limits.",
            "VMmanager 6, overselling; Domicile, the schedule",
        ],
    ),
    rule(
        "pool-space",
        "the destination pool has no room",
        BLOCKS,
        [
            "A pool that is full stops every VM that writes to it. Room is counted at every moment of the plan.",
            "Make room, or choose another pool.",
            "libvirt, virStoragePoolGetInfo",
        ],
    ),
    rule(
        "vm-missing",
        "no host has the VM",
        BLOCKS,
        [
            "Domicile moves VMs and does not create them.",
            "Create it, or take it out of the manifest.",
            "the manifest",
        ],
    ),
    rule(
        "vm-twice",
        "several hosts have a VM of that name",
        BLOCKS,
        [
            "Which of them is meant, nobody but a person can say.",
            "Rename or remove the others.",
            "Domicile, invariant 1",
        ],
    ),
    rule(
        "name-taken",
        "the destination has another VM of that name",
        BLOCKS,
        [
            "libvirt knows a VM by its name. It refuses a second definition with it, and a migration ends in its Prepare phase.",
            "Rename or remove the other VM, if it is not needed.",
            "libvirt, virDomainObjListAddLocked",
        ],
    ),
    rule(
        "disk-missing",
        "the VM has no disk of that name",
        BLOCKS,
        [
            "The manifest gives a pool to a disk that the VM does not have, so it was written for another state.",
            "Name a disk that it has.",
            "the manifest",
        ],
    ),
    rule(
        "definition",
        "the definition cannot be rewritten",
        BLOCKS,
        [
            "Where a path or a network changes, the VM's definition is rewritten, and all else stays to the letter. A definition that does not allow it is not touched.",
            "Look at it with `virsh dumpxml`.",
            "Domicile, definitions",
        ],
    ),
    rule(
        "unfinished",
        "an earlier apply left a state that needs a person",
        BLOCKS,
        [
            "Where nobody can say which of two copies of a VM is right, Domicile does not choose.",
            "Look at both, end the wrong one, plan again.",
            "Domicile, invariant 1",
        ],
    ),
    rule(
        "finished-first",
        "an earlier apply's move ends elsewhere than the manifest wants by now",
        NOTE,
        [
            "How a VM can go on is seen when it runs where it arrives. So a plan that meets its migration under way, or that has to start it first, only brings that to its end; the next plan goes on from there.",
            "Apply the plan, then plan again.",
            "Domicile, planning",
        ],
    ),
    rule(
        "unproven-leftover",
        "a volume may be left of an earlier apply",
        NOTE,
        [
            "An apply names in the VM's mark what it means to make, and notes what it has made. A volume that was meant and not noted is somebody else's, as far as can be known. It is not removed.",
            "Look at it, and remove it by hand if nothing needs it.",
            "Domicile, the mark of a move",
        ],
    ),
    rule(
        "reading-incomplete",
        "a part of a host could not be read",
        &[Effect::Blocks, Effect::Note],
        [
            "What could not be read is not taken for something that is not there: nothing is deleted on such ground.",
            "See the host's libvirt log.",
            "Domicile, observing",
        ],
    ),
    rule(
        "network-differs",
        "an interface is on another network than the manifest says",
        NOTE,
        [
            "An interface is connected anew when its VM moves to another host. Without a move the guest's connection is not cut.",
            "Wait for the next move, or use `virsh update-device`.",
            "the manifest",
        ],
    ),
    rule(
        "reboot",
        "the guest is shut down and started again",
        NOTE,
        [
            "A cold move of a running VM ends in a start of its guest, which others may notice.",
            "Set `method: live` or `allow_reboot: false` where that must not be.",
            "the manifest",
        ],
    ),
    rule(
        "detour",
        "it moves by way of a third host",
        NOTE,
        [
            "Hosts that are full trade VMs only if one VM waits elsewhere in the meantime; on tight hosts that also shortens the whole. It is carried twice.",
            "Make room on its destination, set `allow_detour: false` at the VM, or limit detours with `--max-detours`.",
            "Domicile, planning",
        ],
    ),
    rule(
        "reboot-forbidden",
        "the move needs a reboot that is not allowed",
        BLOCKS,
        [
            "Live migration is refused by a rule, and the manifest or the command line does not let the guest be rebooted.",
            "Do what the reason says, or allow the reboot (`allow_reboot: true`).",
            "the manifest",
        ],
    ),
    rule(
        "downtime-limit",
        "the guest would be off for too long",
        BLOCKS,
        [
            "The forecast of the time from shutdown to start is above what the manifest or the command line allows.",
            "Raise `max_cold_downtime`, give the move more bandwidth, or make a live move possible.",
            "the manifest",
        ],
    ),
];
