//! Pages of large plans: they load in bounded time, answer quickly, and say what they leave out.

use std::time::{Duration, Instant};

use domicile::model::Bytes;

use super::Page;
use super::checks::{OVERFLOW, SHOWN, STRUCTURE};
use super::chromium::Browser;
use crate::planner::fleet::{Fleet, GIB};

const HOSTS: usize = 50;

/// For machines that do much else at the same time; an idle one needs a fifth.
const LOAD_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Every VM moves to the next host, every seventh with a reboot; as many more stay.
fn large(moves: usize) -> Page {
    let mut fleet = Fleet::new(HOSTS, 8192);
    for number in 1..=HOSTS {
        for pool in fleet.host(&format!("kvm{number}")).pools.values_mut() {
            (pool.capacity, pool.available) = (Bytes(4096 * GIB), Bytes(4096 * GIB));
        }
    }
    for number in 0..moves {
        let host = format!("kvm{}", number % HOSTS + 1);
        let next = format!("kvm{}", (number + 1) % HOSTS + 1);
        let name = format!("vm-{number:05}");
        fleet.vm(&host, &name, [1, 2, 3, 4, 5][number % 5]);
        fleet.vm(&host, &format!("stays-{number:05}"), 1);
        let wanted = fleet.wants(&name, &next);
        if number % 7 == 0 {
            wanted.method = domicile::desired::Method::Cold;
        }
    }
    Page::of(&fleet)
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn a_plan_of_1000_moves_loads_and_answers_in_time() {
    let page = large(1_000);
    let mut browser = Browser::start();
    let load = browser.load(&page.file());
    assert!(load < LOAD_MAX, "{load:?}");
    assert_eq!(
        browser.read("document.querySelectorAll('.move').length"),
        1_000
    );
    assert_eq!(browser.read(STRUCTURE), serde_json::json!([]));
    assert_eq!(browser.read(OVERFLOW), 0);
    browser.picture("large.png");
    let start = Instant::now();
    browser.read("(() => { const it = document.getElementById('filter-vm'); it.value = '00077'; it.dispatchEvent(new Event('input', { bubbles: true })); })()");
    browser.until("document.getElementById('shown').value === '1 of 1,000 VMs'");
    assert!(start.elapsed() < ANSWER_MAX, "{:?}", start.elapsed());
    assert_eq!(browser.read(SHOWN), "vm-00077");
    browser.click("#clear");
    browser.until("document.querySelectorAll('.move[hidden]').length === 0");
    let start = Instant::now();
    browser.read("(() => { location.hash = '#move-500'; })()");
    browser.until("document.getElementById('move-500').open");
    assert!(start.elapsed() < ANSWER_MAX, "{:?}", start.elapsed());
    browser.read("document.getElementById('schedule').scrollIntoView({ behavior: 'instant' })");
    browser.picture("large-schedule.png");
    browser.read("document.getElementById('hosts').scrollIntoView({ behavior: 'instant' })");
    browser.picture("large-hosts.png");
    assert_eq!(browser.troubles(&page.file()), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium: tests/run asks for it where there is one"]
fn a_plan_of_10000_moves_says_what_its_page_leaves_out() {
    let page = large(10_000);
    let mut browser = Browser::start();
    let load = browser.load(&page.file());
    assert!(load < LOAD_MAX * 2, "{load:?}");
    assert_eq!(
        browser.read("document.querySelectorAll('.move').length"),
        10_000
    );
    assert_eq!(browser.read("document.querySelectorAll('.step').length"), 0);
    let left_out = browser.read("document.querySelector('footer .left-out').textContent");
    let left_out = left_out.as_str().unwrap_or_default();
    assert!(
        left_out.contains("The plan has 10,000 moves") && left_out.contains("leaves out the"),
        "{left_out}"
    );
}
