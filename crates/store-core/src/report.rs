//! Reports of usage: sums over calls, by group.

use crate::totals::Totals;
use env::Timestamp;
use std::collections::BTreeMap;
use store::{Call, CallKind, GroupBy, UsageRow};

/// What a group is made by.
pub struct Facts<'a> {
    /// When it began.
    pub at: Timestamp,
    /// A model's or a service's.
    pub kind: CallKind,
    /// Which model or service.
    pub target: &'a str,
    /// Whose key.
    pub key: Option<String>,
    /// Whose agent.
    pub agent: Option<String>,
    /// Which workflow.
    pub workflow: Option<String>,
}

impl<'a> Facts<'a> {
    /// What a report needs to know of a call.
    pub fn of(call: &'a Call) -> Self {
        Self {
            at: call.started_at,
            kind: call.kind,
            target: &call.target,
            key: call.payer.key.map(|id| id.to_string()),
            agent: call.payer.agent.map(|id| id.to_string()),
            workflow: call.workflow.map(|id| id.to_string()),
        }
    }

    fn value(&self, by: GroupBy) -> Option<String> {
        match by {
            GroupBy::Hour => Some(self.at.hour().to_string()),
            GroupBy::Day => Some(self.at.day().to_string()),
            GroupBy::Model => (self.kind == CallKind::Model).then(|| self.target.to_owned()),
            GroupBy::Tool => (self.kind == CallKind::Service).then(|| self.target.to_owned()),
            GroupBy::Key => self.key.clone(),
            GroupBy::Agent => self.agent.clone(),
            GroupBy::Workflow => self.workflow.clone(),
        }
    }
}

/// Sums by group, which calls are added to one after the other.
pub struct Report<'q> {
    group_by: &'q [GroupBy],
    groups: BTreeMap<Vec<Option<String>>, (Totals, Totals)>,
}

impl<'q> Report<'q> {
    /// A report without rows yet.
    pub fn by(group_by: &'q [GroupBy]) -> Self {
        Self { group_by, groups: BTreeMap::new() }
    }

    /// Adds what calls came to, of which these facts hold.
    pub fn add(&mut self, facts: &Facts<'_>, totals: &Totals) {
        let group = self.group_by.iter().map(|by| facts.value(*by)).collect();
        let (model, service) = self.groups.entry(group).or_default();
        let sum = match facts.kind {
            CallKind::Model => model,
            CallKind::Service => service,
        };
        *sum = sum.plus(totals);
    }

    /// The rows, in the order of their groups.
    pub fn rows(self) -> Vec<UsageRow> {
        let row = |(group, (model, service)): (_, (Totals, Totals))| {
            let all = model.plus(&service);
            UsageRow {
                group,
                ai_calls: model.calls,
                api_calls: service.calls,
                input_tokens: all.input_tokens,
                output_tokens: all.output_tokens,
                cost_usd: all.cost,
                unpriced_calls: all.unpriced,
                cached_calls: all.cached,
                unknown_calls: all.unknown,
            }
        };
        self.groups.into_iter().map(row).collect()
    }
}
