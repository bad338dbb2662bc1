//! What the demonstration sets up: two tenants, one template, one instance in each.

use crate::crm::Crm;
use client::{CallError, Client, webhook_secret};
use env::Env;
use secret::SecretText;
use serde_json::{Value, json};

/// The template's name.
const TEMPLATE: &str = "inbound-lead-triage";

/// A tenant of the demonstration.
pub(crate) struct Tenant {
    /// What people call it.
    pub(crate) name: &'static str,
    pub(crate) plan: &'static str,
    pub(crate) id: String,
    pub(crate) key: SecretText,
    /// The server, as the tenant's owner.
    pub(crate) client: Client,
    /// Where deliveries go, below the server's address.
    pub(crate) hook: String,
    pub(crate) hook_secret: SecretText,
}

/// A tenant before there is a server.
struct Cast {
    name: &'static str,
    /// Its name at the CRM.
    customer: &'static str,
    plan: &'static str,
    routing: Value,
    default_owner: &'static str,
}

fn cast() -> [Cast; 2] {
    [
        Cast {
            name: "Acme",
            customer: "acme",
            plan: "starter",
            routing: json!({"de": "anna@acme.example", "us": "bob@acme.example"}),
            default_owner: "sales@acme.example",
        },
        Cast {
            name: "Globex",
            customer: "globex",
            plan: "professional",
            routing: json!({"jp": "hana@globex.example", "emea": "luc@globex.example"}),
            default_owner: "desk@globex.example",
        },
    ]
}

/// The template with its version.
pub(crate) struct Published {
    pub(crate) version: u64,
}

/// Publishes the template.
pub(crate) async fn publish(operator: &Client) -> Result<Published, CallError> {
    let body = json!({"name": TEMPLATE, "definition": workflow::INBOUND_LEAD_TRIAGE});
    let published = operator.post("/v1/templates", &body).await?;
    Ok(Published { version: published["version"].as_u64().unwrap_or(1) })
}

/// Makes both tenants with their credentials and instances.
pub(crate) async fn tenants(
    operator: &Client,
    crm: &Crm,
    published: &Published,
    model: &str,
    env: &Env,
) -> Result<Vec<Tenant>, CallError> {
    let mut tenants = Vec::new();
    for cast in cast() {
        tenants.push(tenant(operator, crm, published, model, env, &cast).await?);
    }
    Ok(tenants)
}

async fn tenant(
    operator: &Client,
    crm: &Crm,
    published: &Published,
    model: &str,
    env: &Env,
    cast: &Cast,
) -> Result<Tenant, CallError> {
    let made = operator.make_tenant(cast.name, cast.plan).await?;
    let client = operator.with_key(made.key.clone());
    let token = SecretText::new(format!("crm-{}", hex::encode(env.random::<16>())));
    crm.enrol(cast.customer, token.clone());
    let credential = json!({"kind": "api_key", "key": token.expose(), "hosts": [crm.host()]});
    client.put("/v1/credentials/crm", &credential).await?;
    let hook_secret = webhook_secret(env.random());
    let signing = json!({"kind": "webhook_secret", "secret": hook_secret.expose()});
    client.put("/v1/credentials/lead-webhook", &signing).await?;
    let instance = json!({
        "name": "Inbound leads",
        "template": {"name": TEMPLATE, "version": published.version},
        "config": {
            "crm_url": crm.url(cast.customer),
            "routing": cast.routing,
            "default_owner": cast.default_owner,
            "model": model,
        },
    });
    let workflow = client.post("/v1/workflows", &instance).await?;
    let url = workflow["hook_url"].as_str().unwrap_or_default();
    let token = url.rsplit_once("/hooks/").map(|(_, token)| token);
    let token = token.ok_or_else(|| CallError::Unexpected("the workflow has no `hook_url`".to_owned()))?;
    Ok(Tenant {
        name: cast.name,
        plan: cast.plan,
        id: made.id,
        key: made.key,
        client,
        hook: format!("/hooks/{token}"),
        hook_secret,
    })
}
