//! A lab for one test: hosts, guests, and `domicile` where the operator sits. Whatever happens, it is taken down.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Pid;
use serde_json::Value;

/// How long any command may take before it is killed: a hang is a failure, not a wait.
const SECONDS_MAX: &str = "300";

/// Whether the sweeps try all that they know (`DOMICILE_SWEEP=all`) instead of a few moments of each kind.
pub(crate) fn is_everything_asked() -> bool {
    std::env::var("DOMICILE_SWEEP").is_ok_and(|value| value == "all")
}

/// A running lab.
pub(crate) struct Lab {
    since: Instant,
    dir: tempfile::TempDir,
    hosts: Vec<(String, String)>,
}

/// What a guest's beats prove.
#[derive(Debug)]
pub(crate) struct Beats {
    pub(crate) boots: u32,
    pub(crate) lost: u32,
    pub(crate) last: u32,
    pub(crate) longest_gap_ms: u64,
    pub(crate) twice: bool,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab")
}

fn run(command: &mut Command) -> Output {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    eprintln!(
        "$ {command:?} ({} ms)\n{}{}",
        began.elapsed().as_millis(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The process of a `domicile` that was started by [`Lab::start_domicile`].
pub(crate) fn process_of(child: &Child) -> Option<Pid> {
    // `timeout` is the child, and its only child is domicile itself: the lab's `hub` execs.
    let pids = run(Command::new("pgrep").args(["-P", &child.id().to_string()]));
    Pid::from_raw(text(&pids).parse().ok()?)
}

/// Sends a signal to a `domicile` that was started by [`Lab::start_domicile`].
pub(crate) fn signal(child: &Child, signal: &str) {
    if let Some(pid) = process_of(child) {
        let pid = pid.as_raw_pid().to_string();
        run(Command::new("kill").args(["-s", signal, &pid]));
    }
}

/// Kills a `domicile` that was started, as a power cut would.
pub(crate) fn kill_domicile(mut child: Child) {
    signal(&child, "KILL");
    child.wait().unwrap();
}

impl Lab {
    /// Starts hosts, each `name` or `name:suite`.
    pub(crate) fn up(hosts: &[&str]) -> Self {
        let since = Instant::now();
        let dir = tempfile::Builder::new()
            .prefix("domicile-lab-")
            .tempdir()
            .unwrap();
        let state = dir.path().join("lab");
        let output = run(Command::new("timeout")
            .arg("900")
            .arg(script())
            .arg("up")
            .arg(&state)
            .args(hosts));
        let mut lab = Self {
            since,
            dir,
            hosts: Vec::new(),
        };
        assert!(output.status.success(), "the lab does not come up");
        let listed = std::fs::read_to_string(state.join("hosts")).unwrap();
        for line in listed.lines() {
            let mut words = line.split_whitespace();
            let (name, _, _, uri) = (words.next(), words.next(), words.next(), words.next());
            lab.hosts
                .push((name.unwrap().to_owned(), uri.unwrap().to_owned()));
        }
        lab
    }

    /// The hosts' names.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|(name, _)| name.as_str())
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("lab")
    }

    /// The folder that every host has as /srv/shared.
    pub(crate) fn shared(&self) -> PathBuf {
        self.state().join("shared")
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["-k", "10", SECONDS_MAX])
            .arg(script())
            .arg(verb)
            .arg(self.state());
        command
    }

    /// Runs a command of the lab and gives what it prints; it must succeed.
    pub(crate) fn lab(&self, verb: &str, args: &[&str]) -> String {
        let output = run(self.command(verb).args(args));
        assert!(output.status.success(), "lab {verb} {args:?}");
        text(&output)
    }

    /// Runs a command inside a host; it must succeed.
    pub(crate) fn on(&self, host: &str, command: &[&str]) -> String {
        let args: Vec<&str> = [&[host], command].concat();
        self.lab("on", &args)
    }

    /// Starts a guest.
    pub(crate) fn guest(&self, host: &str, name: &str, options: &[&str]) {
        let args: Vec<&str> = [&[host, name], options].concat();
        self.lab("guest", &args);
    }

    /// What the beats of a guest prove so far.
    pub(crate) fn beats(&self, name: &str) -> Beats {
        let line = self.lab("beats", &[name]);
        let value = |key: &str| {
            let pair = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            pair.unwrap_or_else(|| panic!("no {key} in {line:?}"))
                .to_owned()
        };
        Beats {
            boots: value("boots").parse().unwrap(),
            lost: value("lost").parse().unwrap(),
            last: value("last").parse().unwrap(),
            longest_gap_ms: value("longest_gap_ms").parse().unwrap(),
            twice: value("twice") == "yes",
        }
    }

    /// Whether somebody follows the guest's console.
    pub(crate) fn is_watched(&self, name: &str) -> bool {
        self.state().join("beats").join(name).exists()
    }

    /// The longest time between two beats in a row, the second of which came after that time.
    pub(crate) fn longest_gap_since(&self, name: &str, since: SystemTime) -> Duration {
        let since = since.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let lines = std::fs::read_to_string(self.state().join("beats").join(name)).unwrap();
        let beats = lines.lines().filter(|line| line.contains(" beat "));
        let times = beats.map(|line| line.split_once(' ').unwrap().0.parse::<f64>().unwrap());
        let times: Vec<f64> = times.collect();
        let gaps = times.windows(2).filter(|pair| pair[1] > since);
        let longest = gaps.map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        Duration::from_secs_f64(longest)
    }

    /// Fails unless the guest beats on now.
    pub(crate) fn assert_beats_on(&self, name: &str) {
        let before = self.beats(name);
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.beats(name);
            if now.last > before.last || now.boots > before.boots {
                return;
            }
        }
        panic!("{name} does not beat any more");
    }

    /// Fails unless the guest was moved without a reboot, without a second instance and without a lost beat.
    pub(crate) fn assert_moved_live(&self, name: &str) {
        self.assert_beats_on(name);
        let beats = self.beats(name);
        assert_eq!(
            (beats.boots, beats.lost, beats.twice),
            (1, 0, false),
            "{name}: {beats:?}"
        );
        // Far above any live move here, far below a boot: emulated guests wait for a processor like everybody else.
        assert!(beats.longest_gap_ms < 4500, "{name} stood still: {beats:?}");
    }

    /// Waits until the guest has booted so many times in all.
    pub(crate) fn assert_boots(&self, name: &str, boots: u32) {
        for _ in 0..240 {
            if self.beats(name).boots >= boots {
                return;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        panic!("{name} does not boot");
    }

    /// Fails unless the guest was rebooted exactly once, with never two instances.
    pub(crate) fn assert_moved_cold(&self, name: &str) {
        self.assert_boots(name, 2);
        self.assert_beats_on(name);
        let beats = self.beats(name);
        assert_eq!((beats.boots, beats.twice), (2, false), "{name}: {beats:?}");
    }

    /// A host's URI, as the operator reaches it.
    pub(crate) fn uri(&self, host: &str) -> &str {
        let found = self.hosts.iter().find(|(name, _)| name == host);
        &found.unwrap().1
    }

    /// A file of the operator's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the operator's.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a manifest with the lab's hosts and this text after them.
    pub(crate) fn manifest(&self, rest: &str) -> PathBuf {
        let mut manifest = "version: 1\nhosts:\n".to_owned();
        for (name, uri) in &self.hosts {
            writeln!(manifest, "  {name}: {uri}").unwrap();
        }
        manifest.push_str(rest);
        let path = self.dir.path().join("fleet.yaml");
        std::fs::write(&path, manifest).unwrap();
        path
    }

    fn domicile_command(&self, args: &[&str]) -> Command {
        let mut command = self.command("hub");
        command
            .arg(env!("CARGO_BIN_EXE_domicile"))
            .args(args)
            .env("DOMICILE_LOG", "info");
        command
    }

    /// A script that runs `domicile` where the operator sits, for whoever calls it by its name.
    pub(crate) fn wrapper(&self) -> String {
        format!(
            "#!/bin/bash\nPATH=$PATH:/usr/sbin:/sbin exec {} hub {} {} \"$@\"\n",
            script().display(),
            self.state().display(),
            env!("CARGO_BIN_EXE_domicile"),
        )
    }

    /// Runs `domicile` where the operator sits.
    pub(crate) fn domicile(&self, args: &[&str]) -> Output {
        run(&mut self.domicile_command(args))
    }

    /// Starts `domicile` where the operator sits and does not wait for it.
    pub(crate) fn start_domicile(&self, args: &[&str]) -> Child {
        self.start_domicile_to(args, Stdio::null())
    }

    /// The same, with what it prints going there.
    pub(crate) fn start_domicile_to(&self, args: &[&str], out: Stdio) -> Child {
        let mut command = self.domicile_command(args);
        command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Removes the locks of an apply that was killed. Taking them over shows more and takes half a minute; `locks` does.
    pub(crate) fn remove_locks(&self, manifest: &Path) {
        let ids = self.locks(manifest);
        assert_eq!(ids.len(), 1, "an apply that was killed leaves its lock");
        self.unlock(manifest, &ids);
    }

    /// Removes the locks of an apply that was killed, unless it had let go of them already.
    pub(crate) fn remove_locks_left(&self, manifest: &Path) {
        self.unlock(manifest, &self.locks(manifest));
    }

    /// Sends a signal to a host's daemon, if it is there.
    pub(crate) fn signal_daemon(&self, host: &str, signal: &str) {
        let kill = format!("kill -{signal} $(cat /run/libvirtd.pid) || true");
        self.on(host, &["sh", "-c", &kill]);
    }

    /// The memory of a host as Domicile sees it, in MiB; here all have that of this machine.
    pub(crate) fn memory_mib(&self, host: &str) -> u64 {
        let manifest = self.manifest("");
        let asked = ["observe", "--json", "-f", manifest.to_str().unwrap()];
        let observed: Value = serde_json::from_slice(&self.domicile(&asked).stdout).unwrap();
        let memory = &observed["hosts"][host]["reached"]["memory"];
        memory.as_u64().unwrap() >> 20
    }

    /// Restarts daemons that hang or died. libvirt 11.3 hangs, once in a while, when whoever streams a volume to it is
    /// killed: its event loop waits for a lock for good.
    pub(crate) fn restart_hung_daemons(&self) {
        for host in self.hosts() {
            let ask = "timeout 15 virsh -q list >/dev/null 2>&1 && echo answers || true";
            if self.on(host, &["sh", "-c", ask]).is_empty() {
                eprintln!("== the daemon of {host} hangs, or is not there");
                self.signal_daemon(host, "KILL");
                self.lab("restart", &[host]);
            }
        }
    }

    /// The IDs of all locks on the manifest's hosts.
    pub(crate) fn locks(&self, manifest: &Path) -> BTreeSet<String> {
        let path = manifest.to_str().unwrap();
        let listed = text(&self.domicile(&["unlock", "-f", path]));
        let held = listed.lines().filter(|line| line.contains("is locked by"));
        let ids = held.filter_map(|line| Some(line.rsplit_once("lock ")?.1));
        ids.map(|id| id.trim_end_matches(')').to_owned()).collect()
    }

    pub(crate) fn unlock(&self, manifest: &Path, ids: &BTreeSet<String>) {
        let path = manifest.to_str().unwrap();
        for id in ids {
            let removed = self.domicile(&["unlock", id, "-f", path]);
            assert!(removed.status.success(), "the lock {id} stays");
        }
    }

    /// Waits until a guest that somebody started beats.
    pub(crate) fn assert_starts(&self, name: &str) {
        for _ in 0..480 {
            if self.beats(name).last > 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        panic!("{name} does not start");
    }

    /// Plans and gives the plan's text.
    pub(crate) fn plan(&self, manifest: &Path) -> String {
        text(&self.domicile(&["plan", "-f", manifest.to_str().unwrap(), "--no-color"]))
    }

    /// Plans and gives the plan as `--json` has it.
    pub(crate) fn planned(&self, manifest: &Path) -> serde_json::Value {
        let output = self.domicile(&["plan", "-f", manifest.to_str().unwrap(), "--json"]);
        serde_json::from_slice(&output.stdout).expect("a plan")
    }

    /// Applies; it must succeed, and planning again must find nothing to do.
    pub(crate) fn apply(&self, manifest: &Path) -> String {
        let path = manifest.to_str().unwrap();
        let output = self.domicile(&["apply", "-f", path, "--auto-approve", "--no-color"]);
        self.assert_applied(manifest, &output);
        text(&output)
    }

    /// Fails unless an apply succeeded and planning again finds nothing to do.
    pub(crate) fn assert_applied(&self, manifest: &Path, output: &Output) {
        let path = manifest.to_str().unwrap();
        assert!(output.status.success(), "apply failed");
        let again = self.domicile(&["plan", "-f", path, "--detailed-exitcode", "--no-color"]);
        assert_eq!(
            again.status.code(),
            Some(0),
            "planning again finds something to do"
        );
        assert!(
            text(&again).contains("No changes."),
            "planning again does not say so"
        );
    }

    /// The volumes of a pool, by name.
    pub(crate) fn volumes(&self, host: &str, pool: &str) -> Vec<String> {
        self.on(host, &["virsh", "pool-refresh", pool]);
        let list = self.on(host, &["virsh", "vol-list", pool]);
        let names = list
            .lines()
            .skip(2)
            .filter_map(|line| line.split_whitespace().next());
        names.map(str::to_owned).collect()
    }

    /// The VMs that a host has, running or not.
    pub(crate) fn vms(&self, host: &str) -> Vec<String> {
        let list = self.on(host, &["virsh", "list", "--all", "--name"]);
        list.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Fails unless the VM is on `there` and nothing of it is left on `here`, mark included.
    pub(crate) fn assert_lives(&self, name: &str, there: &str, here: &str) {
        assert!(
            self.vms(there).contains(&name.to_owned()),
            "{name} is not on {there}"
        );
        let definition = self.on(there, &["virsh", "dumpxml", name, "--inactive"]);
        assert!(
            !definition.contains(domicile::model::MoveMark::NAMESPACE),
            "{name} still carries a mark"
        );
        if here == there {
            return;
        }
        assert!(
            !self.vms(here).contains(&name.to_owned()),
            "{name} is still on {here}"
        );
        for pool in ["default", "fast", "bulk"] {
            let left: Vec<_> = self.volumes(here, pool);
            assert!(
                !left
                    .iter()
                    .any(|volume| volume.starts_with(&format!("{name}-"))),
                "{left:?}"
            );
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let state = self.state();
        run(Command::new("timeout")
            .arg("60")
            .arg(script())
            .arg("down")
            .arg(&state));
        let check = run(Command::new(script()).arg("check").arg(&state));
        assert!(
            std::thread::panicking() || check.status.success(),
            "the lab left something behind"
        );
        // Past the capture of tests: what a test takes is to be seen also where it passes.
        let (thread, lived) = (std::thread::current(), self.since.elapsed().as_secs());
        let test = thread.name().unwrap_or("a test");
        drop(writeln!(
            std::io::stderr(),
            "{test}: its lab lived for {lived} s"
        ));
    }
}
