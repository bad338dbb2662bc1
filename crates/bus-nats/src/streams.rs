//! [`Streams`]: one for each tenant, which keeps what the tenant was told lately, within its own bounds.
//!
//! That nobody answers is taken for a missing stream in one place alone, where a message was told under a subject that
//! belongs to no stream. Everywhere else it means that JetStream is not there.

use crate::{Connection, Settings, envelope};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{
    CreateStreamErrorKind, DeleteStreamErrorKind, GetStreamErrorKind, PublishErrorKind,
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use bus::{BusUnavailable, Message};
use futures::StreamExt as _;
use ids::TenantId;
use std::fmt::Display;
use std::time::Duration;

/// How long a consumer without anybody who waits for it stays.
const DESERTED: Duration = Duration::from_secs(60);

/// The streams of all tenants.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) connection: Connection,
    settings: Settings,
}

/// Where a tenant's stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// When it was made, in nanoseconds: a stream that is made anew begins another order.
    pub(crate) order: u64,
    /// The number of the first message that is kept, or of the next one.
    pub(crate) first: u64,
    /// The number of the next message.
    pub(crate) next: u64,
}

/// Nobody keeps what is told under this subject.
struct NoStream;

pub(crate) fn name(tenant: TenantId) -> String {
    let id = tenant.to_string();
    format!("TENANT_{}", id.strip_prefix("ten_").unwrap_or(&id))
}

/// All subjects of a tenant, and no others.
fn subjects(tenant: TenantId) -> String {
    format!("tenant.{tenant}.>")
}

fn unavailable(tenant: TenantId, what: &str, error: &dyn Display) -> BusUnavailable {
    tracing::warn!(tenant.id = %tenant, %error, "NATS: {what}");
    BusUnavailable
}

impl Streams {
    pub(crate) fn new(connection: Connection, settings: Settings) -> Self {
        Self { connection, settings }
    }

    fn config(&self, tenant: TenantId) -> Config {
        Config {
            name: name(tenant),
            subjects: vec![subjects(tenant)],
            max_messages: i64::from(self.settings.tenant_messages),
            max_bytes: i64::from(self.settings.tenant_bytes),
            max_age: self.settings.kept,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            // On disk, so that a restart of NATS takes nothing.
            storage: StorageType::File,
            ..Config::default()
        }
    }

    /// Makes the tenant's stream where there is none.
    pub(crate) async fn make(&self, tenant: TenantId) -> Result<Standing, BusUnavailable> {
        let wanted = self.config(tenant);
        let error = match self.connection.jetstream.create_stream(wanted.clone()).await {
            Ok(made) => return self.standing(tenant, made.cached_info()),
            Err(error) => error,
        };
        match error.kind() {
            // One with other bounds, as another version would make it.
            CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {
                self.rebound(tenant, wanted).await
            }
            _ => Err(unavailable(tenant, "the tenant's stream cannot be made", &error)),
        }
    }

    async fn rebound(&self, tenant: TenantId, wanted: Config) -> Result<Standing, BusUnavailable> {
        let found = self.connection.jetstream.get_stream(&wanted.name).await;
        let found = found.map_err(|error| unavailable(tenant, "the tenant's stream is not there", &error))?;
        // What is not the tenant's alone is left as it is.
        self.standing(tenant, found.cached_info())?;
        let updated = self.connection.jetstream.update_stream(wanted).await;
        let updated = updated.map_err(|error| unavailable(tenant, "a stream keeps its bounds", &error))?;
        self.standing(tenant, &updated)
    }

    /// Where the tenant's stream stands. Nothing where there is none.
    pub(crate) async fn look(&self, tenant: TenantId) -> Result<Option<Standing>, BusUnavailable> {
        let error = match self.connection.jetstream.get_stream(name(tenant)).await {
            Ok(found) => return self.standing(tenant, found.cached_info()).map(Some),
            Err(error) => error,
        };
        match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            _ => Err(unavailable(tenant, "the tenant's stream cannot be looked at", &error)),
        }
    }

    /// Removes the tenant's stream, and all that it keeps.
    pub(crate) async fn remove(&self, tenant: TenantId) -> Result<(), BusUnavailable> {
        self.end_consumers(tenant).await;
        let error = match self.connection.jetstream.delete_stream(name(tenant)).await {
            Ok(status) if status.success => return Ok(()),
            Ok(_) => return Err(unavailable(tenant, "the tenant's stream is still there", &"not removed")),
            Err(error) => error,
        };
        match error.kind() {
            DeleteStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(())
            }
            _ => Err(unavailable(tenant, "the tenant's stream is still there", &error)),
        }
    }

    /// Tells whoever reads the tenant's stream that there is nothing more. Consumers that go with their stream may go
    /// without a word; whoever is not told here finds out by the silence.
    async fn end_consumers(&self, tenant: TenantId) {
        let Ok(stream) = self.connection.jetstream.get_stream_no_info(name(tenant)).await else { return };
        let mut names = stream.consumer_names();
        while let Some(Ok(name)) = names.next().await {
            if stream.delete_consumer(&name).await.is_err() {
                return;
            }
        }
    }

    /// Puts a message into the tenant's stream, which is made where there is none.
    pub(crate) async fn publish(&self, tenant: TenantId, message: &Message) -> Result<(), BusUnavailable> {
        // It would be told when the connection is back, and whoever was refused has told it again by then. That can
        // still be so where nobody has seen yet that the connection is lost.
        if !self.connection.is_up() {
            return Err(BusUnavailable);
        }
        if let Ok(done) = self.put(tenant, message).await {
            return done;
        }
        self.make(tenant).await?;
        let put = self.put(tenant, message).await;
        put.unwrap_or_else(|NoStream| {
            Err(unavailable(tenant, "a message is not kept", &"no stream takes it"))
        })
    }

    async fn put(&self, tenant: TenantId, message: &Message) -> Result<Result<(), BusUnavailable>, NoStream> {
        let (headers, payload) = envelope::close(message);
        let subject = message.subject.whole(tenant);
        let sent = self.connection.jetstream.publish_with_headers(subject, headers, payload).await;
        let kept = match sent {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(kept) if kept.stream == name(tenant) => Ok(Ok(())),
            Ok(kept) => {
                tracing::error!(tenant.id = %tenant, stream = %kept.stream, "a stream of others takes in messages of tenants");
                Ok(Err(BusUnavailable))
            }
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => Err(NoStream),
            Err(error) => Ok(Err(unavailable(tenant, "a message is not kept", &error))),
        }
    }

    /// A consumer of the tenant's stream that begins with this number and acknowledges nothing. It goes by itself.
    pub(crate) async fn consumer(&self, tenant: TenantId, first: u64) -> Result<String, BusUnavailable> {
        // Of all subjects: only where no number is left out can it be seen that one is not kept any more.
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: first },
            ack_policy: AckPolicy::None,
            inactive_threshold: DESERTED,
            memory_storage: true,
            ..pull::Config::default()
        };
        let made = self.connection.jetstream.create_consumer_on_stream(config, name(tenant)).await;
        let made = made.map_err(|error| unavailable(tenant, "a stream cannot be read", &error))?;
        Ok(made.cached_info().name.clone())
    }

    fn standing(&self, tenant: TenantId, info: &Info) -> Result<Standing, BusUnavailable> {
        let config = &info.config;
        let own = config.subjects == [subjects(tenant)]
            && config.mirror.is_none()
            && config.sources.as_ref().is_none_or(Vec::is_empty);
        if !own {
            tracing::error!(tenant.id = %tenant, stream = %config.name, "a tenant's stream takes in what is not the tenant's");
            return Err(BusUnavailable);
        }
        let order = u64::try_from(info.created.unix_timestamp_nanos()).map_err(|_| BusUnavailable)?;
        let next = info.state.last_sequence.saturating_add(1);
        // A stream that never had a message says that its first is 0.
        Ok(Standing { order, first: info.state.first_sequence.clamp(1, next), next })
    }
}
