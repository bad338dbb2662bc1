//! Messages within one process: what was told lately is kept in memory, for each tenant apart, and each listener
//! goes through it at its own pace. A listener that falls too far behind misses messages and is told so; it holds
//! nobody up and costs no memory of its own.

mod bell;
mod channel;

pub use bell::LocalBell;

use async_trait::async_trait;
use bus::{Bus, BusUnavailable, Heard, Message, Pattern, Place, Subscription};
use channel::{Channel, Listener};
use context::{Operator, Origin, Private, Tenant};
use env::Env;
use ids::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For how long.
    pub kept: Duration,
    /// How many messages of one tenant.
    pub tenant_messages: usize,
    /// How many bytes of one tenant.
    pub tenant_bytes: usize,
    /// How many bytes of all tenants together.
    pub bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { kept: Duration::from_secs(600), tenant_messages: 1000, tenant_bytes: 1 << 20, bytes: 64 << 20 }
    }
}

/// The bus of one process.
#[derive(Clone)]
pub struct LocalBus {
    channels: Arc<Mutex<Channels>>,
    settings: Settings,
    env: Env,
}

#[derive(Default)]
struct Channels {
    of: HashMap<TenantId, Channel>,
    bytes: usize,
}

impl LocalBus {
    /// A bus that keeps no more than the settings say.
    pub fn new(settings: Settings, env: Env) -> Self {
        Self { channels: Arc::default(), settings, env }
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channels {
    /// The tenant's channel; a new one begins an order of its own.
    fn channel(&mut self, tenant: TenantId, env: &Env) -> &mut Channel {
        self.of.entry(tenant).or_insert_with(|| Channel::new(tenant, u64::from_le_bytes(env.random())))
    }

    /// Forgets what is kept longer than it should be and, where all tenants together keep too much, of those to whom
    /// nobody listens, the longest silent first.
    fn make_room(&mut self, settings: &Settings, now: env::Timestamp) {
        if self.bytes <= settings.bytes {
            return;
        }
        let before = now.minus(settings.kept);
        for channel in self.of.values_mut() {
            self.bytes -= channel.forget_before(before);
        }
        let mut idle: Vec<_> = self.of.iter().filter(|(_, channel)| !channel.is_listened_to()).collect();
        idle.sort_by_key(|(_, channel)| channel.last());
        let idle: Vec<_> = idle.into_iter().map(|(tenant, _)| *tenant).collect();
        // So much at once that it need not be done again soon.
        let goal = settings.bytes / 4 * 3;
        for tenant in idle {
            if self.bytes <= goal {
                return;
            }
            self.bytes -= self.of.remove(&tenant).map_or(0, |channel| channel.bytes());
        }
        // Where everybody is listened to each keeps its share: a listener that is behind hears that it missed something.
        let share = goal / self.of.len().max(1);
        for channel in self.of.values_mut() {
            self.bytes -= channel.keep_within(settings.tenant_messages, share);
        }
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, tenant: &Tenant<'_>, message: Message) -> Result<(), BusUnavailable> {
        let now = self.env.now();
        let mut channels = self.channels();
        let channel = channels.channel(tenant.id(), &self.env);
        let before = channel.bytes();
        channel.push(tenant.id(), message, now);
        channel.forget_before(now.minus(self.settings.kept));
        channel.keep_within(self.settings.tenant_messages, self.settings.tenant_bytes);
        let after = channel.bytes();
        channels.bytes = channels.bytes + after - before;
        channels.make_room(&self.settings, now);
        Ok(())
    }

    async fn subscribe(
        &self,
        tenant: &Tenant<'_>,
        pattern: Pattern,
        after: Option<Place>,
    ) -> Result<Box<dyn Subscription>, BusUnavailable> {
        let mut channels = self.channels();
        let channel = channels.channel(tenant.id(), &self.env);
        let forgotten = channel.forget_before(self.env.now().minus(self.settings.kept));
        let (listener, bell) = channel.listen(pattern, after);
        channels.bytes -= forgotten;
        Ok(Box::new(Listening { channels: self.channels.clone(), tenant: tenant.id(), listener, bell }))
    }

    async fn forget(&self, _operator: &Operator, tenant: TenantId) {
        let mut channels = self.channels();
        let bytes = channels.of.remove(&tenant).map_or(0, |channel| channel.bytes());
        channels.bytes -= bytes;
    }
}

/// A listener of one tenant.
struct Listening {
    channels: Arc<Mutex<Channels>>,
    tenant: TenantId,
    listener: Listener,
    /// Rung with each message; gone with the channel.
    bell: watch::Receiver<()>,
}

impl Listening {
    /// What is there to be heard; `Err` where the channel is gone.
    fn look(&mut self) -> Result<Option<(TenantId, Heard)>, ChannelGone> {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = channels.of.get(&self.tenant).ok_or(ChannelGone)?;
        channel.next(&mut self.listener)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The last one takes an empty channel with it, once its own ear is gone.
        let (_, deaf) = watch::channel(());
        drop(std::mem::replace(&mut self.bell, deaf));
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.of.get(&self.tenant).is_some_and(Channel::is_idle) {
            channels.of.remove(&self.tenant);
        }
    }
}

/// What was listened to is not there any more.
struct ChannelGone;

#[async_trait]
impl Subscription for Listening {
    async fn next<'t>(&mut self, tenant: &Tenant<'t>) -> Option<Private<'t, Heard>> {
        loop {
            self.bell.mark_unchanged();
            match self.look() {
                Err(ChannelGone) => return None,
                Ok(Some((of, heard))) => {
                    return Some(Private::arrived(tenant, Origin::authenticated(of), heard));
                }
                Ok(None) => self.bell.changed().await.ok()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LocalBell, LocalBus, Settings};
    use crate::channel::Channel;
    use bus::Heard;
    use bus_tests::Backend;
    use env::Env;
    use metering::plan::Limits;

    struct Local;

    impl Backend for Local {
        type Bus = LocalBus;

        async fn open(env: Env) -> LocalBus {
            LocalBus::new(Settings { tenant_messages: bus_tests::KEPT, ..Settings::default() }, env)
        }
    }

    bus_tests::conformance!(Local);

    impl bus_tests::Bells for Local {
        type Bell = LocalBell;

        async fn hang() -> (LocalBell, LocalBell) {
            let bell = LocalBell::default();
            (bell.clone(), bell)
        }
    }

    bus_tests::doorbell!(Local);

    #[test]
    fn all_tenants_together_keep_no_more_than_they_may() {
        bus_tests::World::<Local>::run(async |mut world| {
            world.bus.settings.bytes = 4000;
            let mut listener = world.listen(world.one, "app.>", None).await;
            world.count(world.one, 0..2).await;
            for _ in 0..40 {
                let tenant = world.fixture.tenant(Limits::default());
                world.tell(tenant, "app.word", "idle").await;
                assert!(world.bus.channels().bytes <= 4000);
            }
            let counted: usize = world.bus.channels().of.values().map(Channel::bytes).sum();
            assert_eq!(world.bus.channels().bytes, counted);
            // Whoever is listened to is not forgotten for the others' sake.
            assert_eq!(world.words(world.one, &mut listener, 2).await, ["0", "1"]);
        });
    }

    #[test]
    fn those_who_are_listened_to_keep_no_more_than_they_may_either() {
        bus_tests::World::<Local>::run(async |mut world| {
            world.bus.settings.bytes = 4000;
            let mut listeners = Vec::new();
            for _ in 0..10 {
                let tenant = world.fixture.tenant(Limits::default());
                listeners.push((tenant, world.listen(tenant, "app.>", None).await));
                world.count(tenant, 0..2).await;
                assert!(world.bus.channels().bytes <= 4000);
            }
            let counted: usize = world.bus.channels().of.values().map(Channel::bytes).sum();
            assert_eq!(world.bus.channels().bytes, counted);
            let (tenant, listener) = &mut listeners[0];
            assert_eq!(world.hear(*tenant, listener).await, Some(Heard::Missed));
        });
    }

    #[test]
    fn what_was_told_long_ago_is_not_heard_again() {
        bus_tests::World::<Local>::run(async |world| {
            let mut listener = world.listen(world.one, "app.>", None).await;
            world.count(world.one, 0..2).await;
            let (_, place) = world.word(world.one, &mut listener).await;
            world.fixture.clock().advance(601_000);
            let mut again = world.listen(world.one, "app.>", Some(place)).await;
            assert_eq!(world.hear(world.one, &mut again).await, Some(Heard::Missed));
            assert_eq!(world.bus.channels().bytes, 0);
        });
    }

    #[test]
    fn a_channel_without_messages_goes_with_its_last_listener() {
        bus_tests::World::<Local>::run(async |world| {
            let (first, second) =
                (world.listen(world.one, "app.>", None).await, world.listen(world.one, "app.>", None).await);
            drop(first);
            assert_eq!(world.bus.channels().of.len(), 1);
            drop(second);
            assert!(world.bus.channels().of.is_empty());
        });
    }
}
