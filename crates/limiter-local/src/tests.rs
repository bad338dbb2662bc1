//! What is in memory, and how much of it.

use crate::{LocalLimiter, Settings};
use admission_fixture::Fixture;
use limiter::Limiter as _;
use limiter_tests::{Rows, code, hourly};
use metering::budget::BudgetScope;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn memory_is_bounded_and_idle_tenants_leave_it() {
    let fixture = Fixture::new(11);
    let rows = Arc::new(Rows::default());
    let settings = Settings { tenants: 2, ..Settings::default() };
    let limiter = LocalLimiter::new(rows.clone(), fixture.env(), settings);
    let begin = async |admission: &context::Admission| {
        let now = fixture.env().now();
        let call = limiter::PlannedCall {
            id: fixture.env().id(),
            kind: limiter::Kind::Ai,
            scopes: vec![BudgetScope::Tenant],
            worst_case: Some(money::Usd::ZERO),
            at: now,
            lease_until: now.plus(Duration::from_secs(3600)),
        };
        let begun =
            admission.clone().enter(async |tenant| limiter.begin(&tenant, &call).await.map(drop)).await;
        begun.map(|()| call.id)
    };
    let owners = [(); 4].map(|()| fixture.tenant(hourly(9)));
    let [busy, idle, third, fourth] = [
        fixture.owner(owners[0]),
        fixture.owner(owners[1]),
        fixture.owner(owners[2]),
        fixture.owner(owners[3]),
    ];
    let (busy, idle, third, fourth) = (busy.await, idle.await, third.await, fourth.await);
    begin(&busy).await.unwrap();
    let ended = begin(&idle).await.unwrap();
    let cost = money::Usd::ZERO;
    idle.enter(async |tenant| limiter.settle(&tenant, ended, cost).await.unwrap().unwrap()).await;
    fixture.clock().advance(601_000);
    limiter.sweep().await;
    assert_eq!(limiter.kept(), 1);
    begin(&third).await.unwrap();
    assert_eq!(limiter.kept(), 2);
    assert_eq!(code(begin(&fourth).await.unwrap_err()), errors::Code::Unavailable);
}
