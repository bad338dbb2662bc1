//! A change of the master key: all of it or none, whenever it ends, in every kind of home.

use crate::conformance::Tier;
use crate::connect;
use crate::homes::{Scene, run};
use crate::place::Place;
use async_trait::async_trait;
use context::Operator;
use env::Env;
use ids::TenantId;
use kms::{Binding, Kms, KmsError, MasterKeyId, Purpose, WrappedKey};
use kms_file::{FileKms, MasterKey};
use postgres_instance::admin;
use secret::SecretBytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::{Isolation, TenantLifecycle as _};
use store_postgres::{KeyRotation, PostgresStore, SetupError, Tls};

/// A key holder that stops answering after so many keys, as a process does that is killed.
struct Ending {
    kms: Arc<dyn Kms>,
    left: AtomicUsize,
}

#[async_trait]
impl Kms for Ending {
    fn master_key_id(&self) -> MasterKeyId {
        self.kms.master_key_id()
    }

    fn previous_master_key_id(&self) -> Option<MasterKeyId> {
        self.kms.previous_master_key_id()
    }

    async fn wrap(&self, binding: &Binding, key: &SecretBytes<32>) -> Result<WrappedKey, KmsError> {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            std::future::pending::<()>().await;
        }
        self.kms.wrap(binding, key).await
    }

    async fn unwrap(&self, binding: &Binding, wrapped: &WrappedKey) -> Result<SecretBytes<32>, KmsError> {
        self.kms.unwrap(binding, wrapped).await
    }

    async fn derive(&self, master: MasterKeyId, purpose: &Purpose) -> Result<SecretBytes<32>, KmsError> {
        self.kms.derive(master, purpose).await
    }
}

/// A database that everybody has left, with a tenant of each kind.
struct Left {
    place: Place,
    env: Env,
    operator: Operator,
    tenants: Vec<TenantId>,
}

impl Left {
    async fn leave() -> Self {
        let scene = Scene::set().await;
        let env = scene.env();
        let serving = scene.place().provisioner(&env);
        let mut tenants = vec![scene.world.one];
        for isolation in [Isolation::Pooled, Isolation::Schema, Isolation::Dedicated] {
            tokio::select! {
                made = scene.create(isolation) => tenants.push(made.unwrap()),
                () = serving.serve(std::future::pending()) => panic!("it never ends"),
            }
        }
        // They are made when they are first asked for.
        scene.store.index_key().await.unwrap();
        scene.store.operator_secrets_key().await.unwrap();
        let Scene { world, .. } = scene;
        let Tier { place, .. } = world.backend;
        Self { place, env, operator: world.operator, tenants }
    }

    fn key(&self, number: u8) -> MasterKey {
        match number {
            0 => self.place.master_key(),
            number => self.place.another_key(number, &self.env),
        }
    }

    fn kms(&self, present: u8, previous: Option<u8>) -> Arc<dyn Kms> {
        let previous = previous.map(|number| self.key(number));
        Arc::new(FileKms::new(self.env.clone(), self.key(present), previous))
    }

    async fn rotation(&self, kms: Arc<dyn Kms>) -> Result<KeyRotation, SetupError> {
        KeyRotation::enter(admin(), &self.place.url(), &Tls::default(), kms).await
    }

    async fn rotate(&self, present: u8, previous: u8) -> Result<u64, SetupError> {
        self.rotation(self.kms(present, Some(previous))).await?.rewrap().await
    }

    /// Whether a server with this key starts, and then reads everything of every tenant.
    async fn opens(&self, number: u8) -> bool {
        let opened =
            PostgresStore::open(self.place.settings(), self.kms(number, None), self.env.clone()).await;
        match opened {
            Ok(store) => {
                store.index_key().await.unwrap();
                store.operator_secrets_key().await.unwrap();
                for tenant in &self.tenants {
                    store.stored_bytes(&self.operator, *tenant).await.unwrap();
                }
                true
            }
            Err(SetupError::WrongMasterKey) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// How many values under this master key there are in the platform's tables, in whatever column.
    async fn wrapped_under(&self, number: u8) -> usize {
        let id = self.key(number).id().to_bytes();
        let sought: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let client = connect(&self.place.admin_url()).await;
        let columns = "SELECT table_name::text, column_name::text FROM information_schema.columns
            WHERE table_schema = 'tenantry' AND data_type = 'bytea'";
        let mut count = 0;
        for column in client.query_typed(columns, &[]).await.unwrap() {
            let (table, column): (String, String) = (column.get(0), column.get(1));
            let under = format!(
                "SELECT count(*) FROM tenantry.{table} WHERE position('\\x01{sought}'::bytea in {column}) = 1"
            );
            let row = client.query_typed_one(&under, &[]).await.unwrap();
            count += usize::try_from(row.get::<_, i64>(0)).unwrap();
        }
        count
    }
}

#[test]
fn a_new_master_key_opens_everything_and_the_old_one_nothing() {
    run(async {
        let left = Left::leave().await;
        let wrapped = left.wrapped_under(0).await;
        // Three of the server's own, three of each tenant and of the operators' log, and two passwords.
        assert!(wrapped >= 3 + 3 * (left.tenants.len() + 1) + 2, "{wrapped}");
        let rotated = left.rotate(7, 0).await.unwrap();
        assert!(rotated > left.tenants.len() as u64, "{rotated}");
        assert_eq!((left.wrapped_under(0).await, left.wrapped_under(7).await), (0, wrapped));
        assert!(left.opens(7).await);
        assert!(!left.opens(0).await);
        // Said again it does nothing, also with a wrong previous key: there is nothing under it.
        assert_eq!(left.rotate(7, 0).await.unwrap(), 0);
        assert_eq!(left.rotate(7, 9).await.unwrap(), 0);
        // And so on to the next, and what was sealed under tenants' keys is read and sealed anew.
        assert_eq!(left.rotate(8, 7).await.unwrap(), rotated);
        assert!(left.opens(8).await);
        let store =
            PostgresStore::open(left.place.settings(), left.kms(8, None), left.env.clone()).await.unwrap();
        for tenant in &left.tenants {
            store.change_data_key(&left.operator, *tenant).await.unwrap();
        }
    });
}

#[test]
fn a_rotation_that_ends_in_its_midst_changes_nothing() {
    run(async {
        let left = Left::leave().await;
        let wrapped = left.wrapped_under(0).await;
        for done in [0, 1, 3, 7, wrapped - 1] {
            let kms = Ending { kms: left.kms(7, Some(0)), left: AtomicUsize::new(done) };
            let rotating = left.rotation(Arc::new(kms)).await.unwrap().rewrap();
            let ended = tokio::time::timeout(Duration::from_secs(1), rotating).await;
            assert!(ended.is_err(), "{done}");
            assert_eq!((left.wrapped_under(0).await, left.wrapped_under(7).await), (wrapped, 0), "{done}");
            assert!(left.opens(0).await && !left.opens(7).await, "{done}");
        }
        left.rotate(7, 0).await.unwrap();
        assert!(left.opens(7).await && !left.opens(0).await);
    });
}

#[test]
fn a_wrong_previous_key_and_whoever_is_connected_are_refused() {
    run(async {
        let left = Left::leave().await;
        let wrapped = left.wrapped_under(0).await;
        assert!(matches!(left.rotate(7, 9).await, Err(SetupError::WrongMasterKey)));
        assert_eq!(left.wrapped_under(0).await, wrapped);
        let rotation = left.rotation(left.kms(7, Some(0))).await.unwrap();
        let server = left.place.open(&left.env).await;
        let role = format!("{}_server", left.place.database);
        let in_use = |error: SetupError| matches!(&error, SetupError::InUse(roles) if roles.contains(&role));
        // One that is there from the beginning, and one that came in between.
        assert!(in_use(left.rotation(left.kms(7, Some(0))).await.map(drop).unwrap_err()));
        assert!(in_use(rotation.rewrap().await.unwrap_err()));
        assert_eq!(left.wrapped_under(0).await, wrapped);
        drop(server);
        left.rotate(7, 0).await.unwrap();
        assert!(left.opens(7).await);
    });
}
