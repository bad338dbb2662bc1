//! Plans: what a tenant's tier grants, and what differs for one tenant.

use ids::{ParseSlugError, Slug};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

const GIB: u64 = 1 << 30;
/// The share of the scheduler that a tenant without a limit on runs has, and the largest there is.
const MAX_WEIGHT: u32 = 100;
const UNLIMITED_WEIGHT: u32 = 20;

/// What becomes of a tenant's calls while the limits that servers share cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithoutSharedLimits {
    /// They are refused.
    #[default]
    Refuse,
    /// Each server admits its share of what is left, and no more.
    LocalShare,
}

impl WithoutSharedLimits {
    fn is_refuse(&self) -> bool {
        *self == Self::Refuse
    }
}

/// What may be used. `null` is unlimited; an absent member is, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Model calls in any hour.
    pub ai_calls_per_hour: Option<u64>,
    /// Calls to outside services in any hour.
    pub api_calls_per_hour: Option<u64>,
    /// Requests to the server in a second.
    pub requests_per_second: Option<u64>,
    /// Runs that work at the same time; further ones are queued.
    pub concurrent_runs: Option<u64>,
    /// Bytes stored; at the limit the tenant is read-only.
    pub storage_bytes: Option<u64>,
    /// Days that contents of runs are kept; `null` keeps them.
    pub retention_days: Option<u64>,
    /// What becomes of calls while the limits that servers share cannot be read; absent is `refuse`.
    #[serde(skip_serializing_if = "WithoutSharedLimits::is_refuse")]
    pub without_shared_limits: WithoutSharedLimits,
}

impl Limits {
    /// The tenant's share where tenants wait for the same workers: as its number of concurrent runs.
    pub fn weight(&self) -> NonZeroU32 {
        let runs =
            self.concurrent_runs.map_or(UNLIMITED_WEIGHT, |runs| u32::try_from(runs).unwrap_or(MAX_WEIGHT));
        NonZeroU32::new(runs.min(MAX_WEIGHT)).unwrap_or(NonZeroU32::MIN)
    }
}

/// A named set of limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The name by which tenants are put on it.
    pub name: Slug,
    /// What it grants.
    pub limits: Limits,
    /// How tenants that are made on it are kept apart, by the name of the kind; as the deployment has it where absent.
    pub isolation: Option<Slug>,
    /// The pool of workers that alone carries runs of tenants on it out; servers do where absent.
    pub pool: Option<Slug>,
}

/// What is kept of a plan beside its name. A member that is not known is refused: it may be a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    #[serde(flatten)]
    limits: Limits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isolation: Option<Slug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pool: Option<Slug>,
    #[serde(flatten, skip_serializing, deserialize_with = "nothing")]
    unknown: (),
}

/// What no member of [`Terms`] has taken, which must be nothing.
fn nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    let rest = BTreeMap::<String, IgnoredAny>::deserialize(deserializer)?;
    match rest.keys().next() {
        None => Ok(()),
        Some(name) => Err(serde::de::Error::custom(format!("unknown field `{name}`"))),
    }
}

impl From<&Plan> for Terms {
    fn from(plan: &Plan) -> Self {
        Self { limits: plan.limits, isolation: plan.isolation.clone(), pool: plan.pool.clone(), unknown: () }
    }
}

impl Terms {
    /// The plan of this name.
    pub fn of(self, name: Slug) -> Plan {
        Plan { name, limits: self.limits, isolation: self.isolation, pool: self.pool }
    }
}

impl Plan {
    /// The plans that exist from the start: `starter`, `professional`, `enterprise`.
    pub fn built_in() -> Result<[Self; 3], ParseSlugError> {
        let plan = |name: &str, [ai, api, requests, runs, gib, days]: [u64; 6]| {
            Ok(Self {
                name: name.parse()?,
                limits: Limits {
                    ai_calls_per_hour: Some(ai),
                    api_calls_per_hour: Some(api),
                    requests_per_second: Some(requests),
                    concurrent_runs: Some(runs),
                    storage_bytes: Some(gib * GIB),
                    retention_days: Some(days),
                    without_shared_limits: WithoutSharedLimits::Refuse,
                },
                isolation: None,
                pool: None,
            })
        };
        Ok([
            plan("starter", [100, 1_000, 20, 2, 1, 30])?,
            plan("professional", [500, 5_000, 100, 5, 10, 90])?,
            plan("enterprise", [2_000, 20_000, 500, 10, 100, 365])?,
        ])
    }

    /// What a tenant on this plan may use, given what differs for it.
    pub fn with(&self, overrides: &Overrides) -> Limits {
        let plan = &self.limits;
        Limits {
            ai_calls_per_hour: overrides.ai_calls_per_hour.unwrap_or(plan.ai_calls_per_hour),
            api_calls_per_hour: overrides.api_calls_per_hour.unwrap_or(plan.api_calls_per_hour),
            requests_per_second: overrides.requests_per_second.unwrap_or(plan.requests_per_second),
            concurrent_runs: overrides.concurrent_runs.unwrap_or(plan.concurrent_runs),
            storage_bytes: overrides.storage_bytes.unwrap_or(plan.storage_bytes),
            retention_days: overrides.retention_days.unwrap_or(plan.retention_days),
            without_shared_limits: overrides.without_shared_limits.unwrap_or(plan.without_shared_limits),
        }
    }
}

/// What differs from the plan for one tenant. An absent member is as the plan says, `null` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// Model calls in any hour.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ai_calls_per_hour: Option<Option<u64>>,
    /// Calls to outside services in any hour.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub api_calls_per_hour: Option<Option<u64>>,
    /// Requests to the server in a second.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<Option<u64>>,
    /// Runs that work at the same time.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub concurrent_runs: Option<Option<u64>>,
    /// Bytes stored.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<Option<u64>>,
    /// Days that contents of runs are kept.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<Option<u64>>,
    /// What becomes of calls while the limits that servers share cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_shared_limits: Option<WithoutSharedLimits>,
}

/// A member that is there, be it `null`; an absent one never gets here.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::{Limits, Overrides, Plan, Terms, WithoutSharedLimits};
    use serde_json::json;

    #[test]
    fn the_built_in_plans_are_the_contracts() {
        let plans = Plan::built_in().unwrap();
        let told: Vec<_> = plans
            .iter()
            .map(|plan| {
                let limits = plan.limits;
                (
                    plan.name.as_str(),
                    limits.ai_calls_per_hour.unwrap(),
                    limits.api_calls_per_hour.unwrap(),
                    limits.concurrent_runs.unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [("starter", 100, 1_000, 2), ("professional", 500, 5_000, 5), ("enterprise", 2_000, 20_000, 10)]
        );
        assert_eq!(plans[1].limits.weight().get(), 5);
    }

    #[test]
    fn absent_is_the_plans_and_null_is_unlimited() {
        let [starter, ..] = Plan::built_in().unwrap();
        let text = r#"{"ai_calls_per_hour":7,"storage_bytes":null}"#;
        let overrides: Overrides = serde_json::from_str(text).unwrap();
        let limits = starter.with(&overrides);
        assert_eq!(limits.ai_calls_per_hour, Some(7));
        assert_eq!(limits.storage_bytes, None);
        assert_eq!(limits.api_calls_per_hour, Some(1_000));
        assert_eq!(serde_json::to_string(&overrides).unwrap(), text);
        assert_eq!(starter.with(&Overrides::default()), starter.limits);
    }

    #[test]
    fn what_is_kept_of_a_plan_is_the_plan() {
        let [starter, ..] = Plan::built_in().unwrap();
        let kept = |plan: &Plan| serde_json::to_string(&Terms::from(plan)).unwrap();
        // Servers that know less read it, as long as it says no more.
        assert_eq!(kept(&starter), serde_json::to_string(&starter.limits).unwrap());
        let mut plan = starter;
        plan.limits.without_shared_limits = WithoutSharedLimits::LocalShare;
        plan.isolation = Some("schema".parse().unwrap());
        let text = kept(&plan);
        let read = |text: &str| serde_json::from_str::<Terms>(text).map(|terms| terms.of(plan.name.clone()));
        assert_eq!(read(&text).unwrap(), plan);
        let more = text.replacen('{', r#"{"ai_calls_per_day":5,"#, 1);
        assert!(read(&more).unwrap_err().to_string().contains("ai_calls_per_day"), "{more}");
        assert!(read(&text.replace("local_share", "unlimited")).is_err());
    }

    #[test]
    fn the_contracts_body_is_read() {
        let body = json!({
            "ai_calls_per_hour": 5, "api_calls_per_hour": null, "requests_per_second": 9,
            "concurrent_runs": 1, "storage_bytes": null,
        });
        let limits: Limits = serde_json::from_value(body).unwrap();
        assert_eq!((limits.ai_calls_per_hour, limits.api_calls_per_hour), (Some(5), None));
        assert!(serde_json::from_value::<Limits>(json!({ "ai_calls_per_day": 5 })).is_err());
        assert!(serde_json::from_value::<Limits>(json!({ "concurrent_runs": -1 })).is_err());
    }

    #[test]
    fn schemas_say_that_null_is_allowed() {
        for schema in [schemars::schema_for!(Limits), schemars::schema_for!(Overrides)] {
            let text = serde_json::to_string(&schema).unwrap();
            assert!(text.contains(r#""null""#), "{text}");
        }
    }
}
