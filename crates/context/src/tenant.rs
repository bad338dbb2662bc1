//! [`Tenant`]: the context that every port takes, branded with its visit.

use crate::index::TenantStanding;
use crate::{Access, Lease, Permission, Principal, RequestFacts};
use authz::{Reach, Rights};
use env::Timestamp;
use errors::{Code, Problem};
use ids::{RequestId, Slug, TenantId};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The compile-time name of one visit. Invariant, so that no lifetime can be shortened or lengthened
/// into another visit's.
pub(crate) type Brand<'t> = PhantomData<fn(&'t ()) -> &'t ()>;

/// What authentication found out, shared by all clones of a visit.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) standing: TenantStanding,
    pub(crate) principal: Principal,
    pub(crate) rights: Rights,
    pub(crate) request: RequestFacts,
    pub(crate) lease: Option<Lease>,
}

/// One tenant, for the length of one visit: who it is, who acts, with which rights and limits.
///
/// There is no constructor: it is handed to the closure given to [`Admission::enter`](crate::Admission::enter).
#[derive(Clone)]
pub struct Tenant<'t> {
    visit: Arc<Visit>,
    brand: Brand<'t>,
}

impl<'t> Tenant<'t> {
    pub(crate) fn entered(visit: Arc<Visit>) -> Self {
        Self { visit, brand: PhantomData }
    }

    /// The tenant's id.
    pub fn id(&self) -> TenantId {
        self.visit.standing.id
    }

    /// Who acts.
    pub fn principal(&self) -> &Principal {
        &self.visit.principal
    }

    /// What the principal holds.
    pub fn rights(&self) -> &Rights {
        &self.visit.rights
    }

    /// The tenant's plan, limits, region and isolation, as of the moment of admission.
    pub fn standing(&self) -> &TenantStanding {
        &self.visit.standing
    }

    /// Where the tenant's data rests.
    pub fn region(&self) -> &Slug {
        &self.visit.standing.region
    }

    /// The request that brought the principal here.
    pub fn request(&self) -> &RequestFacts {
        &self.visit.request
    }

    /// The request's id.
    pub fn request_id(&self) -> RequestId {
        self.visit.request.id
    }

    /// When the caller stops waiting, where there is such a moment.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.visit.request.deadline
    }

    /// The lease that is to hold for whatever is written in this visit, where it carries a run out.
    pub fn lease(&self) -> Option<Lease> {
        self.visit.lease
    }

    /// Decides whether the principal may do this, and how far it reaches. The [`Access`] is what store
    /// calls take, so a row that skipped this check cannot be asked for.
    pub fn authorize<P: Permission>(&self) -> Result<Access<'t, P>, Problem> {
        match self.visit.rights.reach(P::ACTION, P::RESOURCE) {
            Reach::None => {
                let needs = Rights::needed(P::ACTION, P::RESOURCE);
                let detail =
                    format!("The credential's role or scopes do not allow this. It needs `{needs}`.");
                Err(Problem::new(Code::Forbidden, detail).with("needs", needs))
            }
            reach => Ok(Access::granted(self.clone(), reach)),
        }
    }
}

/// Names the tenant and the kind of principal. A user's own name, often an address, stays out of logs.
impl fmt::Debug for Tenant<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Tenant({}, {})", self.id(), self.principal().kind.as_str())
    }
}
