//! The homes that are open: the one that tenants share, and of those that have their own the ones in use.

use crate::SetupError;
use crate::error::Fault;
use crate::footing::own_footing;
use crate::home::{Home, Own};
use crate::link::Link;
use crate::naming::Naming;
use crate::platform::Platform;
use crate::schema;
use crate::token::{self, Tokens};
use env::Env;
use ids::{Id as _, TenantId};
use kms::{Binding, Kms, WrappedKey};
use lru::LruCache;
use secret::{SecretBytes, SecretText};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use store::Isolation;

/// How many connections one tenant's home has at most.
pub(crate) const CONNECTIONS: usize = 4;

pub(crate) struct Homes {
    link: Link,
    naming: Naming,
    shared: Arc<Home>,
    /// The key of the shared database's tokens, from which those of other databases come.
    token_key: SecretBytes<32>,
    kms: Arc<dyn Kms>,
    env: Env,
    overlook: Overlook,
    open: Mutex<LruCache<TenantId, Arc<Home>>>,
    /// Who opens a home holds one of these, which its tenant's id chooses: nobody opens the same one beside it, and no
    /// more than these are opened at once.
    opening: [tokio::sync::Mutex<()>; OPENED_AT_ONCE],
}

/// What is used although it is not as it should be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlook {
    /// Nothing.
    Nothing,
    /// Whatever an attack is to find.
    Footing,
}

/// How many homes are opened at once.
const OPENED_AT_ONCE: usize = 16;

/// A home, and the tenant whose home was let go of for it.
pub(crate) type Opened = (Arc<Home>, Option<TenantId>);

/// The key that a role's password is made from, sealed.
pub(crate) fn binding(tenant: TenantId) -> Binding {
    Binding::new(tenant, "postgres role")
}

/// The password that a key stands for.
pub(crate) fn password(key: &SecretBytes<32>) -> SecretText {
    SecretText::new(hex::encode(key.expose()))
}

impl Homes {
    pub(crate) fn new(
        (link, connections): (Link, usize),
        token_key: SecretBytes<32>,
        (kms, env): (Arc<dyn Kms>, Env),
        (own, overlook): (NonZeroUsize, Overlook),
    ) -> Result<Self, SetupError> {
        let tokens = Arc::new(Tokens::new(token_key.clone(), env.clone()));
        let naming = Naming::of(&link)?;
        let shared = Arc::new(Home::pooled(link.clone(), connections, tokens)?);
        let (open, opening) = (Mutex::new(LruCache::new(own)), Default::default());
        Ok(Self { link, naming, shared, token_key, kms, env, overlook, open, opening })
    }

    /// Those of a process that has one tenant's home alone, and reaches no other.
    pub(crate) fn alone(
        (link, naming): (Link, Naming),
        token_key: SecretBytes<32>,
        (kms, env): (Arc<dyn Kms>, Env),
    ) -> Result<Self, Fault> {
        let tokens = Arc::new(Tokens::new(token_key.clone(), env.clone()));
        let shared = Arc::new(Home::nowhere(link.clone(), tokens)?);
        let (open, opening) = (Mutex::new(LruCache::new(NonZeroUsize::MIN)), Default::default());
        let overlook = Overlook::Nothing;
        Ok(Self { link, naming, shared, token_key, kms, env, overlook, open, opening })
    }

    /// The key of the tokens of a tenant's own database.
    pub(crate) fn dedicated_token_key(&self, tenant: TenantId) -> SecretBytes<32> {
        token::dedicated(&self.token_key, tenant)
    }

    pub(crate) fn shared(&self) -> &Arc<Home> {
        &self.shared
    }

    fn open(&self) -> std::sync::MutexGuard<'_, LruCache<TenantId, Arc<Home>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections of tenants' own homes that nobody has used for a while.
    pub(crate) fn close_idle(&self) {
        self.open().iter().for_each(|(_, home)| home.close_idle());
    }

    /// Whether a home is among the open ones.
    pub(crate) fn holds(&self, tenant: TenantId, home: &Arc<Home>) -> bool {
        Arc::ptr_eq(home, &self.shared) || self.open().peek(&tenant).is_some_and(|it| Arc::ptr_eq(it, home))
    }

    /// Lets go of a tenant's home.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.open().pop(&tenant);
    }

    /// Lets go of a tenant's home, where it is still this one.
    pub(crate) fn forget_if(&self, tenant: TenantId, home: &Arc<Home>) {
        let mut open = self.open();
        if open.peek(&tenant).is_some_and(|it| Arc::ptr_eq(it, home)) {
            open.pop(&tenant);
        }
    }

    /// The home that is open of a tenant's, where it is of this kind: one of another kind is one that it has left.
    fn opened(&self, tenant: TenantId, isolation: Isolation) -> Option<Arc<Home>> {
        self.open().get(&tenant).filter(|home| home.isolation() == Some(isolation)).cloned()
    }

    /// A tenant's home, which is looked over when it is first opened.
    pub(crate) async fn of(
        &self,
        platform: &Platform,
        tenant: TenantId,
        isolation: Isolation,
    ) -> Result<Opened, Fault> {
        if matches!(isolation, Isolation::Embedded | Isolation::Pooled) {
            return Ok((self.shared.clone(), None));
        }
        if let Some(home) = self.opened(tenant, isolation) {
            return Ok((home, None));
        }
        let place = tenant.to_bytes().iter().fold(0, |sum, byte| sum ^ usize::from(*byte)) % OPENED_AT_ONCE;
        let _alone = self.opening[place].lock().await;
        if let Some(home) = self.opened(tenant, isolation) {
            return Ok((home, None));
        }
        let home = Arc::new(self.open_own(platform, tenant, isolation).await?);
        let evicted = self.open().push(tenant, home.clone()).map(|(tenant, _)| tenant);
        Ok((home, evicted.filter(|evicted| *evicted != tenant)))
    }

    /// Opens a tenant's own home and looks it over.
    async fn open_own(
        &self,
        platform: &Platform,
        tenant: TenantId,
        isolation: Isolation,
    ) -> Result<Home, Fault> {
        let (link, sealed) = self.own_link(platform, tenant, isolation).await?;
        let schema = Naming::schema(tenant);
        let key = match isolation {
            Isolation::Dedicated => token::dedicated(&self.token_key, tenant),
            _ => self.token_key.clone(),
        };
        let tokens = Arc::new(Tokens::new(key, self.env.clone()));
        let about = Own::new(isolation, sealed, Some(self.shared.clone()));
        let home = Home::own(link, CONNECTIONS, tokens, schema.clone(), about)?;
        let footing = own_footing(&*home.session().await?, &schema, isolation).await?;
        if !footing.holds() && self.overlook == Overlook::Nothing {
            tracing::error!(tenant.id = %tenant, %footing, "a tenant's own home is not as it should be");
            return Err(Fault::Unsound);
        }
        Ok(home)
    }

    /// How a tenant's home is reached, as the tenant's role, and the sealed password, which is each home's own.
    pub(crate) async fn own_link(
        &self,
        platform: &Platform,
        tenant: TenantId,
        isolation: Isolation,
    ) -> Result<(Link, Vec<u8>), Fault> {
        let row = platform.home(tenant).await?.ok_or(Fault::NoHome)?;
        if row.isolation != isolation {
            return Err(Fault::NoHome);
        }
        if !schema::fits(row.version) {
            return Err(Fault::Outdated);
        }
        let wrapped = WrappedKey::from_bytes(&row.sealed).map_err(|_| Fault::Damaged("a sealed password"))?;
        let key = self.kms.unwrap(&binding(tenant), &wrapped).await?;
        let role = self.naming.role(tenant);
        let database = match isolation {
            Isolation::Dedicated => &role,
            _ => &self.naming.database,
        };
        Ok((self.link.of(&role, &password(&key), database), row.sealed))
    }
}
