//! Where a tenant in use is. It may be moved to another kind of home meanwhile, by whoever makes homes: the home that
//! it has left refuses its token, and what was to be done there is then done in the home where it is now.

use super::TenantHandle;
use crate::PostgresStore;
use crate::error::Fault;
use crate::home::Home;
use crate::store_impl::Inner;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use store::Isolation;
use tokio::time::{Instant, sleep};

/// For how long something is tried while the tenant is on its way. Nothing is in either home for the time of a few
/// statements.
const PATIENCE: Duration = Duration::from_secs(2);
/// How soon it is looked again where the tenant is.
const SOON: Duration = Duration::from_millis(10);

/// The home of a tenant in use, as far as it is known, and the store that can say where it is now.
pub(crate) struct Place {
    home: Mutex<Arc<Home>>,
    store: Weak<Inner>,
}

/// Where a tenant was found after its home had refused something.
enum Found {
    /// In another home, which is the known one from now on.
    Elsewhere,
    /// On its way, or what it was refused for is over.
    OnItsWay,
    /// Where it was.
    Here,
}

impl Place {
    pub(crate) fn new(home: Arc<Home>, store: Weak<Inner>) -> Self {
        Self { home: Mutex::new(home), store }
    }

    fn home(&self) -> std::sync::MutexGuard<'_, Arc<Home>> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantHandle {
    /// The home that the tenant was last found in.
    pub(crate) fn home(&self) -> Arc<Home> {
        self.place.home().clone()
    }

    /// Begins something where the tenant is. Nothing may have been done yet where an attempt fails, since it is made
    /// again in the home that the tenant has moved to.
    pub(crate) async fn there<T, F>(&self, attempt: impl Fn(Arc<Home>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        // From the first refusal on: before that it may have waited for the switch itself.
        let mut deadline = None;
        loop {
            let home = self.home();
            let fault = match attempt(home.clone()).await {
                Err(fault) if fault.may_be_of_a_move() => fault,
                outcome => return outcome,
            };
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            match self.look_after(&home).await {
                Ok(Found::Here) => return Err(fault),
                _ if Instant::now() > deadline => return Err(fault),
                Ok(Found::Elsewhere) => {}
                Ok(Found::OnItsWay) => sleep(SOON).await,
                Err(unseen) if unseen.may_be_of_a_move() => sleep(SOON).await,
                Err(_) => return Err(fault),
            }
        }
    }

    /// Looks for the tenant anew where the home that it was last found in is of another kind than it has now.
    pub(crate) async fn find_anew(&self, isolation: Isolation) -> Result<(), Fault> {
        let home = self.home();
        if home.isolation().unwrap_or(Isolation::Pooled) != isolation {
            self.look_after(&home).await?;
        }
        Ok(())
    }

    /// Looks where the tenant is, since this home has refused something.
    async fn look_after(&self, home: &Arc<Home>) -> Result<Found, Fault> {
        let Some(inner) = self.place.store.upgrade() else { return Ok(Found::Here) };
        if !Arc::ptr_eq(home, &self.home()) {
            return Ok(Found::Elsewhere);
        }
        let Some((isolation, moving)) = inner.platform.whereabouts(self.id).await? else {
            return Ok(Found::Here);
        };
        if inner.is_in(self.id, isolation, home).await? {
            return Ok(if moving { Found::OnItsWay } else { Found::Here });
        }
        inner.homes.forget_if(self.id, home);
        let now = PostgresStore::of(inner).home(self.id, isolation).await?;
        *self.place.home() = now;
        tracing::info!(tenant.id = %self.id, isolation = %isolation, "the tenant was found in another home");
        Ok(Found::Elsewhere)
    }
}
