//! What has to hold after a kill.

use super::book::{Book, Thing};
use super::{Customer, load, trail};
use crate::harness::send;
use crate::provider::Provider;
use crate::work::service::Service;
use client::Client;
use http::Method;
use money::Usd;
use secret::SecretText;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything on the pages of a list.
pub(crate) async fn all(who: &Client, path: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = who.get(&format!("{path}?limit=500{cursor}")).await.unwrap();
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Whether a thing stands as it may, and how it stands from now on.
fn settle(thing: &mut Thing, found: Option<u64>, what: &str) {
    assert!(thing.may_be.contains(&found), "{what} is {found:?}, and may be {thing:?}");
    thing.is(found);
}

/// Creations that were not answered are sent again, under the keys that they had.
async fn repeat(customer: &Customer, who: &Client) {
    let open = |things: &BTreeMap<u64, Thing>| -> Vec<u64> {
        things.iter().filter(|(_, thing)| thing.id.is_none()).map(|(number, _)| *number).collect()
    };
    let records = open(&customer.book().records);
    let runs = open(&customer.book().runs);
    for number in records {
        let (key, body) = load::record(number);
        let made = load::create(who, "/v1/records/contacts", &key, &body).await.unwrap();
        let mut book = customer.book();
        let thing = book.records.get_mut(&number).unwrap();
        (thing.id, thing.may_be) = (Some(text(&made["id"])), vec![Some(number)]);
    }
    for number in runs {
        let (key, body) = load::run(number);
        let path = format!("/v1/workflows/{}/runs", customer.workflow);
        let made = load::create(who, &path, &key, &body).await.unwrap();
        let mut book = customer.book();
        let thing = book.runs.get_mut(&number).unwrap();
        (thing.id, thing.may_be) = (Some(text(&made["id"])), vec![Some(number)]);
    }
}

/// Whatever callers were told is so: records, keys, budgets and runs, each once.
pub(super) async fn told(customer: &Customer, who: &Client) {
    repeat(customer, who).await;
    let found = all(who, "/v1/records/contacts").await;
    check_records(&mut customer.book(), &found);
    let runs = all(who, "/v1/runs").await;
    let listed: BTreeSet<_> = runs.iter().map(|run| text(&run["id"])).collect();
    let started: BTreeSet<_> = customer.book().runs.values().filter_map(|run| run.id.clone()).collect();
    assert_eq!(listed, started, "a run was lost or doubled");
    let budgets = who.get("/v1/budgets").await.unwrap()["data"].as_array().unwrap().clone();
    check_budgets(&mut customer.book(), &budgets);
    check_keys(customer, who).await;
}

fn check_records(book: &mut Book, found: &[Value]) {
    let mut by_number = BTreeMap::new();
    for record in found {
        let number = record["data"]["number"].as_u64().unwrap();
        let twice =
            by_number.insert(number, (text(&record["id"]), record["data"]["value"].as_u64().unwrap()));
        assert!(twice.is_none(), "the record {number} is there twice");
        assert!(book.records.contains_key(&number), "nobody asked for the record {number}");
    }
    for (number, thing) in &mut book.records {
        let found = by_number.get(number);
        assert!(found.is_none_or(|(id, _)| thing.id.as_ref() == Some(id)), "{number}: {found:?}, {thing:?}");
        settle(thing, found.map(|(_, value)| *value), &format!("the record {number}"));
    }
}

fn check_budgets(book: &mut Book, found: &[Value]) {
    for (id, key) in book.keys.iter_mut().filter(|(_, key)| !key.budget.is_empty()) {
        let mine: Vec<_> = found.iter().filter(|budget| budget["id"] == id.as_str()).collect();
        assert!(mine.len() <= 1, "{mine:?}");
        let stands =
            mine.first().map(|budget| text(&budget["usd"]).split('.').next().unwrap().parse().unwrap());
        assert!(
            key.budget.contains(&stands),
            "the budget of {id} is {stands:?}, and may be {:?}",
            key.budget
        );
        key.budget = vec![stands];
    }
}

/// A key that was given out is in force, and one that was revoked is not.
async fn check_keys(customer: &Customer, who: &Client) {
    let keys: Vec<_> = customer.book().keys.iter().map(|(id, key)| (id.clone(), key.clone())).collect();
    for (id, key) in keys {
        let me = send(&who.with_key(SecretText::new(key.text)), Method::GET, "/v1/me").await;
        let in_force = match me.status.as_u16() {
            200 => true,
            401 => false,
            _ => panic!("{}", me.text()),
        };
        assert!(key.may_be.contains(&in_force), "{id} is in force: {in_force}, and may be {:?}", key.may_be);
        customer.book().keys.get_mut(&id).unwrap().may_be = vec![in_force];
    }
}

/// A tenant that an operator was told of is there, and so is its first key.
pub(super) async fn tenant_is_there(operator: &Client, made: &Value) {
    let found = operator.get(&format!("/v1/tenants/{}", text(&made["id"]))).await.unwrap();
    assert_eq!(found["name"], made["name"]);
    if let Some(key) = made["api_key"]["key"].as_str() {
        let me = operator.with_key(SecretText::new(key.to_owned())).get("/v1/me").await.unwrap();
        assert_eq!(me["tenant"], made["id"]);
    }
}

/// The model calls of a log: intents, and outcomes by the intent that they name.
struct Calls {
    intents: Vec<Value>,
    outcomes: BTreeMap<String, Value>,
}

impl Calls {
    fn of(events: &[Value]) -> Self {
        let mut calls = Self { intents: Vec::new(), outcomes: BTreeMap::new() };
        for event in events.iter().filter(|event| event["action"] == "model.call") {
            if event["result"] == "intent" {
                calls.intents.push(event.clone());
            } else {
                let twice = calls.outcomes.insert(text(&event["intent"]), event.clone());
                assert!(twice.is_none(), "a call has two outcomes: {event} and {twice:?}");
            }
        }
        calls
    }

    fn unknown(&self) -> usize {
        self.outcomes.values().filter(|outcome| outcome["result"] == "outcome_unknown").count()
    }

    fn settled(&self) -> usize {
        self.outcomes.len() - self.unknown()
    }

    fn open(&self) -> usize {
        self.intents.len() - self.outcomes.len()
    }
}

/// The log verifies, every write that was acknowledged is in it, and what the provider saw is accounted for:
/// settled ≤ seen ≤ settled + unknown + open + those that a kill caught before their intent was durable, which
/// is written while the provider is being asked. Nobody was told of these.
pub(super) async fn accounted(customer: &Customer, who: &Client, seen: usize) {
    let export = trail::export(who).await;
    let events = customer.held.lock().unwrap().verified(&export);
    let checkpoint = trail::checkpoint(who).await;
    customer.held.lock().unwrap().hold(checkpoint);
    let calls = Calls::of(&events);
    let (settled, unknown, open) = (calls.settled(), calls.unknown(), calls.open());
    let book = customer.book();
    let bounds = settled..=settled + unknown + open + book.caught;
    assert!(
        bounds.contains(&seen),
        "{seen} seen, {settled} settled, {unknown} unknown, {open} open, {} caught",
        book.caught
    );
    // An answer goes out as soon as its outcome has its place; a kill within the wait for the disk leaves it unknown.
    assert!(
        settled + unknown + open >= book.answered,
        "{} were answered, {settled} settled, {unknown} unknown, {open} open",
        book.answered
    );
    let made: BTreeSet<_> = events
        .iter()
        .filter(|event| event["action"] == "record.create")
        .map(|event| text(&event["resource"]["id"]))
        .collect();
    for thing in book.records.values() {
        assert!(thing.id.as_ref().is_none_or(|id| made.contains(id)), "{thing:?} is not in the log");
    }
}

/// Every run comes to its end, and no call that must not be repeated was.
pub(super) async fn runs_are_over(customer: &Customer, who: &Client, service: &Service) {
    let runs: Vec<_> = customer.book().runs.values().filter_map(|run| run.id.clone()).collect();
    let mut steps = 0;
    for run in &runs {
        let run = crate::work::over(who, run).await;
        let outside: Vec<_> =
            ["first", "second"].map(|node| crate::work::step(&run, node)["status"].clone()).into();
        let unknown = outside.iter().any(|status| status == "unknown");
        assert!(run["status"] == "succeeded" || unknown, "{run}");
        steps += outside.iter().filter(|status| *status == "succeeded").count();
    }
    let number = &customer.model.trim_start_matches("brief-");
    let calls = service.by_key(&format!("/slow/15/{number}"));
    assert!(calls.values().all(|count| *count == 1), "{calls:?}");
    assert!(calls.len() >= steps, "{} calls outside, {steps} steps that succeeded", calls.len());
}

fn amount(value: &Value) -> Usd {
    value.as_str().unwrap().parse().unwrap()
}

/// When every lease is over no intent is open: each that a kill left so is `outcome_unknown`, and was charged
/// what it had reserved. What was spent is the sum of that and of what was settled, to the last digit.
pub(super) async fn settled(customer: &Customer, who: &Client, provider: &Provider) {
    let tenant = customer.tenant.id.as_str();
    let mut budget = Value::Null;
    for _ in 0..300 {
        let budgets = who.get("/v1/budgets").await.unwrap();
        budget =
            budgets["data"].as_array().unwrap().iter().find(|budget| budget["id"] == tenant).unwrap().clone();
        if budget["reserved"] == "0.00" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(budget["reserved"], "0.00");
    let export = trail::export(who).await;
    let events = customer.held.lock().unwrap().verified(&export);
    let calls = Calls::of(&events);
    assert_eq!(calls.open(), 0);
    let mut spent = Usd::ZERO;
    for intent in &calls.intents {
        let outcome = &calls.outcomes[&text(&intent["event_id"])];
        let cost = if outcome["result"] == "outcome_unknown" {
            assert_eq!(outcome["details"]["call"], intent["details"]["call"]);
            &intent["details"]["reserved_usd"]
        } else {
            &outcome["cost"]["usd"]
        };
        spent = [spent, amount(cost)].into_iter().sum();
    }
    assert_eq!(amount(&budget["spent"]), spent);
    let usage = who.get("/v1/usage").await.unwrap();
    let line =
        usage["data"].as_array().unwrap().iter().find(|line| line["group"]["model"] == *customer.model);
    let line = line.cloned().unwrap_or(json!({"cost_usd": "0.00", "unknown_calls": 0}));
    assert_eq!((amount(&line["cost_usd"]), &line["unknown_calls"]), (spent, &json!(calls.unknown())));
    let seen =
        provider.requests().iter().filter(|request| request["model"] == customer.model.as_str()).count();
    assert!((calls.settled()..=calls.intents.len() + customer.book().caught).contains(&seen));
}
