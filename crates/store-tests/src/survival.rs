//! What was acknowledged is there after the backend was closed and opened.

use crate::samples::{NOW, call, claim, outcome, record, run, run_id};
use crate::usage::usage;
use crate::{Backend, World, audit_trail, out, records, runs};
use context::{CredentialIndex, IndexedSubject, KeyedHash, Read, ReadContent, Update, on};
use ids::Id;
use serde_json::json;
use store::{
    CallKind, CallStatus, CollectionSettings, Commit, IdempotencyStore, Mark, PlatformStore, RecordStore,
    RunStatus, RunStore, StoreError, UsageStore, WorkIndex, WorkKind,
};

impl<B: Backend> World<B> {
    /// Opens the backend again, if it is one that survives that.
    pub async fn reopen_if_it_survives(self) -> Self {
        if B::SURVIVES { self.reopen().await } else { self }
    }
}

async fn fill<B: Backend>(world: &World<B>) {
    for ((tenant, word), at) in world.tenants().into_iter().zip([1, 2]) {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let access = tenant.authorize::<Update<on::Record>>().unwrap();
                let indexes = CollectionSettings { indexes: vec!["who".into()], ..Default::default() };
                let collection = records::contacts();
                store.declare_collection(&access, &collection, indexes, Commit::default()).await.unwrap();
                records::create(store, &tenant, record(1, json!({"who": word}))).await.unwrap();
                let stored = run(1, crate::samples::id(1), word);
                runs::create(store, &tenant, stored.clone(), Some("delivery")).await.unwrap();
                runs::advance(store, &tenant, &stored.run, RunStatus::Running, word).await.unwrap();
                let mark = Mark::Open { kind: WorkKind::Run, id: run_id(at).to_bytes(), due: None };
                let commit = Commit::default().and_mark(mark).claiming(Some(claim(&world.env(), 1)));
                let first = call(1, CallKind::Model, word, NOW);
                store.begin_call(&tenant, &first, commit).await.unwrap();
                let settled = outcome(CallStatus::Settled, "0.1");
                store.end_call(&tenant, &first, settled, Commit::default()).await.unwrap();
                let open = call(2, CallKind::Service, word, NOW);
                store.begin_call(&tenant, &open, Commit::default()).await.unwrap();
                let answer = word.as_bytes().to_vec();
                store.remember(&tenant, &claim(&world.env(), 1), 200, answer).await.unwrap();
                let hook =
                    IndexedSubject::Hook { id: crate::samples::id(1), workflow: crate::samples::id(1) };
                store.index_credential(&tenant, KeyedHash([at; 32]), hook, None).await.unwrap();
                // The last word before the end, which nothing has folded anywhere.
                audit_trail::append(store, &tenant, &["the last"]).await;
            })
            .await;
    }
    let name = "triage".parse().unwrap();
    let (id, now) = (crate::samples::id(1), world.env().now());
    world.store().publish_template(&world.operator, id, &name, "text".into(), now).await.unwrap();
}

pub async fn everything_acknowledged_is_there_after_reopening<B: Backend>(world: World<B>) {
    fill(&world).await;
    let keys = crate::keys::all(&world).await;
    let mut checkpoints = Vec::new();
    for (tenant, _) in world.tenants() {
        let signed =
            world.visit(tenant, async |tenant| audit_trail::checkpoint(world.store(), &tenant).await).await;
        checkpoints.push(signed);
    }
    let mut world = world;
    // Twice: what the first opening does must not harm the second.
    for _ in 0..2 {
        world = world.reopen_if_it_survives().await;
        assert_eq!(crate::keys::all(&world).await, keys);
        for (((tenant, word), before), at) in world.tenants().into_iter().zip(&checkpoints).zip([1, 2]) {
            let found = world.store().find(&KeyedHash([at; 32])).await.unwrap().unwrap();
            assert_eq!(found.tenant.unwrap().id, tenant);
            world.visit(tenant, async |tenant| check(&world, &tenant, word, before).await).await;
        }
        let pending = world.store().pending(WorkKind::Run).await.unwrap();
        assert_eq!(pending.len(), 2);
        assert_eq!(world.store().pending(WorkKind::Call).await.unwrap().len(), 2);
        let newest = world.store().template(&"triage".parse().unwrap(), None).await.unwrap();
        assert_eq!(newest.definition, "text");
    }
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                audit_trail::append(world.store(), &tenant, &[word, word]).await;
                let report = audit_trail::verified(world.store(), &tenant, None).await;
                assert_eq!(report.events, checkpoints[0].checkpoint().size + 2);
            })
            .await;
    }
}

async fn check<B: Backend>(
    world: &World<B>,
    tenant: &context::Tenant<'_>,
    word: &str,
    before: &audit::note::SignedCheckpoint,
) {
    let store = world.store();
    assert_eq!(records::get(store, tenant, 1).await.unwrap().data["who"], word);
    let settings = tenant.authorize::<Read<on::Record>>().unwrap();
    let settings = store.collection(&settings, &records::contacts()).await.unwrap();
    assert_eq!(out(tenant, settings).indexes, ["who"]);
    assert_eq!(runs::get(store, tenant, 1).await.unwrap().cursor, 2);
    let access = tenant.authorize::<ReadContent<on::Run>>().unwrap();
    let (input, steps) = out(tenant, store.steps_with_content(&access, run_id(1)).await.unwrap());
    assert_eq!((input, steps.len()), (json!({"who": word}), 1));
    let repeated = runs::create(store, tenant, run(9, crate::samples::id(1), word), Some("delivery")).await;
    assert_eq!(repeated, Ok(store::UnknownDelivery::Repeated(run_id(1))));
    let rows = usage(store, tenant, &[]).await;
    assert_eq!((rows[0].ai_calls, rows[0].api_calls), (1, 1));
    assert_eq!(rows[0].cost_usd, "0.1".parse().unwrap());
    let claimed = claim(&world.env(), 1);
    let remembered = store.remembered(tenant, &claimed.key, world.env().now()).await.unwrap().unwrap();
    assert_eq!(out(tenant, remembered).answer, Some((200, word.as_bytes().to_vec())));
    let again = Commit::default().claiming(Some(claimed));
    let again = store.begin_call(tenant, &call(3, CallKind::Model, word, NOW), again).await;
    assert_eq!(again, Err(StoreError::Claimed));
    let signed = audit_trail::checkpoint(store, tenant).await;
    assert_eq!(signed.checkpoint(), before.checkpoint());
    let earlier = before.note().to_string();
    audit_trail::verified(store, tenant, Some(&earlier)).await;
}
