//! What libvirt knows of a domain's snapshots, carried to another definition of the same domain. The snapshots
//! themselves lie in the images.

use roxmltree::Document;
use virt_sys as sys;

use super::domain::Guest;
use super::failure::Failure;
use crate::definition::{self, Rewrite};

/// The elements of a snapshot's XML that are domains as they were when it was taken.
const DOMAINS: [&str; 2] = ["domain", "inactiveDomain"];

/// Defines at `to` every snapshot that `from` has, parents first, with the same changes as the domain's definition.
/// Both may be the same VM.
pub(super) fn carry(from: &Guest, to: &Guest, rewrite: &Rewrite) -> Result<(), Failure> {
    let parents_first = sys::VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL;
    for snapshot in from.call(|domain| domain.list_all_snapshots(parents_first))? {
        let secure = sys::VIR_DOMAIN_SNAPSHOT_XML_SECURE;
        let xml = from.call(|_| snapshot.xml_desc(secure))?;
        let xml = rewritten(&xml, rewrite).map_err(|problem| Failure::on(from.host(), problem))?;
        let mut flags = sys::VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE;
        if from.call(|_| snapshot.is_current(0))? {
            flags |= sys::VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT;
        }
        to.call(|domain| domain.create_snapshot_xml(&xml, flags))?;
    }
    Ok(())
}

/// The snapshot's XML with the domains in it rewritten.
fn rewritten(xml: &str, rewrite: &Rewrite) -> Result<String, String> {
    if rewrite.is_empty() {
        return Ok(xml.to_owned());
    }
    let document =
        Document::parse(xml).map_err(|error| format!("cannot understand a snapshot: {error}"))?;
    let domains: Vec<_> = document
        .root_element()
        .children()
        .filter(|node| DOMAINS.iter().any(|name| node.has_tag_name(*name)))
        .collect();
    let mut out = xml.to_owned();
    // From the last to the first, so that what is still to be replaced stays where it was.
    for node in domains.into_iter().rev() {
        let name = node.tag_name().name();
        let part = xml.get(node.range()).unwrap_or_default();
        let domain = renamed(part, name, "domain");
        let present = in_it(rewrite, &domain);
        let changed = definition::rewrite(&domain, &present).map_err(|error| error.to_string())?;
        out.replace_range(node.range(), &renamed(&changed, "domain", name));
    }
    Ok(out)
}

/// The element with another name.
fn renamed(element: &str, from: &str, to: &str) -> String {
    let (begin, end) = (format!("<{from}"), format!("</{from}>"));
    match (element.strip_prefix(&begin), from == to) {
        (Some(rest), false) => match rest.trim_end().strip_suffix(&end) {
            Some(inner) => format!("<{to}{inner}</{to}>"),
            None => format!("<{to}{rest}"),
        },
        _ => element.to_owned(),
    }
}

/// The changes to what was part of the VM when the snapshot was taken.
fn in_it(rewrite: &Rewrite, domain: &str) -> Rewrite {
    let Ok(document) = Document::parse(domain) else {
        return rewrite.clone();
    };
    let has = |name: &str, attribute: &str, value: &str| {
        document.descendants().any(|node| {
            node.has_tag_name(name)
                && node
                    .attribute(attribute)
                    .is_some_and(|found| found.eq_ignore_ascii_case(value))
        })
    };
    Rewrite {
        disks: (rewrite.disks.iter())
            .filter(|(target, _)| has("target", "dev", target.as_str()))
            .map(|(target, disk)| (target.clone(), disk.clone()))
            .collect(),
        interfaces: (rewrite.interfaces.iter())
            .filter(|(mac, _)| has("mac", "address", mac.as_str()))
            .map(|(mac, source)| (mac.clone(), source.clone()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::definition::DiskRewrite;
    use crate::model::DiskTarget;

    fn domain(element: &str) -> String {
        format!(
            "<{element} type='kvm'><name>web-1</name><devices><disk type='file' device='disk'>\
             <driver name='qemu' type='qcow2'/><source file='/old/a'/><target dev='vda' bus='virtio'/></disk>\
             </devices></{element}>"
        )
    }

    #[test]
    fn every_domain_in_a_snapshot_is_rewritten_and_the_rest_kept() {
        let xml = format!(
            "<domainsnapshot><name>before</name>{}{}<cookie/></domainsnapshot>",
            domain("domain"),
            domain("inactiveDomain")
        );
        let disk = |target: &str| {
            let disk = DiskRewrite {
                path: "/new/a".into(),
                backing: vec![],
            };
            (DiskTarget::new(target).unwrap(), disk)
        };
        let rewrite = Rewrite {
            // The second was plugged in after the snapshot was taken.
            disks: BTreeMap::from([disk("vda"), disk("vdb")]),
            interfaces: BTreeMap::new(),
        };
        let changed = rewritten(&xml, &rewrite).unwrap();
        assert!(!changed.contains("/old/a"), "{changed}");
        assert_eq!(changed.matches("/new/a").count(), 2, "{changed}");
        assert!(changed.contains("</inactiveDomain><cookie/></domainsnapshot>"));
    }
}
