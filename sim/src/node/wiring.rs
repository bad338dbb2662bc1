//! Puts a node together, as `server` does, with ports that lead into the simulated network.

use super::Common;
use crate::bell::{NodeBell, NodeBus};
use crate::dice::Dice;
use crate::limits::NodeLimits;
use crate::models::NodeModel;
use crate::network::{Link, Peer};
use crate::outside::NodeEgress;
use crate::truth::NodeStore;
use crate::world::WallClock;
use anyhow::Context as _;
use app::gateway::{CacheSettings, Gateway, GatewayParts};
use app::vault::{Vault, VaultParts};
use app::witnesses::Witnesses;
use app::{App, Parts, Scratch};
use async_trait::async_trait;
use bus::Doorbell;
use bus_local::LocalBell;
use context::{AuditLog, Authenticator, CredentialIndex, FailureLog, IndexKey};
use egress::{AddressPolicy, Egress, Resolve, ResolveFailed};
use env::{Env, Timestamp};
use ids::KeyId;
use model::ModelEndpoint;
use model_offline::OfflineModel;
use secret::SecretBytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use worker::{Scheduler, Settings};

/// How long a model call may take. Its lease is a little longer, and ends within a simulation.
const CALL_TIME: Duration = Duration::from_secs(20);
/// How wrongly a node's clock on the wall may be set, in milliseconds.
const SKEW: u64 = 300;
const URL: &str = "https://tenantry.test";
/// The key of the credential index, which all servers are given.
const INDEX_KEY: [u8; 32] = [7; 32];

/// What a node runs on.
pub(super) struct Wired {
    pub(super) app: Arc<App>,
    pub(super) scheduler: Scheduler,
    pub(super) egress: Arc<dyn Egress>,
    pub(super) bell: Arc<dyn Doorbell>,
    /// Its own end of the doorbell.
    pub(super) here: LocalBell,
}

struct NoNames;

#[async_trait]
impl Resolve for NoNames {
    async fn resolve(&self, _: &str) -> Result<Vec<IpAddr>, ResolveFailed> {
        Err(ResolveFailed)
    }
}

struct NoFailures;

impl FailureLog for NoFailures {
    fn note(&self, _: Option<IpAddr>, _: Option<KeyId>, _: Timestamp) {}
}

/// Lets callers in, by what the store knows.
pub(crate) fn authenticator<S: CredentialIndex + AuditLog + 'static>(
    store: Arc<S>,
    env: Env,
) -> Authenticator {
    let key = Arc::new(IndexKey::new(SecretBytes::take(&mut INDEX_KEY.clone())));
    Authenticator::new(store.clone(), store, Arc::new(NoFailures), key, URL.to_owned(), env)
}

pub(super) fn wire(common: &Common, id: usize, dice: Dice) -> anyhow::Result<Wired> {
    let world = &common.world;
    let link = |peer| Link { world: Arc::clone(world), node: id, peer };
    let fast = i64::try_from(Dice::of(world.seed, &format!("clock {id}")).within(0..=2 * SKEW))? - 300;
    let clock = WallClock { world: Arc::clone(world), fast };
    let env = Env::new(Arc::new(clock), Arc::new(dice)).in_place();
    let store = NodeStore::new(link(Peer::Store), common.truth.clone());
    let limiter = Arc::new(NodeLimits { link: link(Peer::Limits), shared: Arc::clone(&common.limits) });
    let egress: Arc<dyn Egress> = Arc::new(NodeEgress(link(Peer::Outside)));
    let authenticator = Arc::new(authenticator(store.clone(), env.clone()));
    let scheduler = Scheduler::new(Settings::default(), env.clone());
    let policy = Arc::new(AddressPolicy::new([].into()));
    let vault = Arc::new(Vault::new(VaultParts {
        store: store.clone(),
        authenticator: Arc::clone(&authenticator),
        egress: Arc::clone(&egress),
        limiter: limiter.clone(),
        policy: Arc::clone(&policy),
        env: env.clone(),
        alone: false,
    }));
    let here = LocalBell::default();
    let bell = Arc::new(NodeBell { link: link(Peer::Bus), here: here.clone(), nodes: common.nodes });
    let model: Arc<dyn ModelEndpoint> =
        Arc::new(NodeModel { link: link(Peer::Models), model: OfflineModel::new(env.clone()) });
    let gateway = Gateway::new(GatewayParts {
        http: Arc::clone(&model),
        offline: Some(model),
        policy,
        resolver: Arc::new(NoNames),
        prices: common.prices.clone(),
        tenant_keys: vault.clone(),
        start_endpoint: None,
        call_time: CALL_TIME,
        cache: CacheSettings::default(),
    });
    let app = App::new(Parts {
        store: store.clone(),
        platform: store.clone(),
        lifecycle: store,
        authenticator,
        env,
        regions: vec!["local".parse()?],
        public_url: URL.to_owned(),
        operator_secrets_key: SecretBytes::take(&mut [9; 32]),
        scratch: Scratch::open(common.scratch.join(format!("node-{id}"))).context("the folder for files")?,
        limiter,
        gateway: gateway?,
        vault: vault.clone(),
        credentials: vault,
        dispatch: Arc::new(scheduler.clone()),
        bus: Arc::new(NodeBus { link: link(Peer::Bus), shared: common.bus.clone() }),
        witnesses: Witnesses::new(Vec::new()),
    });
    Ok(Wired { app: Arc::new(app), scheduler, egress, bell, here })
}
