//! What a durable append costs, with many tenants busy at once: a file for each tenant with a commit of its
//! own, against the node journal. The rows are audit events of the usual size.
//!
//! `cargo run -p store-sqlite --example commit_cost [SECONDS]`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement for people, with the real clock"
)]

use admission_fixture::Fixture;
use audit::event::{Action, Draft};
use authz::{Role, Scopes};
use context::{Admission, IndexedSubject, KeyedHash, Operator, Tenant, TenantStatus};
use env::Env;
use ids::{KeyId, TenantId};
use kms_file::{FileKms, MasterKey};
use metering::plan::{Limits, Overrides};
use secret::SecretBytes;
use sqlcipher::{Durability, OpenOptions};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{ApiKeyRecord, AuditTrail as _, NewTenant, PlatformStore as _, TenantRow};
use store_sqlite::{EmbeddedStore, Settings};

/// The size of a usual leaf with its hash, salts and indexed columns.
const ROW_BYTES: usize = 900;
const THREADS: usize = 256;

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let span = Duration::from_secs(seconds);
    for threads in [1, 10] {
        println!("fdatasync of 4 KiB by {threads} at once: {:.0} a second", syncs(threads, span));
    }
    println!(
        "| busy tenants | a file each, appends/s | node journal, appends/s | appends that share a sync |"
    );
    println!("|---|---|---|---|");
    for tenants in [1, 10, 100, 1000] {
        let files = file_each(tenants, span);
        let (journal, shared) = node_journal(tenants, span);
        println!("| {tenants} | {files:.0} | {journal:.0} | {shared:.1} |");
    }
}

/// How often the disk takes an append for certain, by threads with a file each.
fn syncs(threads: usize, span: Duration) -> f64 {
    let folder = tempfile::TempDir::new().unwrap();
    let (begun, count) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..threads {
            let mut file = File::create(folder.path().join(number.to_string())).unwrap();
            let count = &count;
            scope.spawn(move || {
                while begun.elapsed() < span {
                    file.write_all(&[7; 4096]).unwrap();
                    file.sync_data().unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// Appends a second where every tenant's file commits for itself.
fn file_each(tenants: usize, span: Duration) -> f64 {
    let folder = tempfile::TempDir::new().unwrap();
    let count = AtomicU64::new(0);
    let open = |number: usize| {
        let options = OpenOptions {
            create: true,
            durability: Durability::Full,
            exclusive: true,
            ..OpenOptions::default()
        };
        let key = SecretBytes::fill_with(|bytes| bytes.fill(number as u8));
        let tables = sqlcipher::open(&folder.path().join(format!("{number}.db")), &key, &options).unwrap();
        tables
            .execute_batch("CREATE TABLE audit_event(number INTEGER PRIMARY KEY, leaf BLOB NOT NULL)")
            .unwrap();
        tables
    };
    let threads = tenants.min(THREADS);
    let mut shares: Vec<Vec<_>> = (0..threads).map(|_| Vec::new()).collect();
    for number in 0..tenants {
        shares[number % threads].push(open(number));
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for share in shares {
            let count = &count;
            scope.spawn(move || {
                for tables in share.iter().cycle() {
                    if begun.elapsed() >= span {
                        break;
                    }
                    let mut insert =
                        tables.prepare_cached("INSERT INTO audit_event(leaf) VALUES(?1)").unwrap();
                    insert.execute([[7_u8; ROW_BYTES].as_slice()]).unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// Appends a second through the node journal, sealed, hashed and numbered as the server does it, and how
/// many of them shared a wait for the disk.
fn node_journal(tenants: usize, span: Duration) -> (f64, f64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let fixture = Fixture::new(tenants as u64);
        let env = fixture.env();
        let folder = tempfile::TempDir::new().unwrap();
        let store = open(folder.path(), &env).await;
        let operator = fixture.operator().await;
        let mut admissions = Vec::new();
        for _ in 0..tenants {
            let id = fixture.tenant(Limits::default());
            store.create_tenant(&operator, new_tenant(id, &operator, &env)).await.unwrap();
            let admission = fixture.admission(id, Role::Owner, Scopes::everything()).await;
            // The first append finds out where the log stands; what is measured comes after it.
            append(&store, admission.clone()).await;
            admissions.push(admission);
        }
        let before = store.journal_commits();
        let begun = Instant::now();
        let tasks = admissions.into_iter().map(|admission| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut count = 0_u64;
                while begun.elapsed() < span {
                    append(&store, admission.clone()).await;
                    count += 1;
                }
                count
            })
        });
        let mut count = 0;
        for task in tasks.collect::<Vec<_>>() {
            count += task.await.unwrap();
        }
        let shared = count as f64 / (store.journal_commits() - before) as f64;
        (count as f64 / begun.elapsed().as_secs_f64(), shared)
    })
}

async fn append(store: &EmbeddedStore, admission: Admission) {
    const TOUCH: Action = Action::new("sample.touch");
    admission
        .enter(async |tenant: Tenant<'_>| {
            let mut draft: Draft = context::event::draft(&tenant, TOUCH, "sample", "rec_1");
            draft.user_agent = Some("commit_cost/1.0".into());
            store.append_events(&tenant, vec![draft]).await.unwrap();
        })
        .await;
}

async fn open(folder: &Path, env: &Env) -> EmbeddedStore {
    let key = MasterKey::create_development(&folder.join("master.key"), env).unwrap();
    let kms = Arc::new(FileKms::new(env.clone(), key, None));
    let regions = vec!["local".parse().unwrap()];
    let settings = Settings { folder: folder.join("data"), regions, durable: true };
    EmbeddedStore::open(settings, kms, env.clone()).await.unwrap()
}

fn new_tenant(id: TenantId, operator: &Operator, env: &Env) -> NewTenant {
    let (key, role, scopes) = (env.id::<KeyId>(), Role::Owner, Scopes::everything());
    let row = TenantRow {
        id,
        name: "busy".into(),
        external_id: None,
        region: "local".parse().unwrap(),
        plan: "starter".parse().unwrap(),
        overrides: Overrides::default(),
        throwaway: None,
        isolation: store::Isolation::Embedded,
        status: TenantStatus::Active,
        created_at: env.now(),
        generation: 0,
        version: 1,
    };
    const MADE: Action = Action::new("tenant.create");
    NewTenant {
        events: vec![context::event::operator_draft(operator, MADE, "tenant", id.to_string())],
        row,
        key_hash: KeyedHash(env.random()),
        key: IndexedSubject::ApiKey { id: key, role, scopes: scopes.clone(), agent: None },
        key_record: ApiKeyRecord {
            id: key,
            name: "first".into(),
            role,
            scopes,
            agent: None,
            created_by: operator.key().to_string(),
            created_at: env.now(),
            expires_at: None,
            revoked_at: None,
        },
    }
}
