//! Usage: what the tenant's calls used and cost.

use crate::App;
use context::{Private, Read, Tenant, on};
use env::Timestamp;
use errors::Problem;
use money::Usd;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use store::{GroupBy, UsageQuery, UsageRow};

/// The longest span that is added up at once.
const MAX_SPAN: Duration = Duration::from_secs(400 * 24 * 3600);

/// What is wanted; the present month by model where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageInput {
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Up to, and without, this moment.
    pub to: Option<Timestamp>,
    /// Names of [`GroupBy`], separated by commas.
    pub group_by: Option<String>,
}

/// Usage of a span of time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UsageView {
    /// From this moment on.
    pub from: Timestamp,
    /// Up to, and without, this moment.
    pub to: Timestamp,
    /// How it is broken down.
    pub group_by: Vec<GroupBy>,
    /// A line for each combination that occurs.
    pub data: Vec<UsageLine>,
}

/// One line of usage.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UsageLine {
    /// The values of the breakdown by its names; null where a call has none.
    pub group: BTreeMap<&'static str, Option<String>>,
    /// Model calls, those answered from the cache included.
    pub ai_calls: u64,
    /// Calls to outside services.
    pub api_calls: u64,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// What it cost.
    pub cost_usd: Usd,
    /// Calls for which there was no price.
    pub unpriced_calls: u64,
    /// Calls answered from the cache, which cost nothing.
    pub cached_calls: u64,
    /// Calls whose outcome is unknown and that were charged their reservation.
    pub unknown_calls: u64,
}

/// Usage, added up.
pub async fn usage<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    input: UsageInput,
) -> Result<Private<'t, UsageView>, Problem> {
    let access = tenant.authorize::<Read<on::Usage>>()?;
    let now = app.env.now();
    let to = input.to.unwrap_or_else(|| now.plus(Duration::from_millis(1)));
    let from = input.from.unwrap_or_else(|| to.month());
    if from >= to || to.since(from) > MAX_SPAN {
        return Err(Problem::invalid("`from` must be before `to`, and at most 400 days."));
    }
    let group_by = group_by(input.group_by.as_deref().unwrap_or("model"))?;
    let query = UsageQuery { from, to, group_by: group_by.clone() };
    let rows = app.store.usage(&access, &query).await?;
    Ok(rows.map(|rows| {
        let data = rows.into_iter().map(|row| line(&group_by, row)).collect();
        UsageView { from, to, group_by, data }
    }))
}

fn group_by(text: &str) -> Result<Vec<GroupBy>, Problem> {
    let mut found = Vec::new();
    for name in text.split(',').filter(|name| !name.is_empty()) {
        let by = GROUPS.into_iter().find(|(known, _)| *known == name).map(|(_, by)| by);
        let by = by.ok_or_else(|| {
            let names = GROUPS.map(|(name, _)| name).join(", ");
            Problem::invalid(format!("`group_by` takes names of {names}, separated by commas."))
        })?;
        if !found.contains(&by) {
            found.push(by);
        }
    }
    Ok(found)
}

const GROUPS: [(&str, GroupBy); 7] = [
    ("model", GroupBy::Model),
    ("key", GroupBy::Key),
    ("agent", GroupBy::Agent),
    ("tool", GroupBy::Tool),
    ("workflow", GroupBy::Workflow),
    ("hour", GroupBy::Hour),
    ("day", GroupBy::Day),
];

fn line(group_by: &[GroupBy], row: UsageRow) -> UsageLine {
    let UsageRow { group, ai_calls, api_calls, input_tokens, output_tokens, cost_usd, .. } = row;
    let name = |by: &GroupBy| GROUPS.iter().find(|(_, known)| known == by).map_or("", |(name, _)| name);
    UsageLine {
        group: group_by.iter().map(name).zip(group).collect(),
        ai_calls,
        api_calls,
        input_tokens,
        output_tokens,
        cost_usd,
        unpriced_calls: row.unpriced_calls,
        cached_calls: row.cached_calls,
        unknown_calls: row.unknown_calls,
    }
}

#[cfg(test)]
mod tests {
    use super::group_by;
    use store::GroupBy;

    #[test]
    fn groups_are_read_once_each() {
        assert_eq!(group_by("model,day,model").unwrap(), [GroupBy::Model, GroupBy::Day]);
        assert_eq!(group_by("").unwrap(), []);
        assert!(group_by("tenant").is_err());
    }
}
