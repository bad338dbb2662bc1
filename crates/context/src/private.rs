//! [`Private`]: a value that came out of a tenant, and may meet only that tenant's values.

use crate::Tenant;
use crate::tenant::Brand;
use ids::TenantId;
use std::error::Error;
use std::marker::PhantomData;

/// Whose data a value is, as read from something that only the owner's key could have made: the identity
/// row inside the tenant's file, the associated data of what was unsealed, the caller's own request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(TenantId);

impl Origin {
    /// The origin named by data that was authenticated under the tenant's own key. Adapters call this
    /// with the id that they read there, never with the id of the context they were given: the two being
    /// equal is what the doors check.
    pub fn authenticated(id: TenantId) -> Self {
        Self(id)
    }
}

/// Two values of different tenants met, or one came to another's door. Nothing was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value of another tenant was stopped")]
pub struct Crossing;

/// A value of the tenant whose visit is `'t`.
///
/// It does not print, serialise or dereference. Values of one visit combine with [`map`](Self::map) and
/// [`zip`](Self::zip); a value leaves through a [`door`](crate::door).
pub struct Private<'t, T> {
    value: T,
    origin: Origin,
    brand: Brand<'t>,
}

impl<'t, T> Private<'t, T> {
    /// Takes in what an adapter read, with the origin that the data itself proved.
    pub fn arrived(_: &Tenant<'t>, origin: Origin, value: T) -> Self {
        Self { value, origin, brand: PhantomData }
    }

    /// Takes in what the visit's own principal sent.
    pub fn sent(tenant: &Tenant<'t>, value: T) -> Self {
        Self { value, origin: Origin(tenant.id()), brand: PhantomData }
    }

    /// The value transformed; whose it is stays.
    pub fn map<U>(self, transform: impl FnOnce(T) -> U) -> Private<'t, U> {
        Private { value: transform(self.value), origin: self.origin, brand: PhantomData }
    }

    /// The value transformed by something that can fail. The error leaves, so it must be an error in
    /// earnest and name no content.
    pub fn try_map<U, E: Error>(
        self,
        transform: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<Private<'t, U>, E> {
        Ok(Private { value: transform(self.value)?, origin: self.origin, brand: PhantomData })
    }

    /// The two values as one, if both prove the same origin.
    pub fn zip<U>(self, other: Private<'t, U>) -> Result<Private<'t, (T, U)>, Crossing> {
        if self.origin == other.origin {
            Ok(Private { value: (self.value, other.value), origin: self.origin, brand: PhantomData })
        } else {
            Err(Crossing)
        }
    }

    /// The values as one, if all prove the origin of the tenant whose visit this is.
    pub fn collect(
        tenant: &Tenant<'t>,
        values: impl IntoIterator<Item = Self>,
    ) -> Result<Private<'t, Vec<T>>, Crossing> {
        let origin = Origin(tenant.id());
        let mut all = Vec::new();
        for private in values {
            if private.origin != origin {
                return Err(Crossing);
            }
            all.push(private.value);
        }
        Ok(Private { value: all, origin, brand: PhantomData })
    }

    /// The value by reference; whose it is stays.
    pub fn as_ref(&self) -> Private<'t, &T> {
        Private { value: &self.value, origin: self.origin, brand: PhantomData }
    }

    /// Decides something about the value without letting it out. The question can write nothing down
    /// outside itself but through a lock or a channel.
    pub fn is(&self, question: impl Fn(&T) -> bool) -> bool {
        question(&self.value)
    }

    /// For the doors alone: the value, if it is this tenant's.
    pub(crate) fn open_for(self, tenant: &Tenant<'t>) -> Result<T, Crossing> {
        if self.origin == Origin(tenant.id()) { Ok(self.value) } else { Err(Crossing) }
    }
}

impl<'t, T> Private<'t, Option<T>> {
    /// The value where there is one.
    pub fn transpose(self) -> Option<Private<'t, T>> {
        let Self { value, origin, brand } = self;
        value.map(|value| Private { value, origin, brand })
    }
}

impl<T: Clone> Clone for Private<'_, T> {
    /// A copy within the same visit: the brand is part of the type.
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), origin: self.origin, brand: PhantomData }
    }
}
