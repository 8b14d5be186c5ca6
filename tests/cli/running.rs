//! The program while it runs: its lines as they come, signals to it, a terminal that it sits at.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use pty_process::blocking::Pty;
use rustix::process::{Pid, Signal, kill_process};

/// After this a program that hangs is killed, so that its test fails. No test waits for it.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Bytes taken from a pipe at once: few, so that a program that is held by it stays where it was held.
const READ_AT_ONCE: usize = 256;

/// A program that was started.
pub(super) struct Running {
    child: Child,
    /// Dropped when it has ended.
    _limit: Sender<()>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Running {
    /// Starts it with pipes for its output. What it writes ahead of the reader fits into one page, so that a command
    /// with much to say goes on only as far as it is read.
    pub(super) fn piped(mut command: Command) -> Self {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a page is allowed to everybody");
        let mut child = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // The command holds the writing end, and its output shall end with the program.
        drop(command);
        child.stdout = Some(OwnedFd::from(reader).into());
        Self::limited(child)
    }

    fn limited(child: Child) -> Self {
        let pid = pid(&child);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            if receiver.recv_timeout(HANGS_AFTER) == Err(RecvTimeoutError::Timeout) {
                // It may have ended in this moment.
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        Self {
            child,
            _limit: sender,
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).expect("it runs");
    }

    /// What it writes to standard output, line by line.
    pub(super) fn out(&mut self) -> impl Iterator<Item = String> + use<> {
        let out = self.child.stdout.take().expect("it is a pipe");
        BufReader::with_capacity(READ_AT_ONCE, out)
            .lines()
            .map(|line| line.expect("text"))
    }

    /// What it writes to standard error.
    pub(super) fn err(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().expect("it is a pipe"))
    }

    /// Waits for its end.
    pub(super) fn end(mut self) -> End {
        let status = self.child.wait().expect("it is our child");
        match (status.code(), status.signal()) {
            (Some(code), _) => End::Code(code),
            (None, Some(signal)) => End::Signal(signal),
            (None, None) => unreachable!("it has ended"),
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// A program at a terminal of its own.
pub(super) struct AtTerminal {
    terminal: Pty,
    running: Running,
    /// All that it has written.
    shown: String,
}

impl AtTerminal {
    pub(super) fn new(command: Command) -> Self {
        let (terminal, program) = pty_process::blocking::open().expect("a pseudo terminal");
        let command = pty_process::blocking::Command::from(command);
        let child = command.spawn(program).expect("the program starts");
        Self {
            terminal,
            running: Running::limited(child),
            shown: String::new(),
        }
    }

    /// Reads until the program has written this.
    #[track_caller]
    pub(super) fn wait_for(&mut self, words: &str) {
        while !self.shown.contains(words) {
            assert!(self.read(), "{words:?} is not in\n{}", self.shown);
        }
    }

    /// Types this.
    pub(super) fn types(&mut self, keys: &str) {
        let typed = self.terminal.write_all(keys.as_bytes());
        typed.expect("the terminal takes keys");
    }

    /// All that it wrote, and how it ended.
    pub(super) fn end(mut self) -> (String, End) {
        while self.read() {}
        (self.shown, self.running.end())
    }

    /// Takes the terminal away; how the program ended then.
    pub(super) fn closed(self) -> End {
        drop(self.terminal);
        self.running.end()
    }

    /// Whether there was something to read; a terminal that its program has left is an error to read.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 1024];
        let count = self.terminal.read(&mut bytes).unwrap_or(0);
        self.shown
            .push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }
}
