//! The planner's schedule on real hosts whose links are so slow that time counts: what it forecast, what it took, and
//! what the same demand takes one by one and in naive waves, where all that have room start at once, and the next when
//! all of these are done.
//!
//! All guests are alike, every host has room for two of them, and the last host is empty. A plain run drains a host
//! with one guest, for which a full one makes room, over links of 200 Mbit/s: a minute. With `DOMICILE_SCHEDULE=all`
//! it takes seven: three hosts are full and links carry 100 Mbit/s, two hosts swap their guests, one is drained and each
//! other makes room for the next, and all three pass their guests on in a ring. The lab's README has the table of it.
//!
//! The schedule wins by its order, so the difference is a whole migration or more. Its links carry one guest after the
//! other, and the room that the first leaves is taken while the second goes. In waves both go at half the speed, and who
//! waits for room waits for both. One by one needs fewer ways by a third host and still takes longer. A busy machine
//! can add as much to a single measurement: a case that does not show it is measured once more, and of each order the
//! shorter time counts.
//!
//! What is reckoned is too long here: of an emulated guest libvirt tells that it occupies all of its memory, and a fifth
//! of that is never carried. So the schedule is forecast with the journal of the same moves one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use domicile::plan::{Move, Plan, StepId, Why};
use serde_json::Value;

use crate::lab::Lab;

/// Little, so that emulated guests boot fast.
const GUEST_MIB: u64 = 80;
/// So many guests have room on each host.
const ROOM: u64 = 2;
const HOSTS: [&str; 4] = ["kvm1", "kvm2", "kvm3", "kvm4"];
/// The schedule takes no more than this of what each other order takes. By its order it takes four fifths or less.
const OF_OTHERS: f64 = 0.9;
/// What it takes of what was forecast for it, after records of the same moves.
const OF_FORECAST: std::ops::RangeInclusive<f64> = 0.8..=1.2;

/// Which host each guest is or shall be on.
type Placement = BTreeMap<String, String>;

/// How a placement is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As planned.
    Planned,
    /// As planned, with no more than one transfer at a time.
    OneByOne,
    /// All that the manifest asks for at once, over links that nobody shares out.
    Wave,
    /// Likewise, and there is room for everybody.
    Back,
}

/// How fast links are, and what the manifest says of it: a little less, for they carry more than guests' memory.
struct Link {
    rate: &'static str,
    budget: &'static str,
}

/// A case: its name, and for the guests of each host the number of the host where they shall be.
type Case = (&'static str, &'static [usize]);

/// An order's makespan in seconds, and how many migrations it is made of: a way by a third host counts twice.
#[derive(Clone, Copy)]
struct Took {
    seconds: f64,
    moves: usize,
}

/// What one case took, and what it was to take.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// As reckoned.
    reckoned: f64,
    /// Corrected by the journal of the moves one by one.
    forecast: f64,
    schedule: Took,
    one_by_one: Took,
    naive: Took,
}

impl Row {
    fn is_fastest(&self) -> bool {
        let others = self.one_by_one.seconds.min(self.naive.seconds);
        self.schedule.seconds <= OF_OTHERS * others
    }

    fn is_as_forecast(&self) -> bool {
        OF_FORECAST.contains(&(self.schedule.seconds / self.forecast))
    }

    /// The same, with the shorter of two measurements of each order. A forecast stays with what it is about.
    fn or_shorter(self, other: Self) -> Self {
        let least = |one: Took, other: Took| {
            if other.seconds < one.seconds {
                other
            } else {
                one
            }
        };
        let (first, second) = (self.schedule.seconds, other.schedule.seconds);
        let (reckoned, forecast) = if second < first {
            (other.reckoned, other.forecast)
        } else {
            (self.reckoned, self.forecast)
        };
        Self {
            name: self.name,
            reckoned,
            forecast,
            schedule: least(self.schedule, other.schedule),
            one_by_one: least(self.one_by_one, other.one_by_one),
            naive: least(self.naive, other.naive),
        }
    }
}

struct Fleet {
    lab: Lab,
    /// The guests of each host in the beginning. The last host has none.
    guests: &'static [&'static [&'static str]],
    hosts: Vec<&'static str>,
    link: Link,
    /// Of each host, in MiB.
    memory: u64,
    start: Placement,
}

impl Fleet {
    fn up(guests: &'static [&'static [&'static str]], link: Link) -> Self {
        let hosts = HOSTS[..=guests.len()].to_vec();
        let lab = Lab::up(&hosts);
        let here: Vec<usize> = (0..guests.len()).collect();
        let start = placement(guests, &hosts, &here);
        let memory = GUEST_MIB.to_string();
        let options = ["--disk", "vda=shared:raw:64M", "--memory", &memory];
        std::thread::scope(|scope| {
            for (vm, host) in &start {
                let lab = &lab;
                scope.spawn(move || lab.guest(host, vm, &options));
            }
        });
        let memory = lab.memory_mib(HOSTS[0]);
        let fleet = Self {
            lab,
            guests,
            hosts,
            link,
            memory,
            start,
        };
        fleet.set_links(fleet.link.rate);
        fleet
    }

    fn set_links(&self, rate: &str) {
        for host in &self.hosts {
            self.lab.lab("link", &[host, rate]);
        }
    }

    fn manifest(&self, there: &Placement, order: Order) -> String {
        let mut text = "version: 1\npools: { shared: { shared: true } }\n".to_owned();
        text.push_str(match order {
            Order::Planned => "",
            Order::OneByOne => "limits: { parallel: 1 }\n",
            Order::Wave | Order::Back => "migration: { parallel: 20, allow_detour: false }\n",
        });
        text.push_str("hosts:\n");
        let reserve = match order {
            Order::Back => 0,
            _ => self.memory - ROOM * GUEST_MIB - GUEST_MIB / 2,
        };
        let budget = self.link.budget;
        let limits = match order {
            Order::Planned | Order::OneByOne => {
                format!(", limits: {{ upload: {budget}, download: {budget} }}")
            }
            Order::Wave | Order::Back => String::new(),
        };
        for host in &self.hosts {
            let uri = self.lab.uri(host);
            writeln!(
                text,
                "  {host}: {{ uri: \"{uri}\", reserve: {{ memory: {reserve}MiB }}{limits} }}"
            )
            .unwrap();
        }
        text.push_str("vms:\n");
        for (vm, host) in there {
            writeln!(text, "  {vm}: {host}").unwrap();
        }
        let path = self.lab.write("fleet.yaml", &text);
        path.to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str) -> String {
        self.lab.path(name).to_str().unwrap().to_owned()
    }

    /// Plans, and saves the plan.
    fn plan(&self, there: &Placement, order: Order, records: Option<&str>) -> Plan {
        let (manifest, saved) = (self.manifest(there, order), self.file("plan.json"));
        let mut asked = vec!["plan", "-f", &manifest, "--out", &saved];
        asked.extend(records.iter().flat_map(|path| ["--records", *path]));
        let planned = self.lab.domicile(&asked);
        assert!(planned.status.success(), "{order:?}: no plan");
        let file: Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
        serde_json::from_value(file["saved"]["plan"].clone()).unwrap()
    }

    /// Plans and applies, and gives the plan and how long it took.
    fn run(&self, there: &Placement, order: Order, records: Option<&str>) -> (Plan, f64) {
        let plan = self.plan(there, order, records);
        assert!(
            !plan.moves.iter().any(|it| it.reboots),
            "{order:?}: {plan:?}"
        );
        let (saved, journal) = (self.file("plan.json"), self.file("journal.jsonl"));
        drop(std::fs::remove_file(&journal));
        let applied = self.lab.domicile(&["apply", &saved, "--journal", &journal]);
        assert!(applied.status.success(), "{order:?}: apply failed");
        for host in &self.hosts {
            let found: BTreeSet<String> = self.lab.vms(host).into_iter().collect();
            let wanted = there.iter().filter(|(_, at)| at == host);
            let wanted: BTreeSet<String> = wanted.map(|(vm, _)| vm.clone()).collect();
            assert_eq!(found, wanted, "{order:?}: {host}");
        }
        (plan, measured(&journal))
    }

    /// The moves of a plan in naive waves, each an apply of its own. What passes between two of them is not counted.
    fn naive(&self, plan: &Plan) -> Took {
        let waves = waves(plan);
        let mut there = self.start.clone();
        let mut took = 0.0;
        for wave in 0..=*waves.iter().max().unwrap() {
            let numbered = plan.moves.iter().zip(&waves);
            let of_wave = numbered.filter(|(_, number)| **number == wave);
            let moves: Vec<&Move> = of_wave.map(|(it, _)| it).collect();
            let ends = moves
                .iter()
                .map(|it| (it.vm.to_string(), it.to.to_string()));
            there.extend(ends);
            let (done, seconds) = self.run(&there, Order::Wave, None);
            assert_eq!(ways(done.moves.iter()), ways(moves), "wave {wave}");
            let waits = done.steps.iter().flat_map(|step| &step.after);
            let mut waits = waits.filter(|it| it.why != Why::SameVm);
            assert!(
                waits.next().is_none(),
                "not all of wave {wave} start at once"
            );
            took += seconds;
        }
        Took {
            seconds: took,
            moves: plan.moves.len(),
        }
    }

    /// Everybody back where they began.
    fn back(&self) {
        self.set_links("free");
        self.run(&self.start, Order::Back, None);
        self.set_links(self.link.rate);
    }

    /// A case in all three orders. Everybody is to be where they began.
    fn measure(&self, (name, there): Case) -> Row {
        let goal = placement(self.guests, &self.hosts, there);
        let took = |(plan, seconds): &(Plan, f64)| Took {
            seconds: *seconds,
            moves: plan.moves.len(),
        };
        let single = self.run(&goal, Order::OneByOne, None);
        let records = self.file("one-by-one.jsonl");
        std::fs::rename(self.file("journal.jsonl"), &records).unwrap();
        self.back();
        let reckoned = self.plan(&goal, Order::Planned, None);
        let planned = self.run(&goal, Order::Planned, Some(&records));
        self.back();
        let naive = self.naive(&planned.0);
        Row {
            name,
            reckoned: seconds(reckoned.makespan.0),
            forecast: seconds(planned.0.makespan.0),
            schedule: took(&planned),
            one_by_one: took(&single),
            naive,
        }
    }
}

/// Where everybody is when the guests of each host are on the host of that number.
fn placement(guests: &[&[&str]], hosts: &[&str], there: &[usize]) -> Placement {
    let mut placement = Placement::new();
    for (group, host) in guests.iter().zip(there) {
        let each = group
            .iter()
            .map(|vm| ((*vm).to_owned(), hosts[*host].to_owned()));
        placement.extend(each);
    }
    placement
}

/// Who goes from where to where.
fn ways<'m>(moves: impl IntoIterator<Item = &'m Move>) -> BTreeSet<String> {
    let ways = moves
        .into_iter()
        .map(|it| format!("{} {} {}", it.vm, it.from, it.to));
    ways.collect()
}

#[expect(clippy::cast_precision_loss, reason = "a few minutes in milliseconds")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// From the first step's start to the last step's end.
fn measured(journal: &str) -> f64 {
    let text = std::fs::read_to_string(journal).unwrap();
    let mut times: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in text.lines() {
        let event = &serde_json::from_str::<Value>(line).unwrap()["event"];
        if let (Some(kind), Some(at)) = (event["what"]["type"].as_str(), event["at"].as_u64()) {
            times.entry(kind.to_owned()).or_default().push(at);
        }
    }
    let first = times["step-started"].iter().min().unwrap();
    seconds(times["step-done"].iter().max().unwrap() - first)
}

/// The wave of each move of a plan: the one after the last of those that it waits for, as most do for room.
fn waves(plan: &Plan) -> Vec<usize> {
    let move_of = |step: StepId| {
        let found = plan.moves.iter().position(|it| it.steps.contains(&step));
        found.unwrap()
    };
    let mut waves = vec![0; plan.moves.len()];
    // As often as there are moves, for a chain can be no longer.
    for _ in &plan.moves {
        for (number, it) in plan.moves.iter().enumerate() {
            let waits = it.steps.iter().flat_map(|step| &plan.steps[step.0].after);
            let others = waits
                .map(|wait| move_of(wait.step))
                .filter(|of| *of != number);
            let next = others.map(|of| waves[of] + 1).max();
            waves[number] = next.unwrap_or(0);
        }
    }
    waves
}

fn table(link: &Link, rows: &[Row]) -> String {
    let mut table = format!(
        "links of {}, seconds (migrations)\n{:<10}{:>10}{:>14}{:>14}{:>16}{:>16}\n",
        link.rate, "case", "reckoned", "with records", "schedule", "one by one", "naive waves"
    );
    for row in rows {
        let took = |it: Took| format!("{:.1} ({})", it.seconds, it.moves);
        writeln!(
            table,
            "{:<10}{:>10.1}{:>14.1}{:>14}{:>16}{:>16}",
            row.name,
            row.reckoned,
            row.forecast,
            took(row.schedule),
            took(row.one_by_one),
            took(row.naive)
        )
        .unwrap();
    }
    table
}

#[test]
#[ignore = "needs root and a lab; tests/run runs it"]
fn a_schedule_takes_what_it_says_and_less_than_one_by_one_or_naive_waves() {
    let everything = std::env::var("DOMICILE_SCHEDULE").is_ok_and(|value| value == "all");
    let (fleet, cases): (_, &[Case]) = if everything {
        let link = Link {
            rate: "100mbit",
            budget: "11MiB/s",
        };
        let guests: &[&[&str]] = &[&["a1", "a2"], &["b1", "b2"], &["c1", "c2"]];
        let swap = ("swap", &[1, 0, 2][..]);
        let drain = ("drain", &[1, 2, 3][..]);
        let shuffle = ("shuffle", &[1, 2, 0][..]);
        (Fleet::up(guests, link), &[swap, drain, shuffle])
    } else {
        let link = Link {
            rate: "200mbit",
            budget: "22MiB/s",
        };
        (
            Fleet::up(&[&["a1"], &["b1", "b2"]], link),
            &[("drain", &[1, 2])],
        )
    };
    let mut rows = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        if number > 0 {
            fleet.back();
        }
        let mut row = fleet.measure(*case);
        if !row.is_fastest() || !row.is_as_forecast() {
            eprintln!("measured again: {}", table(&fleet.link, &[row]));
            fleet.back();
            row = row.or_shorter(fleet.measure(*case));
        }
        rows.push(row);
    }
    let table = table(&fleet.link, &rows);
    eprintln!("{table}");
    for vm in fleet.start.keys() {
        let beats = fleet.lab.beats(vm);
        assert!(!beats.twice && beats.boots == 1, "{vm}: {beats:?}");
    }
    for row in rows {
        let name = row.name;
        assert!(
            row.is_fastest(),
            "{name}: the schedule gains nothing\n{table}"
        );
        assert!(
            row.is_as_forecast(),
            "{name}: the forecast is wrong\n{table}"
        );
    }
}
