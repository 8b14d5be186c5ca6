//! Words that have another word here, marks of unfinished work, and what is true on one machine only.

use super::Tree;

/// A text that may not be committed. The parts are joined, so that this table does not forbid itself.
struct Banned {
    parts: [&'static str; 2],
    /// Whether it counts as part of a longer word, too.
    anywhere: bool,
    why: &'static str,
    /// Places, by the beginning of the path, where it has another meaning.
    but_in: &'static [&'static str],
}

const BANNED: &[Banned] = &[
    Banned {
        parts: ["no", "de"],
        anywhere: false,
        why: "a machine that runs VMs is a host",
        // Trees of XML and YAML, libvirt's calls, and its test driver's files have their own.
        but_in: &[
            "src/definition/",
            "src/libvirt/",
            "src/manifest/",
            // A graph's calls are petgraph's.
            "src/planner/schedule.rs",
            "tests/data/hosts/",
            "tests/observe/",
        ],
    },
    Banned {
        parts: ["no", "des"],
        anywhere: false,
        why: "machines that run VMs are hosts",
        but_in: &[
            "src/definition/",
            "src/libvirt/",
            "src/manifest/",
            // The name of a field in plans of BtrPlace.
            "tests/bench/planner/instances.rs",
            "tests/data/hosts/",
            // The name of a module of comrak's.
            "tests/render/comment.rs",
        ],
    },
    Banned {
        parts: ["hyper", "visors"],
        anywhere: false,
        why: "machines that run VMs are hosts",
        but_in: &[],
    },
    Banned {
        parts: ["TO", "DO"],
        anywhere: false,
        why: "finish it, or document what is not there",
        but_in: &[],
    },
    Banned {
        parts: ["FIX", "ME"],
        anywhere: false,
        why: "finish it, or document what is not there",
        but_in: &[],
    },
    Banned {
        parts: ["XX", "X"],
        anywhere: false,
        why: "finish it, or document what is not there",
        but_in: &[],
    },
    Banned {
        parts: ["dbg", "!("],
        anywhere: true,
        why: "a debugging aid",
        but_in: &[],
    },
    Banned {
        parts: ["/wo", "rk/"],
        anywhere: true,
        why: "a path of one machine",
        but_in: &[],
    },
    Banned {
        parts: ["/ho", "me/"],
        anywhere: true,
        why: "a path of one machine",
        but_in: &[],
    },
    Banned {
        parts: ["index.crates", ".io"],
        anywhere: true,
        why: "a package registry's host",
        but_in: &[],
    },
    Banned {
        parts: ["static.crates", ".io"],
        anywhere: true,
        why: "a package registry's host",
        but_in: &[],
    },
    Banned {
        parts: ["deb.deb", "ian.org"],
        anywhere: true,
        why: "a package registry's host",
        but_in: &[],
    },
    Banned {
        parts: ["archive.ubuntu", ".com"],
        anywhere: true,
        why: "a package registry's host",
        but_in: &[],
    },
    Banned {
        parts: ["pypi", ".org"],
        anywhere: true,
        why: "a package registry's host",
        but_in: &[],
    },
    Banned {
        parts: ["registry.npm", "js.org"],
        anywhere: true,
        why: "a package registry's host",
        but_in: &[],
    },
    Banned {
        parts: ["proxy.golang", ".org"],
        anywhere: true,
        why: "a package registry's host",
        but_in: &[],
    },
];

/// Where every package of the lock file comes from: cargo's own name of its default source.
const CARGO_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let banned: Vec<(String, &Banned)> = BANNED
        .iter()
        .map(|banned| (banned.parts.concat(), banned))
        .collect();
    let mut problems = Vec::new();
    for (path, text) in &tree.files {
        for (index, line) in text.lines().enumerate() {
            let at = || format!("{path}:{}", index + 1);
            if path == "Cargo.lock" {
                if line.starts_with("source = ") && line != CARGO_SOURCE {
                    problems.push(format!(
                        "{}: a package from another source than cargo's default",
                        at()
                    ));
                }
                continue;
            }
            for (word, banned) in &banned {
                let excused = banned.but_in.iter().any(|place| path.starts_with(place));
                if !excused && contains(line, word, banned.anywhere) {
                    problems.push(format!("{}: `{word}`: {}", at(), banned.why));
                }
            }
        }
    }
    problems
}

fn contains(line: &str, word: &str, anywhere: bool) -> bool {
    let is_part = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    };
    line.match_indices(word).any(|(start, found)| {
        let before = line[..start].chars().next_back();
        let after = line[start + found.len()..].chars().next();
        anywhere || !(is_part(before) || is_part(after))
    })
}
