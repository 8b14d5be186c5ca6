//! Reading a page: with the eyes, the keyboard, a filter, on paper, without its script.

use serde_json::json;

use super::checks::{CONTRAST, OVERFLOW, SHOWN, STRUCTURE, TARGET_SHOWN};
use super::chromium::Browser;
use super::{Page, small};

fn opened() -> (Browser, Page) {
    let page = Page::of(&small());
    let mut browser = Browser::start();
    browser.load(&page.file());
    (browser, page)
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn a_page_sends_nothing_and_the_browser_has_no_complaint() {
    let (mut browser, page) = opened();
    assert_eq!(browser.read(STRUCTURE), json!([]));
    for width in [1300, 900, 390] {
        browser.size(width, 900);
        for scheme in ["light", "dark"] {
            browser.media(scheme, "screen");
            assert_eq!(browser.read(CONTRAST), json!([]), "{scheme}, {width} wide");
            browser.picture(&format!("small-{scheme}-{width}.png"));
        }
        assert_eq!(browser.read(OVERFLOW), 0, "{width} wide");
    }
    browser.click("#open");
    browser.until("document.querySelectorAll('.move:not([open])').length === 0");
    assert_eq!(browser.read(CONTRAST), json!([]));
    assert_eq!(browser.read(OVERFLOW), 0);
    assert_eq!(browser.troubles(&page.file()), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn the_page_forbids_itself_every_request_and_every_script_but_its_own() {
    let (mut browser, page) = opened();
    let refused =
        browser.read("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.message)");
    assert!(
        refused
            .as_str()
            .is_some_and(|why| why.contains("Failed to fetch")),
        "{refused}"
    );
    browser.read("document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.hurt = 1' })), null");
    browser.read("document.body.append(Object.assign(document.createElement('img'), { src: 'http://127.0.0.1:9/x.png' })), null");
    assert_eq!(browser.read("window.hurt === undefined"), true);
    let told = browser.troubles(&page.file()).join("\n");
    for policy in ["connect-src", "script-src", "img-src"] {
        assert!(
            told.contains("Content Security Policy") && told.contains(policy),
            "{policy}:\n{told}"
        );
    }
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn what_a_host_says_is_text_and_nothing_else() {
    let fleet = small();
    let mut plan = fleet.plan();
    let evil = "</title></style></script><script>window.hurt=1</script><img src=x onerror='window.hurt=2'>\"'>&lt;\u{2028}\u{202e}\u{1b}[2J]]>-->";
    for finding in &mut plan.findings {
        finding.message = evil.into();
        finding.remedy = evil.into();
        finding.code = evil.into();
    }
    for a_move in &mut plan.moves {
        a_move.reason = evil.into();
        a_move.definition = Some(domicile::plan::DefinitionChange {
            before: "<domain/>\n".into(),
            after: format!("{evil}\n"),
        });
    }
    let page = Page::of_plan(&plan, &domicile::observed::Roster::of(&fleet.observed));
    let mut browser = Browser::start();
    browser.load(&page.file());
    browser.click("#open");
    assert_eq!(browser.read("window.hurt === undefined && document.scripts.length === 1 && document.images.length === 0"), true);
    assert_eq!(browser.read(STRUCTURE), json!([]));
    assert_eq!(
        browser.read("/[\\u2028\\u202e\\u001b]/.test(document.documentElement.textContent)"),
        false
    );
    assert_eq!(
        browser
            .read("document.querySelector('.finding .gist, .finding li').textContent.length > 0"),
        true
    );
    assert_eq!(browser.troubles(&page.file()), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn a_filter_by_vm_and_by_host_leaves_what_fits() {
    let (mut browser, _page) = opened();
    let everything = browser.read(SHOWN);
    assert_eq!(everything, "archive clone-1 clone-2 db-1 mail web-1 web-2");
    browser.press("/");
    browser.until("document.activeElement.id === 'filter-vm'");
    for letter in ["w", "e", "b"] {
        browser.press(letter);
    }
    browser.until("document.getElementById('shown').value === '2 of 7 VMs'");
    assert_eq!(browser.read(SHOWN), "web-1 web-2");
    let lanes =
        "[...document.querySelectorAll('.lane[data-vm]')].filter((it) => !it.hidden).length";
    assert_eq!(browser.read(lanes), 2);
    browser.picture("filtered.png");
    browser.press("Escape");
    browser.until("document.getElementById('filter-vm').value === ''");
    browser.until(&format!("{SHOWN} === {everything}"));
    browser.read("(() => { const it = document.getElementById('filter-host'); it.value = 'kvm3'; it.dispatchEvent(new Event('input', { bubbles: true })); })()");
    browser.until("document.getElementById('shown').value !== ''");
    assert_eq!(browser.read(SHOWN), "archive mail web-2");
    assert_eq!(browser.read("[...document.querySelectorAll('.host')].filter((it) => !it.hidden).map((it) => it.dataset.hosts).join()"), " kvm3 ");
    browser.click("#clear");
    browser.until(&format!("{SHOWN} === {everything}"));
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn a_vm_that_goes_by_way_of_another_host_is_counted_once_and_found_by_both_moves() {
    let (fleet, plan) = crate::render::detour::trade();
    let page = Page::of_plan(&plan, &domicile::observed::Roster::of(&fleet.observed));
    let mut browser = Browser::start();
    browser.load(&page.file());
    assert_eq!(browser.read(STRUCTURE), json!([]));
    assert_eq!(browser.read(OVERFLOW), 0);
    let first = plan.moves.iter().find(|a_move| a_move.detour.is_some());
    let vm = first.expect("one has two moves").vm.to_string();
    browser.press("/");
    for letter in vm.chars() {
        browser.press(&letter.to_string());
    }
    browser.until("document.getElementById('shown').value === '1 of 2 VMs'");
    assert_eq!(browser.read(SHOWN), format!("{vm} {vm}"));
    browser.press("Escape");
    browser.until("document.getElementById('shown').value === ''");
    browser.click(".path > summary");
    browser.click(".path li:last-child a");
    browser.until(TARGET_SHOWN);
    browser.picture("detour.png");
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn everything_is_reached_and_opened_by_keyboard() {
    let (mut browser, _page) = opened();
    browser.press("Tab");
    assert_eq!(browser.read("document.activeElement.className"), "skip");
    browser.press("Enter");
    browser.until("document.activeElement.id === 'main'");
    let mut stops = Vec::new();
    for _ in 0..200 {
        browser.press("Tab");
        let stop = browser.read(
            "document.activeElement.closest('.move')?.dataset.vm ?? document.activeElement.tagName",
        );
        if stop == "BODY" {
            break;
        }
        stops.push(stop.as_str().unwrap_or_default().to_owned());
    }
    for vm in ["archive", "clone-1", "db-1", "web-2", "mail"] {
        assert!(stops.iter().any(|stop| stop == vm), "{vm} in {stops:?}");
    }
    browser.read("document.querySelector('.move > summary').focus()");
    let first = browser.read("document.activeElement.parentElement.dataset.vm");
    browser.press("Enter");
    browser.until("document.activeElement.parentElement.open");
    browser.press("ArrowDown");
    assert_eq!(
        browser.read("document.activeElement.parentElement.className"),
        "step"
    );
    browser.press("ArrowUp");
    assert_eq!(
        browser.read("document.activeElement.parentElement.dataset.vm"),
        first
    );
    browser.press("Enter");
    browser.until("!document.activeElement.parentElement.open");
    browser.press("ArrowDown");
    assert_eq!(
        browser.read("document.activeElement.parentElement.classList.contains('move')"),
        true
    );
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn a_bar_of_the_schedule_opens_its_step_and_a_link_what_it_names() {
    let (mut browser, _page) = opened();
    browser.click(".lane[data-vm='db-1'] rect.copy, .lane[data-vm='db-1'] rect.power");
    browser.until("location.hash.startsWith('#step-')");
    browser.until("(() => { const it = document.querySelector(location.hash); return it.open && it.closest('.move').open && it.closest('.move').dataset.vm === 'db-1' && it.checkVisibility(); })()");
    browser.until("document.activeElement.parentElement.id === location.hash.slice(1)");
    browser.picture("step.png");
    // The same again after it was closed: the address does not change, and it opens all the same.
    browser.click("#close");
    browser.click(".lane[data-vm='db-1'] rect.copy, .lane[data-vm='db-1'] rect.power");
    browser.until(TARGET_SHOWN);
    // What a filter hides is shown where somebody asks for it.
    browser.read("(() => { const it = document.getElementById('filter-vm'); it.value = 'web-1'; it.dispatchEvent(new Event('input', { bubbles: true })); })()");
    browser.until("document.getElementById('shown').value !== ''");
    browser.read("(() => { location.hash = '#' + document.querySelector('.move[data-vm=mail], .move[data-vm=archive]').id; })()");
    browser.until("document.getElementById('shown').value === ''");
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn the_theme_follows_the_system_until_somebody_chooses() {
    let (mut browser, _page) = opened();
    let ground = "getComputedStyle(document.body).backgroundColor";
    browser.media("light", "screen");
    let light = browser.read(ground);
    browser.media("dark", "screen");
    let dark = browser.read(ground);
    assert_ne!(light, dark);
    browser.click("#theme");
    assert_eq!(browser.read(ground), light);
    assert_eq!(browser.read(CONTRAST), json!([]));
    browser.reload();
    let kept = browser.read("JSON.stringify(localStorage)");
    assert_eq!(browser.read(ground), light, "a choice is kept: {kept}");
    browser.click("#theme");
    browser.media("light", "screen");
    assert_eq!(browser.read(ground), dark);
    assert_eq!(browser.read(CONTRAST), json!([]));
    browser.click("#theme");
    assert_eq!(browser.read(ground), light);
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn on_paper_the_controls_are_gone_and_nothing_is_cut_off() {
    let (mut browser, _page) = opened();
    browser.media("dark", "print");
    // The width of a page of A4 between its margins.
    browser.size(688, 900);
    assert_eq!(browser.read("[...document.querySelectorAll('button, input, nav, .keys')].filter((it) => it.checkVisibility()).length"), 0);
    assert_eq!(browser.read(OVERFLOW), 0);
    assert_eq!(
        browser.read("getComputedStyle(document.body).backgroundColor"),
        "rgb(255, 255, 255)"
    );
    assert_eq!(browser.read(CONTRAST), json!([]));
    let pdf = browser.print("small.pdf");
    assert!(pdf.starts_with(b"%PDF"));
    let text = String::from_utf8_lossy(&pdf);
    let pages = text.matches("/Type /Page\n").count();
    assert!((1..=4).contains(&pages), "{pages} pages");
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn without_its_script_the_page_is_read_all_the_same() {
    let page = Page::of(&small());
    let mut browser = Browser::start();
    browser.call(
        "Emulation.setScriptExecutionDisabled",
        &json!({ "value": true }),
    );
    browser.load(&page.file());
    assert_eq!(
        browser.read(
            "document.getElementById('filter').hidden && document.getElementById('theme').hidden"
        ),
        true
    );
    browser.click(".move[data-vm='db-1'] > summary");
    browser.until("document.querySelector('.move[data-vm=db-1] .step').checkVisibility()");
    browser.click(".move[data-vm='db-1'] .step > summary");
    browser.until("document.querySelector('.move[data-vm=db-1] .step .facts').checkVisibility()");
}
