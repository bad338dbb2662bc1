//! What every case begins with: a bus and two tenants.

use admission_fixture::Fixture;
use bus::{Body, Bus, Heard, Message, Place, Subject, Subscription};
use context::{Operator, door};
use env::Env;
use ids::TenantId;
use metering::plan::Limits;
use serde_json::json;
use std::time::Duration;

/// How many messages of a tenant a bus under test keeps.
pub const KEPT: usize = 8;

/// How long it may take until a message is heard.
const SOON: Duration = Duration::from_secs(5);
/// How long nothing must be heard for it to be nothing.
const SILENCE: Duration = Duration::from_millis(50);

/// A bus under test.
pub trait Backend: Send + 'static {
    type Bus: Bus + 'static;

    /// An empty bus that keeps [`KEPT`] messages of each tenant.
    fn open(env: Env) -> impl Future<Output = Self::Bus>;
}

/// A bus with two tenants.
pub struct World<B: Backend> {
    pub fixture: Fixture,
    pub bus: B::Bus,
    pub operator: Operator,
    pub one: TenantId,
    pub two: TenantId,
}

impl<B: Backend> World<B> {
    /// Runs a case in a world of its own.
    pub fn run<R>(case: impl AsyncFnOnce(Self) -> R) -> R {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async {
            let fixture = Fixture::new(1);
            let bus = B::open(fixture.env()).await;
            let operator = fixture.operator().await;
            let (one, two) = (fixture.tenant(Limits::default()), fixture.tenant(Limits::default()));
            case(Self { fixture, bus, operator, one, two }).await
        })
    }

    /// Tells a message with this word in a tenant.
    pub async fn tell(&self, tenant: TenantId, subject: &str, word: &str) {
        let (subject, env) = (subject.parse::<Subject>().unwrap(), self.fixture.env());
        let body = Body::Hint(json!(word));
        let message = Message { id: env.id(), subject, at: env.now(), body };
        let visit = self.fixture.owner(tenant).await;
        visit.enter(async |tenant| self.bus.publish(&tenant, message).await).await.unwrap();
    }

    /// Tells these numbers, one after the other.
    pub async fn count(&self, tenant: TenantId, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.tell(tenant, "app.count", &number.to_string()).await;
        }
    }

    /// Listens in a tenant.
    pub async fn listen(
        &self,
        tenant: TenantId,
        pattern: &str,
        after: Option<Place>,
    ) -> Box<dyn Subscription> {
        let pattern = pattern.parse().unwrap();
        let visit = self.fixture.owner(tenant).await;
        visit.enter(async |tenant| self.bus.subscribe(&tenant, pattern, after).await).await.unwrap()
    }

    /// What is heard next in a tenant.
    pub async fn hear(&self, tenant: TenantId, listener: &mut Box<dyn Subscription>) -> Option<Heard> {
        let visit = self.fixture.owner(tenant).await;
        let heard = visit.enter(async |tenant| {
            let heard = listener.next(&tenant).await?;
            Some(door::answer(&tenant, heard).expect("it is the tenant's own"))
        });
        tokio::time::timeout(SOON, heard).await.expect("something is heard")
    }

    /// The word that is heard next, and its place.
    pub async fn word(&self, tenant: TenantId, listener: &mut Box<dyn Subscription>) -> (String, Place) {
        match self.hear(tenant, listener).await {
            Some(Heard::Message(place, message)) => {
                let Body::Hint(word) = message.body else { panic!("the body is another") };
                (word.as_str().unwrap().to_owned(), place)
            }
            heard => panic!("no message: {heard:?}"),
        }
    }

    /// The words that are heard next.
    pub async fn words(
        &self,
        tenant: TenantId,
        listener: &mut Box<dyn Subscription>,
        count: usize,
    ) -> Vec<String> {
        let mut words = Vec::new();
        for _ in 0..count {
            words.push(self.word(tenant, listener).await.0);
        }
        words
    }

    /// That nothing is heard.
    pub async fn silent(&self, tenant: TenantId, listener: &mut Box<dyn Subscription>) {
        let visit = self.fixture.owner(tenant).await;
        let heard = visit.enter(async |tenant| listener.next(&tenant).await.is_some());
        assert!(tokio::time::timeout(SILENCE, heard).await.is_err(), "something is heard");
    }
}
