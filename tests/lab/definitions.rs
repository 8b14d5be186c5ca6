//! Random definitions by the schema of the newer libvirt of the lab, given to that libvirt: what it then has holds, and
//! Domicile reads all of it.
//!
//! A schema allows much that libvirt refuses to define, so whole random documents get nowhere. What is random here are
//! the devices: each alone in a plain VM, and then those that libvirt took, several at a time. A device that libvirt
//! refuses is tried again with a part less, the one that libvirt names where it names one, until it is taken or nothing
//! is left to try.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use domicile::definition::read;
use domicile::observed::{Observed, Reading};
use roxmltree::{Document, Node};

use crate::lab::Lab;
use crate::random::hold;
use crate::schema::{Documents, Grammar};

/// How many documents are made by each schema to take devices from.
const SEEDS: u64 = 600;

/// How many devices of one kind are given at most.
const OF_A_KIND: usize = 30;

/// How often a device that was refused is tried again.
const TRIES: usize = 10;

/// How many definitions with several devices are given, and with how many each.
const MIXED: (usize, usize) = (150, 5);

/// Of those with one device and of those with several, how many must be taken at least.
const TAKEN: (usize, usize) = (250, 30);

/// Kinds of devices of which libvirt takes none here, and why.
const REFUSED: &[(&str, &str)] = &[
    ("emulator", "a random path is no emulator"),
    ("nvram", "only machines of PPC64 have it"),
];

/// A device as text, and its kind.
type Device = (String, String);

/// The devices of a document that stand for themselves.
fn devices(text: &str) -> Vec<Device> {
    let document = Document::parse(text).unwrap();
    let root = document.root_element();
    let lists = root.children().filter(|it| it.has_tag_name("devices"));
    let all = lists.flat_map(|it| it.children()).filter(Node::is_element);
    let parts = all.map(|it| (it.tag_name().name().to_owned(), text[it.range()].to_owned()));
    parts
        .filter(|(_, part)| Document::parse(part).is_ok())
        .collect()
}

/// Elements without which few devices are anything.
const NEEDED: [&str; 3] = ["target", "source", "size"];

/// The device with less or simpler of something, because libvirt refused it so: a size becomes 64 KiB, a disk's name a
/// usual one, an attribute or element that the refusal names goes, else one of the elements in turn.
fn less(device: &str, refusal: &str, number: usize) -> String {
    let document = Document::parse(device).unwrap();
    let elements = || document.descendants().filter(Node::is_element);
    let simpler = [
        ("too large", "size", "<size unit='KiB'>64</size>"),
        ("invalid size", "size", "<size unit='KiB'>64</size>"),
        (
            "Unknown disk name",
            "target",
            ["<target dev='vda'/>", "<target dev='sda'/>"][number % 2],
        ),
    ];
    for (words, name, instead) in simpler {
        let place = elements().find(|it| it.has_tag_name(name));
        if let Some(place) = place.filter(|_| refusal.contains(words)) {
            let at = place.range();
            return device[..at.start].to_owned() + instead + &device[at.end..];
        }
    }
    let named = |before: &str| Some(refusal.split_once(before)?.1.split_once('\'')?.0);
    let holder = named("in element '");
    let attribute = elements()
        .filter(|it| holder.is_some_and(|name| it.has_tag_name(name)))
        .find_map(|it| it.attribute_node(named("attribute '")?))
        .map(|it| it.range());
    let attributes = || elements().flat_map(|it| it.attributes());
    let told: String = refusal.to_lowercase().replace(' ', "");
    let of_little_use = |it: &Node<'_, '_>| {
        *it != document.root_element() && !NEEDED.contains(&it.tag_name().name())
    };
    let inner: Vec<_> = elements().filter(of_little_use).collect();
    let is_told = |it: &&Node<'_, '_>| told.contains(&it.tag_name().name().to_lowercase());
    let any = (!inner.is_empty()).then(|| &inner[number % inner.len()]);
    let element = inner.iter().find(is_told).or(any).map(Node::range);
    let is_spoken_of = |name: &str| name.len() > 3 && told.contains(&name.to_lowercase());
    let spoken_of = attributes().find(|it| is_spoken_of(it.name()));
    let attribute = attribute.or(spoken_of.map(|it| it.range()));
    match attribute.or(element) {
        Some(gone) => device[..gone.start].to_owned() + &device[gone.end..],
        None => device.to_owned(),
    }
}

/// A plain VM with these devices. Every other one has room for memory devices.
fn definition(name: &str, number: usize, devices: &[&Device]) -> String {
    let devices: String = devices.iter().map(|(_, text)| text.as_str()).collect();
    let (machine, memory) = (
        ["pc", "q35"][number % 2],
        [
            "",
            "<maxMemory slots='8' unit='GiB'>64</maxMemory>
             <cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa></cpu>",
        ][number / 2 % 2],
    );
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>{memory}<vcpu>1</vcpu>
         <os><type arch='x86_64' machine='{machine}'>hvm</type></os><features><acpi/></features>
         <devices>{devices}</devices></domain>"
    )
}

/// What libvirt has of each of these definitions, or why it has none. One of which its daemon dies is not given again.
fn given(lab: &Lab, host: &str, called: &str, all: &[String]) -> Vec<Result<String, String>> {
    let folder = format!("/srv/shared/{host}-{called}");
    let ours = lab.shared().join(format!("{host}-{called}"));
    std::fs::create_dir_all(&ours).unwrap();
    for (number, text) in all.iter().enumerate() {
        std::fs::write(ours.join(format!("{number}.xml")), text).unwrap();
    }
    let mut answers = Vec::new();
    while answers.len() < all.len() {
        let mut commands = String::new();
        for number in answers.len()..all.len() {
            writeln!(commands, "echo @@@").unwrap();
            writeln!(commands, "define {folder}/{number}.xml").unwrap();
            writeln!(commands, "dumpxml {called}-{number} --inactive").unwrap();
        }
        std::fs::write(ours.join("commands"), commands).unwrap();
        // It ends with what came of the last command.
        let script = format!("stdbuf -o0 virsh < {folder}/commands 2>&1 || true");
        let told = lab.on(host, &["sh", "-c", &script]);
        // What is typed is shown, too.
        let told: Vec<&str> = told.split("virsh # echo @@@").skip(1).collect();
        let left = all.len() - answers.len();
        assert_eq!(told.len(), left, "{host} does not answer for all");
        let dies = told.iter().position(|it| it.contains("Disconnected from"));
        let heard = told.iter().take(dies.map_or(left, |at| at + 1));
        answers.extend(heard.map(|it| answer(it)));
        if dies.is_some() {
            eprintln!("{host} dies of {}", all[answers.len() - 1]);
            lab.lab("restart", &[host]);
        }
    }
    answers
}

fn answer(told: &str) -> Result<String, String> {
    let (begin, end) = (told.find("<domain "), told.find("</domain>"));
    if let Some((begin, end)) = begin.zip(end) {
        return Ok(told[begin..end].to_owned() + "</domain>");
    }
    let reasons = told.lines().filter_map(|line| line.strip_prefix("error: "));
    let mut reasons = reasons.filter(|line| !line.starts_with("Failed to define"));
    Err(reasons.next().unwrap_or("it does not say why").to_owned())
}

/// Fails unless all that libvirt has holds; gives the numbers of the definitions that it took, with their devices.
fn hold_all(host: &str, answers: &[Result<String, String>]) -> BTreeMap<usize, BTreeSet<String>> {
    let mut taken = BTreeMap::new();
    for (number, answer) in answers.iter().enumerate() {
        let Ok(text) = answer else { continue };
        // libvirt writes some texts as they are, `<path>` of a pstore among them. That is refused and not guessed at.
        if Document::parse(text).is_err() {
            assert!(read(text).is_err(), "{host}, number {number}:\n\n{text}");
            continue;
        }
        let held = std::panic::catch_unwind(|| hold(text)).unwrap_or(Err("it panics".into()));
        let found = held.unwrap_or_else(|why| panic!("{host}, number {number}: {why}\n\n{text}"));
        taken.insert(number, found.devices);
    }
    taken
}

/// Gives each device alone and again with less of it, and gives those that libvirt took, as it was given them.
fn taken_alone(lab: &Lab, host: &str, mut left: Vec<Device>) -> Vec<Device> {
    let mut taken = Vec::new();
    for round in 0..=TRIES {
        let called = format!("alone-{round}");
        let alone = |(number, device)| definition(&format!("{called}-{number}"), number, &[device]);
        let all: Vec<String> = left.iter().enumerate().map(alone).collect();
        let answers = given(lab, host, &called, &all);
        let held = hold_all(host, &answers);
        let mut refused = Vec::new();
        for (number, ((kind, text), answer)) in left.into_iter().zip(answers).enumerate() {
            let is_there = |devices: &BTreeSet<String>| devices.contains(&kind);
            match answer {
                Err(why) => {
                    eprintln!("{host} refuses {kind}: {why}");
                    let text = less(&text, &why, number + round);
                    refused.push((kind, text));
                }
                Ok(_) if held.get(&number).is_some_and(is_there) => taken.push((kind, text)),
                // libvirt has left it out.
                Ok(_) => {}
            }
        }
        left = refused;
    }
    taken
}

fn try_all(lab: &Lab, host: &str) {
    let script = format!(
        "mkdir -p /srv/shared/{host} && cp /usr/share/libvirt/schemas/*.rng /srv/shared/{host}"
    );
    lab.on(host, &["sh", "-ec", &script]);
    let grammar = Grammar::read(&lab.shared().join(host), "domain.rng");
    let mut documents = Documents::of(&grammar);
    let mut by_kind: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for seed in 0..SEEDS {
        for (kind, text) in devices(&documents.of_seed(seed)) {
            let all = by_kind.entry(kind).or_default();
            if all.len() < OF_A_KIND {
                all.insert(text);
            }
        }
    }
    let kinds: BTreeSet<String> = by_kind.keys().cloned().collect();
    assert_eq!(kinds, grammar.children_of("devices"), "{host}");
    let all: Vec<Device> = by_kind
        .into_iter()
        .flat_map(|(kind, texts)| texts.into_iter().map(move |text| (kind.clone(), text)))
        .collect();
    let taken = taken_alone(lab, host, all);
    let of_kinds: BTreeSet<&str> = taken.iter().map(|(kind, _)| kind.as_str()).collect();
    let refused = kinds.iter().map(String::as_str);
    let refused: BTreeSet<&str> = refused.filter(|kind| !of_kinds.contains(kind)).collect();
    let listed: BTreeSet<&str> = REFUSED.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(refused, listed, "{host} takes other kinds than were taken");
    let count = taken.len();
    assert!(count >= TAKEN.0, "{host} took {count} devices");

    let pick = |number: usize| {
        let place = |place: usize| (number * 31 + place * place * 17 + place * 59) % taken.len();
        let devices: Vec<&Device> = (0..MIXED.1).map(|of| &taken[place(of)]).collect();
        definition(&format!("mixed-{number}"), number, &devices)
    };
    let mixed: Vec<String> = (0..MIXED.0).map(pick).collect();
    let taken = hold_all(host, &given(lab, host, "mixed", &mixed));
    assert!(
        taken.len() >= TAKEN.1,
        "{host} took {} of {}",
        taken.len(),
        mixed.len()
    );
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn what_libvirt_makes_of_random_devices_of_every_kind_holds_and_is_read() {
    // The daemon of libvirt 9.0 comes to a standstill over some of them.
    let lab = Lab::up(&["kvm1"]);
    try_all(&lab, "kvm1");
    let manifest = lab.manifest("vms: {}\n");
    let output = lab.domicile(&["observe", "--json", "-f", manifest.to_str().unwrap()]);
    let observed: Observed = serde_json::from_slice(&output.stdout).unwrap();
    for (host, reading) in &observed.hosts {
        let Reading::Reached(found) = reading else {
            panic!("{host}: {reading:?}");
        };
        let listed = lab.vms(host.as_str()).len();
        assert_eq!(found.vms.len(), listed, "{host}: {:?}", found.gaps);
    }
}
