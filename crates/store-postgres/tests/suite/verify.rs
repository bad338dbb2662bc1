//! `tenantry verify --store` on a database that is sound, and on one in which somebody has made a mistake: each mistake
//! is named by the attack that finds it.

mod mistakes;

use crate::connect;
use crate::homes::{Scene, hex, run, schema};
use crate::policies::token;
use context::{Create, Tenant, Update, on};
use ids::Id as _;
use mistakes::{EVERYWHERE, Mistake, ONE_BY_ONE, SHOWN_IN_SHARED};
use postgres_instance::{address, admin};
use secret::SecretText;
use serde_json::json;
use std::collections::BTreeSet;
use store::{
    CallKind, CallStatus, CollectionSettings, Commit, Isolation, Mark, RecordStore as _, RunStatus,
    RunStore as _, UsageStore as _, WorkKind,
};
use store_postgres::Tls;
use store_postgres::attack::{Attacker, Attempt, Outcome, Sides, Target};
use store_tests::samples::{NOW, call, claim, commit, outcome, record, run as stored_run, update};
use tokio_postgres::Client;

const WORD: &str = "canary7f3a";

/// Two tenants of one kind that have something in every table.
struct Stage {
    scene: Scene,
    sides: Sides,
    attacker: Attacker,
    /// The administrator's, where the attacker's tables are, and where the victim's are.
    own: Client,
    victims: Client,
}

impl Stage {
    async fn set(isolation: Isolation) -> Self {
        Self::behind(isolation, None).await
    }

    /// The attacker gets to the database by this address, where there is one.
    async fn behind(isolation: Isolation, url: Option<&dyn Fn(&str) -> String>) -> Self {
        let scene = Scene::set().await;
        scene.place().provision(&scene.env());
        let victim = scene.create(isolation).await.unwrap();
        let attacker = scene.create(isolation).await.unwrap();
        for (tenant, number) in [(victim, 1), (attacker, 2)] {
            scene.world.visit(tenant, async |visit| fill(&scene, &visit, number).await).await;
        }
        let server = format!("{}_server", scene.place().database);
        let target = Target {
            admin_url: SecretText::new(admin().to_owned()),
            url: SecretText::new(url.map_or_else(|| scene.place().url(), |url| url(&server))),
            tls: Tls::default(),
            kms: scene.place().kms(&scene.env()),
            env: scene.env(),
        };
        let own = connect(&address("postgres", &scene.database(attacker, isolation))).await;
        let victims = connect(&address("postgres", &scene.database(victim, isolation))).await;
        own.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
        let sides = Sides { isolation, victim, attacker, canaries: vec![SecretText::new(WORD.to_owned())] };
        let attacker = Attacker::enter(&target).await.unwrap();
        Self { scene, sides, attacker, own, victims }
    }

    async fn attack(&self) -> Vec<Attempt> {
        self.attacker.attack(&self.sides).await.unwrap()
    }

    /// A statement with its names put in: `{s}` and `{v}` are the attacker's and the victim's schema.
    fn named(&self, sql: &str) -> String {
        let Sides { isolation, attacker, victim, .. } = &self.sides;
        let database = &self.scene.place().database;
        let (own, victims, role) = match isolation {
            Isolation::Pooled => ("pooled".to_owned(), "pooled".to_owned(), format!("{database}_server")),
            Isolation::Schema => (schema(*attacker), schema(*victim), self.scene.role(*attacker)),
            _ => (schema(*attacker), schema(*attacker), self.scene.role(*attacker)),
        };
        sql.replace("{s}", &own)
            .replace("{v}", &victims)
            .replace("{role}", &role)
            .replace("{owner}", &format!("{database}_owner"))
            .replace("{victim}", &hex(*victim))
            .replace("{theirs}", &self.scene.role(*victim))
    }
}

/// Puts something into every table.
async fn fill(scene: &Scene, visit: &Tenant<'_>, number: u8) {
    let store = &scene.store;
    let changes = visit.authorize::<Update<on::Record>>().unwrap();
    let settings =
        CollectionSettings { indexes: vec!["who".to_owned()], range_indexes: vec!["score".to_owned()] };
    let contacts = "contacts".parse().unwrap();
    store.declare_collection(&changes, &contacts, settings, commit(visit, "contacts")).await.unwrap();
    let creates = visit.authorize::<Create<on::Record>>().unwrap();
    let claimed = commit(visit, "record").claiming(Some(claim(&scene.env(), number)));
    store
        .create_record(&creates, record(number, json!({"who": WORD, "score": number})), claimed)
        .await
        .unwrap();
    let begins = visit.authorize::<Create<on::Run>>().unwrap();
    let stored = stored_run(number, store_tests::samples::id(number), WORD);
    let (kind, id) = (WorkKind::Run, stored.run.id.to_bytes());
    let marked = commit(visit, "run").and_mark(Mark::Open { kind, id, due: None });
    let delivery = Some(WORD.to_owned());
    store.create_run(&begins, stored.clone(), delivery, marked).await.unwrap();
    let moves = visit.authorize::<Update<on::Run>>().unwrap();
    let moved = update(&stored.run, RunStatus::Running, WORD);
    store.move_run(&moves, moved, Commit::default()).await.unwrap();
    // What is called stands in clear.
    let made = call(number, CallKind::Model, "offline", NOW);
    store.begin_call(visit, &made, Commit::default()).await.unwrap();
    store.end_call(visit, &made, outcome(CallStatus::Settled, "0.25"), Commit::default()).await.unwrap();
}

/// What leaked, as lines.
fn leaks(attempts: &[Attempt]) -> Vec<String> {
    let leaked = attempts.iter().filter_map(|it| match &it.outcome {
        Outcome::Leak(what) => Some(format!("{} | {} | {}: {what}", it.statement, it.place, it.attack)),
        _ => None,
    });
    leaked.collect()
}

/// What was not attacked, for whatever reason.
fn unattacked(attempts: &[Attempt]) -> Vec<&Attempt> {
    attempts
        .iter()
        .filter(|it| matches!(it.outcome, Outcome::Unattacked(_) | Outcome::NotOffered(_)))
        .collect()
}

/// Whether a line begins as it should, with anything in the place of a star.
fn begins(line: &str, expected: &str) -> bool {
    match expected.split_once('*') {
        None => line.starts_with(expected),
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            (0..rest.len()).any(|at| rest.get(at..).is_some_and(|rest| begins(rest, after)))
        }),
    }
}

fn assert_named(leaks: &[String], expected: &[&str], mistake: &str) {
    for expected in expected {
        assert!(leaks.iter().any(|line| begins(line, expected)), "{mistake}\n{expected}\n{leaks:#?}");
    }
}

async fn every_mistake_is_named(isolation: Isolation) {
    let stage = Stage::set(isolation).await;
    let sound = stage.attack().await;
    assert_eq!((leaks(&sound), unattacked(&sound).len()), (Vec::new(), 0), "{:?}", unattacked(&sound));
    assert!(sound.len() > 550, "{}", sound.len());
    let names: BTreeSet<_> = sound.iter().map(|it| (it.statement, &it.place, it.attack)).collect();
    assert_eq!(names.len(), sound.len());
    for Mistake { open, .. } in EVERYWHERE {
        stage.own.batch_execute(&stage.named(open)).await.unwrap();
    }
    let found = leaks(&stage.attack().await);
    for Mistake { open, named, .. } in EVERYWHERE {
        assert_named(&found, named, open);
    }
    if isolation == Isolation::Pooled {
        assert_named(&found, SHOWN_IN_SHARED, "shared");
    }
    if isolation == Isolation::Schema {
        assert_named(
            &found,
            &["SELECT | every view, table and function that was added | rows of the victim's"],
            "",
        );
    }
    for Mistake { close, .. } in EVERYWHERE {
        stage.own.batch_execute(&stage.named(close)).await.unwrap();
    }
    let definition = "SELECT pg_get_functiondef('tenantry.current_tenant()'::regprocedure)";
    let definition: String = stage.own.query_typed_one(definition, &[]).await.unwrap().get(0);
    for Mistake { open, close, named, shared } in ONE_BY_ONE {
        stage.own.batch_execute(&stage.named(open)).await.unwrap();
        let found = leaks(&stage.attack().await);
        assert_named(&found, named, open);
        if isolation == Isolation::Pooled {
            assert_named(&found, shared, open);
        }
        stage.own.batch_execute(&stage.named(close)).await.unwrap();
    }
    stage.own.batch_execute(&definition).await.unwrap();
    let again = stage.attack().await;
    assert_eq!((leaks(&again), unattacked(&again).len()), (Vec::new(), 0));
}

#[test]
fn every_mistake_in_shared_tables_is_named() {
    run(every_mistake_is_named(Isolation::Pooled));
}

#[test]
fn every_mistake_in_a_schema_of_its_own_is_named() {
    run(every_mistake_is_named(Isolation::Schema));
}

#[test]
fn every_mistake_in_a_database_of_its_own_is_named() {
    run(every_mistake_is_named(Isolation::Dedicated));
}

#[test]
fn a_setting_that_a_role_begins_with_is_named() {
    run(async {
        let stage = Stage::set(Isolation::Pooled).await;
        let token = token(&stage.scene.admin, stage.sides.victim, 55_000).await;
        let set = stage.named(&format!("ALTER ROLE {{role}} SET tenantry.tenant = '{token}'"));
        stage.own.batch_execute(&set).await.unwrap();
        let expected = [
            "SELECT | the setting `tenantry.tenant` | a connection that was just made",
            "SELECT | pooled.record | a connection that was just made",
            "catalog | pg_db_role_setting | a setting that every connection begins with: tenantry.tenant",
        ];
        assert_named(&leaks(&stage.attack().await), &expected, &set);
    });
}

#[test]
fn a_setting_that_was_left_in_a_poolers_connection_is_named() {
    run(async {
        let (folder, _pooler) = postgres_instance::pooler();
        let pooled =
            |role: &str| format!("host={folder} user={role} dbname={}", role.trim_end_matches("_server"));
        let stage = Stage::behind(Isolation::Pooled, Some(&pooled)).await;
        let sound = stage.attack().await;
        assert_eq!((leaks(&sound), unattacked(&sound).len()), (Vec::new(), 0), "{:?}", unattacked(&sound));
        let token = token(&stage.scene.admin, stage.sides.victim, 55_000).await;
        let careless = connect(&pooled(&format!("{}_server", stage.scene.place().database))).await;
        careless.batch_execute(&format!("SET tenantry.tenant = '{token}'")).await.unwrap();
        drop(careless);
        let expected = [
            "SELECT | the setting `tenantry.tenant` | a connection that was just made",
            "SELECT | pooled.record | a connection that was just made",
        ];
        assert_named(&leaks(&stage.attack().await), &expected, "a session's setting");
    });
}

#[test]
fn content_in_clear_and_doors_to_others_homes_are_named() {
    run(async {
        let shared = Stage::set(Isolation::Pooled).await;
        let clear = shared.named(&format!(
            "UPDATE pooled.record SET data = '{WORD}' WHERE tenant_id = '\\x{{victim}}';
             UPDATE tenantry.tenant SET name = '{WORD}' WHERE id = '\\x{{victim}}'"
        ));
        shared.own.batch_execute(&clear).await.unwrap();
        let expected = [
            "SELECT | pooled.record | the victim's words in clear, with its token",
            "SELECT | tenantry.tenant | the victim's words in clear",
        ];
        assert_named(&leaks(&shared.attack().await), &expected, &clear);

        let own = Stage::set(Isolation::Schema).await;
        let open = "GRANT USAGE ON SCHEMA {v} TO {role}; GRANT SELECT ON {v}.record TO {role};
            GRANT SELECT ON tenantry.tenant TO {role}";
        own.victims.batch_execute(&own.named(open)).await.unwrap();
        let expected = [
            "SELECT | record in the victim's home | with the own token",
            "SELECT | record in the victim's home | with the victim's token",
            "SELECT | tenantry.tenant | the platform's own tables",
        ];
        assert_named(&leaks(&own.attack().await), &expected, open);

        let dedicated = Stage::set(Isolation::Dedicated).await;
        let open = dedicated.named("GRANT CONNECT ON DATABASE {theirs} TO {role}");
        dedicated.victims.batch_execute(&open).await.unwrap();
        let found = leaks(&dedicated.attack().await);
        assert_named(&found, &["CONNECT | the victim's database | a database of somebody else's"], &open);
    });
}

#[test]
fn no_two_attack_a_database_at_a_time() {
    run(async {
        let stage = Stage::set(Isolation::Pooled).await;
        let target = Target {
            admin_url: SecretText::new(admin().to_owned()),
            url: SecretText::new(stage.scene.place().url()),
            tls: Tls::default(),
            kms: stage.scene.place().kms(&stage.scene.env()),
            env: stage.scene.env(),
        };
        assert!(Attacker::enter(&target).await.is_err());
        drop(stage.attacker);
        for _ in 0..100 {
            if Attacker::enter(&target).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the lock stayed");
    });
}
