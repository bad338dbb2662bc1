//! [`Access`]: the outcome of one authorization, as the type of what it allows.

use crate::Tenant;
use crate::tenant::Brand;
use authz::{Action, Reach, Resource};
use std::marker::PhantomData;

/// A verb on a noun, as a type: `Read<on::Record>`.
pub trait Permission: Send + Sync + 'static {
    /// The verb.
    const ACTION: Action;
    /// The noun.
    const RESOURCE: Resource;
}

/// A noun of the table, as a type.
pub trait Noun: Send + Sync + 'static {
    /// The noun.
    const RESOURCE: Resource;
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub struct $name<N>(PhantomData<fn() -> N>);

        impl<N: Noun> Permission for $name<N> {
            const ACTION: Action = Action::$name;
            const RESOURCE: Resource = N::RESOURCE;
        }
    )*};
}

verbs! {
    /// Look at it, or list it.
    Read;
    /// Make a new one.
    Create;
    /// Change it.
    Update;
    /// Remove it.
    Delete;
    /// Use it.
    Invoke;
    /// See the content that passed through it.
    ReadContent;
}

/// The nouns of the table, each as a type.
pub mod on {
    use super::{Noun, Resource};

    macro_rules! nouns {
        ($($name:ident)*) => {$(
            #[doc = concat!("The resource `", stringify!($name), "` of the table.")]
            pub struct $name;

            impl Noun for $name {
                const RESOURCE: Resource = Resource::$name;
            }
        )*};
    }

    nouns!(
        Account ApiKey SigningKey Member Agent Credential Model Workflow Run Record Egress Audit Usage Budget
        Message
    );
}

/// Proof that the visit's principal may do `P`, and how far: to every object of the tenant or to its own.
pub struct Access<'t, P> {
    tenant: Tenant<'t>,
    reach: Reach,
    permission: PhantomData<fn() -> P>,
    brand: Brand<'t>,
}

impl<'t, P: Permission> Access<'t, P> {
    pub(crate) fn granted(tenant: Tenant<'t>, reach: Reach) -> Self {
        Self { tenant, reach, permission: PhantomData, brand: PhantomData }
    }

    /// The tenant that the access is to.
    pub fn tenant(&self) -> &Tenant<'t> {
        &self.tenant
    }

    /// The only owner whose objects may be touched, or `None` where all of the tenant's may be. Stores
    /// put it into the look-up, so that an object out of reach and a missing one are one and the same.
    pub fn only_of(&self) -> Option<&str> {
        (self.reach == Reach::Own).then(|| self.tenant.principal().id.as_str())
    }
}

impl<P> Clone for Access<'_, P> {
    fn clone(&self) -> Self {
        Self { tenant: self.tenant.clone(), reach: self.reach, permission: PhantomData, brand: PhantomData }
    }
}
