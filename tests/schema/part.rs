//! A document before it is text.

use super::grammar::Name;

/// What a document is made of.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) attributes: Vec<(Name, String)>,
    pub(super) items: Vec<Item>,
}

/// What stands in an element.
#[derive(Debug)]
pub(super) enum Item {
    Element(Name, Part),
    Text(String),
}

/// What a definition may lack that libvirt has put into every one that it gives out, and the name as it takes it.
pub(super) fn as_libvirt_writes(domain: &mut Part) {
    let is = |name: &Name, local: &str| matches!(name, Name::Is { local: its, .. } if its == local);
    let plain = |local: &str| Name::Is {
        namespace: String::new(),
        local: local.to_owned(),
    };
    let element = |name: &str, attributes: Vec<(Name, String)>, text: Option<&str>| {
        let items = text.map(|text| Item::Text(text.to_owned()));
        let items = items.into_iter().collect();
        Item::Element(plain(name), Part { attributes, items })
    };
    let mut has_memory = false;
    for item in &mut domain.items {
        let Item::Element(name, part) = item else {
            continue;
        };
        has_memory |= is(name, "memory");
        if is(name, "name") {
            part.items = vec![Item::Text("web-1".to_owned())];
        }
        for (index, device) in part.items.iter_mut().enumerate() {
            let Item::Element(kind, device) = device else {
                continue;
            };
            let has_mac = device
                .items
                .iter()
                .any(|item| matches!(item, Item::Element(name, _) if is(name, "mac")));
            if is(name, "devices") && is(kind, "interface") && !has_mac {
                let mac = format!("52:54:00:00:00:{:02x}", index % 4);
                let mac = vec![(plain("address"), mac)];
                device.items.insert(0, element("mac", mac, None));
            }
        }
    }
    if !has_memory && domain.attributes.iter().any(|(name, _)| is(name, "type")) {
        domain
            .items
            .push(element("memory", Vec::new(), Some("1048576")));
    }
}
