//! Any text to one that is safe on one line of a terminal.

use std::borrow::Cow;

/// The text with every character that could move the cursor, start an escape sequence, end the line or reorder what
/// is shown replaced by its code, such as `\u{1b}`.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_unsafe(letter) {
            safe.extend(letter.escape_unicode());
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            // Invisible ones, and those that turn the direction of what follows (Unicode's "Trojan Source" set).
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_and_turned_text_are_shown_and_not_obeyed() {
        assert_eq!(clean("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(clean("a\u{9b}31m\r\n"), "a\\u{9b}31m\\u{d}\\u{a}");
        assert_eq!(clean("disk\u{202e}gpj.exe"), "disk\\u{202e}gpj.exe");
        assert!(matches!(clean("web-1 (старый)"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in any::<String>()) {
            prop_assert!(!clean(&text).contains(is_unsafe));
        }
    }
}
