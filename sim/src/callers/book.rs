//! [`Book`]: what all callers together know, also of what is not theirs.

use ids::TenantId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a workflow of the simulation is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Two calls of a careful service at once, a third after them, and a record of all.
    Pay,
    /// A call of a careless service, which must not be repeated.
    Once,
    /// A question to a model, and a record of the answer.
    Ask,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Pay, Self::Once, Self::Ask];
}

#[derive(Default)]
struct Pages {
    workflows: BTreeMap<(TenantId, Kind), String>,
    /// What each accepted run was started for.
    accepted: BTreeMap<(TenantId, String), String>,
    /// Runs that somebody may have cancelled.
    cancelled: BTreeSet<String>,
    /// What whoever comes to know it may try: whose it is, and the path.
    paths: Vec<(TenantId, String)>,
}

/// What all callers together know.
#[derive(Default)]
pub(crate) struct Book(Mutex<Pages>);

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn made(&self, tenant: TenantId, kind: Kind, workflow: &str) {
        let mut pages = self.pages();
        pages.paths.push((tenant, format!("/v1/workflows/{workflow}")));
        pages.workflows.insert((tenant, kind), workflow.to_owned());
    }

    pub(super) fn workflow(&self, tenant: TenantId, kind: Kind) -> Option<String> {
        self.pages().workflows.get(&(tenant, kind)).cloned()
    }

    /// What the workflow is made for.
    pub(super) fn kind(&self, tenant: TenantId, workflow: &str) -> Option<Kind> {
        let pages = self.pages();
        let mut its = pages.workflows.iter().filter(|((of, _), _)| *of == tenant);
        its.find(|(_, id)| *id == workflow).map(|((_, kind), _)| *kind)
    }

    pub(super) fn accepted(&self, tenant: TenantId, run: &str, marker: &str) {
        let mut pages = self.pages();
        pages.paths.push((tenant, format!("/v1/runs/{run}")));
        pages.accepted.insert((tenant, run.to_owned()), marker.to_owned());
    }

    /// The tenant's runs that were accepted, with what they were started for.
    pub(super) fn runs(&self, tenant: TenantId) -> Vec<(String, String)> {
        let pages = self.pages();
        let its = pages.accepted.iter().filter(|((of, _), _)| *of == tenant);
        its.map(|((_, run), marker)| (run.clone(), marker.clone())).collect()
    }

    pub(super) fn wrote(&self, tenant: TenantId, path: String) {
        self.pages().paths.push((tenant, path));
    }

    pub(super) fn cancels(&self, run: &str) {
        self.pages().cancelled.insert(run.to_owned());
    }

    pub(super) fn may_be_cancelled(&self, run: &str) -> bool {
        self.pages().cancelled.contains(run)
    }

    /// What is somebody else's.
    pub(super) fn foreign(&self, tenant: TenantId) -> Vec<(TenantId, String)> {
        self.pages().paths.iter().filter(|(owner, _)| *owner != tenant).cloned().collect()
    }
}
