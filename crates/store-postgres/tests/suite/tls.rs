//! Links across a network: both sides prove who they are, and nothing goes over the wire otherwise. The database is
//! on this machine, and its address says that TLS is wanted all the same.

use crate::homes::run;
use env::{Env, Timestamp};
use kms_file::{FileKms, MasterKey};
use postgres_instance::own;
use secret::SecretText;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;
use store_postgres::{PostgresStore, Provisioner, Settings, SetupError, Tls, footing, init};
use tls_authority::{Authority, pem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A database server with a certificate for `db.test`.
struct Remote {
    authority: Authority,
    admin: String,
    port: u16,
    env: Env,
    kms: Arc<FileKms>,
    _until_the_input_ends: Child,
    _folder: tempfile::TempDir,
}

impl Remote {
    fn start() -> Self {
        let authority = Authority::new();
        let (certificate, key) = authority.sign("db.test");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (socket, child) = own(&[
            ("TLS_PORT", port.to_string()),
            ("TLS_CERTIFICATE", pem("CERTIFICATE", &certificate)),
            ("TLS_KEY", pem("PRIVATE KEY", key.secret_der())),
            ("TLS_AUTHORITY", pem("CERTIFICATE", &authority.certificate)),
        ]);
        let (env, _) = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1);
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("master.key");
        MasterKey::create_development(&file, &env).unwrap();
        let kms = Arc::new(FileKms::new(env.clone(), MasterKey::load(&file).unwrap(), None));
        let admin = format!("host={socket} port={port} user=postgres dbname=postgres");
        Self { authority, admin, port, env, kms, _until_the_input_ends: child, _folder: folder }
    }

    /// The address of the server's role under a name of the host's.
    fn url(&self, host: &str) -> String {
        let port = self.port;
        format!(
            "host={host} hostaddr=127.0.0.1 port={port} user=remote_server password=a-long-word dbname=remote \
             sslmode=require"
        )
    }

    async fn open(&self, host: &str, tls: Tls) -> Result<PostgresStore, SetupError> {
        let settings = Settings {
            pool: None,
            url: SecretText::new(self.url(host)),
            regions: vec!["local".parse().unwrap()],
            connections: 2,
            own_homes: NonZeroUsize::MIN,
            patience: Duration::from_secs(20),
            tls,
            carries: store_postgres::Carries::Everybodys,
        };
        PostgresStore::open(settings, self.kms.clone(), self.env.clone()).await
    }
}

#[test]
fn a_link_across_a_network_is_verified_on_both_sides() {
    run(async {
        let remote = Remote::start();
        let tls = || remote.authority.tls();
        init(&remote.admin, &remote.url("db.test"), &tls(), remote.kms.as_ref(), &remote.env).await.unwrap();
        let store = remote.open("db.test", tls()).await.unwrap();
        assert!(footing(&remote.url("db.test"), &tls()).await.unwrap().holds());

        // A tenant's role logs in with its own password, over TLS as well.
        let url = remote.url("db.test");
        let provisioner =
            Provisioner::new(&remote.admin, &url, &tls(), remote.kms.clone(), remote.env.clone()).unwrap();
        tokio::spawn(async move { provisioner.serve(std::future::pending()).await });
        let admin = crate::connect(&remote.admin.replace("dbname=postgres", "dbname=remote")).await;
        let ask = "INSERT INTO tenantry.provisioning(tenant, what, isolation)
            VALUES(decode(repeat('11', 16), 'hex'), 'make', 'dedicated')";
        admin.batch_execute(ask).await.unwrap();
        let state = "SELECT state, error FROM tenantry.provisioning";
        let mut found = (String::new(), None::<String>);
        for _ in 0..200 {
            let row = admin.query_typed_one(state, &[]).await.unwrap();
            found = (row.get(0), row.get(1));
            if found.0 == "done" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(found, ("done".to_owned(), None));
        let all = store.footing(1).await.unwrap();
        assert!(all.holds() && all.rows.iter().any(|row| row.tier == "dedicated"), "{all}");
        let open = "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl
            JOIN pg_stat_activity USING (pid) WHERE usename = 'remote_server'";
        let row = admin.query_typed_one(open, &[]).await.unwrap();
        assert!(row.get::<_, i64>(0) > 0 && row.get::<_, i64>(0) == row.get::<_, i64>(1));

        let another = Authority::new();
        let stranger = Tls { authorities: vec![another.certificate.clone()], ..tls() };
        assert!(matches!(remote.open("db.test", stranger).await, Err(SetupError::Tls(_))));
        assert!(matches!(remote.open("other.test", tls()).await, Err(SetupError::Tls(_))));
        // The public authorities have not signed it.
        let public = Tls { authorities: Vec::new(), ..tls() };
        assert!(matches!(remote.open("db.test", public).await, Err(SetupError::Tls(_))));
        let nameless = Tls { identity: None, ..tls() };
        assert!(matches!(
            remote.open("db.test", nameless).await,
            Err(SetupError::Tls(_) | SetupError::Unusable(_))
        ));
        let foreign = Tls { authorities: tls().authorities, ..another.tls() };
        assert!(matches!(remote.open("db.test", foreign).await, Err(SetupError::Tls(_))));
        assert!(remote.open("db.test", tls()).await.is_ok());
    });
}

#[test]
fn a_server_without_tls_hears_nothing() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 8];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(b"N").await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            rest
        });
        let url =
            format!("host=db.test hostaddr=127.0.0.1 port={port} user=u password=p dbname=d sslmode=require");
        let refused = footing(&url, &Tls::default()).await;
        assert!(matches!(refused, Err(SetupError::Tls(_))), "{refused:?}");
        assert!(heard.await.unwrap().is_empty());
        let plain = footing("postgres://u:p@db.example/d?sslmode=disable", &Tls::default()).await;
        assert!(matches!(plain, Err(SetupError::Plaintext)));
    });
}
