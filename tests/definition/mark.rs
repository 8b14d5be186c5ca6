use domicile::definition::{Mark, mark_element, read, with_mark, without_mark};
use domicile::model::{HostName, MoveMark, PoolName, VolumeName};
use proptest::prelude::*;

use super::{ALL, LIVE};

fn mark(volume: &str) -> MoveMark {
    MoveMark {
        version: MoveMark::VERSION,
        from: HostName::new("kvm1").unwrap(),
        from_uuid: "287aee32-f584-4cf6-83f6-c632c92c6c2f".into(),
        to: HostName::new("kvm2").unwrap(),
        to_uuid: "68fa450c-dc72-4285-a0a7-a57985ac4346".into(),
        was_active: true,
        autostart: false,
        cold: false,
        complete: false,
        source_volumes: vec![(
            PoolName::new("default").unwrap(),
            VolumeName::new(volume).unwrap(),
        )],
        created_volumes: Vec::new(),
        created_bases: Vec::new(),
        temporary_volumes: Vec::new(),
        claimed: Vec::new(),
        made: Vec::new(),
        made_at_source: Vec::new(),
        source_bases: Vec::new(),
        kept_bases: Vec::new(),
    }
}

#[test]
fn a_definition_has_one_mark_after_it_was_set_twice() {
    for definition in ALL {
        let once = with_mark(definition, &mark("a")).unwrap();
        let twice = with_mark(&once, &mark("b")).unwrap();
        assert_eq!(read(&twice).unwrap().mark, Mark::Read(Box::new(mark("b"))));
        assert_eq!(twice.matches(MoveMark::NAMESPACE).count(), 1);
        let without = read(&without_mark(&twice).unwrap()).unwrap();
        assert_eq!(without, read(definition).unwrap());
    }
}

#[test]
fn others_metadata_stays_when_the_mark_goes() {
    let theirs = LIVE.replacen(
        "<memory",
        "<metadata><a:b xmlns:a='urn:theirs'> kept </a:b></metadata>\n  <memory",
        1,
    );
    let marked = with_mark(&theirs, &mark("a")).unwrap();
    assert_eq!(without_mark(&marked).unwrap(), theirs);
}

#[test]
fn an_empty_metadata_element_can_hold_a_mark() {
    let empty = LIVE.replacen("<memory", "<metadata/><memory", 1);
    let marked = with_mark(&empty, &mark("a")).unwrap();
    assert_eq!(read(&marked).unwrap().mark, Mark::Read(Box::new(mark("a"))));
}

#[test]
fn a_mark_of_another_layout_is_not_taken_for_none() {
    let other = MoveMark {
        version: 99,
        ..mark("a")
    };
    let read_back = read(&with_mark(LIVE, &other).unwrap()).unwrap().mark;
    let Mark::Unreadable(reason) = read_back else {
        panic!("{read_back:?}");
    };
    assert!(reason.contains("layout 99"), "{reason}");
    let broken = LIVE.replacen(
        "<memory",
        &format!(
            "<metadata><m xmlns='{}'>no</m></metadata><memory",
            MoveMark::NAMESPACE
        ),
        1,
    );
    assert!(matches!(read(&broken).unwrap().mark, Mark::Unreadable(_)));
}

proptest! {
    #[test]
    fn every_name_survives_in_a_mark(name in "[^/\\p{Cc}]{1,40}") {
        prop_assume!(name != "." && name != ".." && name.len() <= 255);
        let marked = with_mark(LIVE, &mark(&name)).unwrap();
        prop_assert_eq!(read(&marked).unwrap().mark, Mark::Read(Box::new(mark(&name))));
        prop_assert!(mark_element(&mark(&name)).unwrap().starts_with("<move>"));
    }
}

/// However a definition writes its metadata, or whether it has any, a mark leaves no trace.
#[test]
fn a_mark_that_goes_leaves_the_definition_as_it_was_to_the_letter() {
    for metadata in [
        "",
        "<metadata/>",
        "<metadata />",
        "<metadata></metadata>",
        "<metadata>\n</metadata>",
    ] {
        let before = LIVE.replacen("<memory", &format!("{metadata}<memory"), 1);
        let marked = with_mark(&before, &mark("a")).unwrap();
        assert_ne!(marked, before);
        assert_eq!(without_mark(&marked).unwrap(), before);
    }
}

#[test]
fn a_metadata_element_in_which_libvirt_wrote_the_mark_goes_with_it() {
    let element = mark_element(&mark("a")).unwrap();
    let start = format!("<domicile:move xmlns:domicile='{}'>", MoveMark::NAMESPACE);
    let element = element
        .replacen("<move>", &start, 1)
        .replacen("</move>", "</domicile:move>", 1);
    let written = format!("<metadata>\n    {element}\n  </metadata>\n  <memory");
    let marked = LIVE.replacen("<memory", &written, 1);
    assert_eq!(read(&marked).unwrap().mark, Mark::Read(Box::new(mark("a"))));
    assert_eq!(without_mark(&marked).unwrap(), LIVE);
}
