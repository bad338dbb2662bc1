//! `ai` steps: a question to a model, through the gateway like everyone else's.

use super::{Scene, outcome};
use crate::worker::Shared;
use app::gateway::{Attribution, Completed, FailedCall, Question};
use money::Usd;
use serde_json::{Map, Value, json};
use workflow::engine::{StepError, StepErrorCode};
use workflow::{Outcome, Request};

pub(super) async fn perform(shared: &Shared, scene: &Scene, request: Request) -> Outcome {
    let Request::Ai { model, system, prompt, max_tokens, temperature, output_schema } = request else {
        return outcome::invalid("The step is not an `ai` step.");
    };
    let mut body = Map::new();
    body.insert("model".into(), json!(model));
    let mut messages = Vec::new();
    messages.extend(system.map(|text| json!({"role": "system", "content": text})));
    messages.push(json!({"role": "user", "content": prompt}));
    body.insert("messages".into(), Value::Array(messages));
    if let Some(limit) = max_tokens {
        body.insert("max_completion_tokens".into(), json!(limit));
    }
    if let Some(temperature) = temperature {
        body.insert("temperature".into(), json!(temperature));
    }
    let structured = output_schema.is_some();
    if let Some(schema) = output_schema {
        let format = json!({"type": "json_schema", "json_schema": {"name": "output", "schema": schema}});
        body.insert("response_format".into(), format);
    }
    match ask(shared, scene, Value::Object(body)).await {
        Ok(Completed { body, cost }) => read(&body, cost, structured),
        Err(failed) => outcome::charged(failed.problem, failed.cost, shared.app.env.now()),
    }
}

async fn ask(shared: &Shared, scene: &Scene, body: Value) -> Result<Completed, Box<FailedCall>> {
    let part_of = Attribution { payer: scene.payer, workflow: Some(scene.workflow), run: Some(scene.run) };
    let question = Question { request: body, part_of, time: scene.time_left(shared) };
    shared.models.ask(scene.admission.clone(), question).await
}

/// The step's output: the text, or the object that the schema asked for.
fn read(answer: &Value, cost: Usd, structured: bool) -> Outcome {
    let cost = Some(cost);
    let mismatch = |message: &str| Outcome::Failed {
        error: StepError::new(StepErrorCode::OutputMismatch, message),
        retryable: true,
        cost,
    };
    let message = answer.pointer("/choices/0/message");
    let Some(text) = message.and_then(|message| message.get("content")).and_then(Value::as_str) else {
        return mismatch("The model gave no text.");
    };
    if !structured {
        return Outcome::Succeeded { output: json!({"text": text}), cost };
    }
    match serde_json::from_str::<Value>(unfenced(text)) {
        Ok(output @ Value::Object(_)) => Outcome::Succeeded { output, cost },
        Ok(_) => mismatch("The model's answer is JSON, but no object."),
        Err(_) => mismatch("The model's answer is not JSON."),
    }
}

/// Models that know no response format like to fence what they were asked for.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    inner.and_then(|inner| inner.strip_suffix("```")).unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::read;
    use money::Usd;
    use serde_json::{Value, json};
    use workflow::Outcome;

    fn output(content: &str, structured: bool) -> Option<Value> {
        let answer = json!({"choices": [{"message": {"content": content}}]});
        match read(&answer, Usd::ZERO, structured) {
            Outcome::Succeeded { output, .. } => Some(output),
            _ => None,
        }
    }

    #[test]
    fn answers_become_outputs() {
        assert_eq!(output("hello", false), Some(json!({"text": "hello"})));
        assert_eq!(output(r#"{"label":"bug"}"#, true), Some(json!({"label": "bug"})));
        assert_eq!(output("```json\n{\"label\":\"bug\"}\n```", true), Some(json!({"label": "bug"})));
        assert_eq!(output("[1]", true), None);
        assert_eq!(output("a bug, I think", true), None);
    }
}
