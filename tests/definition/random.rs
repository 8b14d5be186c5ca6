//! What must hold for any definition that libvirt's schema allows: nothing panics, whatever is not meant to change
//! stays to the letter, what is there counts, and what is not understood is not taken for harmless.

use std::collections::{BTreeMap, BTreeSet};

use domicile::definition::{
    DefinitionError, DiskRewrite, Facts, Rewrite, read, rewrite, with_mark, without_mark,
};
use domicile::model::{DiskTarget, HostName, InterfaceSource, MacAddress, MoveMark, VolumeFormat};
use roxmltree::{Document, Node};

/// What a document turned out to be.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Whether it could be read; else it was refused.
    pub(crate) is_read: bool,
    /// How many disks and interfaces were rewritten.
    pub(crate) rewritten: usize,
    /// The devices that it has.
    pub(crate) devices: BTreeSet<String>,
}

/// Holds a definition to all of it.
pub(crate) fn hold(text: &str) -> Result<Found, String> {
    let document = Document::parse(text).map_err(|error| format!("not made well: {error}"))?;
    marks_come_and_go(text)?;
    let mut found = Found {
        devices: devices(&document)
            .map(|device| device.tag_name().name().to_owned())
            .collect(),
        ..Found::default()
    };
    let Ok(facts) = read(text) else {
        return Ok(found);
    };
    found.is_read = true;
    everything_counts(&document, &facts)?;
    for change in changes(&facts) {
        found.rewritten += usize::from(rewrites(text, &document, &facts, &change)?);
    }
    Ok(found)
}

fn mark(vm: &str) -> MoveMark {
    MoveMark {
        version: MoveMark::VERSION,
        from: HostName::new(vm).unwrap(),
        from_uuid: "1".into(),
        to: HostName::new("kvm2").unwrap(),
        to_uuid: "2".into(),
        was_active: true,
        autostart: false,
        cold: false,
        complete: false,
        source_volumes: Vec::new(),
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

fn marks_come_and_go(text: &str) -> Result<(), String> {
    let failed = |error: DefinitionError| format!("a mark: {error}");
    same(
        "no mark removed",
        &without_mark(text).map_err(failed)?,
        text,
    )?;
    let marked = with_mark(text, &mark("one")).map_err(failed)?;
    let again = with_mark(&marked, &mark("two")).map_err(failed)?;
    for marked in [&marked, &again] {
        let removed = without_mark(marked).map_err(failed)?;
        same("a mark set and removed", &removed, text)?;
    }
    let document = Document::parse(&again).map_err(|error| error.to_string())?;
    let marks = document
        .descendants()
        .filter(|element| element.tag_name().namespace() == Some(MoveMark::NAMESPACE));
    if marks.count() == 1 {
        Ok(())
    } else {
        Err("a mark set twice is there twice".into())
    }
}

fn same(what: &str, is: &str, wanted: &str) -> Result<(), String> {
    if is == wanted {
        return Ok(());
    }
    let at = is
        .bytes()
        .zip(wanted.bytes())
        .take_while(|(one, other)| one == other);
    let at = at.count();
    let around = |text: &str| {
        let bytes = text.as_bytes();
        let end = bytes.len().min(at + 60);
        String::from_utf8_lossy(&bytes[at.saturating_sub(60).min(end)..end]).into_owned()
    };
    Err(format!(
        "{what}: {:?} is not {:?}",
        around(is),
        around(wanted)
    ))
}

fn devices<'a, 'i: 'a>(document: &'a Document<'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    let all = document.root_element().children();
    all.filter(|element| element.has_tag_name("devices"))
        .flat_map(|devices| devices.children())
        .filter(Node::is_element)
}

fn of_kind<'a, 'i: 'a>(document: &'a Document<'i>, name: &'a str) -> Vec<Node<'a, 'i>> {
    devices(document)
        .filter(|device| device.has_tag_name(name))
        .collect()
}

fn child<'a, 'i: 'a>(element: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    element.children().find(|inner| inner.has_tag_name(name))
}

/// No disk, interface or device of the host is left out, and no source, image below or second file of a disk is taken
/// for nothing.
fn everything_counts(document: &Document<'_>, facts: &Facts) -> Result<(), String> {
    let disks = of_kind(document, "disk");
    let interfaces = of_kind(document, "interface");
    if (disks.len(), interfaces.len()) != (facts.disks.len(), facts.interfaces.len()) {
        return Err("a disk or an interface is missing".into());
    }
    let passed = of_kind(document, "hostdev").len() + of_kind(document, "filesystem").len();
    if facts.host_devices.len() < passed {
        return Err(format!(
            "{passed} devices of the host are {:?}",
            facts.host_devices
        ));
    }
    for (element, disk) in disks.into_iter().zip(&facts.disks) {
        let kind = element.attribute("type").unwrap_or("file");
        let may_be_empty = child(element, "source").is_none_or(|source| {
            let name = ["file", "dev", "dir"]
                .iter()
                .find_map(|name| source.attribute(*name));
            ["file", "block", "dir"].contains(&kind) && name.is_none_or(str::is_empty)
        });
        if disk.path.is_none() && disk.volume.is_none() && !may_be_empty {
            return Err(format!(
                "disk {} with a source counts as an empty drive",
                disk.target
            ));
        }
        let (mut below, mut above) = (0, element);
        while let Some(layer) = child(above, "backingStore") {
            if layer.attribute("type").is_none() && child(layer, "source").is_none() {
                break;
            }
            (below, above) = (below + 1, layer);
        }
        if disk.backing.len() != below {
            return Err(format!(
                "{below} images below {} are {:?}",
                disk.target, disk.backing
            ));
        }
        let stores = element
            .descendants()
            .filter(|inner| inner.has_tag_name("dataStore"));
        if stores.count() > 0 && !facts.host_devices.iter().any(|it| it.starts_with("disk ")) {
            return Err(format!(
                "the data file of disk {} does not count",
                disk.target
            ));
        }
    }
    Ok(())
}

/// Every disk and every interface changed, each alone.
fn changes(facts: &Facts) -> Vec<Rewrite> {
    let images = ["/srv/new/<base>.qcow2", "/dev/vg/root"];
    let disks = facts.disks.iter().enumerate().map(|(index, disk)| Rewrite {
        disks: BTreeMap::from([(
            disk.target.clone(),
            DiskRewrite {
                path: ["/srv/new/\"a\" & 'b'", "/dev/vg/new"][index % 2].to_owned(),
                backing: images[..index % 3]
                    .iter()
                    .map(|path| ((*path).to_owned(), VolumeFormat::Qcow2))
                    .collect(),
            },
        )]),
        interfaces: BTreeMap::new(),
    });
    let sources = [
        InterfaceSource::Bridge("br <new>".into()),
        InterfaceSource::Network("net & new".into()),
        InterfaceSource::Direct("eth'9".into()),
    ];
    let interfaces = facts
        .interfaces
        .iter()
        .enumerate()
        .map(|(index, interface)| Rewrite {
            disks: BTreeMap::new(),
            interfaces: BTreeMap::from([(interface.mac.clone(), sources[index % 3].clone())]),
        });
    disks.chain(interfaces).collect()
}

/// Whether the change is made; where it is refused, that is for a reason that is there.
fn rewrites(
    text: &str,
    document: &Document<'_>,
    facts: &Facts,
    change: &Rewrite,
) -> Result<bool, String> {
    let changed = match rewrite(text, change) {
        Ok(changed) => changed,
        Err(DefinitionError::Twice { .. }) if is_twice(facts, change) => return Ok(false),
        Err(DefinitionError::Source { .. }) => return Ok(false),
        Err(error) => return Err(format!("{change:?}: {error}")),
    };
    if is_twice(facts, change) {
        return Err(format!("one of several was changed by {change:?}"));
    }
    let after = Document::parse(&changed).map_err(|error| format!("{change:?}: {error}"))?;
    same(
        "outside of what changes",
        &without(&changed, &after, change),
        &without(text, document, change),
    )?;
    let (is, was) = (kept(&after, change), kept(document, change));
    if is != was {
        let lost: Vec<_> = was.iter().filter(|line| !is.contains(line)).collect();
        return Err(format!("{change:?} loses {lost:?}"));
    }
    says(
        &read(&changed).map_err(|error| format!("after {change:?}: {error}"))?,
        facts,
        change,
    )?;
    Ok(true)
}

fn is_twice(facts: &Facts, change: &Rewrite) -> bool {
    let disks = |target: &DiskTarget| facts.disks.iter().filter(|it| it.target == *target).count();
    let macs = |mac: &MacAddress| facts.interfaces.iter().filter(|it| it.mac == *mac).count();
    change.disks.keys().any(|target| disks(target) > 1)
        || change.interfaces.keys().any(|mac| macs(mac) > 1)
}

/// Whether this device is the one that changes.
fn is_meant(device: Node<'_, '_>, change: &Rewrite) -> bool {
    let named = |element, attribute| Some(child(device, element)?.attribute(attribute)?.to_owned());
    let in_devices = device.parent_element().is_some_and(|parent| {
        parent.has_tag_name("devices")
            && parent
                .parent_element()
                .is_some_and(|it| it.has_tag_name("domain"))
    });
    in_devices
        && match device.tag_name().name() {
            "disk" => {
                named("target", "dev").is_some_and(|it| change.disks.contains_key(it.as_str()))
            }
            "interface" => named("mac", "address")
                .and_then(|text| MacAddress::new(text.as_str()).ok())
                .is_some_and(|mac| change.interfaces.contains_key(&mac)),
            _ => false,
        }
}

/// The text without the devices that change.
fn without(text: &str, document: &Document<'_>, change: &Rewrite) -> String {
    let mut out = String::new();
    let mut done = 0;
    for device in devices(document).filter(|device| is_meant(*device, change)) {
        out.push_str(&text[done..device.range().start]);
        out.push('@');
        done = device.range().end;
    }
    out + &text[done..]
}

/// Everything in the devices that change, apart from what a change is about, in order.
fn kept(document: &Document<'_>, change: &Rewrite) -> Vec<String> {
    let meant = devices(document).filter(|device| is_meant(*device, change));
    let mut lines = Vec::new();
    for device in meant {
        let naming: &[&str] = match device.tag_name().name() {
            "disk" => &["file", "dev", "pool", "volume", "mode"],
            _ => &["bridge", "network", "dev", "portid", "portgroup", "mode"],
        };
        let below = |element: Node<'_, '_>| {
            element
                .ancestors()
                .take_while(|above| *above != device)
                .any(|above| above.has_tag_name("backingStore") && above.parent() == Some(device))
        };
        for element in device.descendants().filter(|element| !below(*element)) {
            let is_source = element.parent() == Some(device) && element.has_tag_name("source");
            lines.push(format!(
                "{:?} {:?}",
                element.tag_name(),
                element.text().filter(|_| !element.is_element())
            ));
            for attribute in element.attributes() {
                let changes = element == device && attribute.name() == "type"
                    || is_source && naming.contains(&attribute.name());
                if !changes {
                    lines.push(format!("{}={}", attribute.name(), attribute.value()));
                }
            }
        }
    }
    lines
}

/// What the changed definition says is what it said, and the change.
fn says(is: &Facts, was: &Facts, change: &Rewrite) -> Result<(), String> {
    let mut wanted = was.clone();
    for (disk, now) in wanted.disks.iter_mut().zip(&is.disks) {
        let Some(new) = change.disks.get(&disk.target) else {
            continue;
        };
        disk.path = Some(new.path.clone());
        disk.volume = None;
        let kind = if new.path.starts_with("/dev/") {
            "block"
        } else {
            "file"
        };
        kind.clone_into(&mut disk.source_kind);
        let paths = |disk: &domicile::observed::Disk| {
            let layers = disk.backing.iter();
            layers.map(|layer| layer.path.clone()).collect::<Vec<_>>()
        };
        let asked: Vec<String> = new.backing.iter().map(|(path, _)| path.clone()).collect();
        // A definition that leaves the chain, or the rest of it, to the images goes on doing so.
        if !asked.starts_with(&paths(now)) {
            return Err(format!("{:?} stands on {:?}", asked, paths(now)));
        }
        // An image that goes takes its key and its reservations along.
        if disk.backing != now.backing {
            let known = &mut wanted.needs;
            if is.needs.secrets.iter().all(|it| known.secrets.contains(it)) {
                known.secrets.clone_from(&is.needs.secrets);
            }
            if is.needs.helpers.is_subset(&known.helpers) {
                known.helpers.clone_from(&is.needs.helpers);
            }
        }
        disk.backing.clone_from(&now.backing);
    }
    for interface in &mut wanted.interfaces {
        if let Some(new) = change.interfaces.get(&interface.mac) {
            interface.source.clone_from(new);
            wanted.bridges.clone_from(&is.bridges);
        }
    }
    if *is == wanted {
        Ok(())
    } else {
        let (is, wanted) = (format!("{is:#?}"), format!("{wanted:#?}"));
        let lines = similar::TextDiff::from_lines(&wanted, &is);
        let lines = lines.unified_diff().context_radius(2).to_string();
        Err(format!("{change:?} changes what else it says:\n{lines}"))
    }
}
