//! [`OwnWorker`]: the process that carries one tenant's runs out, as a server knows it. It comes into visits of that
//! tenant, as the system principal that runs are carried out by, and into nothing else.

use crate::authenticate::{admissible, system};
use crate::index::TenantStanding;
use crate::tenant::Visit;
use crate::{Admission, Refusal, RequestFacts};
use audit::event::AuthMethod;
use authz::{Rights, SystemPrincipal};
use env::Timestamp;

/// An authenticated worker of a tenant's own. There is no constructor outside authentication.
#[derive(Clone, Debug)]
pub struct OwnWorker {
    standing: TenantStanding,
    request: RequestFacts,
}

impl OwnWorker {
    pub(crate) fn authenticated(standing: TenantStanding, request: RequestFacts) -> Self {
        Self { standing, request }
    }

    /// What the platform knows of its tenant.
    pub fn standing(&self) -> &TenantStanding {
        &self.standing
    }

    /// Lets it into its tenant for a piece of a run that was started by somebody. Nothing is noted of that: what is done
    /// there is, and that the run was taken up was noted by the worker.
    pub fn admit(&self, on_behalf_of: Option<String>, now: Timestamp) -> Result<Admission, Refusal> {
        admissible(&self.standing, now)?;
        let principal = system(SystemPrincipal::RunExecution, AuthMethod::Internal, on_behalf_of);
        let rights = Rights::System(SystemPrincipal::RunExecution);
        let (standing, request) = (self.standing.clone(), self.request.clone());
        Ok(Admission::of(Visit { standing, principal, rights, request, lease: None }))
    }
}
