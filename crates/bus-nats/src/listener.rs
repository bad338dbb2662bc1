//! [`Listener`]: one who listens to a tenant's messages, and goes on where it was when the connection is back.

use crate::envelope;
use crate::feed::{Came, Feed};
use crate::streams::{self, Standing, Streams};
use async_trait::async_trait;
use bus::{BusUnavailable, Heard, Pattern, Place, Subscription};
use context::{Origin, Private, Tenant};
use ids::TenantId;
use std::time::Duration;

/// How long a listener waits before it tries again, at first and at the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One who listens.
pub(crate) struct Listener {
    streams: Streams,
    tenant: TenantId,
    pattern: Pattern,
    order: u64,
    /// The number of the next message that it has not looked at.
    next: u64,
    missed: bool,
    feed: Option<Feed>,
    /// What came, and has still to be looked at.
    came: Option<Came>,
    pause: Duration,
}

/// The stream that was listened to is not there any more.
struct Gone;

impl Listener {
    pub(crate) fn new(
        streams: Streams,
        tenant: TenantId,
        pattern: Pattern,
        standing: Standing,
        after: Option<Place>,
    ) -> Self {
        let (next, missed) = match after {
            None => (standing.next, false),
            Some(place) if place.order == standing.order => {
                (place.number.saturating_add(1).min(standing.next), false)
            }
            // What came in the order before is not known here.
            Some(_) => (standing.first, true),
        };
        let order = standing.order;
        Self { streams, tenant, pattern, order, next, missed, feed: None, came: None, pause: FIRST_PAUSE }
    }

    /// Whether the stream is still the one that was listened to.
    async fn look(&mut self) -> Result<Result<Standing, Gone>, BusUnavailable> {
        let standing = self.streams.look(self.tenant).await?;
        Ok(standing.filter(|standing| standing.order == self.order).ok_or(Gone))
    }

    /// Begins to read the stream where the listener is.
    async fn attach(&mut self) -> Result<Result<(), Gone>, BusUnavailable> {
        let connection = self.streams.connection.clone();
        let mut times = connection.times.clone();
        times.mark_unchanged();
        let standing = match self.look().await? {
            Ok(standing) => standing,
            Err(gone) => return Ok(Err(gone)),
        };
        if self.next < standing.first {
            (self.next, self.missed) = (standing.first, true);
        }
        let consumer = self.streams.consumer(self.tenant, self.next).await?;
        let feed = Feed::open(connection, &streams::name(self.tenant), &consumer, times).await;
        self.feed = Some(feed.map_err(|_| BusUnavailable)?);
        Ok(Ok(()))
    }

    /// Leaves the feed. What came over it and was not looked at comes again.
    async fn rest(&mut self) {
        (self.feed, self.came) = (None, None);
        let mut times = self.streams.connection.times.clone();
        times.mark_unchanged();
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = times.changed() => {}
        }
    }

    /// What came, from the feed or from an earlier look.
    async fn come(&mut self) -> Result<Option<Came>, Gone> {
        if let Some(came) = self.came.take() {
            return Ok(Some(came));
        }
        let came = match &mut self.feed {
            Some(feed) => feed.next().await.ok(),
            None => match self.attach().await {
                Ok(Ok(())) => return Ok(None),
                Ok(Err(gone)) => return Err(gone),
                Err(BusUnavailable) => None,
            },
        };
        if came.is_none() {
            self.rest().await;
        }
        Ok(came)
    }

    /// What there is to be heard in what came, and whose it is.
    fn heard(&mut self, came: Came) -> Option<(TenantId, Heard)> {
        self.next = came.number + 1;
        self.pause = FIRST_PAUSE;
        let place = Place { order: self.order, number: came.number };
        let Some((of, message)) = envelope::open(&came.message) else {
            tracing::warn!(tenant.id = %self.tenant, "a message that no server told stands in the tenant's stream");
            return None;
        };
        if of != self.tenant {
            tracing::error!(tenant.id = %self.tenant, "another tenant's message stands in the tenant's stream");
        }
        self.pattern.matches(&message.subject).then_some((of, Heard::Message(place, message)))
    }

    async fn next_heard(&mut self) -> Result<(TenantId, Heard), Gone> {
        loop {
            if std::mem::take(&mut self.missed) {
                return Ok((self.tenant, Heard::Missed));
            }
            let Some(mut came) = self.come().await? else { continue };
            if came.number < self.next {
                continue;
            }
            if came.number > self.next {
                (self.next, self.missed) = (came.number, true);
                came.earlier = true;
                self.came = Some(came);
                continue;
            }
            // What waited here may have been forgotten meanwhile, at another server.
            if came.earlier && self.wanted(&came) {
                self.came = Some(came);
                match self.look().await {
                    Ok(Ok(_)) => {}
                    Ok(Err(gone)) => return Err(gone),
                    Err(BusUnavailable) => {
                        self.rest().await;
                        continue;
                    }
                }
                let Some(looked_at) = self.came.take() else { continue };
                came = looked_at;
            }
            if let Some(heard) = self.heard(came) {
                return Ok(heard);
            }
        }
    }

    /// Whether somebody would hear it.
    fn wanted(&self, came: &Came) -> bool {
        envelope::open(&came.message).is_some_and(|(_, message)| self.pattern.matches(&message.subject))
    }
}

#[async_trait]
impl Subscription for Listener {
    async fn next<'t>(&mut self, tenant: &Tenant<'t>) -> Option<Private<'t, Heard>> {
        let (of, heard) = self.next_heard().await.ok()?;
        Some(Private::arrived(tenant, Origin::authenticated(of), heard))
    }
}
