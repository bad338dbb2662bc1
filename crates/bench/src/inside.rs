//! The store and the authenticator of a data folder, in this process: for what takes microseconds, which no
//! call over a socket can show.

use anyhow::{Context as _, bail};
use audit::event::Action;
use context::{Admission, Authenticator, Caller, Create, FailureLog, IndexKey, Presented, RequestFacts, on};
use env::{Clock, Env, Rng, Timestamp};
use ids::KeyId;
use kms_file::{FileKms, MasterKey};
use secret::SecretText;
use serde_json::{Map, json};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{
    AuditTrail as _, Commit, KeyPurpose, Record, RecordStore as _, TenantKeyring as _, UsageStore as _,
};
use store_sqlite::{EmbeddedStore, Settings};

const TOUCH: Action = Action::new("sample.touch");

#[derive(Clone)]
pub(crate) struct Inside {
    store: EmbeddedStore,
    authenticator: Arc<Authenticator>,
    env: Env,
}

/// What a caller does once it is let in.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Takes the tenant's store in hand: one of the keys that it holds.
    Holds,
    /// Reads from the tenant's tables, which opens its file.
    Reads,
}

impl Inside {
    /// Opens a folder that no server holds.
    pub(crate) async fn open(data: &Path) -> anyhow::Result<Self> {
        let env = Env::new(Arc::new(SystemClock), Arc::new(SystemRng));
        let kms = FileKms::new(env.clone(), MasterKey::load(&data.join("master.key"))?, None);
        let settings = Settings { folder: data.to_owned(), regions: vec!["local".parse()?], durable: true };
        let store = EmbeddedStore::open(settings, Arc::new(kms), env.clone()).await?;
        let shared = Arc::new(store.clone());
        let authenticator = Arc::new(Authenticator::new(
            shared.clone(),
            shared,
            Arc::new(NobodyFails),
            Arc::new(IndexKey::new(store.index_key()?)),
            "http://bench".into(),
            env.clone(),
        ));
        Ok(Self { store, authenticator, env })
    }

    /// Closes what is idle beside what is measured, as in a server, until the runtime ends; the folder is held till
    /// then.
    pub(crate) fn keep_few_open(&self) {
        let store = self.store.clone();
        tokio::spawn(async move { store.keep_few_open().await });
    }

    /// Who calls with this key.
    pub(crate) async fn admission(&self, key: &str) -> anyhow::Result<Admission> {
        let presented = Presented { credential: Some(SecretText::new(key.to_owned())), tenant_header: None };
        let facts = RequestFacts::internal(self.env.id());
        match self.authenticator.authenticate(&presented, facts).await? {
            Caller::Tenant(admission) => Ok(admission),
            Caller::Operator(_) | Caller::Grant(_) => bail!("another key in place of a tenant's"),
        }
    }

    /// Writes one event into the tenant's log, durably.
    pub(crate) async fn append(&self, admission: Admission) -> anyhow::Result<()> {
        admission
            .enter(async |tenant| {
                let mut draft = context::event::draft(&tenant, TOUCH, "sample", "rec_1");
                draft.user_agent = Some("bench/1.0".into());
                self.store.append_events(&tenant, vec![draft]).await.map(drop)
            })
            .await
            .context("an event was not written")
    }

    /// Stores a record, so that the tenant has a file.
    pub(crate) async fn keep_something(&self, key: &str) -> anyhow::Result<()> {
        let (now, collection) = (self.env.now(), "notes".parse()?);
        let data = Map::from_iter([("word".to_owned(), json!("kept"))]);
        let record =
            Record { id: self.env.id(), collection, data, created_at: now, updated_at: now, version: 1 };
        self.admission(key)
            .await?
            .enter(async |tenant| {
                let access = tenant.authorize::<Create<on::Record>>()?;
                let event = context::event::draft(&tenant, TOUCH, "sample", record.id.to_string());
                self.store.create_record(&access, record, Commit::event(event)).await?;
                anyhow::Ok(())
            })
            .await
    }

    /// How often the disk was waited for.
    pub(crate) fn commits(&self) -> u64 {
        self.store.journal_commits()
    }

    /// From a key to the tenant's context with its plan, its rights and its store; how long that took.
    pub(crate) async fn bind(&self, key: &str, then: Then) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let admission = self.admission(key).await?;
        admission
            .enter(async |tenant| {
                match then {
                    Then::Holds => self.store.key(&tenant, KeyPurpose::Cache).await.map(drop)?,
                    Then::Reads => self.store.stored(&tenant).await.map(drop)?,
                }
                anyhow::Ok(begun.elapsed())
            })
            .await
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(since.as_millis() as i64)
    }
}

struct SystemRng;

impl Rng for SystemRng {
    #[expect(clippy::expect_used, reason = "without randomness nothing can be measured")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives no randomness");
    }
}

/// Every key of a measurement is right.
struct NobodyFails;

impl FailureLog for NobodyFails {
    fn note(&self, _: Option<IpAddr>, _: Option<KeyId>, _: Timestamp) {}
}
