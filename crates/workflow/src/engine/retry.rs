//! Which steps begin again when a run that is over goes on.

use super::apply::Gate;
use super::state::{Run, StepStatus};
use crate::definition::{Definition, NodeName};
use std::collections::BTreeSet;

/// A run cannot go on from there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetryRefusal {
    /// It is not over.
    #[error("the run is not over")]
    NotOver,
    /// There is no such node.
    #[error("the run has no step `{0}`")]
    NoSuchStep(NodeName),
    /// The run did not come by this step, so there is nothing to go on from.
    #[error("the run did not reach the step `{0}`")]
    NotReached(NodeName),
    /// Nothing failed.
    #[error("no step failed; name the step to go on from")]
    NothingFailed,
}

impl Run {
    /// The steps that [`super::Input::Retry`] would reset: those that did not succeed, the named one, and
    /// everything downstream. What is upstream keeps its output and is never performed again.
    pub fn retry_plan(
        &self,
        definition: &Definition,
        from: Option<&NodeName>,
    ) -> Result<Vec<NodeName>, RetryRefusal> {
        if !self.status.is_over() {
            return Err(RetryRefusal::NotOver);
        }
        let mut roots: BTreeSet<usize> = BTreeSet::new();
        for (position, node) in definition.nodes.iter().enumerate() {
            let status = self.steps.get(&node.id).map(|step| step.status);
            let gave_up = [StepStatus::Failed, StepStatus::Unknown, StepStatus::Cancelled];
            if status.is_some_and(|status| gave_up.contains(&status)) {
                roots.insert(position);
            }
        }
        if let Some(from) = from {
            let position = definition.graph.position(from);
            let position = position.ok_or_else(|| RetryRefusal::NoSuchStep(from.clone()))?;
            if self.gate(definition, position) != Gate::Open {
                return Err(RetryRefusal::NotReached(from.clone()));
            }
            roots.insert(position);
        }
        if roots.is_empty() {
            return Err(RetryRefusal::NothingFailed);
        }
        let below: BTreeSet<usize> =
            roots.iter().flat_map(|root| definition.graph.downstream(*root)).collect();
        Ok(roots.union(&below).map(|position| definition.nodes[*position].id.clone()).collect())
    }
}
