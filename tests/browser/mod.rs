//! A plan's page in Chromium. The tests are ignored unless asked for, since not every machine has a browser:
//! `tests/run` asks for them where it finds one.

mod checks;
mod chromium;
mod reading;
mod size;

use std::path::PathBuf;

use domicile::observed::Roster;
use domicile::render::html;

use crate::planner::fleet::Fleet;

/// A page on disk.
struct Page {
    folder: tempfile::TempDir,
    html: String,
}

impl Page {
    fn of(fleet: &Fleet) -> Self {
        Self::of_plan(&fleet.plan(), &Roster::of(&fleet.observed))
    }

    fn of_plan(plan: &domicile::plan::Plan, roster: &Roster) -> Self {
        let about = html::About {
            domicile: "0.0.0",
            made_at: None,
            roster: Some(roster),
        };
        let page = Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
            html: html::plan(plan, &about),
        };
        std::fs::write(page.file(), &page.html).expect("the folder can be written");
        page
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("plan.html")
    }
}

/// A fleet of a few VMs of every kind: live, cold, off, a linked clone, one that is refused, and some that stay.
fn small() -> Fleet {
    let mut fleet = Fleet::new(3, 32);
    for number in 1..=4 {
        fleet.vm("kvm1", &format!("web-{number}"), 2);
        fleet.vm("kvm3", &format!("job-{number}"), 1);
    }
    fleet.vm("kvm2", "db-1", 8);
    fleet.clone_of_golden("kvm1", "clone-1");
    fleet.clone_of_golden("kvm1", "clone-2");
    fleet.vm("kvm2", "archive", 4).power.state = domicile::model::RunState::ShutOff;
    fleet.vm("kvm3", "mail", 2);
    fleet.wants("web-1", "kvm2");
    fleet.wants("web-2", "kvm3");
    fleet.wants("db-1", "kvm1").method = domicile::desired::Method::Cold;
    fleet.wants("clone-1", "kvm2");
    fleet.wants("clone-2", "kvm2");
    fleet.wants("archive", "kvm3");
    let bulk = crate::planner::fleet::pool_name("bulk");
    let mail = fleet.wants("mail", "kvm1");
    let vda = domicile::model::DiskTarget::new("vda").expect("a name");
    mail.disks.insert(vda, bulk);
    fleet
}
