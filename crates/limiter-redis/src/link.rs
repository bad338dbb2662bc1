//! [`Link`]: the connection, the epoch that it is in, and the scripts.

use crate::flights::Flights;
use crate::outage::Outage;
use crate::pack;
use crate::{Address, Settings, Time};
use env::Env;
use ids::{EventId, TenantId};
use limiter::LimiterUnavailable;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

const LIMITS: &str = concat!(
    include_str!("lua/state.lua"),
    include_str!("lua/answers.lua"),
    include_str!("lua/operations.lua")
);
const SERVERS: &str = include_str!("lua/servers.lua");
const SERVERS_KEY: &str = "tenantry:servers";
/// How long a restoring command may take, which brings all that the rows tell.
const LARGE: Duration = Duration::from_secs(5);

/// A connection to one run of Redis.
#[derive(Clone)]
pub(crate) struct Live {
    connection: MultiplexedConnection,
    run: String,
    pub(crate) epoch: String,
    pub(crate) number: u64,
}

pub(crate) struct Link {
    address: Address,
    settings: Settings,
    env: Env,
    /// This server, for as long as it runs.
    server: String,
    limits: redis::Script,
    servers: redis::Script,
    live: Mutex<(u64, Option<Live>)>,
    outage: Arc<Outage>,
}

/// What the limits' script answered.
pub(crate) struct Reply {
    pub(crate) status: String,
    rest: Vec<Value>,
}

impl Reply {
    fn read(value: Value) -> Option<Self> {
        let Value::Array(mut rest) = value else { return None };
        let status = text(rest.first()?)?;
        rest.drain(..rest.len().min(3));
        Some(Self { status, rest })
    }

    pub(crate) fn text(&self, place: usize) -> Option<String> {
        text(self.rest.get(place)?)
    }

    pub(crate) fn number(&self, place: usize) -> Option<i64> {
        self.text(place)?.parse().ok()
    }

    pub(crate) fn list(&self, place: usize) -> Vec<String> {
        let Some(Value::Array(list)) = self.rest.get(place) else { return Vec::new() };
        list.iter().filter_map(text).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Link {
    pub(crate) fn new(address: &Address, env: Env, settings: Settings, outage: Arc<Outage>) -> Self {
        Self {
            address: address.clone(),
            settings,
            server: env.id::<EventId>().to_string(),
            env,
            limits: redis::Script::new(LIMITS),
            servers: redis::Script::new(SERVERS),
            live: Mutex::default(),
            outage,
        }
    }

    /// The connection, made where there is none. A new one tells of this server's calls before it is used.
    pub(crate) async fn live(&self, flights: &Flights) -> Result<Live, LimiterUnavailable> {
        self.reach(flights).await.map_err(gone)
    }

    /// The same for whoever only looks.
    pub(crate) async fn reach(&self, flights: &Flights) -> RedisResult<Live> {
        let mut kept = self.live.lock().await;
        if let Some(live) = &kept.1 {
            return Ok(live.clone());
        }
        kept.0 += 1;
        let connected = self.connect(kept.0, flights).await;
        if let Err(error) = &connected {
            self.outage.failed(error.is_connection_refusal(), Instant::now());
        }
        let live = connected?;
        kept.1 = Some(live.clone());
        Ok(live)
    }

    /// A command over this connection failed, or its epoch is over.
    pub(crate) async fn leave(&self, live: &Live) {
        let mut kept = self.live.lock().await;
        if kept.1.as_ref().is_some_and(|present| present.number == live.number) {
            kept.1 = None;
        }
    }

    async fn connect(&self, number: u64, flights: &Flights) -> RedisResult<Live> {
        let command = self.settings.command;
        let mut connection = self.address.open(command).await?;
        let about: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        let run = about.lines().find_map(|line| line.strip_prefix("run_id:"));
        let run = run.ok_or_else(|| unreadable("INFO tells no run_id"))?.trim().to_owned();
        let mut live = Live { connection, run, epoch: String::new(), number };
        live.epoch = self.register(&live, false).await?.0;
        self.outage.over(number);
        flights.renew(number);
        for tenant in flights.tenants() {
            self.give(&live, tenant, flights).await?;
        }
        if self.register(&live, true).await?.1 {
            self.outage.counted(number);
        }
        Ok(live)
    }

    /// The present epoch, and whether all servers have come back in it.
    async fn register(&self, live: &Live, joins: bool) -> RedisResult<(String, bool)> {
        let (grace, servers) = (self.settings.grace.as_millis(), self.settings.servers);
        let mut call = self.servers.key(SERVERS_KEY);
        call.arg(&live.run).arg(&self.server).arg(self.env.id::<EventId>().to_string());
        call.arg(grace.to_string()).arg(servers.to_string()).arg(if joins { "1" } else { "0" });
        let (epoch, open): (String, String) = call.invoke_async(&mut live.connection.clone()).await?;
        Ok((epoch, open == "1"))
    }

    /// Whether a tenant may be restored now. Where the epoch has changed, the next connection joins the new one.
    pub(crate) async fn open(&self, live: &Live) -> Result<bool, LimiterUnavailable> {
        match self.register(live, false).await {
            Ok((epoch, open)) if epoch == live.epoch => Ok(open),
            Ok(_) => {
                self.leave(live).await;
                Ok(false)
            }
            Err(error) => {
                self.leave(live).await;
                Err(gone(error))
            }
        }
    }

    /// Tells of the tenant's calls that are under way here.
    pub(crate) async fn give(&self, live: &Live, tenant: TenantId, flights: &Flights) -> RedisResult<()> {
        let calls = flights.of(tenant);
        if calls.is_empty() {
            return Ok(());
        }
        let mut arguments = vec![calls.len().to_string()];
        for (call, admitted) in calls {
            arguments.extend([call.to_string(), admitted.epoch, admitted.packed]);
        }
        self.ask(live, tenant, "give", &arguments).await.map(drop)
    }

    /// One round trip; two where Redis does not know the script yet.
    pub(crate) async fn ask(
        &self,
        live: &Live,
        tenant: TenantId,
        operation: &str,
        arguments: &[String],
    ) -> RedisResult<Reply> {
        let mut connection = live.connection.clone();
        if operation == "restore" || operation == "charge" {
            connection.set_response_timeout(LARGE.max(self.settings.command));
        }
        let clock = match self.settings.time {
            Time::Redis => "redis",
            Time::Caller => "caller",
        };
        let mut call = redis::cmd("EVALSHA");
        call.arg(self.limits.get_hash()).arg(13).arg(&pack::keys(tenant)[..]);
        call.arg(operation).arg(&live.epoch).arg(self.env.now().millis()).arg(clock);
        call.arg(self.settings.lease_margin.as_millis().to_string());
        call.arg(self.settings.idle.as_millis().to_string()).arg(arguments);
        let answer = match call.query_async::<Value>(&mut connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.limits.load_async(&mut connection).await?;
                call.query_async(&mut connection).await?
            }
            answer => answer?,
        };
        Reply::read(answer).ok_or_else(|| unreadable("an answer of the script"))
    }

    /// What Redis tells of itself.
    pub(crate) async fn about(&self, live: &Live, section: &str) -> RedisResult<String> {
        redis::cmd("INFO").arg(section).query_async(&mut live.connection.clone()).await
    }

    /// Removes all that stands of a tenant.
    pub(crate) async fn remove(&self, live: &Live, tenant: TenantId) -> RedisResult<()> {
        redis::cmd("DEL").arg(&pack::keys(tenant)[..]).query_async(&mut live.connection.clone()).await
    }
}

fn unreadable(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, what))
}

/// Without Redis nothing is admitted.
pub(crate) fn gone(error: RedisError) -> LimiterUnavailable {
    tracing::warn!(%error, "the limits in Redis cannot be reached");
    LimiterUnavailable::ForNow
}
