//! What is asked for at once, and where whoever has to wait goes.

use super::{Ground, NOW};
use crate::Settings;
use crate::scheduler::{Rest, Round};
use std::collections::BTreeSet;

#[test]
fn where_somebody_has_to_wait_one_run_of_each_tenant_competes() {
    let mut ground = Ground::new(Settings { runs: 1, first_runs: 0, ..Settings::default() });
    for _ in 0..3 {
        let tenant = ground.tenant();
        ground.accept(tenant, 2).unwrap();
        ground.accept(tenant, 2).unwrap();
    }
    let Round { mut starts, places } = ground.state.round(NOW);
    assert_eq!((starts.len(), places), (3, 1));
    assert_eq!(starts.iter().map(|start| start.job.tenant).collect::<BTreeSet<_>>().len(), 3);
    assert!(starts.iter().all(|start| start.wanted().is_some_and(|wanted| !wanted.certain)));
    // The store chose the last one's.
    let mut chosen = starts.pop().unwrap();
    let passed: BTreeSet<_> = starts.iter().map(|start| start.job.run).collect();
    for start in &mut starts {
        assert!(ground.state.leave(start, Rest::OthersTurn, NOW).is_none());
    }
    assert!(ground.state.round(NOW).starts.is_empty(), "there is no place");
    ground.state.leave(&mut chosen, Rest::Over, NOW);
    let next: BTreeSet<_> = ground.state.round(NOW).starts.iter().map(|start| start.job.run).collect();
    assert!(next.len() == 3 && passed.is_subset(&next), "each goes on with its first");
}

#[test]
fn where_there_is_a_place_for_all_nobody_competes() {
    let mut ground = Ground::new(Settings { runs: 2, first_runs: 1, ..Settings::default() });
    let (one, two) = (ground.tenant(), ground.tenant());
    ground.accept(one, 9).unwrap();
    let Round { starts, places } = ground.state.round(NOW);
    assert_eq!((starts.len(), places), (1, 1));
    for _ in 0..2 {
        ground.accept(one, 9).unwrap();
    }
    assert_eq!(ground.state.round(NOW).starts.len(), 1);
    // A tenant without any has a place beside the others', for certain.
    ground.accept(two, 9).unwrap();
    let Round { starts, places } = ground.state.round(NOW);
    assert_eq!((starts.len(), places, starts[0].certain), (1, 0, true));
}
