//! Model calls whose intent cannot be written.

use crate::world::{Names, World};
use app::budgets::{self, BudgetInput};
use app::dispatch::{Dispatch, Order, Place};
use app::gateway::{
    Attribution, CacheSettings, FailedCall, Gateway, GatewayParts, NoUpstreamKeys, StartEndpoint, complete,
};
use app::{App, NoCredentials, Parts, Scratch};
use async_trait::async_trait;
use authz::Role;
use bus_local::LocalBus;
use context::{Private, Tenant};
use egress::AddressPolicy;
use errors::{Code, Problem};
use ids::{RunId, TenantId};
use limiter::Limiter;
use metering::budget::Per;
use metering::prices::{OperatorPrice, OperatorPrices, PriceTable};
use model::dialect::openai::{ChatCall, ChatRequest, Completion};
use model::{ChatAnswer, ModelEndpoint, ModelError, Target};
use money::Usd;
use secret::SecretBytes;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use store::{Endpoint, RunStatus};
use tokio::sync::watch;

/// A provider that answers at once, and counts.
#[derive(Default)]
struct AtOnce(AtomicU32);

#[async_trait]
impl ModelEndpoint for AtOnce {
    async fn chat<'t>(
        &self,
        _: &Tenant<'t>,
        _: &Target,
        call: Private<'t, ChatCall>,
    ) -> Result<ChatAnswer<'t>, ModelError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let body = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "usage": {"prompt_tokens": 100, "completion_tokens": 50},
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Hello."}}]});
        Ok(ChatAnswer::Whole(call.map(|_| Completion::read(body).unwrap())))
    }
}

/// Carries nothing out.
struct Idle;

#[async_trait]
impl Dispatch for Idle {
    fn reserve(&self, _: &Tenant<'_>) -> Result<Place, Problem> {
        Err(Problem::internal())
    }
    fn enqueue(&self, _: &Tenant<'_>, _: Place, _: RunId) {}
    fn under_way(&self, _: &Tenant<'_>) -> u64 {
        0
    }
    async fn order(&self, _: &Tenant<'_>, _: RunId, _: Order) -> Result<RunStatus, Problem> {
        Err(Problem::internal())
    }
    fn bell(&self, _: &Tenant<'_>, _: RunId) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
    fn suspend(&self, _: TenantId) {}
    fn resume(&self, _: TenantId) {}
    async fn forget(&self, _: TenantId) {}
    fn recover(&self, _: TenantId) {}
}

fn app(world: &World, provider: Arc<AtOnce>, folder: &str) -> Arc<App> {
    let price = |text: &str| text.parse().unwrap();
    let price = OperatorPrice {
        input_per_million: price("1"),
        output_per_million: price("10"),
        cached_input_per_million: None,
        cache_write_per_million: None,
    };
    let endpoint = Endpoint {
        name: "main".parse().unwrap(),
        url: "https://provider.test/v1".into(),
        dialect: "openai".into(),
        models: vec!["m".into()],
        sealed_api_key: None,
        tenant_credential: None,
        region: None,
        prices: OperatorPrices::from([("m".to_owned(), price)]),
        max_output_tokens: Some(100),
    };
    let gateway = Gateway::new(GatewayParts {
        http: provider,
        offline: None,
        policy: Arc::new(AddressPolicy::default()),
        resolver: Arc::new(Names),
        prices: PriceTable::built_in().unwrap(),
        tenant_keys: Arc::new(NoUpstreamKeys),
        start_endpoint: Some(StartEndpoint { endpoint, key: None }),
        call_time: Duration::from_secs(60),
        cache: CacheSettings::default(),
    })
    .unwrap();
    let store = Arc::new(world.store.clone());
    Arc::new(App::new(Parts {
        store: store.clone(),
        platform: store.clone(),
        lifecycle: store,
        authenticator: world.authenticator.clone(),
        env: world.env.clone(),
        regions: vec!["local".parse().unwrap()],
        public_url: "https://test".into(),
        operator_secrets_key: SecretBytes::take(&mut [1; 32]),
        scratch: Scratch::open(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder)).unwrap(),
        limiter: world.limiter.clone(),
        gateway,
        vault: world.vault.clone(),
        credentials: Arc::new(NoCredentials),
        dispatch: Arc::new(Idle),
        bus: Arc::new(LocalBus::new(bus_local::Settings::default(), world.env.clone())),
        witnesses: app::witnesses::Witnesses::default(),
    }))
}

/// A call under a budget, whose beginning is refused after so many looks: how it failed, what the budget has
/// spent after it, and how often the provider was asked.
async fn refused_after(looks: u32, folder: &str) -> (Box<FailedCall>, Usd, u32) {
    let world = World::new().await;
    let provider = Arc::new(AtOnce::default());
    let app = app(&world, provider.clone(), folder);
    let admission = world.admit(world.one, Role::Owner).await;
    let id = world.one.to_string();
    let set = admission.clone().enter(async |tenant| {
        let budget = BudgetInput { per: Per::Day, usd: "1".parse().unwrap() };
        budgets::put(&app, &tenant, ("tenant", &id), budget, None).await.map(drop)
    });
    set.await.unwrap();
    world.store.refuse_calls_after(looks);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello?"}]});
    let request = ChatRequest::from_value(body).unwrap();
    let time = Duration::from_secs(60);
    let outcome = complete(&app, admission.clone(), request, Attribution::default(), time).await;
    let failed = outcome.err().unwrap();
    let standing = admission.enter(async |tenant| world.limiter.budgets(&tenant).await.unwrap()[0]).await;
    assert_eq!(standing.reserved, Usd::ZERO);
    (failed, standing.spent, provider.0.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_call_whose_intent_is_refused_at_once_never_leaves() {
    let (failed, spent, asked) = refused_after(0, "refused-at-once").await;
    assert_eq!((failed.problem.code, failed.cost), (Code::Unavailable, Usd::ZERO));
    assert_eq!((spent, asked), (Usd::ZERO, 0));
}

#[tokio::test]
async fn a_call_that_was_answered_before_its_intent_is_refused_is_charged() {
    let (failed, spent, asked) = refused_after(3, "refused-later").await;
    let cost = "0.0006".parse().unwrap();
    assert_eq!((failed.problem.code, failed.cost), (Code::Unavailable, cost));
    assert_eq!((spent, asked), (cost, 1));
}
