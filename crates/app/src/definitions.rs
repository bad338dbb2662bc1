//! Reading definitions and checking configurations. Both are bounded and may still take a second, so they are
//! done beside the threads that serve requests.

mod kept;

pub use kept::Definitions;

use crate::App;
use context::Tenant;
use env::Env;
use errors::{Code, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use workflow::definition::{FaultCode, SourceKind, check_config};
use workflow::{Definition, Fault};

/// A workflow definition: its text in YAML or JSON, or JSON itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DefinitionInput {
    /// YAML or JSON, as text.
    Text(String),
    /// JSON.
    Document(Map<String, Value>),
}

impl DefinitionInput {
    /// The text that is kept, if it is a valid definition. Otherwise the problem's `errors` lists every
    /// fault with its node and place: the line of a text, the pointer into JSON.
    pub async fn checked(self, env: &Env) -> Result<String, Problem> {
        beside(env, move || {
            let (text, has_lines) = match self {
                Self::Text(text) => (text, true),
                Self::Document(document) => {
                    (serde_json::to_string_pretty(&document).map_err(|_| Problem::internal())?, false)
                }
            };
            let Err(mut faults) = workflow::validate(&text) else { return Ok(text) };
            if !has_lines {
                // The lines are those of a text that the caller has never seen.
                faults.iter_mut().for_each(|fault| fault.line = 0);
            }
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            let detail = format!("The definition has {} faults; the first: {first}.", faults.len());
            Err(with_faults(Problem::new(Code::InvalidDefinition, detail), &faults))
        })
        .await
    }
}

/// The tenant's stored definition, if this configuration fits it.
pub(crate) async fn read_for(
    app: &App,
    tenant: &Tenant<'_>,
    text: &str,
    config: &Value,
) -> Result<Arc<Definition>, Problem> {
    let definition = app.definitions.read(tenant, text).await?;
    let faults = config_faults(&app.env, &definition, config).await?;
    if faults.is_empty() {
        return Ok(definition);
    }
    let first = faults.first().map(|fault| fault.message.clone()).unwrap_or_default();
    let detail = format!("The configuration does not fit what the definition requires. {first}");
    Err(with_faults(Problem::new(Code::InvalidConfig, detail), &faults))
}

/// In what the configuration does not fit the definition, the rules of its webhook among it.
pub(crate) async fn config_faults(
    env: &Env,
    definition: &Arc<Definition>,
    config: &Value,
) -> Result<Vec<Fault>, Problem> {
    let (definition, config) = (Arc::clone(definition), config.clone());
    beside(env, move || {
        let mut faults = check_config(&definition, &config);
        if faults.is_empty()
            && let Err(error) = definition.hook(&config)
        {
            faults.push(Fault {
                code: FaultCode::InvalidConfig,
                node: definition.source().map(|(node, _)| node.id.to_string()),
                line: 0,
                pointer: String::new(),
                message: error.to_string(),
            });
        }
        Ok(faults)
    })
    .await
}

/// Whether webhooks start the workflow.
pub(crate) fn is_hooked(definition: &Definition) -> bool {
    definition.source().is_some_and(|(_, source)| source.kind == SourceKind::Webhook)
}

/// Does work that takes long, where no request waits for the thread.
pub(crate) async fn beside<T: Send + 'static>(
    env: &Env,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    if env.is_in_place() {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal())?
}

fn with_faults(problem: Problem, faults: &[Fault]) -> Problem {
    problem.with("errors", serde_json::to_value(faults).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::DefinitionInput;
    use env::{Env, Timestamp};
    use errors::Code;
    use serde_json::json;

    #[tokio::test]
    async fn a_definition_is_kept_as_it_was_written_and_a_faulty_one_is_told_of() {
        let text = workflow::INBOUND_LEAD_TRIAGE;
        let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
        assert_eq!(DefinitionInput::Text(text.into()).checked(&env).await.unwrap(), text);
        let problem = DefinitionInput::Text("name: x\nnodes: []\n".into()).checked(&env).await.unwrap_err();
        assert_eq!(problem.code, Code::InvalidDefinition);
        assert_eq!(problem.members["errors"][0]["line"], 2);
        assert!(problem.detail.contains("line 2"), "{}", problem.detail);
    }

    #[tokio::test]
    async fn a_definition_sent_as_json_is_told_of_by_pointers() {
        let document =
            json!({"name": "x", "nodes": [{"id": "a", "type": "source", "kind": "manual", "odd": 1}]});
        let document = document.as_object().unwrap().clone();
        let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
        let problem = DefinitionInput::Document(document).checked(&env).await.unwrap_err();
        assert_eq!(problem.members["errors"][0]["line"], 0);
        assert_eq!(problem.members["errors"][0]["pointer"], "/nodes/0/odd");
        assert!(
            problem.detail.contains("`/nodes/0/odd`") && !problem.detail.contains("line"),
            "{}",
            problem.detail
        );
    }
}
