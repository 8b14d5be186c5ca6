//! Random answers of a host, by libvirt's own schemas: none makes reading it panic, and what is there counts.

use std::path::Path;

use roxmltree::Document;

use super::{capabilities, domain_capabilities, pool_xml, visitor::Visitor};
use crate::definition;
use crate::libvirt::volume_xml;
use crate::model::{Bytes, PowerState, RunState, VmName};
use crate::observed::{Host, Vm, VmDetail};

#[path = "../../../tests/schema/mod.rs"]
#[expect(dead_code, reason = "tests of definitions need more of it")]
mod schema;

use schema::{Documents, Grammar};

/// Where libvirt's client library keeps its schemas.
const SCHEMAS: &str = "/usr/share/libvirt/schemas";

/// How many answers of each kind are made.
const SEEDS: u64 = 60;

fn each(file: &str, mut hold: impl FnMut(u64, &str)) {
    let grammar = Grammar::read(Path::new(SCHEMAS), file);
    let mut documents = Documents::of(&grammar);
    for seed in 0..SEEDS {
        hold(seed, &documents.of_seed(seed));
    }
}

#[test]
fn a_pools_kind_and_what_a_volume_stands_on_are_read_from_any_answer() {
    let mut read = 0;
    each("storagepool.rng", |seed, text| {
        let document = Document::parse(text).unwrap();
        let pool = pool_xml::read(text).unwrap();
        let kind = document.root_element().attribute("type");
        assert_eq!(Some(pool.kind.as_str()), kind, "seed {seed}");
    });
    each("storagevol.rng", |seed, text| {
        let Ok(volume) = volume_xml::read(text) else {
            return;
        };
        read += 1;
        let document = Document::parse(text).unwrap();
        let mut parts = document.root_element().children();
        let stands = parts.any(|part| part.has_tag_name("backingStore"));
        assert_eq!(volume.backing.is_some(), stands, "seed {seed}: {text}");
    });
    assert!(read > SEEDS / 6, "only {read} volumes can be read");
}

fn vm_of(text: &str) -> Vm {
    let detail = VmDetail {
        live_xml: Some(text.to_owned()),
        inactive_xml: text.to_owned(),
        ..VmDetail::default()
    };
    Vm {
        uuid: String::new(),
        power: PowerState {
            state: RunState::Running,
            reason: String::new(),
        },
        persistent: true,
        memory: Bytes::ZERO,
        vcpus: 1,
        managed_save: false,
        autostart: false,
        detail: Some(Box::new(detail)),
    }
}

/// Every definition against what some hypervisor offers, and against every other definition as the next start.
#[test]
fn any_vm_can_be_asked_about_at_any_host() {
    let (mut offered, mut hosts) = (Vec::new(), Vec::new());
    each("domaincaps.rng", |_, text| {
        offered.extend(domain_capabilities::read(text));
    });
    each("capability.rng", |_, text| {
        hosts.extend(capabilities::read(text));
    });
    assert!(!offered.is_empty() && !hosts.is_empty());
    let name = VmName::new("web-1").unwrap();
    let mut before = None;
    let mut asked = 0;
    each("domain.rng", |seed, text| {
        let Ok(facts) = definition::read(text) else {
            return;
        };
        asked += 1;
        let number = usize::try_from(seed).unwrap();
        let offers = &offered[number % offered.len()];
        drop((offers.against(&facts), offers.lists_loader(&facts)));
        let host = Host {
            cpu_xml: hosts[number % hosts.len()].cpu_xml.clone(),
            ..Host::default()
        };
        let visitor = Visitor::of(&name, &vm_of(text), &host);
        assert!(visitor.is_some_and(|visitor| visitor.running.is_some()));
        let changed = definition::pending(before.as_ref().unwrap_or(&facts), &facts);
        assert!(before.is_some() || changed.is_empty(), "{changed:?}");
        before = Some(facts);
    });
    assert!(asked > SEEDS / 2, "only {asked} VMs can be read");
}
