//! A VM that goes by way of another host has two moves, and is one VM all the same.

use domicile::model::Bytes;
use domicile::observed::Roster;
use domicile::plan::{Half, Plan};
use domicile::render::{comment, graph, html};

use crate::planner::fleet::{Fleet, GIB};

/// Two full hosts trade their VMs, and a third one has room for one of them.
pub(crate) fn trade() -> (Fleet, Plan) {
    let mut fleet = Fleet::new(3, 10);
    fleet.host("kvm3").memory = Bytes(10 * GIB);
    fleet.vm("kvm1", "web", 10);
    fleet.vm("kvm2", "db", 10);
    fleet.wants("web", "kvm2");
    fleet.wants("db", "kvm1");
    let plan = fleet.plan();
    assert_eq!(plan.moves.len(), 3, "{:#?}", plan.moves);
    (fleet, plan)
}

/// The VM that has two moves, where it comes from and where it goes.
fn by_way(plan: &Plan) -> (String, String, String) {
    let mut halves = plan.moves.iter().filter_map(|a_move| {
        let detour = a_move.detour.as_ref()?;
        (detour.half == Half::First).then_some((a_move, detour))
    });
    let (a_move, detour) = halves.next().expect("there is one");
    assert_eq!(a_move.to.as_str(), "kvm3");
    let words = (&a_move.vm, &detour.from, &detour.to);
    (
        words.0.to_string(),
        words.1.to_string(),
        words.2.to_string(),
    )
}

#[test]
fn a_comment_counts_vms_and_tells_both_bars_apart() {
    let (_, plan) = trade();
    let (vm, _, to) = by_way(&plan);
    let about = comment::About {
        name: "production",
        made_at: None,
        file: None,
    };
    let text = comment::plan(&plan, &about);
    assert!(text.contains("✅ 2 VMs to move, no reboot"), "{text}");
    for end in ["kvm3", &to] {
        let bar = format!("\n  live {vm} to {end} :");
        assert_eq!(text.matches(&bar).count(), 1, "{bar}{text}");
    }
}

#[test]
fn a_page_shows_the_vm_where_it_was_where_it_goes_and_where_it_passes() {
    let (fleet, plan) = trade();
    let (vm, from, to) = by_way(&plan);
    let roster = Roster::of(&fleet.observed);
    let about = html::About {
        domicile: "0.1.0",
        made_at: None,
        roster: Some(&roster),
    };
    let page = html::plan(&plan, &about);
    assert!(
        page.contains("VMs <span class=\"count\">2</span>"),
        "{page}"
    );
    let card = |host: &str| {
        let (_, card) = page
            .split_once(&format!("aria-label=\"host {host}\""))
            .expect("a card");
        card.split_once("</article>").expect("it ends").0.to_owned()
    };
    for (host, words) in [
        (from.as_str(), format!("→ {to} by way of kvm3")),
        (&to, format!("← {from} by way of kvm3")),
        ("kvm3", format!("{from} → {to}")),
    ] {
        let card = card(host);
        assert!(
            card.contains(&format!(">{vm}</a>")) && card.contains(&words),
            "{host}: {card}"
        );
    }
    // Nobody is there before or after.
    assert!(card("kvm3").contains(">0 VMs<"), "{}", card("kvm3"));
    assert!(page.contains(&format!(">on to {to}<")) && page.contains(&format!(">out of {from}<")));
    let steps = plan.critical.len();
    let path = format!("Critical path: {steps} steps of 2 VMs");
    assert!(page.contains(&path) && page.matches("rect class=\"critical\"").count() == steps);
}

#[test]
fn a_graph_has_a_group_for_each_half() {
    let (_, plan) = trade();
    let (vm, from, to) = by_way(&plan);
    for (graph, colon) in [(graph::mermaid(&plan), "#58;"), (graph::dot(&plan), ":")] {
        for (from, to) in [(from.as_str(), "kvm3"), ("kvm3", &to)] {
            let title = format!("\"{vm}{colon} live from {from} to {to}\"");
            assert_eq!(graph.matches(&title).count(), 1, "{title}\n{graph}");
        }
    }
}
