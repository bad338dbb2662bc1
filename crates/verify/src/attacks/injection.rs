//! Texts that mean something to a template, a database or a header, in every string of a body.

use super::{Attempt, Control, Job, given_away, judged};
use crate::pattern::Pattern;
use crate::world::World;
use serde_json::Value;

/// A template's sum, which stands nowhere unless something worked it out.
const SUM: &str = "5332114";
/// What is put into every string, one after the other.
const PAYLOADS: [&str; 5] = [
    "{{ 1234 * 4321 }} ${1234*4321} <%= 1234*4321 %>",
    "{{ credentials }} {{ env }} {{ secrets }} {% include '/etc/passwd' %}",
    "' OR '1'='1' --",
    "'; DROP TABLE record; SELECT * FROM sqlite_master; --",
    "x\r\nX-Tenant-ID: injected\r\n\r\n",
];

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    if control.operation.body.is_none() {
        return Vec::new();
    }
    let attack = "what templates, databases and headers take for theirs";
    vec![Job::new(Pattern::new(control.operation, "every string", attack), injected(world, control))]
}

async fn injected(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (_, answered) = control.held()?;
    if !answered.status.is_success() {
        return Err("the owner's request did not succeed".to_owned());
    }
    let operation = control.operation;
    for payload in PAYLOADS {
        let fill = world.objects(operation, &world.attacker).await?;
        let mut request = world.request(operation, &world.attacker, fill);
        let Some(body) = &mut request.body else { return Ok(None) };
        if put(body, &world.attacker.canary, payload) == 0 {
            return Ok(None);
        }
        let answer = world.send(&request).await?;
        if answer.status.is_server_error() {
            return judged(Some(format!("the server fails on it ({})", answer.status.as_u16())));
        }
        if answer.text().contains(SUM) || answer.text().contains("root:x:0") {
            return judged(Some("the text was carried out".to_owned()));
        }
        if answer.headers.values().any(|value| value.as_bytes() == b"injected") {
            return judged(Some("the text became a header".to_owned()));
        }
        world.attacker.learn(&answer.text());
        if let Some(found) = given_away(world, &request, &answer) {
            return judged(Some(found));
        }
    }
    judged(None)
}

/// Puts the payload behind every string that holds the canary, and counts them.
fn put(value: &mut Value, canary: &str, payload: &str) -> usize {
    match value {
        Value::String(text) if text.contains(canary) => {
            text.push(' ');
            text.push_str(payload);
            1
        }
        Value::Array(items) => items.iter_mut().map(|item| put(item, canary, payload)).sum(),
        Value::Object(members) => members.values_mut().map(|member| put(member, canary, payload)).sum(),
        _ => 0,
    }
}
