//! What must hold after any fault, once the next apply has ended: the invariants, and nothing of how a move is made.
//!
//! A census is taken before anything goes wrong. After it, every VM is defined on exactly one host, runs if it ran, reads
//! from its disks what it read, and was never two. Nothing is left over: no volume that no VM uses and that was not there
//! before, no mark, no lock, no job, no VM without a persistent definition.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::Lab;

/// How long libvirt may be between two of its steps, where nothing can be planned.
const BETWEEN_MAX: Duration = Duration::from_secs(60);
/// The exit code of an apply that is refused.
const REFUSED: i32 = 3;

/// Prints what a host has, a fact on each line. The first MiB of a running VM's disk holds its beat and is left out.
const LOOK: &str = r#"
    for pool in default fast bulk tiny shared; do
        virsh -q pool-refresh "$pool" >/dev/null
        virsh -q vol-list "$pool" | while read -r name path; do
            [ -z "$name" ] || echo "volume $pool $path"
        done
    done
    virsh -q secret-list | while read -r id usage; do [ -z "$id" ] || echo "lock $usage"; done
    for vm in $(virsh -q list --all --name); do
        state=$(virsh domstate "$vm")
        echo "vm $vm $state"
        virsh dominfo "$vm" | grep -q '^Persistent: *yes' || echo "litter $vm is not persistent"
        virsh dominfo "$vm" | grep -q '^Autostart: *enable' && echo "autostart $vm"
        virsh domjobinfo "$vm" 2>/dev/null | grep -q '^Job type: *[BU]' && echo "litter $vm has a job"
        virsh dumpxml "$vm" >/tmp/live.xml
        virsh dumpxml "$vm" --inactive >/tmp/persistent.xml
        cat /tmp/live.xml /tmp/persistent.xml | grep -q domicile.dev/xmlns && echo "litter $vm has a mark"
        grep -q '<mirror' /tmp/live.xml && echo "litter $vm has a copy under way"
        skip=1
        [ "$state" = running ] || skip=0
        virsh -q domblklist "$vm" --inactive | while read -r target path; do
            virsh -q domblklist "$vm" | grep -q "^ *$target  *$path\$" || echo "litter $vm has two ideas of $target"
            qemu-img info -U --backing-chain "$path" | sed -n "s/^image: /uses /p"
            qemu-img dd -U -f "${path##*.}" -O raw bs=1M "skip=$skip" "if=$path" of=/var/tmp/read >/dev/null
            echo "reads $vm $target $(sha256sum </var/tmp/read)"
            rm -f /var/tmp/read
        done
    done
"#;

/// What was found on all hosts.
#[derive(Debug, Default)]
struct Found {
    /// Host and state, by VM.
    vms: BTreeMap<String, Vec<(String, String)>>,
    /// VMs that start with their hosts.
    autostart: BTreeSet<String>,
    /// What the disks of the VMs hold.
    contents: BTreeSet<String>,
    /// Volumes that no VM uses.
    unused: BTreeSet<String>,
    /// What has no business to be there.
    litter: Vec<String>,
}

/// What is done about what was left.
pub(crate) struct Planned {
    /// As in `plan --json`.
    pub(crate) moves: Vec<Value>,
    /// Whether it only finishes what was begun, for a VM of which more is wanted.
    pub(crate) finishes_first: bool,
    /// When it was planned.
    pub(crate) at: Instant,
    /// How long it takes by its forecast.
    pub(crate) lasts: Duration,
}

impl Planned {
    /// The longest that it lets guests be down.
    pub(crate) fn downtime(&self) -> Duration {
        downtime(&self.moves)
    }
}

/// What the hosts of a lab have and must still have later.
pub(crate) struct Census<'l> {
    lab: &'l Lab,
    before: Found,
    /// Where each VM is to be found.
    expected: RefCell<BTreeMap<String, Vec<(String, String)>>>,
    spare: &'l [&'l str],
}

fn look(lab: &Lab) -> Found {
    let mut found = Found::default();
    let (mut volumes, mut used) = (BTreeSet::new(), BTreeSet::new());
    for host in lab.hosts() {
        // One folder for all hosts.
        let place = |path: &str| match path.strip_prefix("/srv/shared/") {
            Some(name) => format!("shared {name}"),
            None => format!("{host} {path}"),
        };
        for line in lab.on(host, &["sh", "-c", LOOK]).lines() {
            let (kind, rest) = line.split_once(' ').unwrap();
            match kind {
                "volume" => drop(volumes.insert(place(rest.split_once(' ').unwrap().1))),
                "uses" => drop(used.insert(place(rest))),
                "vm" => {
                    let (vm, state) = rest.split_once(' ').unwrap();
                    let places = found.vms.entry(vm.to_owned()).or_default();
                    places.push((host.to_owned(), state.to_owned()));
                }
                "autostart" => drop(found.autostart.insert(rest.to_owned())),
                "reads" => drop(found.contents.insert(rest.to_owned())),
                _ => found.litter.push(format!("{host}: {line}")),
            }
        }
    }
    found.unused = volumes.difference(&used).cloned().collect();
    found
}

/// The moves that an apply said it would make.
pub(crate) fn announced(heard: &[Value]) -> Vec<Value> {
    let changes = heard.iter().map(|event| &event["change"]);
    changes.filter(|it| it.is_object()).cloned().collect()
}

/// What an apply told.
fn heard(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let events = text.lines().map(serde_json::from_str);
    events.collect::<Result<_, _>>().unwrap()
}

/// Applies. A migration that ends by itself may be between two of libvirt's steps when that is planned, and is so for a
/// moment only.
fn apply_once_it_can_be(lab: &Lab, manifest: &Path) -> Output {
    let began = Instant::now();
    let path = manifest.to_str().unwrap();
    loop {
        let output = lab.domicile(&["apply", "-f", path, "--auto-approve", "--json"]);
        let is_refused = output.status.code() == Some(REFUSED);
        if !is_refused || began.elapsed() > BETWEEN_MAX {
            return output;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Applies what an apply that was killed has left; that must succeed, and planning again must find nothing to do.
pub(crate) fn finish(lab: &Lab, manifest: &Path) {
    let output = apply_once_it_can_be(lab, manifest);
    lab.assert_applied(manifest, &output);
}

/// How long those let guests be down in all.
pub(crate) fn downtime(moves: &[Value]) -> Duration {
    let downtimes = moves.iter().filter_map(|one| one["downtime"].as_u64());
    Duration::from_millis(downtimes.sum())
}

impl<'l> Census<'l> {
    /// Takes note of everything.
    pub(crate) fn of(lab: &'l Lab) -> Self {
        let before = look(lab);
        assert!(before.litter.is_empty(), "{before:?}");
        Self {
            lab,
            expected: RefCell::new(before.vms.clone()),
            before,
            spare: &[],
        }
    }

    /// The same, and nobody minds whether these volumes are used.
    pub(crate) fn with_spare(self, spare: &'l [&'l str]) -> Self {
        Self { spare, ..self }
    }

    /// Plans as soon as something can be planned, applies, and fails unless all is as it was, except that these VMs
    /// are where the manifest puts them.
    pub(crate) fn assert_ends(&self, manifest: &Path, now_at: &[(&str, &str)]) -> Planned {
        let planned = self.assert_applied(manifest, now_at);
        self.assert_holds(now_at);
        planned
    }

    /// Plans as soon as something can be planned, applies, and fails unless all is done and these VMs beat.
    pub(crate) fn assert_applied(&self, manifest: &Path, now_at: &[(&str, &str)]) -> Planned {
        let mut planned = self.plan(manifest);
        // An apply may have to wait for a lock, and what it does is what it finds then.
        planned.moves.clear();
        if planned.finishes_first {
            let output = apply_once_it_can_be(self.lab, manifest);
            assert!(output.status.success());
            planned.moves.extend(announced(&heard(&output)));
            planned.lasts += self.plan(manifest).lasts;
        }
        let output = apply_once_it_can_be(self.lab, manifest);
        planned.moves.extend(announced(&heard(&output)));
        self.lab.assert_applied(manifest, &output);
        for (vm, _) in now_at {
            if self.before.vms[*vm][0].1 == "running" {
                self.lab.assert_beats_on(vm);
            }
        }
        planned
    }

    fn plan(&self, manifest: &Path) -> Planned {
        let began = Instant::now();
        loop {
            let plan = self.lab.planned(manifest);
            let findings = plan["findings"].as_array().unwrap();
            let blocks = findings.iter().find(|told| told["severity"] == "blocks");
            let Some(blocks) = blocks else {
                return Planned {
                    moves: plan["moves"].as_array().unwrap().clone(),
                    finishes_first: findings.iter().any(|told| told["code"] == "finished-first"),
                    at: Instant::now(),
                    lasts: Duration::from_millis(plan["makespan"].as_u64().unwrap()),
                };
            };
            eprintln!("== nothing can be planned: {blocks}");
            assert!(began.elapsed() < BETWEEN_MAX, "{blocks}");
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Fails unless all is as it was, except that these VMs are on these hosts from now on.
    pub(crate) fn assert_holds(&self, now_at: &[(&str, &str)]) {
        let now = look(self.lab);
        let contents = &self.before.contents;
        assert!(now.litter.is_empty(), "left over: {:?}", now.litter);
        let mut expected = self.expected.borrow_mut();
        for (vm, host) in now_at {
            (*host).clone_into(&mut expected.get_mut(*vm).unwrap()[0].0);
        }
        assert_eq!(now.vms, *expected, "each VM is where it shall be, once");
        let autostart = &self.before.autostart;
        assert_eq!(&now.autostart, autostart, "VMs that start with their hosts");
        assert_eq!(&now.contents, contents, "the disks hold what they held");
        let minded = |found: &Found| -> BTreeSet<String> {
            let mut all = found.unused.clone();
            all.retain(|volume| !self.spare.iter().any(|name| volume.ends_with(name)));
            all
        };
        let (unused, before) = (minded(&now), minded(&self.before));
        assert_eq!(unused, before, "volumes that no VM uses");
        for vm in expected.keys().filter(|vm| self.lab.is_watched(vm)) {
            let beats = self.lab.beats(vm);
            assert!(!beats.twice, "{vm} was two: {beats:?}");
        }
    }
}
