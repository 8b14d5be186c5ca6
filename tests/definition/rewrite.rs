use std::collections::BTreeMap;

use domicile::definition::{DefinitionError, DiskRewrite, Rewrite, read, rewrite};
use domicile::model::{DiskTarget, InterfaceSource, MacAddress, VolumeFormat};
use proptest::prelude::*;
use similar::{ChangeTag, TextDiff};

use super::{ALL, EVERYTHING, LIVE, MIGRATABLE, PERSISTENT};

fn disk(target: &str, path: &str, backing: &[&str]) -> Rewrite {
    let backing = backing.iter();
    let change = DiskRewrite {
        path: path.into(),
        backing: backing
            .map(|path| ((*path).to_owned(), VolumeFormat::Qcow2))
            .collect(),
    };
    Rewrite {
        disks: BTreeMap::from([(DiskTarget::new(target).unwrap(), change)]),
        interfaces: BTreeMap::new(),
    }
}

fn interface(mac: &str, source: InterfaceSource) -> Rewrite {
    Rewrite {
        disks: BTreeMap::new(),
        interfaces: BTreeMap::from([(MacAddress::new(mac).unwrap(), source)]),
    }
}

/// Lines that went (`-`) and came (`+`), without their indentation.
fn changes(before: &str, after: &str) -> Vec<String> {
    TextDiff::from_lines(before, after)
        .iter_all_changes()
        .filter_map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => return None,
            };
            Some(format!("{sign}{}", change.value().trim()))
        })
        .collect()
}

fn changed(definition: &str, wanted: &Rewrite) -> Vec<String> {
    changes(definition, &rewrite(definition, wanted).unwrap())
}

#[test]
fn nothing_to_change_changes_nothing() {
    for definition in ALL {
        assert_eq!(
            rewrite(definition, &Rewrite::default()).unwrap(),
            definition
        );
    }
}

#[test]
fn a_new_path_changes_one_line_of_a_persistent_definition() {
    let wanted = disk("vda", "/srv/fast/web-1.qcow2", &["/srv/fast/base.qcow2"]);
    for definition in [PERSISTENT, MIGRATABLE] {
        assert_eq!(
            changed(definition, &wanted),
            [
                "-<source file='/var/lib/libvirt/images/web-1-vda.qcow2'/>",
                "+<source file='/srv/fast/web-1.qcow2'/>",
            ]
        );
    }
}

#[test]
fn a_running_vms_chain_follows_its_disk() {
    let wanted = disk("vda", "/srv/fast/web-1.qcow2", &["/srv/fast/base.qcow2"]);
    assert_eq!(
        changed(LIVE, &wanted),
        [
            "-<source file='/var/lib/libvirt/images/web-1-vda.qcow2' index='2'/>",
            "+<source file='/srv/fast/web-1.qcow2' index='2'/>",
            "-<source file='/var/lib/libvirt/images/base.qcow2'/>",
            "+<source file='/srv/fast/base.qcow2'/>",
        ]
    );
}

#[test]
fn a_disk_that_will_stand_alone_names_no_chain() {
    let after = rewrite(LIVE, &disk("vda", "/srv/fast/flat.qcow2", &[])).unwrap();
    assert!(!after.contains("base.qcow2"));
    let vda = &read(&after).unwrap().disks[0];
    assert_eq!(vda.backing, []);
    assert_eq!(after.matches("<backingStore/>").count(), 2);
}

#[test]
fn a_chain_can_grow_and_its_new_layers_are_closed() {
    let wanted = disk("vda", "/srv/fast/a", &["/srv/fast/b", "/dev/vg0/c"]);
    let after = rewrite(LIVE, &wanted).unwrap();
    let layers: Vec<String> = read(&after).unwrap().disks[0]
        .backing
        .iter()
        .map(|layer| layer.path.clone())
        .collect();
    assert_eq!(layers, ["/srv/fast/b", "/dev/vg0/c"]);
    assert!(after.contains(
        "<backingStore type='block'><format type='qcow2'/><source dev='/dev/vg0/c'/><backingStore/></backingStore>"
    ));
}

#[test]
fn a_volume_becomes_the_path_it_has_at_the_destination() {
    assert_eq!(
        changed(EVERYTHING, &disk("vda", "/srv/fast/db.qcow2", &[])),
        [
            r#"-<disk type="volume" device="disk">"#,
            r#"+<disk type='file' device="disk">"#,
            r#"-<source pool="default" volume="db-vda.qcow2" mode="host" index="4"><seclabel model="dac" relabel="no"/></source>"#,
            r#"+<source file='/srv/fast/db.qcow2' index="4"><seclabel model="dac" relabel="no"/></source>"#,
        ]
    );
}

#[test]
fn a_file_that_becomes_a_device_changes_its_type_and_back() {
    assert_eq!(
        changed(EVERYTHING, &disk("vdb", "/dev/vg1/db-vdb", &[])),
        [
            r#"-<disk device="disk">"#,
            r#"+<disk type='block' device="disk">"#,
            r#"-<source  file = "/srv/bulk/db&#10;&apos;vdb&apos;.raw"  />"#,
            "+<source  dev='/dev/vg1/db-vdb'  />",
        ]
    );
    let back = rewrite(EVERYTHING, &disk("sda", "/dev/shm/db.raw", &[])).unwrap();
    assert!(back.contains(r#"<disk type='file' device="lun">"#));
    assert!(back.contains("<source file='/dev/shm/db.raw'/>"));
}

#[test]
fn an_interface_keeps_all_but_its_connection() {
    let mac = "52:54:00:aa:bb:02";
    assert_eq!(
        changed(
            EVERYTHING,
            &interface(mac, InterfaceSource::Bridge("br-pub".into()))
        ),
        [
            "-<interface type='bridge'><mac address='52:54:00:aa:bb:02'/><source bridge='br0'/><vlan><tag id='42'/></vlan></interface>",
            "+<interface type='bridge'><mac address='52:54:00:aa:bb:02'/><source bridge='br-pub'/><vlan><tag id='42'/></vlan></interface>",
        ]
    );
    // What libvirt noted about the old network of a running VM goes with it.
    let mac = "52:54:00:aa:bb:01";
    let other = changed(
        EVERYTHING,
        &interface(mac, InterfaceSource::Network("lan".into())),
    );
    assert_eq!(other[1], r#"+<source network='lan' portgroup="fast"/>"#);
    let bridge = changed(
        EVERYTHING,
        &interface(mac, InterfaceSource::Bridge("br0".into())),
    );
    assert_eq!(
        bridge,
        [
            r#"-<interface type="network">"#,
            "+<interface type='bridge'>",
            r#"-<source network="default" portgroup="fast" portid="3f4e1b6a-4f1c-4c0e-9a43-2c6f6f9a2f10" bridge="virbr0"/>"#,
            "+<source bridge='br0'/>",
        ]
    );
    // The same connection again is no change.
    let same = interface(mac, InterfaceSource::Network("default".into()));
    assert_eq!(rewrite(EVERYTHING, &same).unwrap(), EVERYTHING);
}

#[test]
fn what_cannot_be_replaced_is_refused_by_name() {
    let refusal = |wanted: &Rewrite| rewrite(EVERYTHING, wanted).unwrap_err().to_string();
    assert_eq!(
        refusal(&disk("vdc", "/srv/a", &[])),
        "the source of disk vdc is of type network, which cannot be replaced by the path /srv/a"
    );
    assert_eq!(
        refusal(&disk("vdz", "/srv/a", &[])),
        "the definition has no disk vdz"
    );
    assert_eq!(
        refusal(&disk("vda", "relative", &[])),
        r#""relative" cannot be written into a definition as an absolute path"#
    );
    assert_eq!(
        refusal(&interface(
            "52:54:00:aa:bb:04",
            InterfaceSource::Bridge("br0".into())
        )),
        "the source of interface 52:54:00:aa:bb:04 is of type hostdev, which cannot be replaced by bridge br0"
    );
    assert_eq!(
        refusal(&interface(
            "52:54:00:00:00:00",
            InterfaceSource::Bridge("br0".into())
        )),
        "the definition has no interface 52:54:00:00:00:00"
    );
    assert!(matches!(
        rewrite(EVERYTHING, &disk("vda", "/a\u{1}", &[])),
        Err(DefinitionError::Value { .. })
    ));
}

/// Every element, attribute and text in the order of the document, with its way from the root.
fn everything_in(text: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(text).unwrap();
    let way = |part: roxmltree::Node<'_, '_>| {
        let mut names: Vec<&str> = part.ancestors().map(|up| up.tag_name().name()).collect();
        names.reverse();
        names.join("/")
    };
    document
        .descendants()
        .flat_map(|part| {
            let mut all = vec![format!(
                "{} {:?} {:?}",
                way(part),
                part.node_type(),
                part.text()
            )];
            let attributes = part.attributes();
            all.extend(
                attributes.map(|it| format!("{}@{}={:?}", way(part), it.name(), it.value())),
            );
            all
        })
        .collect()
}

fn wrapped(inserted: &str) -> String {
    PERSISTENT.replacen("<devices>", &format!("<devices>{inserted}"), 1)
}

prop_compose! {
    fn unknown_element()(
        name in "x[a-z]{0,8}",
        attribute in "[a-z]{1,8}",
        value in r#"[^<&"\p{Cc}\u{fffe}\u{ffff}]{0,20}"#,
        text in r"[^<&>\p{Cc}\u{fffe}\u{ffff}]{0,20}",
        space in "[ \n\t]{0,4}",
    ) -> String {
        format!("<!--{space}-->{space}<{name}{space} {attribute} = \"{value}\"{space}>{text}</{name}{space}>")
    }
}

proptest! {
    #[test]
    fn unknown_elements_survive_to_the_letter(element in unknown_element(), path in "/[a-z/]{1,30}") {
        let before = wrapped(&element);
        let after = rewrite(&before, &disk("vda", &path, &[])).unwrap();
        let old = "file='/var/lib/libvirt/images/web-1-vda.qcow2'";
        prop_assume!(!path.starts_with("/dev/"));
        prop_assert_eq!(after, before.replacen(old, &format!("file='{path}'"), 1));
    }

    #[test]
    fn a_hostile_path_is_one_value_and_nothing_else(tail in r"[^\p{Cc}\u{fffe}\u{ffff}]{0,60}") {
        let path = format!("/srv/'\"><x a='&amp;{tail}");
        for definition in [LIVE, PERSISTENT, MIGRATABLE] {
            let after = rewrite(definition, &disk("vda", &path, &["/srv/fast/base.qcow2"])).unwrap();
            let facts = read(&after).unwrap();
            prop_assert_eq!(facts.disks[0].path.as_deref(), Some(path.as_str()));
            let (old, new) = (everything_in(definition), everything_in(&after));
            prop_assert_eq!(old.len(), new.len());
            let differ: Vec<&String> = old.iter().zip(&new).filter(|(old, new)| old != new).map(|(_, new)| new).collect();
            let sources = differ.iter().all(|line| line.contains("source@file="));
            prop_assert!(sources, "{:?}", differ);
            prop_assert!(differ.len() <= 2);
        }
    }

    #[test]
    fn white_space_in_a_path_survives(path in "/[ \t\n\ra-z]{0,20}") {
        let after = rewrite(PERSISTENT, &disk("vda", &path, &[])).unwrap();
        let facts = read(&after).unwrap();
        prop_assert_eq!(facts.disks[0].path.as_deref(), Some(path.as_str()));
    }

    #[test]
    fn rewriting_twice_is_rewriting_once(
        which in 0..3_usize,
        path in "/(srv|dev)/[a-z]{1,8}",
        backing in proptest::collection::vec("/(srv|dev)/[a-z]{1,8}", 0..4),
    ) {
        let backing: Vec<&str> = backing.iter().map(String::as_str).collect();
        let wanted = disk("vda", &path, &backing);
        let once = rewrite([LIVE, PERSISTENT, EVERYTHING][which], &wanted).unwrap();
        prop_assert_eq!(rewrite(&once, &wanted).unwrap(), once);
    }

    #[test]
    fn a_broken_definition_is_rewritten_or_refused(
        which in 0..ALL.len(),
        at in any::<proptest::sample::Index>(),
        by in r#"[<>/='"&;!a-z\[\] -]{0,12}"#,
    ) {
        let text = ALL[which];
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let place = places[at.index(places.len())];
        let broken = format!("{}{by}{}", &text[..place], &text[place..]);
        if let Ok(after) = rewrite(&broken, &disk("vda", "/srv/new", &["/srv/base"])) {
            roxmltree::Document::parse(&after).unwrap();
        }
    }
}

#[test]
fn of_two_interfaces_with_one_address_neither_is_changed() {
    let twin = "<interface type='bridge'><mac address='52:54:00:aa:00:01'/><source bridge='br0'/></interface>";
    let definition =
        format!("<domain><name>a</name><memory>1</memory><devices>{twin}{twin}</devices></domain>");
    let wanted = interface("52:54:00:AA:00:01", InterfaceSource::Bridge("br1".into()));
    let error = rewrite(&definition, &wanted).unwrap_err();
    assert!(matches!(&error, DefinitionError::Twice { .. }), "{error}");
    assert!(error.to_string().contains("interface 52:54:00:aa:00:01"));
}

/// A running VM's definition names the network beside what the network has made of the interface.
#[test]
fn an_interface_that_a_network_gave_a_bridge_is_the_networks() {
    let definition = "<domain><name>a</name><memory>1</memory><devices><interface type='bridge'><mac address='52:54:00:aa:00:01'/><source network='lan' portid='1' bridge='virbr0'/></interface></devices></domain>";
    for (wanted, source) in [
        (
            InterfaceSource::Bridge("br1".into()),
            "<source bridge='br1'/>",
        ),
        (
            InterfaceSource::Network("wan".into()),
            "<source network='wan'/>",
        ),
    ] {
        let changed = rewrite(definition, &interface("52:54:00:aa:00:01", wanted.clone())).unwrap();
        assert!(changed.contains(source), "{changed}");
        assert_eq!(read(&changed).unwrap().interfaces[0].source, wanted);
    }
}
