//! What the compiler cannot see: an adapter that read another tenant's data and gives it out as ours.

use crate::world::World;
use context::{Crossing, Origin, Private, Tenant, door};
use ids::TenantId;
use std::num::ParseIntError;

/// What an adapter gives out that opened the file of `owner` for this visit.
fn read<'t, T>(tenant: &Tenant<'t>, owner: TenantId, value: T) -> Private<'t, T> {
    Private::arrived(tenant, Origin::authenticated(owner), value)
}

async fn visit(check: impl for<'t> AsyncFnOnce(Tenant<'t>, TenantId)) {
    let world = World::new();
    let (ours, theirs) = (world.tenant(), world.tenant());
    let admission = world.admission(world.api_key(ours).text.expose()).await;
    admission.enter(async |tenant| check(tenant, theirs).await).await;
}

#[tokio::test]
async fn every_door_lets_ours_out_and_stops_what_is_not() {
    visit(async |tenant, theirs| {
        let ours = || read(&tenant, tenant.id(), "ours");
        assert_eq!(door::answer(&tenant, ours()), Ok("ours"));
        assert_eq!(door::upstream(&tenant, ours()), Ok("ours"));
        assert_eq!(door::tool(&tenant, ours()), Ok("ours"));
        assert_eq!(door::export(&tenant, ours()), Ok("ours"));
        assert_eq!(door::answer(&tenant, Private::sent(&tenant, "sent")), Ok("sent"));
        let foreign = || read(&tenant, theirs, "theirs");
        assert_eq!(door::answer(&tenant, foreign()), Err(Crossing));
        assert_eq!(door::upstream(&tenant, foreign()), Err(Crossing));
        assert_eq!(door::tool(&tenant, foreign()), Err(Crossing));
        assert_eq!(door::export(&tenant, foreign()), Err(Crossing));
    })
    .await;
}

#[tokio::test]
async fn nothing_that_is_done_to_a_value_changes_whose_it_is() {
    visit(async |tenant, theirs| {
        let foreign = || read(&tenant, theirs, "7".to_owned());
        assert_eq!(door::answer(&tenant, foreign().map(|text| text.len())), Err(Crossing));
        let number: Result<_, ParseIntError> = foreign().try_map(|text| text.parse::<u8>());
        assert_eq!(door::answer(&tenant, number.unwrap()), Err(Crossing));
        assert_eq!(door::answer(&tenant, foreign().clone()), Err(Crossing));
        assert_eq!(door::answer(&tenant, foreign().as_ref()), Err(Crossing));
        let inner = foreign().map(Some).transpose().unwrap();
        assert_eq!(door::answer(&tenant, inner), Err(Crossing));
        assert!(foreign().map(|_| None::<u8>).transpose().is_none());
        let both = foreign().zip(foreign()).unwrap();
        assert_eq!(door::answer(&tenant, both), Err(Crossing));
    })
    .await;
}

#[tokio::test]
async fn values_of_different_origins_do_not_become_one() {
    visit(async |tenant, theirs| {
        let (ours, foreign) = (|| read(&tenant, tenant.id(), 1), || read(&tenant, theirs, 2));
        assert_eq!(door::answer(&tenant, ours().zip(ours()).unwrap()), Ok((1, 1)));
        assert!(ours().zip(foreign()).is_err());
        assert!(foreign().zip(ours()).is_err());
        let all = Private::collect(&tenant, [ours(), ours(), ours()]).unwrap();
        assert_eq!(door::answer(&tenant, all), Ok(vec![1, 1, 1]));
        assert!(Private::collect(&tenant, [ours(), foreign(), ours()]).is_err());
        assert!(Private::collect(&tenant, [foreign(), foreign()]).is_err());
        let none = Private::collect(&tenant, Vec::<Private<'_, u8>>::new()).unwrap();
        assert_eq!(door::answer(&tenant, none), Ok(vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_failed_transformation_gives_its_error() {
    visit(async |tenant, _| {
        let text = Private::sent(&tenant, "x".to_owned());
        assert!(text.is(|text| text == "x") && !text.is(String::is_empty));
        let failed: Result<Private<'_, u8>, ParseIntError> = text.try_map(|text| text.parse());
        assert!(failed.is_err());
    })
    .await;
}
