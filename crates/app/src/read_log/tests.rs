//! Reads of tenants whose logs take them, and of one whose log does not.

use super::waiting::{MAX_OF_PRINCIPAL, MAX_OF_TENANT};
use super::{Flush, ReadLog, Trail};
use admission_fixture::{Fixture, START};
use async_trait::async_trait;
use audit::event::{Action, Draft, Outcome};
use context::{Admission, Tenant};
use env::Timestamp;
use errors::Code;
use ids::TenantId;
use metering::plan::Limits;
use std::sync::Mutex;
use store::StoreError;

const READ: Action = Action::new("record.read");

/// A log that takes nothing of the tenants that are broken.
#[derive(Default)]
struct Log {
    broken: Vec<TenantId>,
    commits: Mutex<Vec<(TenantId, Vec<Draft>)>>,
}

#[async_trait]
impl Trail for Log {
    async fn append(&self, tenant: &Tenant<'_>, events: Vec<Draft>) -> Result<(), StoreError> {
        if self.broken.contains(&tenant.id()) {
            return Err(StoreError::TenantUnavailable);
        }
        self.commits.lock().unwrap().push((tenant.id(), events));
        Ok(())
    }
}

impl Log {
    fn taken(&self) -> Vec<(TenantId, Vec<Draft>)> {
        std::mem::take(&mut self.commits.lock().unwrap())
    }
}

fn minutes(count: i64) -> Timestamp {
    Timestamp::from_millis(START.millis() + count * 60_000)
}

async fn read(reads: &ReadLog, admission: &Admission, what: &str, now: Timestamp) {
    let noted = admission.clone();
    admission.clone().enter(async |tenant| reads.note(&noted, &tenant, READ, "record", what, now)).await;
}

fn total(events: &[Draft]) -> u64 {
    events.iter().map(|event| event.details["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn one_tenants_fault_costs_nobody_else_an_event_and_is_tried_again() {
    let fixture = Fixture::new(1);
    let (one, two) = (fixture.tenant(Limits::default()), fixture.tenant(Limits::default()));
    let (owner, other) = (fixture.owner(one).await, fixture.owner(two).await);
    let reads = ReadLog::default();
    for what in ["contacts", "deals", "contacts"] {
        read(&reads, &owner, what, minutes(0)).await;
        read(&reads, &other, what, minutes(0)).await;
    }
    let mut log = Log { broken: vec![one], ..Log::default() };
    assert_eq!(reads.flush(&log, minutes(0), Flush::Ended).await, Ok(()));
    assert!(log.taken().is_empty());
    assert_eq!(reads.flush(&log, minutes(1), Flush::Ended).await, Err(StoreError::TenantUnavailable));
    let taken = log.taken();
    let [(tenant, events)] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!((*tenant, events.len(), total(events)), (two, 2, 3));
    // Not at once, but in the next minute.
    log.broken.clear();
    assert_eq!(reads.flush(&log, minutes(1), Flush::Ended).await, Ok(()));
    assert!(log.taken().is_empty());
    assert_eq!(reads.flush(&log, minutes(2), Flush::Ended).await, Ok(()));
    let taken = log.taken();
    let [(tenant, events)] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!((*tenant, events.len(), total(events)), (one, 2, 3));
}

#[tokio::test]
async fn what_is_never_taken_is_given_up_and_an_erased_tenants_at_once() {
    let fixture = Fixture::new(1);
    let (one, two) = (fixture.tenant(Limits::default()), fixture.tenant(Limits::default()));
    let reads = ReadLog::default();
    read(&reads, &fixture.owner(one).await, "contacts", minutes(0)).await;
    read(&reads, &fixture.owner(two).await, "contacts", minutes(0)).await;
    reads.forget(two);
    let log = Log { broken: vec![one], ..Log::default() };
    for minute in 1..=10 {
        assert!(reads.flush(&log, minutes(minute), Flush::Ended).await.is_err(), "{minute}");
    }
    assert_eq!(reads.flush(&log, minutes(99), Flush::All).await, Ok(()));
    assert!(log.taken().is_empty());
}

#[tokio::test]
async fn names_that_callers_choose_are_told_apart_up_to_a_bound_and_all_are_counted() {
    let fixture = Fixture::new(1);
    let tenant = fixture.tenant(Limits::default());
    let reads = ReadLog::default();
    let each = MAX_OF_PRINCIPAL as u64 + 50;
    for _ in 0..20 {
        let principal = fixture.owner(tenant).await;
        for number in 0..each {
            read(&reads, &principal, &format!("c{number}"), minutes(0)).await;
        }
    }
    let log = Log::default();
    reads.flush(&log, minutes(1), Flush::Ended).await.unwrap();
    let (_, events) = log.taken().remove(0);
    assert!(events.len() <= MAX_OF_TENANT + 1, "{}", events.len());
    assert_eq!(total(&events), 20 * each);
    assert!(events.iter().any(|event| event.resource.id == "others"));
}

#[tokio::test]
async fn a_refusal_says_what_was_refused_and_why() {
    let fixture = Fixture::new(1);
    let tenant = fixture.tenant(Limits::default());
    let (reads, log, admission) = (ReadLog::default(), Log::default(), fixture.owner(tenant).await);
    let noted = admission.clone();
    let refused = async |tenant: Tenant<'_>| {
        reads.note_refusal(&noted, &tenant, "DELETE /v1/agents/{id}", Code::Forbidden, minutes(0));
    };
    admission.enter(refused).await;
    reads.flush(&log, minutes(0), Flush::Tenant(tenant)).await.unwrap();
    let (_, events) = log.taken().remove(0);
    assert_eq!((&events[0].action.to_string()[..], events[0].result), ("access.refuse", Outcome::Denied));
    assert_eq!(events[0].resource.id, "DELETE /v1/agents/{id}");
    assert_eq!(events[0].reason_code.as_ref().map(ToString::to_string).as_deref(), Some("forbidden"));
}
