//! Annotations, held by snapshots: one with a place and all that must be escaped, one without a place.

use domicile::render::annotations::{Annotation, Place, github, gitlab, sarif};
use domicile::render::progress::Level;

fn annotations() -> Vec<Annotation> {
    vec![
        Annotation {
            level: Level::Error,
            code: "pool-missing".into(),
            message: "disk vda needs 100% of pool a,b:c\n::error::no command \u{202e}".into(),
            remedy: "define it".into(),
            place: Some(Place {
                file: "fleet, new: 1/vms%.yaml".into(),
                line: 7,
                column: 3,
                end: 12,
            }),
            fingerprint: "aa".into(),
        },
        Annotation {
            level: Level::Info,
            code: "reading-incomplete".into(),
            message: "a host said little".into(),
            remedy: String::new(),
            place: None,
            fingerprint: "bb".into(),
        },
    ]
}

#[test]
fn for_github() {
    insta::assert_snapshot!(github(&annotations()));
}

#[test]
fn for_gitlab() {
    insta::assert_snapshot!(gitlab(&annotations(), "fleet.yaml").expect("JSON"));
}

#[test]
fn for_whoever_reads_sarif() {
    let title = |code: &str| (code == "pool-missing").then(|| "the pool is missing".to_owned());
    insta::assert_snapshot!(sarif(&annotations(), "fleet.yaml", "0.1.0", title).expect("JSON"));
}
