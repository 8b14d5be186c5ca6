//! Whatever the bytes are, a manifest is read or refused, in short time.

use domicile::manifest::{Source, load};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../examples/fleet.yaml");

/// Loads a text; every label must lie in it.
fn survives(text: &str) {
    let sources = [Source::new("any.yaml", text)];
    let Err(faults) = load(&sources) else {
        return;
    };
    assert!(!faults.is_empty());
    for fault in faults {
        for label in [Some(fault.label), fault.second].into_iter().flatten() {
            assert!(
                text.get(label.span.clone()).is_some(),
                "{label:?} in {text:?}"
            );
        }
    }
}

/// Texts of the pieces that YAML is made of.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "version: 1\n",
        "vms:",
        "hosts:",
        "pools:",
        "networks:",
        "migration:",
        "pairs:",
        "clusters:",
        "on_stall:",
        "host:",
        "disks:",
        "interfaces:",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "\t",
        "- ",
        "? ",
        ": ",
        ", ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "*b",
        "<<: ",
        "!!str ",
        "!x ",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "\\",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "~",
        "null",
        "1",
        "-1",
        ".nan",
        "1e999",
        "0x",
        "kvm1",
        "16GiB",
        "300ms",
        "é",
        "\u{feff}",
        "\u{2028}",
        "\r\n",
        "\r",
        "\0",
        "\u{1b}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        survives(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn anything_that_looks_like_yaml_is_read_or_refused(text in yaml_like()) {
        survives(&text);
    }

    #[test]
    fn an_example_with_a_piece_replaced_is_read_or_refused(
        at in 0..EXAMPLE.len(), length in 0..40_usize, piece in yaml_like()
    ) {
        let end = (at + length).min(EXAMPLE.len());
        survives(&format!("{}{piece}{}", &EXAMPLE[..at], &EXAMPLE[end..]));
    }
}
