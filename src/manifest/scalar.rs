//! The text of a plain YAML scalar to what it means by the core schema of YAML 1.2, and text to a scalar.

/// What a plain scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text,
}

/// What a plain scalar means. A number that starts with a needless zero is text, since half of the YAML readers take
/// it as octal.
pub(super) fn meaning(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Meaning::Null,
        "true" | "True" | "TRUE" => return Meaning::Bool(true),
        "false" | "False" | "FALSE" => return Meaning::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Meaning::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Meaning::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Meaning::Float(f64::NAN),
        _ => {}
    }
    let radix = |digits: &str, radix| {
        let plain = digits.starts_with(|first: char| first.is_ascii_hexdigit());
        u64::from_str_radix(digits, radix)
            .ok()
            .filter(|_| plain)
            .map_or(Meaning::Text, Meaning::Unsigned)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_as_number = unsigned.starts_with(|first: char| first.is_ascii_digit())
        || unsigned
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    let needless_zero = unsigned
        .strip_prefix('0')
        .is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()));
    if !starts_as_number || needless_zero {
        return Meaning::Text;
    }
    if let Ok(number) = text.parse() {
        return Meaning::Unsigned(number);
    }
    if let Ok(number) = text.parse() {
        return Meaning::Signed(number);
    }
    text.parse().map_or(Meaning::Text, Meaning::Float)
}

/// The text as a YAML scalar that every reader, also one of YAML 1.1, takes as this text.
pub(super) fn written(text: &str) -> String {
    // A colon is harmless where a slash follows, as in a URI.
    let plain_throughout = text.replace("://", "").bytes().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'_' | b'.' | b'/' | b'+' | b'@' | b'?' | b'=' | b'%'
            )
    });
    let letter_first = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    if plain_throughout && letter_first && !word {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// The text as it may stand in a comment: on one line.
pub(super) fn in_comment(text: &str) -> String {
    let shown = |letter: char| {
        if letter.is_control() || !is_printable(letter) {
            ' '
        } else {
            letter
        }
    };
    text.chars().map(shown).collect()
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Line separators, direction marks and the like would be folded, or change what a person sees.
            special if special.is_control() || !is_printable(special) => {
                out = format!("{out}\\U{:08x}", u32::from(special));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn is_printable(letter: char) -> bool {
    !matches!(letter,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_1_2_says() {
        for (text, wanted) in [
            ("", Meaning::Null),
            ("~", Meaning::Null),
            ("true", Meaning::Bool(true)),
            ("yes", Meaning::Text),
            ("on", Meaning::Text),
            ("12", Meaning::Unsigned(12)),
            ("-12", Meaning::Signed(-12)),
            ("0x1f", Meaning::Unsigned(31)),
            ("0o17", Meaning::Unsigned(15)),
            ("0x-1", Meaning::Text),
            ("017", Meaning::Text),
            ("1e3", Meaning::Float(1000.0)),
            (".5", Meaning::Float(0.5)),
            ("-.inf", Meaning::Float(f64::NEG_INFINITY)),
            ("inf", Meaning::Text),
            ("nan", Meaning::Text),
            ("1.2.3", Meaning::Text),
            ("-", Meaning::Text),
            ("16GiB", Meaning::Text),
        ] {
            assert_eq!(meaning(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn text_that_a_reader_could_take_for_something_else_is_quoted() {
        for text in ["web-1", "a_b.c", "qemu+ssh"] {
            assert_eq!(written(text), text);
        }
        for text in [
            "", "null", "1e3", "Yes", "a: b", "#x", "-", "5", "~", "a b", "é",
        ] {
            assert!(written(text).starts_with('"'), "{text:?}");
        }
        assert_eq!(written("a\"\\\u{202e}"), r#""a\"\\\U0000202e""#);
    }
}
