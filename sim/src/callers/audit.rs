//! What people find when all trouble is over.

use super::book::Kind;
use super::http::Asked;
use super::{AGAIN, Caller};
use crate::watch::Promise;
use serde_json::Value;
use std::collections::BTreeMap;

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn is_over(run: &Value) -> bool {
    matches!(text(run, "/status"), "succeeded" | "failed" | "cancelled")
}

impl Caller {
    fn find(&self, promise: Promise, finding: String) {
        self.world.watch.find(promise, finding);
    }

    /// Waits for the end of every run, and looks at each.
    pub(super) async fn audit(&self) {
        let tenant = self.company.id;
        let mut runs = self.all("/v1/runs?limit=100").await;
        while runs.iter().any(|run| !is_over(run)) && self.world.now() < self.deadline() {
            tokio::time::sleep(AGAIN).await;
            runs = self.all("/v1/runs?limit=100").await;
        }
        for (run, marker) in self.book.runs(tenant) {
            if !runs.iter().any(|listed| text(listed, "/id") == run) {
                self.find(Promise::NoLostRun, format!("{run} of {marker} was accepted and is not there"));
            }
        }
        let mut notes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for note in self.all("/v1/records/notes?limit=100").await {
            let receipt = text(&note, "/data/receipt").to_owned();
            notes.entry(text(&note, "/data/marker").to_owned()).or_default().push(receipt);
        }
        let mut started: BTreeMap<String, u32> = BTreeMap::new();
        for run in &runs {
            let Some(detail) = self.expect(&Asked::get(format!("/v1/runs/{}", text(run, "/id"))), 200).await
            else {
                self.find(Promise::NoLostRun, format!("{} is listed and cannot be read", text(run, "/id")));
                continue;
            };
            *started.entry(text(&detail, "/input/marker").to_owned()).or_default() += 1;
            self.look_at(&detail, &notes);
        }
        for (marker, count) in started.iter().filter(|(_, count)| **count > 1) {
            self.find(Promise::EffectOnce, format!("{marker} was started once, and there are {count} runs"));
        }
        self.world.watch.looked_at(runs.len());
        self.world.note(format_args!("{tenant} has looked at {} runs", runs.len()));
    }

    /// Everything that this list has.
    async fn all(&self, path: &str) -> Vec<Value> {
        let (mut all, mut next) = (Vec::new(), path.to_owned());
        while let Some(page) = self.expect(&Asked::get(next), 200).await {
            all.extend(page.get("data").and_then(Value::as_array).into_iter().flatten().cloned());
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(cursor) => next = format!("{path}&cursor={cursor}"),
                None => break,
            }
        }
        all
    }

    /// Whether a run ended as it had to.
    fn look_at(&self, run: &Value, notes: &BTreeMap<String, Vec<String>>) {
        let [id, status, error, marker] =
            ["/id", "/status", "/last_error", "/input/marker"].map(|pointer| text(run, pointer));
        let kind = self.book.kind(self.company.id, text(run, "/workflow"));
        let written: Vec<String> = notes.get(marker).cloned().unwrap_or_default();
        self.world.note(format_args!("{id} of {marker} ({kind:?}) is {status}: {error}"));
        let may_end_so = match status {
            "succeeded" => true,
            "cancelled" => self.book.may_be_cancelled(id),
            "failed" => match kind {
                // It may not be known whether it took effect, and then it is not repeated.
                Some(Kind::Once) => true,
                Some(Kind::Ask) => error.contains("budget"),
                Some(Kind::Pay) | None => false,
            },
            _ => false,
        };
        if !may_end_so {
            self.find(Promise::NoLostRun, format!("{id} of {marker} is {status}: {error}"));
        }
        if written.len() > 1 {
            self.find(Promise::EffectOnce, format!("{id} of {marker} wrote {} notes", written.len()));
        }
        if status == "succeeded" {
            let right = self.receipts(kind, marker).is_none_or(|receipt| written == [receipt]);
            if written.len() != 1 || !right {
                let finding = format!("{id} of {marker} has succeeded and noted {written:?}");
                self.find(Promise::NoLostRun, finding);
            }
        }
    }

    /// What the services say of what they did, as a run that succeeded has noted it.
    fn receipts(&self, kind: Option<Kind>, marker: &str) -> Option<String> {
        let receipt = |step: &str| self.world.watch.receipt(marker, step).unwrap_or_default();
        match kind? {
            Kind::Pay => Some(["charge", "ship", "tell"].map(receipt).join(" ")),
            Kind::Once => Some(receipt("send")),
            Kind::Ask => None,
        }
    }
}
