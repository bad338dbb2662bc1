//! Looking for audit events by what they say.

use crate::audit_trail::{append, list, resources};
use crate::samples::draft;
use crate::{Backend, World};
use audit::event::Action;
use store::{AuditQuery, AuditTrail as _, StoreError};

pub async fn filtered_and_paged<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                append(world.store(), &tenant, &[&format!("{word}1"), &format!("{word}2")]).await;
                world.fixture.clock().advance(1000);
                append(world.store(), &tenant, &[&format!("{word}3")]).await;
                let mut other = draft(&tenant, &format!("{word}4"));
                other.action = Action::new("sampler.touch");
                world.store().append_events(&tenant, vec![other]).await.unwrap();
            })
            .await;
    }
    let mut cursors = Vec::new();
    for (tenant, word) in world.tenants() {
        let cursor = world
            .visit(tenant, async |tenant| {
                let find = async |query: AuditQuery| {
                    let (found, end) = list(world.store(), &tenant, &query, 50, None).await.unwrap();
                    assert_eq!(end, None);
                    let cut = |name: &str| name.strip_prefix(word).map_or(0, |rest| rest.parse().unwrap());
                    resources(&found).into_iter().map(cut).collect::<Vec<u8>>()
                };
                let all = AuditQuery::default;
                let action = |text: &str| AuditQuery { action: Some(text.into()), ..all() };
                assert_eq!(find(action("sample.touch")).await, [3, 2, 1]);
                assert_eq!(find(action("sample")).await, [3, 2, 1]);
                assert_eq!(find(action("sampler")).await, [4]);
                assert!(find(action("sam")).await.is_empty());
                assert!(find(action("sample_touch")).await.is_empty());
                let resource = Some(format!("{word}2"));
                assert_eq!(find(AuditQuery { resource, ..all() }).await, [2]);
                let actor = Some(tenant.principal().id.clone());
                assert!(find(AuditQuery { actor, ..all() }).await.is_empty());
                // The second tenant's clock is a second ahead of the first's.
                let late = list(world.store(), &tenant, &action("sampler"), 1, None).await.unwrap().0;
                let late: env::Timestamp = late[0].view["time"].as_str().unwrap().parse().unwrap();
                assert_eq!(find(AuditQuery { from: Some(late), ..all() }).await, [4, 3]);
                assert_eq!(find(AuditQuery { to: Some(late), ..action("sample") }).await, [2, 1]);
                let touches = action("sample");
                let (first, cursor) = list(world.store(), &tenant, &touches, 2, None).await.unwrap();
                assert_eq!(resources(&first), [format!("{word}3"), format!("{word}2")]);
                append(world.store(), &tenant, &["new"]).await;
                let second = list(world.store(), &tenant, &touches, 2, cursor.clone()).await.unwrap();
                assert_eq!((resources(&second.0), second.1), (vec![&*format!("{word}1")], None));
                let other = list(world.store(), &tenant, &all(), 2, cursor.clone()).await;
                assert!(matches!(other, Err(StoreError::Invalid(_))));
                cursor.unwrap()
            })
            .await;
        cursors.push(cursor);
    }
    world
        .visit(world.two, async |tenant| {
            let query = AuditQuery { action: Some("sample".into()), ..AuditQuery::default() };
            let foreign = list(world.store(), &tenant, &query, 2, Some(cursors[0].clone())).await;
            assert!(matches!(foreign, Err(StoreError::Invalid(_))));
        })
        .await;
}

pub async fn actions_of_a_family_come_in_their_order<B: Backend>(world: World<B>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let kinds = ["sample.touch", "sample.look.near", "sample.look", "samples.touch"];
                let events = (0..12).map(|number| {
                    let mut draft = draft(&tenant, &format!("{word}{number}"));
                    draft.action = Action::new(kinds[number % kinds.len()]);
                    draft.actor.id = format!("{word}{}", number % 2);
                    draft
                });
                world.store().append_events(&tenant, events.collect()).await.unwrap();
                for (actor, expected) in [
                    (None, vec![10, 9, 8, 6, 5, 4, 2, 1, 0]),
                    (Some(format!("{word}1")), vec![9, 5, 1]),
                    (Some("nobody".to_owned()), vec![]),
                ] {
                    let query = AuditQuery { action: Some("sample".into()), actor, ..AuditQuery::default() };
                    let (mut found, mut cursor) = (Vec::new(), None);
                    loop {
                        let (page, next) = list(world.store(), &tenant, &query, 2, cursor).await.unwrap();
                        found.extend(resources(&page).into_iter().map(ToOwned::to_owned));
                        cursor = next;
                        if cursor.is_none() {
                            break;
                        }
                    }
                    let expected: Vec<_> =
                        expected.into_iter().map(|number: u8| format!("{word}{number}")).collect();
                    assert_eq!(found, expected);
                }
            })
            .await;
    }
}
