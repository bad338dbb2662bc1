//! What each tenant used and paid, and its audit log checked without the server.

use crate::play::DemoError;
use crate::screen::Screen;
use crate::stage::Tenant;
use audit::export::{Trust, verify_export};
use audit::note::VerifierKey;
use http::Method;
use money::Usd;
use serde_json::Value;
use std::path::Path;

/// Shows each tenant's usage and cost.
pub(crate) async fn usage(screen: &mut Screen, tenants: &[Tenant]) -> Result<(), DemoError> {
    for tenant in tenants {
        let usage = tenant.client.get("/v1/usage").await?;
        let lines: Vec<_> = usage["data"].as_array().into_iter().flatten().collect();
        let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
        let (ai, api, name) = (sum("ai_calls"), sum("api_calls"), tenant.name);
        let tokens = sum("input_tokens") + sum("output_tokens");
        let costs = lines.iter().filter_map(|line| line["cost_usd"].as_str()?.parse::<Usd>().ok());
        let cost: Usd = costs.sum();
        screen.line(format!(
            "  {name:<7} {ai:>3} AI calls {api:>3} API calls {tokens:>6} tokens  {cost} USD"
        ))?;
    }
    Ok(())
}

/// Exports each tenant's log into the folder and checks it there. Gives the number that do not hold.
pub(crate) async fn audit(
    screen: &mut Screen,
    tenants: &[Tenant],
    folder: &Path,
) -> Result<usize, DemoError> {
    let mut bad = 0;
    for tenant in tenants {
        let name = tenant.name;
        let key = tenant.client.call(Method::GET, "/v1/audit/key").send().await?.accepted()?;
        let key = match key.json() {
            Value::String(text) => text,
            Value::Object(members) => {
                members.get("key").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            _ => key.text().trim().to_owned(),
        };
        let log =
            tenant.client.call(Method::GET, "/v1/audit/export?format=jsonl").send().await?.accepted()?;
        let small = name.to_lowercase();
        let (log_file, key_file) =
            (folder.join(format!("{small}.jsonl")), folder.join(format!("{small}.vkey")));
        std::fs::write(&log_file, &log.body)?;
        std::fs::write(&key_file, format!("{key}\n"))?;
        let key: VerifierKey =
            key.parse().map_err(|error| DemoError::Unusable(format!("the key of {name}'s log: {error}")))?;
        match verify_export(&log.body[..], &Trust::new(&key)) {
            Ok(report) => {
                let events = report.events;
                screen.line(format!(
                    "  {name:<7} {events} events, exactly those that its log signed, in order"
                ))?;
            }
            Err(fault) => {
                bad += 1;
                screen.line(format!("  {name:<7} DOES NOT HOLD: {fault}"))?;
            }
        }
    }
    Ok(bad)
}
