//! Arguments exactly as typed. Nothing is looked up here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

use super::expect::Expected;
use crate::model::{Millis, VmName};

/// Keep virtual machines where a YAML file says they live
#[derive(Debug, Parser)]
#[command(name = "domicile", arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Write no colours; so does the environment variable `NO_COLOR`
    #[arg(long, global = true)]
    pub(super) no_color: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  domicile import --uri qemu+ssh://root@kvm1/system --out fleet.yaml
  domicile plan                  what would happen to bring the hosts to fleet.yaml
  domicile apply                 the same, then ask, then do it
  domicile plan --out web.plan --target web-1 && domicile apply web.plan
  domicile apply --lock-timeout 10m   wait for another apply on the same hosts
  domicile apply --journal move.jsonl && domicile apply --rollback move.jsonl   there, and back again
  domicile unlock                which hosts are locked, and by whom

Environment:
  DOMICILE_LOG=debug            log to standard error (error, warn, info, debug, trace)
  DOMICILE_INPUT=0              never ask; what would have to ask fails
  DOMICILE_IN_AUTOMATION=1      leave out hints on what to type next
  NO_COLOR=1                    no colours";

const UNLOCK: &str = "\
A lock whose owner has died is taken over by the next apply after about 30 seconds, so this is seldom needed. An
owner that lives and whose lock is removed finishes what runs and starts nothing more on that host.

Examples:
  domicile unlock                                             every lock, with its ID
  domicile unlock 6f0c58ba-0c5d-4c47-9a53-1c8a3c4a8a11        remove it from every host
  domicile unlock --uri qemu+ssh://root@kvm1/system           without a manifest";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the manifest alone; no host is asked
    Validate(ValidateArguments),
    /// Read all hosts and show them
    Observe(ObserveArguments),
    /// Write a manifest of what is on the hosts
    Import(ImportArguments),
    /// Show what would be done, and why
    Plan(PlanArguments),
    /// Do it: plan, ask, carry out
    Apply(ApplyArguments),
    /// List the locks on the hosts; with an ID, remove that of an apply that is gone
    #[command(after_help = UNLOCK)]
    Unlock(UnlockArguments),
    /// Show a saved plan or a saved reading
    Show(ShowArguments),
    /// Say what a restriction is about, why it is there and what to do; without a code, list them all
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// A code from a plan's findings, such as storage-unsafe
        code: Option<String>,
    },
    /// Print the JSON schema of the manifest, or of a document that Domicile writes
    Schema {
        /// Which
        #[arg(value_enum, default_value_t = SchemaOf::Manifest)]
        of: SchemaOf,
    },
    /// Print a script that completes commands in a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// Write a page for each command into this folder instead
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

const OBSERVE_EXAMPLES: &str = "\
Examples:
  domicile observe --out reading.json
  domicile observe -f fleet --json";

const IMPORT_EXAMPLES: &str = "\
Examples:
  domicile import --uri qemu+ssh://root@kvm1/system --out fleet.yaml
  domicile import --uri left=qemu+tls://10.0.0.1/system --uri right=qemu+tls://10.0.0.2/system";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  domicile explain
  domicile explain storage-unsafe";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  domicile completions bash > /usr/share/bash-completion/completions/domicile
  domicile completions zsh > /usr/local/share/zsh/site-functions/_domicile
  domicile completions fish > ~/.config/fish/completions/domicile.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  domicile man --out /usr/local/share/man/man1
  domicile man > domicile.1";

#[derive(Debug, Clone, Args)]
pub(super) struct ManifestArguments {
    /// Manifest file or folder; may be given several times, all are merged
    #[arg(
        short = 'f',
        long = "file",
        value_name = "PATH",
        default_value = "fleet.yaml"
    )]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = VALIDATE_EXAMPLES)]
pub(super) struct ValidateArguments {
    #[command(flatten)]
    pub(super) manifest: ManifestArguments,
    #[command(flatten)]
    pub(super) annotations: AnnotationArguments,
}

/// What a plan can be printed as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a terminal or a log
    #[default]
    Text,
    /// For a comment on a pull request: at most 65,535 characters
    Markdown,
    /// For programs; `domicile schema plan` describes it
    Json,
    /// The steps and what each waits for, as a Mermaid graph
    Mermaid,
    /// The same for Graphviz
    Dot,
    /// A page for a browser, in one file that loads nothing
    Html,
    /// One line, for monitoring
    Line,
}

/// What is described by a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// The manifest
    Manifest,
    /// What `plan --json` and `show --json` print
    Plan,
    /// What `plan --out` writes
    SavedPlan,
    /// What `observe --json` and `observe --out` write
    Reading,
    /// What `plan --drift --json` prints
    Drift,
    /// A line of `apply --json`
    Events,
}

/// As what to print a plan.
#[derive(Debug, Clone, Args)]
pub(super) struct OutputArguments {
    /// What to print
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// What the plan is called in a comment; its hidden marker has the name, so that a pipeline finds the comment that
    /// it shall update [default: the manifest's name]
    #[arg(long, value_name = "NAME")]
    pub(super) comment_id: Option<String>,
}

impl OutputArguments {
    pub(super) fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            self.format.unwrap_or_default()
        }
    }
}

/// As what to write faults and findings for a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AnnotationFormat {
    /// GitHub's workflow commands, on standard error unless a file is named
    Github,
    /// GitLab's code quality report; needs --annotations-out
    Gitlab,
    /// SARIF 2.1.0; needs --annotations-out
    Sarif,
}

/// Where a review shall see faults and findings.
#[derive(Debug, Clone, Args)]
pub(super) struct AnnotationArguments {
    /// Write faults and findings with their lines in the manifest, for a review
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) annotations: Option<AnnotationFormat>,
    /// Write them to this file
    #[arg(long, value_name = "FILE", requires = "annotations")]
    pub(super) annotations_out: Option<PathBuf>,
}

const VALIDATE_EXAMPLES: &str = "\
Examples:
  domicile validate -f fleet.yaml
  domicile validate -f fleet --annotations sarif --annotations-out domicile.sarif";

const PLAN_EXAMPLES: &str = "\
Examples:
  domicile plan --target web-1 --out web.plan
  domicile plan --format markdown --comment-id production
  domicile plan --json --detailed-exitcode
  domicile plan --annotations github
  domicile plan --drift state.json --metrics-out /var/lib/node_exporter/domicile.prom";

const APPLY_EXAMPLES: &str = "\
Examples:
  domicile apply web.plan
  domicile apply --auto-approve --json
  domicile apply --auto-approve --expect web.plan
  domicile apply web.plan --state-out state.json
  domicile apply --simulate --observed reading.json";

const SHOW_EXAMPLES: &str = "\
Examples:
  domicile show web.plan
  domicile show web.plan --format mermaid";

#[derive(Debug, Clone, Args)]
pub(super) struct Timeout {
    /// How long one host may take to answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(super) timeout: Millis,
}

#[derive(Debug, Args)]
#[command(after_help = OBSERVE_EXAMPLES)]
pub(super) struct ObserveArguments {
    #[command(flatten)]
    pub(super) manifest: ManifestArguments,
    #[command(flatten)]
    pub(super) timeout: Timeout,
    /// Write the reading to a file, for `--observed` and bug reports
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(super) struct ImportArguments {
    /// URI of a host, or NAME=URI to choose its name in the manifest; may be given several times
    #[arg(long = "uri", value_name = "URI", required = true)]
    pub(super) uris: Vec<String>,
    #[command(flatten)]
    pub(super) timeout: Timeout,
    /// Write to a file that does not exist yet, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// What plan and apply share.
#[derive(Debug, Clone, Args)]
pub(super) struct Planning {
    #[command(flatten)]
    pub(super) manifest: ManifestArguments,
    #[command(flatten)]
    pub(super) timeout: Timeout,
    /// Plan from a reading made by `observe --out` instead of asking the hosts
    #[arg(long, value_name = "FILE")]
    pub(super) observed: Option<PathBuf>,
    /// Only this VM; may be given several times
    #[arg(long = "target", value_name = "VM")]
    pub(super) targets: Vec<VmName>,
    /// All but this VM; may be given several times
    #[arg(long = "exclude", value_name = "VM")]
    pub(super) excludes: Vec<VmName>,
    /// The longest that any guest may not answer, by the forecast; moves above are refused
    #[arg(long, value_name = "TIME")]
    pub(super) max_downtime: Option<Millis>,
    /// Refuse every move that reboots a guest
    #[arg(long)]
    pub(super) no_reboot: bool,
    /// Accept the risk of this rule (`domicile explain` lists them); may be given several times
    #[arg(long, value_name = "CODE")]
    pub(super) accept: Vec<String>,
    /// The most VMs that may move by way of a third host; as many as it takes unless given
    #[arg(long, value_name = "N")]
    pub(super) max_detours: Option<u32>,
    /// How long to look for a shorter schedule, 5s unless given; the same for everybody: it counts work, not time
    #[arg(long, value_name = "TIME")]
    pub(super) plan_time: Option<Millis>,
    /// Journals of earlier applies, files or folders of them: forecasts are corrected by how long things took
    #[arg(long, value_name = "PATH")]
    pub(super) records: Vec<PathBuf>,
    /// Most migrations into and out of each host at once, whatever the manifest says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) parallelism: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    pub(super) planning: Planning,
    /// Save the plan, for `apply FILE`
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArguments,
    #[command(flatten)]
    pub(super) annotations: AnnotationArguments,
    /// Show what somebody else changed since this reading, from `apply --state-out` or `observe --out`, apart from what
    /// the manifest wants; exits with 10 where there is any
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "annotations"])]
    pub(super) drift: Option<PathBuf>,
    /// Write the drift as metrics for Prometheus, too; the file is replaced at once
    #[arg(long, value_name = "FILE", requires = "drift")]
    pub(super) metrics_out: Option<PathBuf>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
}

#[derive(Debug, Args)]
#[command(after_help = APPLY_EXAMPLES)]
pub(super) struct ApplyArguments {
    /// A plan saved by `plan --out`: carried out without asking, refused if the hosts have changed
    #[arg(value_name = "PLANFILE", conflicts_with_all = ["files", "observed", "targets", "excludes", "parallelism", "max_downtime", "no_reboot", "accept", "max_detours", "plan_time", "records"])]
    pub(super) plan_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) planning: Planning,
    /// Bring every VM back to where it was before the apply of this journal: a plan like any other
    #[arg(long, value_name = "JOURNAL", conflicts_with = "plan_file")]
    pub(super) rollback: Option<PathBuf>,
    /// Go on only if the plan is the one of this hash, or of this file from `plan --out`
    #[arg(long, value_name = "HASH|FILE")]
    pub(super) expect: Option<Expected>,
    /// Do not ask
    #[arg(long)]
    pub(super) auto_approve: bool,
    /// Carry the plan out on hosts in memory; the real ones are only read
    #[arg(long)]
    pub(super) simulate: bool,
    /// Print one JSON object a line; needs --auto-approve or a plan file
    #[arg(long)]
    pub(super) json: bool,
    /// How long to wait where another apply has locked a host; without it, until that shows a sign of life
    #[arg(long, value_name = "TIME")]
    pub(super) lock_timeout: Option<Millis>,
    /// Write how the hosts were left, for `plan --drift`; the file is replaced
    #[arg(long, value_name = "FILE")]
    pub(super) state_out: Option<PathBuf>,
    /// Write every event to a new file
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct UnlockArguments {
    /// The lock's ID
    pub(super) id: Option<Uuid>,
    #[command(flatten)]
    pub(super) manifest: ManifestArguments,
    /// URI of a host, or NAME=URI, instead of a manifest; may be given several times
    #[arg(long = "uri", value_name = "URI", conflicts_with = "files")]
    pub(super) uris: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(super) struct ShowArguments {
    /// A file written by `plan --out` or `observe --out`
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) output: OutputArguments,
}
