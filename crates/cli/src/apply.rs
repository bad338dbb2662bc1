//! `tenantry apply`: brings a server to what a file says. What is already so is left alone.

use crate::output::{Ended, News, Trouble, say, say_json};
use crate::server::OperatorOptions;
use crate::tenants::every_page;
use clap::Args;
use client::{CallError, Client};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is applied.
#[derive(Args)]
pub struct ApplyArguments {
    #[command(flatten)]
    server: OperatorOptions,
    /// The file, TOML or YAML.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the changes as JSON.
    #[arg(long)]
    json: bool,
}

/// What a file may say. Each part is by name, but tenants, which are by the operator's own id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    plans: BTreeMap<String, Map<String, Value>>,
    endpoints: BTreeMap<String, Map<String, Value>>,
    templates: BTreeMap<String, TemplateSource>,
    tenants: BTreeMap<String, WantedTenant>,
}

/// A template's definition: a file beside this one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateSource {
    file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedTenant {
    name: String,
    plan: Option<String>,
    region: Option<String>,
    limits: Option<Map<String, Value>>,
}

/// A change that is made or, in a dry run, shown.
struct Change {
    what: String,
    method: Method,
    path: String,
    body: Value,
}

pub(crate) async fn run(arguments: ApplyArguments) -> Ended {
    let wanted = read(&arguments.file)?;
    let client = arguments.server.connect()?;
    let folder = arguments.file.parent().unwrap_or(Path::new("."));
    let mut told = Vec::new();
    for change in changes(&client, wanted, folder).await? {
        let mut line = json!({"change": change.what});
        if !arguments.dry_run {
            let call = client.call(change.method, &change.path).json(&change.body)?;
            let answer = call.send().await?.accepted()?.json();
            // A first key is shown once, here and now.
            if let Some(key) = answer["api_key"]["key"].as_str() {
                line["api_key"] = json!(key);
            }
        }
        if !arguments.json {
            let key = line["api_key"].as_str().map(|key| format!("  {key}")).unwrap_or_default();
            let verb = if arguments.dry_run { "would change" } else { "changed" };
            say(format!("{verb}: {}{key}", change.what))?;
        }
        told.push(line);
    }
    if arguments.json {
        say_json(&json!({"dry_run": arguments.dry_run, "changes": told}))?;
    } else if told.is_empty() {
        say("everything is as the file says")?;
    }
    Ok(News::Good)
}

fn read(path: &Path) -> Result<Wanted, Trouble> {
    let wrong = |detail: String| Trouble::Other(format!("{}: {detail}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    if is_toml {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))
    } else {
        serde_saphyr::from_str(&text).map_err(|error| wrong(error.without_snippet().to_string()))
    }
}

async fn changes(client: &Client, wanted: Wanted, folder: &Path) -> Result<Vec<Change>, Trouble> {
    let mut changes = Vec::new();
    for (name, limits) in wanted.plans {
        changes.extend(by_name(client, "plans", &name, limits).await?);
    }
    for (name, endpoint) in wanted.endpoints {
        changes.extend(by_name(client, "endpoints", &name, endpoint).await?);
    }
    let published = every_page(client, "/v1/templates").await?;
    for (name, source) in wanted.templates {
        let file = folder.join(source.file);
        let definition = std::fs::read_to_string(&file)
            .map_err(|error| Trouble::other(format!("{}: {error}", file.display())))?;
        changes.extend(template(client, &published, name, definition).await?);
    }
    let tenants = every_page(client, "/v1/tenants").await?;
    for (external_id, tenant) in wanted.tenants {
        changes.extend(self::tenant(&tenants, &external_id, tenant));
    }
    Ok(changes)
}

/// What `PUT` must be sent for a thing whose answer repeats what was put. A secret does not come back, so
/// that one in the file is sent each time.
async fn by_name(
    client: &Client,
    kind: &str,
    name: &str,
    wanted: Map<String, Value>,
) -> Result<Option<Change>, Trouble> {
    let path = format!("/v1/{kind}/{name}");
    let (verb, same) = match client.get(&path).await {
        Ok(present) => ("update", wanted.iter().all(|(member, value)| present[member] == *value)),
        Err(error) if error.code() == Some("not_found") => ("create", false),
        Err(error) => return Err(error.into()),
    };
    let what = format!("{verb} {} {name}", kind.trim_end_matches('s'));
    Ok((!same).then(|| Change { what, method: Method::PUT, path, body: Value::Object(wanted) }))
}

async fn template(
    client: &Client,
    published: &[Value],
    name: String,
    definition: String,
) -> Result<Option<Change>, CallError> {
    let versions = published.iter().filter(|template| template["name"] == name.as_str());
    let latest = versions.filter_map(|template| template["version"].as_u64()).max();
    if let Some(version) = latest {
        let present = client.get(&format!("/v1/templates/{name}/versions/{version}")).await?;
        if present["definition"] == definition.as_str() {
            return Ok(None);
        }
    }
    let what = format!("publish template {name}, version {}", latest.unwrap_or(0) + 1);
    let body = json!({"name": name, "definition": definition});
    Ok(Some(Change { what, method: Method::POST, path: "/v1/templates".to_owned(), body }))
}

fn tenant(present: &[Value], external_id: &str, wanted: WantedTenant) -> Option<Change> {
    let WantedTenant { name, plan, region, limits } = wanted;
    let Some(found) = present.iter().find(|tenant| tenant["external_id"] == external_id) else {
        let mut body = json!({"name": name, "external_id": external_id});
        for (member, value) in [("plan", plan), ("region", region)] {
            if let Some(value) = value {
                body[member] = json!(value);
            }
        }
        let what = format!("create tenant {external_id}");
        return Some(Change { what, method: Method::POST, path: "/v1/tenants".to_owned(), body });
    };
    let mut body = Map::new();
    if let Some(plan) = plan
        && found["plan"] != plan.as_str()
    {
        body.insert("plan".to_owned(), json!(plan));
    }
    if let Some(limits) = limits
        && found["limits"] != Value::Object(limits.clone())
    {
        body.insert("limits".to_owned(), Value::Object(limits));
    }
    let path = format!("/v1/tenants/{}", found["id"].as_str()?);
    let what = format!("update tenant {external_id}");
    (!body.is_empty()).then(|| Change { what, method: Method::PATCH, path, body: Value::Object(body) })
}

#[cfg(test)]
mod tests {
    use super::{Wanted, WantedTenant, tenant};
    use serde_json::json;

    #[test]
    fn toml_and_yaml_say_the_same() {
        let toml: Wanted = toml::from_str(
            "[plans.gold]\nai_calls_per_hour = 9\n[tenants.t1]\nname = 'One'\nplan = 'gold'\n",
        )
        .unwrap();
        let yaml: Wanted = serde_saphyr::from_str(
            "plans: {gold: {ai_calls_per_hour: 9}}\ntenants: {t1: {name: One, plan: gold}}\n",
        )
        .unwrap();
        assert_eq!(format!("{toml:?}"), format!("{yaml:?}"));
        assert!(serde_saphyr::from_str::<Wanted>("plan: {}").is_err());
    }

    #[test]
    fn a_tenant_that_is_as_wanted_is_left_alone() {
        let wanted = |plan: &str| WantedTenant {
            name: "One".to_owned(),
            plan: Some(plan.to_owned()),
            region: None,
            limits: None,
        };
        let present = [json!({"id": "ten_1", "external_id": "t1", "plan": "gold", "limits": {}})];
        assert!(tenant(&present, "t1", wanted("gold")).is_none());
        let change = tenant(&present, "t1", wanted("starter")).unwrap();
        assert_eq!((change.path.as_str(), change.body), ("/v1/tenants/ten_1", json!({"plan": "starter"})));
        assert_eq!(tenant(&present, "t2", wanted("gold")).unwrap().what, "create tenant t2");
    }
}
