//! What is true only of a VM that runs ends with it, however that comes about.

use domicile::model::{BytesPerSecond, PowerState, RunState};
use domicile::observed::{Host, Observed, Reading, VmDetail};
use domicile::plan::{Action, CopyMode};
use domicile::simulator::{Faults, Simulator};

use super::{create, migrate, perform, shut_down, two_hosts};
use crate::planner::fleet::{host_name, vm_name};

fn host<'a>(observed: &'a mut Observed, name: &str) -> &'a mut Host {
    match observed.hosts.get_mut(name) {
        Some(Reading::Reached(host)) => host,
        other => panic!("{name}: {other:?}"),
    }
}

/// `web` runs on kvm1 and shows everything that only a VM which runs can show.
fn running() -> Observed {
    let mut observed = two_hosts().observed;
    let vm = host(&mut observed, "kvm1").vms.get_mut("web").unwrap();
    let detail = vm.detail.as_deref_mut().unwrap();
    detail.live_xml = Some(detail.inactive_xml.clone());
    detail.live_cpu = Some("<cpu/>".into());
    detail.dirty_rate = Some(BytesPerSecond(1));
    detail.pending = vec!["its memory becomes 2 GiB".into()];
    let mut later = detail.needs.clone();
    later.nested.clear();
    later.vcpus_max = 99;
    detail.later_needs = Some(Box::new(later));
    observed
}

fn off(hosts: &Simulator, on: &str) -> VmDetail {
    let mut observed = hosts.observed();
    let vm = host(&mut observed, on).vms.remove("web").unwrap();
    assert_eq!(vm.power.state, RunState::ShutOff);
    *vm.detail.unwrap()
}

#[track_caller]
fn assert_nothing_live(detail: &VmDetail) {
    assert_eq!((&detail.live_xml, &detail.live_cpu), (&None, &None));
    assert_eq!((detail.dirty_rate, detail.job), (None, None));
    assert_eq!((&detail.pending, &detail.later_needs), (&vec![], &None));
    assert_eq!(detail.needs.vcpus_max, 99);
}

#[test]
fn a_vm_that_was_shut_down_or_ended() {
    let hosts = Simulator::new(running());
    perform(&hosts, &shut_down("kvm1")).unwrap();
    assert_nothing_live(&off(&hosts, "kvm1"));

    let mut observed = running();
    let elsewhere = host(&mut observed, "kvm1").vms["web"].clone();
    host(&mut observed, "kvm2")
        .vms
        .insert(vm_name("web"), elsewhere);
    let here = host(&mut observed, "kvm1").vms.get_mut("web").unwrap();
    here.power = PowerState {
        state: RunState::Paused,
        reason: "migration".into(),
    };
    let hosts = Simulator::new(observed);
    let end = Action::Destroy {
        host: host_name("kvm1"),
        vm: vm_name("web"),
        runs_on: Some(host_name("kvm2")),
    };
    perform(&hosts, &end).unwrap();
    assert_nothing_live(&off(&hosts, "kvm1"));
    // It has ended, as was wanted, also where somebody else saw to that.
    perform(&hosts, &end).unwrap();
    let undefine = Action::Undefine {
        host: host_name("kvm1"),
        vm: vm_name("web"),
        kept_by: host_name("kvm2"),
    };
    perform(&hosts, &undefine).unwrap();
    perform(&hosts, &end).unwrap();
    perform(&hosts, &shut_down("kvm2")).unwrap();
    let no_longer_elsewhere = perform(&hosts, &end).unwrap_err();
    assert!(no_longer_elsewhere.to_string().contains("does not run"));
}

/// Of all the states in which a killed apply can leave a migration, in each a VM that is off shows nothing live, and
/// one that is active does.
#[test]
fn a_vm_whose_migration_broke_off() {
    let mut found_off = 0;
    for seed in 0..400 {
        let hosts = Simulator::new(running());
        perform(&hosts, &create("kvm2", "web.qcow2")).unwrap();
        hosts.set_faults(Faults::from_seed(seed));
        if perform(&hosts, &migrate(CopyMode::Full)).is_ok() {
            continue;
        }
        let observed = hosts.observed();
        for (_, host) in observed.reached() {
            let Some(vm) = host.vms.get("web") else {
                continue;
            };
            let detail = vm.detail.as_deref().unwrap();
            if vm.power.is_active() {
                assert!(detail.live_xml.is_some());
            } else {
                found_off += 1;
                assert_nothing_live(detail);
            }
        }
    }
    assert!(found_off > 0, "no seed leaves the VM off");
}
