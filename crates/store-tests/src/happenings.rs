//! What the log says happened, by names alone.

use crate::audit_trail::{FIRST, append};
use crate::samples::draft;
use crate::{Backend, Store, World, out};
use audit::event::{Action, Draft, Outcome};
use context::{Read, Tenant, on};
use store::{AuditTrail as _, Happened, Happenings};

const PUT: Action = Action::new("budget.put");

async fn happened<S: Store>(store: &S, tenant: &Tenant<'_>, from: Option<u64>) -> Happenings {
    let access = tenant.authorize::<Read<on::Audit>>().unwrap();
    out(tenant, store.happened(&access, from).await.unwrap())
}

async fn reconfigured<S: Store>(store: &S, tenant: &Tenant<'_>, from: Option<u64>) -> Happenings {
    let access = tenant.authorize::<Read<on::Account>>().unwrap();
    out(tenant, store.reconfigured(&access, from).await.unwrap())
}

fn indexes(found: &Happenings) -> Vec<u64> {
    found.events.iter().map(|event| event.index).collect()
}

pub async fn what_happened_is_told_in_its_order<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let begin = happened(store, &tenant, None).await;
                assert_eq!((begin.size, begin.next, begin.events.len()), (FIRST, FIRST, 0));
                let names = ["a", "b"].map(|name| format!("{word}-{name}"));
                append(store, &tenant, &names.each_ref().map(String::as_str)).await;
                let found = happened(store, &tenant, Some(begin.next)).await;
                assert_eq!((found.epoch, found.size, found.next), (begin.epoch, FIRST + 2, FIRST + 2));
                assert_eq!(indexes(&found), [FIRST, FIRST + 1]);
                let told = found.events.iter().map(|event| (&event.action, &event.resource.id));
                let touched = "sample.touch".to_owned();
                assert!(told.eq(names.iter().map(|name| (&touched, name))));
                assert_eq!(happened(store, &tenant, Some(found.next)).await.events, []);
                // Whoever was further than the log is goes on at its end.
                let past = happened(store, &tenant, Some(u64::MAX)).await;
                assert_eq!((past.next, past.events.len()), (FIRST + 2, 0));
            })
            .await;
    }
}

pub async fn much_is_told_in_parts<B: Backend>(world: World<B>) {
    let (tenant, _) = world.tenants()[0];
    world
        .visit(tenant, async |tenant| {
            let store = world.store();
            let drafts = (0..250).map(|number| draft(&tenant, &number.to_string())).collect();
            store.append_events(&tenant, drafts).await.unwrap();
            let (mut from, mut told, mut parts) = (FIRST, Vec::new(), 0);
            while from < FIRST + 250 {
                let found = happened(store, &tenant, Some(from)).await;
                told.extend(indexes(&found));
                (from, parts) = (found.next, parts + 1);
            }
            assert_eq!(parts, 2);
            assert!(told.into_iter().eq(FIRST..FIRST + 250));
        })
        .await;
}

pub async fn a_configuration_is_told_apart<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let put = |result: Outcome| {
                    let made = context::event::draft(&tenant, PUT, "budget", word);
                    Draft { result, ..made }
                };
                let drafts = vec![
                    draft(&tenant, "other"),
                    put(Outcome::Denied),
                    put(Outcome::Success),
                    draft(&tenant, "other"),
                ];
                store.append_events(&tenant, drafts).await.unwrap();
                let found = reconfigured(store, &tenant, Some(FIRST)).await;
                assert_eq!((found.size, found.next), (FIRST + 4, FIRST + 4));
                let [Happened { index, action, resource, .. }] = found.events.as_slice() else {
                    panic!("{found:?}")
                };
                assert_eq!((*index, action.as_str(), resource.id.as_str()), (FIRST + 2, "budget.put", word));
                assert_eq!(reconfigured(store, &tenant, None).await.next, FIRST + 4);
            })
            .await;
    }
}
