//! Cases about usage: calls, their outcomes, meters and sums.

use crate::samples::{NOW, call, claim, commit, outcome};
use crate::{Backend, World, out, page};
use authz::SystemPrincipal;
use context::{Delete, Read, Tenant, on};
use env::Timestamp;
use futures::future::join_all;
use money::Usd;
use std::time::Duration;
use store::{
    AuditQuery, AuditTrail, Call, CallKind, CallOutcome, CallStatus, Commit, GroupBy, LookBack, Spent,
    StoreError, UsageQuery, UsageRow, UsageStore,
};

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn minutes_ago(minutes: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(60 * minutes))
}

pub async fn usage<S: UsageStore>(store: &S, tenant: &Tenant<'_>, group_by: &[GroupBy]) -> Vec<UsageRow> {
    let access = tenant.authorize::<Read<on::Usage>>().unwrap();
    let to = NOW.plus(Duration::from_secs(1));
    let query = UsageQuery { from: minutes_ago(100_000), to, group_by: group_by.to_vec() };
    out(tenant, store.usage(&access, &query).await.unwrap())
}

async fn end<S: UsageStore>(store: &S, tenant: &Tenant<'_>, call: &Call, outcome: CallOutcome) {
    store.end_call(tenant, call, outcome, commit(tenant, "end")).await.unwrap();
}

async fn begin<S: UsageStore>(store: &S, tenant: &Tenant<'_>, call: &Call) {
    store.begin_call(tenant, call, commit(tenant, "begin")).await.unwrap();
}

async fn is_open<S: UsageStore>(store: &S, tenant: &Tenant<'_>, call: &Call) -> Result<bool, StoreError> {
    let (found, open) = out(tenant, store.call(tenant, call.id).await?);
    assert_eq!(found, *call);
    Ok(open)
}

/// Nobody waits for the disk, and yet nobody reads past it.
pub async fn an_outcome_that_has_its_place_is_read<B: Backend>(world: World<B>) {
    world
        .visit(world.one, async |tenant| {
            let store = world.store();
            for number in 1..=50 {
                let call = call(number, CallKind::Model, "anna", NOW);
                begin(store, &tenant, &call).await;
                let settled = outcome(CallStatus::Settled, "0.1");
                let placed = store.place_outcome(&tenant, &call, settled, Commit::default()).await.unwrap();
                assert_eq!(is_open(store, &tenant, &call).await, Ok(false));
                assert_eq!(usage(store, &tenant, &[]).await[0].ai_calls, u64::from(number));
                placed.written().await.unwrap();
            }
        })
        .await;
}

pub async fn a_call_from_its_beginning_to_its_end<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let call = call(1, CallKind::Model, word, NOW);
                let commit = commit(&tenant, "first").and_event(crate::samples::draft(&tenant, "second"));
                let ids = store.begin_call(&tenant, &call, commit).await.unwrap();
                let access = tenant.authorize::<Read<on::Audit>>().unwrap();
                let events = store.events(&access, &AuditQuery::default(), &page(2, None)).await.unwrap();
                let shown: Vec<_> = out(&tenant, events)
                    .data
                    .iter()
                    .rev()
                    .map(|event| event.view["event_id"].as_str().unwrap().to_owned())
                    .collect();
                assert_eq!(shown, ids.iter().map(ToString::to_string).collect::<Vec<_>>());
                assert_eq!(is_open(store, &tenant, &call).await, Ok(true));
                end(store, &tenant, &call, outcome(CallStatus::Settled, "0.1")).await;
                assert_eq!(is_open(store, &tenant, &call).await, Ok(false));
                let rows = usage(store, &tenant, &[GroupBy::Model]).await;
                assert_eq!(rows.len(), 1);
                assert_eq!(rows[0].group, [Some(word.to_owned())]);
                assert_eq!((rows[0].ai_calls, rows[0].cost_usd), (1, usd("0.1")));
            })
            .await;
    }
    world
        .visit(world.one, async |tenant| {
            begin(world.store(), &tenant, &call(2, CallKind::Service, "anna", NOW)).await;
        })
        .await;
    world
        .visit(world.two, async |tenant| {
            let foreign = call(2, CallKind::Service, "anna", NOW);
            assert_eq!(is_open(world.store(), &tenant, &foreign).await, Err(StoreError::NotFound));
        })
        .await;
}

/// Outcomes that come at once may be written together, and one call's twice.
pub async fn outcomes_at_once_are_summed_once<B: Backend>(world: World<B>) {
    const CALLS: u8 = 20;
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                // In an hour that is told of by its sums alone.
                let calls: Vec<_> =
                    (1..=CALLS).map(|number| call(number, CallKind::Model, word, minutes_ago(600))).collect();
                join_all(calls.iter().map(|call| begin(store, &tenant, call))).await;
                let twice = calls.iter().chain(&calls);
                join_all(twice.map(|call| end(store, &tenant, call, outcome(CallStatus::Settled, "0.1"))))
                    .await;
                let rows = usage(store, &tenant, &[GroupBy::Model]).await;
                assert_eq!(rows.len(), 1);
                assert_eq!((rows[0].ai_calls, rows[0].cost_usd), (u64::from(CALLS), usd("2")));
            })
            .await;
    }
}

/// Outcomes as they come in, what the call cost in the end, and whether that is a guess.
type Ends = (&'static [(CallStatus, &'static str)], &'static str, u64);

pub async fn only_an_unknown_outcome_can_be_corrected<B: Backend>(world: World<B>) {
    use CallStatus::{Released, Settled, Unknown};
    let cases: [Ends; 6] = [
        (&[(Settled, "0.1"), (Settled, "0.1")], "0.1", 0),
        (&[(Settled, "0.1"), (Settled, "0.7")], "0.1", 0),
        (&[(Settled, "0.1"), (Unknown, "0.5")], "0.1", 0),
        (&[(Unknown, "0.5"), (Settled, "0.1")], "0.1", 0),
        (&[(Unknown, "0.5")], "0.5", 1),
        (&[(Released, "0"), (Unknown, "0.5")], "0", 0),
    ];
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                for (number, (outcomes, _, _)) in (1..).zip(&cases) {
                    let call = call(number, CallKind::Model, &format!("{word}{number}"), NOW);
                    begin(world.store(), &tenant, &call).await;
                    for (status, cost) in *outcomes {
                        end(world.store(), &tenant, &call, outcome(*status, cost)).await;
                        // What is read in between must not change what comes of it.
                        assert_eq!(is_open(world.store(), &tenant, &call).await, Ok(false));
                    }
                }
                let rows = usage(world.store(), &tenant, &[GroupBy::Model]).await;
                for (row, (outcomes, cost, unknown)) in rows.iter().zip(&cases) {
                    assert_eq!((row.cost_usd, row.unknown_calls), (usd(cost), *unknown), "{outcomes:?}");
                }
                assert_eq!(rows.len(), cases.len());
            })
            .await;
    }
}

pub async fn a_meter_goes_on<B: Backend>(world: World<B>) {
    let back = LookBack { uses: minutes_ago(60), charges: minutes_ago(600).hour(), moments: minutes_ago(2) };
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let model = |number, minutes| call(number, CallKind::Model, word, minutes_ago(minutes));
                let ended = |status, cached| CallOutcome { cached, ..outcome(status, "0.25") };
                let earlier = |status| CallOutcome { finished_at: minutes_ago(9), ..outcome(status, "0.5") };
                let (open, old_open) = (model(1, 5), model(2, 10_000));
                let (settled, long_ago) = (model(3, 10), model(4, 700));
                let (cached, released) = (model(5, 20), model(6, 30));
                let unknown = call(7, CallKind::Service, word, minutes_ago(120));
                let (past, with_it) = (model(8, 130), model(10, 131));
                let all =
                    [&open, &old_open, &settled, &long_ago, &cached, &released, &unknown, &past, &with_it];
                for call in all {
                    begin(store, &tenant, call).await;
                }
                end(store, &tenant, &settled, ended(CallStatus::Settled, false)).await;
                end(store, &tenant, &long_ago, ended(CallStatus::Settled, false)).await;
                end(store, &tenant, &cached, ended(CallStatus::Settled, true)).await;
                end(store, &tenant, &released, outcome(CallStatus::Released, "0")).await;
                end(store, &tenant, &unknown, ended(CallStatus::Unknown, false)).await;
                end(store, &tenant, &past, earlier(CallStatus::Unknown)).await;
                end(store, &tenant, &with_it, earlier(CallStatus::Settled)).await;
                let state = out(&tenant, store.meter_state(&tenant, back).await.unwrap());
                assert_eq!(state.open, [old_open, open.clone()]);
                let charged = [unknown, cached, settled.clone()].map(|call| (call, usd("0.25")));
                assert_eq!(state.charged, charged);
                let step = |at: Timestamp| Timestamp::from_millis(at.millis() / 10_000 * 10_000);
                let recent = [released, settled, open].map(|call| (call.kind, step(call.started_at), 1));
                assert_eq!(state.recent, recent);
                let Call { payer, workflow, started_at, .. } = past;
                let sum = Spent { hour: started_at.hour(), payer, workflow, cost: usd("1") };
                assert_eq!(state.spent, [sum]);
            })
            .await;
    }
}

pub async fn sums_stay_when_calls_are_forgotten<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        let admission = world.fixture.system(SystemPrincipal::Retention, tenant).await;
        let make = async |tenant: Tenant<'_>| {
            for number in 1..=9 {
                let call = call(number, CallKind::Model, word, minutes_ago(60 * u64::from(number)));
                begin(world.store(), &tenant, &call).await;
                if number != 9 {
                    end(world.store(), &tenant, &call, outcome(CallStatus::Settled, "0.1")).await;
                }
            }
            usage(world.store(), &tenant, &[GroupBy::Hour, GroupBy::Key, GroupBy::Workflow]).await
        };
        let before = world.visit(tenant, make).await;
        let forget = async |tenant: Tenant<'_>| {
            let access = tenant.authorize::<Delete<on::Usage>>().unwrap();
            world.store().forget_calls(&access, minutes_ago(200), Commit::default()).await.unwrap();
        };
        admission.enter(forget).await;
        let look = async |tenant: Tenant<'_>| {
            let open = call(9, CallKind::Model, word, minutes_ago(540));
            assert_eq!(is_open(world.store(), &tenant, &open).await, Ok(true));
            usage(world.store(), &tenant, &[GroupBy::Hour, GroupBy::Key, GroupBy::Workflow]).await
        };
        assert_eq!(world.visit(tenant, look).await, before);
    }
    let world = world.reopen_if_it_survives().await;
    let look = async |tenant: Tenant<'_>| usage(world.store(), &tenant, &[]).await[0].cost_usd;
    assert_eq!(world.visit(world.one, look).await, usd("0.8"));
}

pub async fn grouped_and_exact<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let costs = ["0.1", "0.2", "0.000000000000001", "1000000"];
                for (number, cost) in (1..).zip(costs) {
                    let (kind, target) = if number == 4 {
                        (CallKind::Service, "crm.example")
                    } else {
                        (CallKind::Model, word)
                    };
                    let call = call(number, kind, target, minutes_ago(u64::from(number) * 30));
                    begin(world.store(), &tenant, &call).await;
                    end(world.store(), &tenant, &call, outcome(CallStatus::Settled, cost)).await;
                }
                let all = usage(world.store(), &tenant, &[]).await;
                assert_eq!(all.len(), 1);
                assert_eq!(all[0].cost_usd, usd("1000000.300000000000001"));
                assert_eq!((all[0].ai_calls, all[0].api_calls), (3, 1));
                assert_eq!((all[0].input_tokens, all[0].output_tokens), (40, 12));
                let groups = usage(world.store(), &tenant, &[GroupBy::Model, GroupBy::Tool]).await;
                let of: Vec<_> = groups.iter().map(|row| (row.group.clone(), row.cost_usd)).collect();
                let (model, tool) = (Some(word.to_owned()), Some("crm.example".to_owned()));
                assert_eq!(
                    of,
                    [(vec![None, tool], usd("1000000")), (vec![model, None], usd("0.300000000000001"))]
                );
                assert_eq!(usage(world.store(), &tenant, &[GroupBy::Workflow]).await.len(), 2);
                assert_eq!(usage(world.store(), &tenant, &[GroupBy::Key]).await.len(), 1);
                let agents = usage(world.store(), &tenant, &[GroupBy::Agent]).await;
                assert_eq!(agents[0].group, [None]);
                let hours = usage(world.store(), &tenant, &[GroupBy::Hour]).await;
                let hours: Vec<_> =
                    hours.iter().map(|row| (row.group[0].clone().unwrap(), row.ai_calls)).collect();
                let text = |text: &str| text.to_owned();
                assert_eq!(
                    hours,
                    [(text("2026-09-21T12:00:00.000Z"), 1), (text("2026-09-21T13:00:00.000Z"), 2)]
                );
                assert_eq!(usage(world.store(), &tenant, &[GroupBy::Day]).await.len(), 1);
                let access = tenant.authorize::<Read<on::Usage>>().unwrap();
                let query = UsageQuery { from: minutes_ago(60), to: minutes_ago(30), group_by: vec![] };
                let part = out(&tenant, world.store().usage(&access, &query).await.unwrap());
                assert_eq!(part[0].cost_usd, usd("0.2"));
            })
            .await;
    }
}

pub async fn a_claim_holds_for_calls_too<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let claimed = || Commit::default().claiming(Some(claim(&world.env(), 1)));
                let [first, second] = [1, 2].map(|number| call(number, CallKind::Model, word, NOW));
                let ids = world.store().begin_call(&tenant, &first, claimed()).await;
                assert_eq!(ids, Ok(Vec::new()));
                let again = world.store().begin_call(&tenant, &second, claimed()).await;
                assert_eq!(again, Err(StoreError::Claimed));
                assert_eq!(is_open(world.store(), &tenant, &second).await, Err(StoreError::NotFound));
            })
            .await;
    }
}
