//! The mixed load: each lane asks one thing after the other until the server is gone.

use super::book::{Key, Thing};
use super::{Customer, Dice};
use client::{Answer, Call, CallError, Client};
use http::Method;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// How many callers of one tenant there are at once.
pub(super) const LANES: u64 = 4;

/// The call was not answered: what it asked for may or may not have happened.
struct Gone;

/// Sends a call; whatever answer there is has to be a good one.
async fn answered(call: Call<'_>) -> Result<Answer, Gone> {
    match call.send().await {
        Ok(answer) => {
            assert!(answer.status.is_success(), "{} {}", answer.status, answer.text());
            Ok(answer)
        }
        Err(CallError::Unreachable { .. } | CallError::Body(_)) => Err(Gone),
        Err(error) => panic!("{error}"),
    }
}

async fn asked(who: &Client, method: Method, path: &str, body: &Value) -> Result<Answer, Gone> {
    answered(who.call(method, path).json(body).unwrap()).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A creation that may be sent again, for it says which one it is.
pub(super) async fn create(who: &Client, path: &str, key: &str, body: &Value) -> Option<Value> {
    let call = who.call(Method::POST, path).header("idempotency-key", key).json(body).unwrap();
    answered(call).await.ok().map(|answer| answer.json())
}

/// The body and the key of the creation of a record.
pub(super) fn record(number: u64) -> (String, Value) {
    (format!("record-{number}"), json!({"number": number, "value": number}))
}

/// The body and the key of the start of a run.
pub(super) fn run(number: u64) -> (String, Value) {
    (format!("run-{number}"), json!({"input": {"number": number}}))
}

/// One caller of a tenant, until the server is gone.
pub(super) async fn customer(customer: Arc<Customer>, who: Client, dice: Dice, lane: u64) {
    let lane = Lane { customer: &customer, who: &who, dice: &dice, lane };
    while lane.step().await.is_ok() {}
}

struct Lane<'a> {
    customer: &'a Customer,
    who: &'a Client,
    dice: &'a Dice,
    lane: u64,
}

impl Lane<'_> {
    async fn step(&self) -> Result<(), Gone> {
        match self.dice.below(12) {
            0..3 => self.create_record().await,
            3..5 => self.change_record().await,
            5 => self.delete_record().await,
            6 => self.create_key().await,
            7 => self.revoke_key().await,
            8 => self.set_budget().await,
            9 => self.start_run().await,
            _ => self.chat().await,
        }
    }

    async fn create_record(&self) -> Result<(), Gone> {
        // A thing is changed by one lane alone, so that it is known in which order its calls were sent.
        let number = self.customer.book().number() * LANES + self.lane;
        self.customer.book().records.insert(number, Thing::wanted(number));
        let (key, body) = record(number);
        let made = create(self.who, "/v1/records/contacts", &key, &body).await.ok_or(Gone)?;
        let mut book = self.customer.book();
        let thing = book.records.get_mut(&number).unwrap();
        thing.id = Some(text(&made["id"]));
        thing.is(Some(number));
        Ok(())
    }

    /// One of this lane's records that are known to be there.
    fn some_record(&self) -> Option<(u64, String)> {
        let book = self.customer.book();
        let own =
            book.records.iter().filter(|(number, thing)| **number % LANES == self.lane && thing.there());
        let own: Vec<_> = own.collect();
        let at = self.dice.below(own.len().max(1) as u64);
        let (number, thing) = own.get(usize::try_from(at).unwrap())?;
        Some((**number, thing.id.clone()?))
    }

    async fn change_record(&self) -> Result<(), Gone> {
        let Some((number, id)) = self.some_record() else { return self.create_record().await };
        let value = self.customer.book().number();
        self.customer.book().records.get_mut(&number).unwrap().may_become(Some(value));
        let body = json!({"value": value});
        asked(self.who, Method::PATCH, &format!("/v1/records/contacts/{id}"), &body).await?;
        self.customer.book().records.get_mut(&number).unwrap().is(Some(value));
        Ok(())
    }

    async fn delete_record(&self) -> Result<(), Gone> {
        let Some((number, id)) = self.some_record() else { return self.create_record().await };
        self.customer.book().records.get_mut(&number).unwrap().may_become(None);
        answered(self.who.call(Method::DELETE, &format!("/v1/records/contacts/{id}"))).await?;
        self.customer.book().records.get_mut(&number).unwrap().is(None);
        Ok(())
    }

    async fn create_key(&self) -> Result<(), Gone> {
        let wanted = json!({"name": format!("lane {}", self.lane), "role": "admin"});
        let made = asked(self.who, Method::POST, "/v1/api-keys", &wanted).await?.json();
        let key = Key { lane: self.lane, text: text(&made["key"]), may_be: vec![true], budget: Vec::new() };
        self.customer.book().keys.insert(text(&made["id"]), key);
        Ok(())
    }

    /// Does something to the first of this lane's keys in force that this holds for; gives back its id.
    fn with_key(&self, which: impl Fn(&Key) -> bool, note: impl FnOnce(&mut Key)) -> Option<String> {
        let mut book = self.customer.book();
        let own = |key: &Key| key.lane == self.lane && key.may_be == [true];
        let (id, key) = book.keys.iter_mut().find(|(_, key)| own(key) && which(key))?;
        note(key);
        Some(id.clone())
    }

    async fn revoke_key(&self) -> Result<(), Gone> {
        let id = self.with_key(|key| key.budget.is_empty(), |key| key.may_be.push(false));
        let Some(id) = id else { return self.create_key().await };
        answered(self.who.call(Method::DELETE, &format!("/v1/api-keys/{id}"))).await?;
        self.customer.book().keys.get_mut(&id).unwrap().may_be = vec![false];
        Ok(())
    }

    async fn set_budget(&self) -> Result<(), Gone> {
        let value = self.customer.book().number();
        let note = |key: &mut Key| {
            if key.budget.is_empty() {
                key.budget.push(None);
            }
            key.budget.push(Some(value));
        };
        // A new one now and then; the others keep to having none, so that there is something to revoke.
        let fresh = self.dice.below(4) == 0;
        let id = self.with_key(|key| key.budget.is_empty() == fresh, note);
        let Some(id) = id else { return self.create_key().await };
        let body = json!({"per": "month", "usd": value.to_string()});
        asked(self.who, Method::PUT, &format!("/v1/budgets/key/{id}"), &body).await?;
        self.customer.book().keys.get_mut(&id).unwrap().budget = vec![Some(value)];
        Ok(())
    }

    async fn start_run(&self) -> Result<(), Gone> {
        let number = self.customer.book().number();
        self.customer.book().runs.insert(number, Thing::wanted(number));
        let (key, body) = run(number);
        let path = format!("/v1/workflows/{}/runs", self.customer.workflow);
        let made = create(self.who, &path, &key, &body).await.ok_or(Gone)?;
        let mut book = self.customer.book();
        let thing = book.runs.get_mut(&number).unwrap();
        thing.id = Some(text(&made["id"]));
        thing.is(Some(number));
        Ok(())
    }

    async fn chat(&self) -> Result<(), Gone> {
        let stream = self.dice.below(2) == 0;
        let body = json!({"model": self.customer.model, "stream": stream,
            "messages": [{"role": "user", "content": "Say hello."}]});
        let answer = asked(self.who, Method::POST, "/v1/chat/completions", &body).await;
        // A stream that was cut is not an answer.
        let whole = answer.is_ok_and(|answer| !stream || answer.text().ends_with("data: [DONE]\n\n"));
        let mut book = self.customer.book();
        if !whole {
            book.caught += 1;
            return Err(Gone);
        }
        book.answered += 1;
        Ok(())
    }
}

/// The operator makes tenants meanwhile.
pub(super) async fn operator(operator: Client, made: Arc<Mutex<Vec<Value>>>, round: u64) {
    for number in 0..3 {
        let body = json!({"name": format!("New {round} {number}"), "plan": "unlimited"});
        match create(&operator, "/v1/tenants", &format!("tenant-{round}-{number}"), &body).await {
            Some(tenant) => made.lock().unwrap().push(tenant),
            None => return,
        }
    }
}
