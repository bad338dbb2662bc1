//! What people do while things go wrong.

use super::Caller;
use super::book::Kind;
use super::http::{Asked, says_nothing};
use crate::outside::{CAREFUL, CARELESS};
use crate::watch::Promise;
use ::http::Method;
use serde_json::{Value, json};

/// How much each of a tenant's people does.
const ACTS: u64 = 16;
/// The longest pause between two acts, in milliseconds.
const PAUSE: u64 = 1_200;

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Pay => "Pay",
            Self::Once => "Once",
            Self::Ask => "Ask",
        }
    }

    fn definition(self) -> Value {
        let again =
            json!({"max_attempts": 10, "backoff": {"initial_seconds": 1, "max_seconds": 4, "factor": 2}});
        let start = json!({"id": "start", "type": "source", "kind": "manual"});
        let call = |id: &str, service: &str| {
            json!({"id": id, "type": "http", "after": ["start"], "method": "POST", "url": format!("{service}/{id}"),
                "body": {"marker": "{{ input.marker }}", "step": id}, "timeout": 12})
        };
        let careful = |id: &str, after: &[&str]| {
            let mut call = call(id, CAREFUL);
            call["after"] = json!(after);
            call["retry"] = again.clone();
            call["on_unknown"] = json!("retry");
            call
        };
        let note = |after: &[&str], receipt: &str| {
            json!({"id": "note", "type": "record", "after": after, "operation": "create", "collection": "notes",
                "fields": {"marker": "{{ input.marker }}", "receipt": receipt}, "retry": again})
        };
        let nodes = match self {
            Self::Pay => {
                let receipts = ["charge", "ship", "tell"]
                    .map(|step| format!("{{{{ steps.{step}.output.body.receipt }}}}"));
                let (charge, ship) = (careful("charge", &["start"]), careful("ship", &["start"]));
                let tell = careful("tell", &["charge", "ship"]);
                json!([start, charge, ship, tell, note(&["tell"], &receipts.join(" "))])
            }
            Self::Once => {
                json!([
                    start,
                    call("send", CARELESS),
                    note(&["send"], "{{ steps.send.output.body.receipt }}")
                ])
            }
            Self::Ask => {
                let ask = json!({"id": "ask", "type": "ai", "after": ["start"], "model": "offline", "timeout": 15,
                    "prompt": "What is {{ input.marker }}?", "retry": again});
                json!([start, ask, note(&["ask"], "{{ steps.ask.output.text }}")])
            }
        };
        json!({"name": self.name(), "nodes": nodes})
    }
}

impl Caller {
    /// Makes the tenant's workflows and sets its budget.
    pub(super) async fn set_up(&self) {
        let id = self.company.id;
        let budget = Asked {
            method: Method::PUT,
            path: format!("/v1/budgets/tenant/{id}"),
            body: Some(json!({"per": "day", "usd": self.company.budget.to_string()})),
            ..Asked::default()
        };
        self.expect(&budget, 200).await;
        for kind in Kind::ALL {
            let body = json!({"name": kind.name(), "definition": kind.definition()});
            let asked = Asked::post("/v1/workflows", Some(body)).once(format!("make-{}", kind.name()));
            let made = self.expect(&asked, 201).await;
            match made.as_ref().and_then(|made| made.get("id")).and_then(Value::as_str) {
                Some(workflow) => self.book.made(id, kind, workflow),
                None => self.world.note(format_args!("{} was not made", kind.name())),
            }
        }
    }

    /// Does this and that, until it is enough.
    pub(super) async fn work(&self) {
        let caller = self.dice.within(0..=u64::from(u32::MAX));
        for act in 0..ACTS {
            let marker = format!("{}-{caller:x}-{act}", self.company.canary);
            match self.dice.within(0..=99) {
                0..=54 => self.start(&marker).await,
                55..=62 => self.chat(&marker).await,
                63..=70 => self.write(&marker).await,
                71..=77 => self.cancel().await,
                78..=83 => self.read().await,
                _ => self.try_what_is_not_its_own().await,
            }
            self.pause(PAUSE).await;
        }
    }

    async fn start(&self, marker: &str) {
        let kind = *self.dice.one_of(&Kind::ALL).unwrap_or(&Kind::Pay);
        let Some(workflow) = self.book.workflow(self.company.id, kind) else { return };
        let body = json!({"input": {"marker": marker}});
        let asked = Asked::post(format!("/v1/workflows/{workflow}/runs"), Some(body)).once(marker);
        let started = self.expect(&asked, 202).await;
        match started.as_ref().and_then(|started| started.get("id")).and_then(Value::as_str) {
            Some(run) => self.book.accepted(self.company.id, run, marker),
            None => self.world.watch.find(Promise::NoLostRun, format!("{marker} was not accepted")),
        }
    }

    async fn chat(&self, marker: &str) {
        let body = json!({"model": "offline", "messages": [{"role": "user", "content": marker}]});
        // Whatever comes of it, it is charged no more than is allowed.
        let _ = self.ask(&Asked::post("/v1/chat/completions", Some(body))).await;
    }

    async fn write(&self, marker: &str) {
        let asked = Asked::post("/v1/records/diary", Some(json!({"marker": marker}))).once(marker);
        let Some(written) = self.expect(&asked, 201).await else { return };
        if let Some(id) = written.get("id").and_then(Value::as_str) {
            self.book.wrote(self.company.id, format!("/v1/records/diary/{id}"));
        }
    }

    async fn cancel(&self) {
        let runs = self.book.runs(self.company.id);
        let Some((run, _)) = self.dice.one_of(&runs) else { return };
        self.book.cancels(run);
        let _ = self.ask(&Asked::post(format!("/v1/runs/{run}/cancel"), None)).await;
    }

    async fn read(&self) {
        let runs = self.book.runs(self.company.id);
        let Some((run, marker)) = self.dice.one_of(&runs) else { return };
        let Some(answer) = self.ask(&Asked::get(format!("/v1/runs/{run}"))).await else { return };
        let is_right = answer.status == 200 && answer.body.contains(marker.as_str());
        if !is_right && !says_nothing(&answer) {
            let text = format!("{run} was accepted, and is answered with {}", answer.status);
            self.world.watch.find(Promise::NoLostRun, text);
        }
    }

    async fn try_what_is_not_its_own(&self) {
        let foreign = self.book.foreign(self.company.id);
        let Some((owner, path)) = self.dice.one_of(&foreign) else { return };
        let (asked, refusals): (_, &[u16]) = match self.dice.within(0..=3) {
            0 => (Asked { meant: Some(owner.to_string()), ..Asked::get(path.clone()) }, &[401, 403]),
            1 if path.starts_with("/v1/runs/") => (Asked::post(format!("{path}/cancel"), None), &[404]),
            1 if path.starts_with("/v1/workflows/") => {
                let body = json!({"input": {"marker": self.company.canary}});
                (Asked::post(format!("{path}/runs"), Some(body)), &[404])
            }
            _ => (Asked::get(path.clone()), &[404]),
        };
        let Some(answer) = self.ask(&asked).await else { return };
        if !says_nothing(&answer) && !refusals.contains(&answer.status) {
            let text = format!("{} {path} of {owner} is answered with {}", asked.method, answer.status);
            self.world.watch.find(Promise::Boundary, text);
        }
    }
}
