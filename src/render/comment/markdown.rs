//! Text of hosts and manifests to Markdown in which it means nothing but itself.
//!
//! Names stand in `<code>` elements and not in backticks: within those no character reference works, so a pipe in a
//! table and a backtick in a name could not be had both. GitHub and GitLab make no mention, reference or link of what
//! stands in such an element.

use std::fmt::Write as _;

use crate::render::clean;
use crate::render::quoted::{Piece, pieces};

/// Characters that mean nothing to Markdown within a line and behind other text.
const HARMLESS: &str = " -.,/+=%;()?";

/// The text as the contents of a line, each character that could mean something written as a reference. `split` is
/// put behind a character where `splits` says so of it, of what stands before it and of what follows.
fn literal(text: &str, split: &str, splits: impl Fn(char, char, &str) -> bool) -> String {
    let text = clean(text);
    let mut safe = String::with_capacity(text.len() + 16);
    let mut last = ' ';
    for (at, letter) in text.char_indices() {
        let harmless = letter.is_ascii_alphanumeric() || HARMLESS.contains(letter);
        if harmless || !letter.is_ascii() {
            safe.push(letter);
        } else {
            let _ = write!(safe, "&#{};", u32::from(letter));
        }
        let rest = text.get(at + letter.len_utf8()..).unwrap_or_default();
        if splits(last, letter, rest) {
            safe.push_str(split);
        }
        last = letter;
    }
    safe
}

/// Where an address of the web or of mail begins.
fn begins_address(last: char, letter: char, rest: &str) -> bool {
    match letter {
        '@' => true,
        ':' => rest.starts_with("//"),
        '.' => last.eq_ignore_ascii_case(&'w'),
        _ => false,
    }
}

/// Where a reference to an issue, a milestone or a label begins, or an emoji.
fn begins_reference(letter: char, rest: &str) -> bool {
    match letter {
        '#' | '!' | '$' | '%' | '~' | '^' | '&' => {
            rest.starts_with(|next: char| !next.is_whitespace())
        }
        ':' => rest.split_once(':').is_some_and(|(word, _)| {
            let of_emoji = |next: char| next.is_ascii_alphanumeric() || "_+-".contains(next);
            !word.is_empty() && word.chars().all(of_emoji)
        }),
        _ => false,
    }
}

/// A name: code, with nothing in it that is anything else.
pub(super) fn code(text: &str) -> String {
    // A place for a line break, which nobody copies with the name.
    format!("<code>{}</code>", literal(text, "<wbr>", begins_address))
}

/// A sentence that may hold names of hosts and manifests.
pub(super) fn prose(text: &str) -> String {
    let text = literal(text, SPLIT, |last, letter, rest| {
        begins_address(last, letter, rest) || begins_reference(letter, rest)
    });
    // GitHub makes a link of `GH-1`, and of what could be the hash of a commit.
    let text = text
        .replace("GH-", &format!("GH{SPLIT}-"))
        .replace("gh-", &format!("gh{SPLIT}-"));
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let hash = word.len() >= 7 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        words.push(if hash {
            let (head, tail) = word.split_at(1);
            format!("{head}{SPLIT}{tail}")
        } else {
            word.to_owned()
        });
    }
    words.join(" ")
}

/// A sentence of ours that says what to do; what is typed stands as code.
pub(super) fn instruction(text: &str) -> String {
    let pieces = pieces(text).into_iter().map(|piece| match piece {
        Piece::Words(words) => prose(words),
        Piece::Typed(typed) => code(typed),
    });
    pieces.collect()
}

/// A space of no width, within prose.
const SPLIT: &str = "&#8203;";

/// A text of at most so many characters; what is cut off ends in an ellipsis.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

/// Lines between fences that none of them can end.
pub(super) fn fenced(language: &str, lines: &[String]) -> String {
    let longest = lines
        .iter()
        .map(|line| ticks(line))
        .max()
        .unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    let mut out = format!("{fence}{language}\n");
    for line in lines {
        out.push_str(&clean(line));
        out.push('\n');
    }
    out.push_str(&fence);
    out.push('\n');
    out
}

/// The longest run of backticks.
fn ticks(line: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for letter in line.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_code_in_which_nothing_means_anything() {
        assert_eq!(code("web-1"), "<code>web-1</code>");
        assert_eq!(
            code("a|b`c@d<"),
            "<code>a&#124;b&#96;c&#64;<wbr>d&#60;</code>"
        );
        assert_eq!(code("a\nb"), "<code>a&#92;u&#123;a&#125;b</code>");
    }

    #[test]
    fn a_sentence_mentions_nobody_and_links_nowhere() {
        assert_eq!(
            prose("see #12 of @all"),
            "see &#35;&#8203;12 of &#64;&#8203;all"
        );
        assert_eq!(prose("GH-7 deadbeef"), "GH&#8203;-7 d&#8203;eadbeef");
        assert_eq!(
            prose("kvm1:a, :x: 5 % of 3%"),
            "kvm1&#58;a, &#58;&#8203;x&#58; 5 % of 3%"
        );
        assert_eq!(
            prose("www.a.b http://a"),
            "www.&#8203;a.b http&#58;&#8203;//a"
        );
    }

    #[test]
    fn what_is_typed_is_code_and_nothing_in_it_means_anything() {
        assert_eq!(
            instruction("set `a_b: <x>` at #1"),
            "set <code>a&#95;b&#58; &#60;x&#62;</code> at &#35;&#8203;1"
        );
        assert_eq!(instruction("a ` b"), "a &#96; b");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_it() {
        let text = fenced("diff", &["+ ````".to_owned()]);
        assert_eq!(text, "`````diff\n+ ````\n`````\n");
    }
}
