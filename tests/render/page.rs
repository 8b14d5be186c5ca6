//! The page for a browser, as text: what it is made of. What a browser makes of it is tested in one.

use domicile::model::Bytes;
use domicile::observed::Roster;
use domicile::plan::{Capacity, Plan, Resource};
use domicile::render::html::{self, About};

use super::{reading, sample};

fn page(plan: &Plan) -> String {
    let roster = Roster::of(&reading::observed());
    let about = About {
        domicile: "0.1.0",
        made_at: Some("2026-01-02 03:04:05 UTC"),
        roster: Some(&roster),
    };
    html::plan(plan, &about)
}

/// With room on hosts, so that there is something to draw.
fn plan() -> Plan {
    let capacity = |resource, limit, used| Capacity {
        resource,
        limit: Bytes::from_mib(limit).0,
        used: Bytes::from_mib(used).0,
    };
    let pool = Resource::Pool(sample::host("kvm1"), sample::pool("default"));
    Plan {
        capacities: vec![
            capacity(Resource::Memory(sample::host("kvm1")), 8192, 6144),
            capacity(pool, 1000, 250),
        ],
        ..sample::plan()
    }
}

#[test]
fn a_page_has_everything_that_a_plan_says() {
    let page = page(&plan());
    let (_, body) = page.split_once("<body>").expect("there is a body");
    let (body, _) = body.split_once("<script>").expect("there is a script");
    insta::assert_snapshot!(body.replace("><", ">\n<"));
}

#[test]
fn a_page_is_one_file_that_names_nothing_outside_of_itself() {
    let page = page(&plan());
    for outside in [
        "http:", "https:", "//", "url(", "@import", "src=", "import ",
    ] {
        let lines = page
            .lines()
            .filter(|line| !line.trim_start().starts_with("// "));
        let found: Vec<&str> = lines.filter(|line| line.contains(outside)).collect();
        assert!(found.is_empty(), "{outside}: {found:?}");
    }
    let policy = "content=\"default-src 'none'; style-src 'sha256-";
    assert!(page.contains(policy));
    assert!(!page.contains("unsafe-inline"));
    assert!(!page.contains(" style=\"") && !page.contains(" onclick="));
}

#[test]
fn names_that_would_be_markup_are_text() {
    let mut plan = plan();
    let evil = "</script><script>alert(1)</script><b title='\"x\">&amp;\u{2028}\u{202e}\u{1b}";
    for finding in &mut plan.findings {
        finding.code = evil.into();
        finding.message = evil.into();
        finding.remedy = evil.into();
    }
    for a_move in &mut plan.moves {
        a_move.reason = evil.into();
        a_move.disks[0].to_path = Some(evil.into());
        if let Some(change) = &mut a_move.definition {
            change.after = format!("{evil}\n");
        }
    }
    let page = page(&plan);
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    assert!(!page.contains("<b title"));
    assert!(page.contains("&lt;b title='&quot;x&quot;&gt;&amp;amp;\\u{2028}\\u{202e}\\u{1b}"));
    let hidden = |letter: char| letter.is_control() && letter != '\n';
    assert!(!page.contains(hidden) && !page.contains(['\u{2028}', '\u{202e}']));
}

#[test]
fn the_same_plan_gives_the_same_page() {
    assert_eq!(page(&plan()), page(&plan()));
}

#[test]
fn a_plan_whose_file_says_nothing_of_other_vms_has_a_page_that_says_so() {
    let page = html::plan(&plan(), &About::default());
    assert!(page.contains("only those that move are shown"));
    assert!(page.contains("web-1"));
}

#[test]
fn a_plan_without_changes_has_a_page_of_one_sentence() {
    let page = page(&sample::nothing());
    assert!(page.contains("No changes. Everything that the manifest names is where it shall be."));
    assert!(!page.contains("class=\"row"));
}
