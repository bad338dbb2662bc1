//! A database of its own for each test, under a master key of its own.

use env::Env;
use kms_file::{FileKms, MasterKey};
use postgres_instance::{address, admin, pooler};
use secret::SecretText;
use std::num::NonZeroUsize;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;
use store_postgres::{Carries, PostgresStore, Provisioner, Settings, SetupError, Tls, init};
use tempfile::TempDir;

/// Where a test's data are.
pub struct Place {
    folder: TempDir,
    /// Where the pooler is that the store goes through, and what keeps it running.
    pooler: Option<(String, Child)>,
    pub database: String,
}

impl Place {
    /// An empty database.
    pub async fn make(env: &Env) -> Self {
        let folder = TempDir::new().unwrap();
        let unique = folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let database = format!("t{}_{unique}", std::process::id());
        MasterKey::create_development(&folder.path().join("master.key"), env).unwrap();
        let place = Self { folder, pooler: None, database };
        place.init(env).await;
        place
    }

    /// Makes the database, or brings it to the newest version.
    pub async fn init(&self, env: &Env) {
        init(admin(), &self.url(), &Tls::default(), self.kms(env).as_ref(), env).await.unwrap();
    }

    pub fn master_key(&self) -> MasterKey {
        MasterKey::load(&self.folder.path().join("master.key")).unwrap()
    }

    /// Another master key, which is made when it is first asked for.
    pub fn another_key(&self, number: u8, env: &Env) -> MasterKey {
        let path = self.folder.path().join(format!("{number}.key"));
        if !path.exists() {
            MasterKey::create_development(&path, env).unwrap();
        }
        MasterKey::load(&path).unwrap()
    }

    pub fn kms(&self, env: &Env) -> Arc<FileKms> {
        Arc::new(FileKms::new(env.clone(), self.master_key(), None))
    }

    /// The address of the database with the run-time role.
    pub fn url(&self) -> String {
        let role = format!("{}_server", self.database);
        match &self.pooler {
            Some((folder, _)) => format!("host={folder} user={role} dbname={}", self.database),
            None => address(&role, &self.database),
        }
    }

    /// From here on the store goes through a pooler.
    pub fn behind_a_pooler(self) -> Self {
        Self { pooler: Some(pooler()), ..self }
    }

    /// The address of the database with the administrator.
    pub fn admin_url(&self) -> String {
        address("postgres", &self.database)
    }

    pub async fn open(&self, env: &Env) -> PostgresStore {
        self.try_open(env).await.unwrap()
    }

    pub async fn try_open(&self, env: &Env) -> Result<PostgresStore, SetupError> {
        PostgresStore::open(self.settings(), self.kms(env), env.clone()).await
    }

    pub fn settings(&self) -> Settings {
        Settings {
            pool: None,
            url: SecretText::new(self.url()),
            regions: vec!["local".parse().unwrap()],
            connections: 8,
            own_homes: NonZeroUsize::new(4).unwrap(),
            patience: Duration::from_secs(20),
            tls: Tls::default(),
            carries: Carries::Everybodys,
        }
    }

    pub fn provisioner(&self, env: &Env) -> Provisioner {
        Provisioner::new(admin(), &self.url(), &Tls::default(), self.kms(env), env.clone()).unwrap()
    }

    /// Serves what is asked for until the test is over.
    pub fn provision(&self, env: &Env) {
        let provisioner = self.provisioner(env);
        tokio::spawn(async move { provisioner.serve(std::future::pending()).await });
    }
}
