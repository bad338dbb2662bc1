//! `tenantry verify --store` on a database that is sound, and on one in which somebody has made a mistake: each mistake
//! is named by the attack that finds it.

use crate::connect;
use crate::homes::{Scene, hex, run, schema};
use crate::policies::token;
use context::{Create, Tenant, Update, on};
use ids::Id as _;
use postgres_instance::{address, admin};
use secret::SecretText;
use serde_json::json;
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
    let settings = CollectionSettings { indexes: vec!["who".to_owned()] };
    let contacts = "contacts".parse().unwrap();
    store.declare_collection(&changes, &contacts, settings, commit(visit, "contacts")).await.unwrap();
    let creates = visit.authorize::<Create<on::Record>>().unwrap();
    let claimed = commit(visit, "record").claiming(Some(claim(&scene.env(), number)));
    store.create_record(&creates, record(number, json!({"who": WORD})), claimed).await.unwrap();
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

fn unattacked(attempts: &[Attempt]) -> Vec<&Attempt> {
    attempts.iter().filter(|it| matches!(it.outcome, Outcome::Unattacked(_))).collect()
}

/// A mistake, how it is taken back, and the beginnings of lines that name it.
struct Mistake {
    open: &'static str,
    close: &'static str,
    named: &'static [&'static str],
}

const fn mistake(open: &'static str, close: &'static str, named: &'static [&'static str]) -> Mistake {
    Mistake { open, close, named }
}

/// Mistakes that do not hide each other, since each is about something of its own. They are named in every kind of home.
const EVERYWHERE: &[Mistake] = &[
    mistake(
        "ALTER TABLE {s}.run NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE {s}.run FORCE ROW LEVEL SECURITY",
        &["catalog | pg_class of * | row-level security that does not hold for everybody: it is not forced"],
    ),
    mistake(
        "CREATE VIEW {s}.seen AS SELECT * FROM {v}.record; GRANT SELECT ON {s}.seen TO {role}",
        "DROP VIEW {s}.seen",
        &["catalog | every view | a view that reads with its owner's rights: *.seen"],
    ),
    mistake(
        "CREATE FUNCTION {s}.peek() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
         AS 'SELECT it::text FROM {v}.record AS it'",
        "DROP FUNCTION {s}.peek()",
        &["catalog | every function | a function that works with its owner's rights: *.peek()"],
    ),
    mistake(
        "GRANT SELECT ON {s}.call TO PUBLIC",
        "REVOKE SELECT ON {s}.call FROM PUBLIC",
        &["catalog | pg_class of *.call | rights of others than the owner and the role: PUBLIC has SELECT"],
    ),
    mistake(
        "CREATE POLICY wide ON {s}.delivery USING (true)",
        "DROP POLICY wide ON {s}.delivery",
        &["catalog | pg_policy of *.delivery | a policy that is wider than ours, or another: wide"],
    ),
    mistake(
        "DROP POLICY only_own ON {s}.usage_hour; DROP POLICY own ON {s}.usage_hour;
         CREATE POLICY own ON {s}.usage_hour USING (tenant_id = (SELECT tenantry.current_tenant())) WITH CHECK (true);
         CREATE POLICY only_own ON {s}.usage_hour AS RESTRICTIVE
            USING (tenant_id = (SELECT tenantry.current_tenant())) WITH CHECK (true)",
        "DROP POLICY only_own ON {s}.usage_hour; DROP POLICY own ON {s}.usage_hour;
         CREATE POLICY own ON {s}.usage_hour USING (tenant_id = (SELECT tenantry.current_tenant()))
            WITH CHECK (tenant_id = (SELECT tenantry.current_tenant()));
         CREATE POLICY only_own ON {s}.usage_hour AS RESTRICTIVE
            USING (tenant_id = (SELECT tenantry.current_tenant()))
            WITH CHECK (tenant_id = (SELECT tenantry.current_tenant()))",
        &[
            "catalog | pg_policy of *.usage_hour | a policy that does not check what is written: only_own, own",
            "INSERT | *.usage_hour | a row for the victim",
            "UPDATE | *.usage_hour | an own row becomes the victim's",
        ],
    ),
    mistake(
        "GRANT pg_monitor TO {role}",
        "REVOKE pg_monitor FROM {role}",
        &[
            "catalog | pg_auth_members | a role whose rights the attacker's role has: pg_monitor",
            "SELECT | pg_stat_activity | statements of other roles",
        ],
    ),
    mistake(
        "CREATE UNIQUE INDEX by_id ON {s}.object(id)",
        "DROP INDEX {s}.by_id",
        &["catalog | pg_index of *.object | a key in which the tenant does not stand: *.by_id"],
    ),
    mistake(
        "ALTER TABLE {s}.merkle_node OWNER TO {role}",
        "ALTER TABLE {s}.merkle_node OWNER TO {owner};
         GRANT SELECT, INSERT, UPDATE, DELETE ON {s}.merkle_node TO {role}",
        &[
            "catalog | pg_class of *.merkle_node | an owner that the attacker's role is",
            "footing | the role's attributes",
            "TRUNCATE | *.merkle_node | everybody's rows are removed",
        ],
    ),
    mistake(
        "GRANT SELECT ON tenantry.token_pad TO {role}",
        "REVOKE SELECT ON tenantry.token_pad FROM {role}",
        &["SELECT | tenantry.token_pad | the key of tokens: it was carried out"],
    ),
    mistake(
        "CREATE FUNCTION {s}.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER spy AFTER INSERT ON {s}.collection EXECUTE FUNCTION {s}.spy()",
        "DROP TRIGGER spy ON {s}.collection; DROP FUNCTION {s}.spy()",
        &["catalog | pg_trigger, pg_rewrite of *.collection | something that is carried out with each write: spy"],
    ),
    mistake(
        "ALTER TABLE {s}.remembered DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {s}.remembered ENABLE ROW LEVEL SECURITY",
        &[
            "SELECT | *.remembered | the transaction says no tenant",
            "SELECT | *.remembered | after the victim's transaction was cancelled",
            "COPY FROM | *.remembered",
            "SELECT | *.remembered | the policies are left out",
        ],
    ),
];

/// What the same mistakes show where tables are shared.
const SHOWN_IN_SHARED: &[&str] = &[
    "SELECT | every view, table and function that was added | rows of the victim's: pooled.seen, pooled.peek()",
    "INSERT | *.object | a key tells whether the victim has a row",
    "SELECT | *.remembered | the filter by tenant is forgotten",
    "SELECT | *.remembered | a condition that fails at rows of others",
    "SELECT FOR UPDATE | *.remembered",
    "SELECT TABLESAMPLE | *.remembered",
    "SELECT | *.remembered | rows are asked for by where they lie",
    "SELECT | *.remembered | the setting is replaced within the statement",
    "query_to_xml | *.remembered",
    "COPY TO | *.remembered",
    "EXECUTE | *.remembered",
    "UPDATE | *.remembered | the victim's rows become the attacker's",
    "DELETE | *.remembered | the victim's rows are removed",
];

/// Mistakes that are everybody's, one after the other.
const ONE_BY_ONE: &[Mistake] = &[
    mistake(
        "GRANT {owner} TO {role}",
        "REVOKE {owner} FROM {role}",
        &[
            "catalog | pg_auth_members",
            "SET ROLE | the owner's role",
            "ALTER TABLE | object | the policies are turned off",
            "CREATE POLICY | object",
            "CREATE FUNCTION | tenantry.current_tenant",
        ],
    ),
    // A tenant's id is believed as it is, and no code is asked for.
    mistake(
        "CREATE OR REPLACE FUNCTION tenantry.current_tenant() RETURNS bytea LANGUAGE sql STABLE SECURITY DEFINER
         AS $$ SELECT decode(left(nullif(current_setting('tenantry.tenant', true), ''), 32), 'hex') $$",
        "",
        &[],
    ),
];

/// What believing an id shows where tables are shared.
const BELIEVED: &[&str] = &[
    "the transaction says the victim's id and proves nothing",
    "the victim's id under the code of another token",
    "a token that has ended is shown again",
    "a token with a later end than was signed",
    "a token that holds for longer than the database takes",
    "a token that lacks its last digit",
    "two tokens in one setting",
];

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
    for Mistake { open, close, named } in ONE_BY_ONE {
        stage.own.batch_execute(&stage.named(open)).await.unwrap();
        let attempts = stage.attack().await;
        assert_named(&leaks(&attempts), named, open);
        if named.is_empty() && isolation == Isolation::Pooled {
            let lines: Vec<_> =
                BELIEVED.iter().map(|attack| format!("SELECT | pooled.run | {attack}")).collect();
            assert_named(&leaks(&attempts), &lines.iter().map(String::as_str).collect::<Vec<_>>(), open);
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
