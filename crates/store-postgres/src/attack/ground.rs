//! [`Ground`]: two tenants of one kind of isolation, how each is reached, and what is known of the victim.

use super::{Attacker, Sides};
use crate::error::Fault;
use crate::home::{Param, params};
use crate::homes::{binding, password};
use crate::init::SetupError;
use crate::link::Link;
use crate::naming::Naming;
use crate::schema::{POOLED, Place};
use crate::token::{self, Tokens};
use env::Env;
use ids::{Id as _, TenantId};
use kms::WrappedKey;
use secret::SecretText;
use std::collections::BTreeMap;
use store::Isolation;
use tokio_postgres::{Client, Error, Row};

/// The time at the database, in milliseconds.
const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";

/// A transaction in which nothing is waited for: what is attacked may be in use.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '5s'";

/// One of the two tenants.
pub(super) struct Party {
    pub(super) tenant: TenantId,
    /// Its id as it stands in rows, in hexadecimal digits.
    pub(super) hex: String,
    /// Where its tables are.
    pub(super) schema: String,
    /// How they are reached, as the role that servers or it alone have.
    pub(super) link: Link,
    tokens: Tokens,
}

impl Party {
    /// A token as the store makes it.
    pub(super) fn token(&self) -> SecretText {
        self.tokens.make(self.tenant)
    }

    /// A token that ends so many milliseconds from now.
    pub(super) fn ending_in(&self, millis: i64) -> SecretText {
        self.tokens.ending_in(self.tenant, millis)
    }
}

/// Two tenants of one kind.
pub(super) struct Ground<'a> {
    pub(super) attacker: Party,
    pub(super) victim: Party,
    pub(super) isolation: Isolation,
    pub(super) canaries: &'a [SecretText],
    pub(super) naming: &'a Naming,
    pub(super) env: &'a Env,
    /// The address with the run-time role.
    pub(super) server: &'a Link,
    /// The administrator's, in any database.
    pub(super) admin: &'a Link,
    /// The tables with tenants' rows, and why one of them cannot be attacked.
    pub(super) tables: BTreeMap<&'static str, Option<String>>,
}

impl<'a> Ground<'a> {
    pub(super) async fn of(own: &'a Attacker, sides: &'a Sides) -> Result<Self, SetupError> {
        let victim = party(own, sides.victim, sides.isolation).await?;
        let attacker = party(own, sides.attacker, sides.isolation).await?;
        let mut tables = BTreeMap::new();
        for table in place(sides.isolation, &victim.schema).tables() {
            tables.insert(table, control(&victim, &attacker, table).await?);
        }
        let Sides { isolation, canaries, .. } = sides;
        let Attacker { naming, server, admin, env, .. } = own;
        Ok(Self { attacker, victim, isolation: *isolation, canaries, naming, env, server, admin, tables })
    }

    /// The name of the kind.
    pub(super) fn tier(&self) -> &'static str {
        self.isolation.as_str()
    }

    /// A table as it is named in what was found: without the id of whose schema it is.
    pub(super) fn place(&self, table: &str) -> String {
        let schema = if self.is_shared() { POOLED } else { "tenant" };
        format!("{schema}.{table}")
    }

    /// A statement about a table of the attacker's place: `{t}` is the table, `{own}` and `{victim}` are ids.
    pub(super) fn on(&self, table: &str, sql: &str) -> String {
        let named = format!("{}.{table}", self.attacker.schema);
        sql.replace("{t}", &named).replace("{own}", &self.attacker.hex).replace("{victim}", &self.victim.hex)
    }

    /// Whether the two share tables and a role.
    pub(super) fn is_shared(&self) -> bool {
        self.isolation == Isolation::Pooled
    }
}

/// Where such a tenant's tables are.
pub(super) fn place(isolation: Isolation, schema: &str) -> Place<'_> {
    match isolation {
        Isolation::Embedded | Isolation::Pooled => Place::Platform,
        Isolation::Schema => Place::Schema(schema),
        Isolation::Dedicated => Place::Dedicated(schema),
    }
}

async fn party(own: &Attacker, tenant: TenantId, isolation: Isolation) -> Result<Party, SetupError> {
    let (link, schema) = match isolation {
        Isolation::Embedded | Isolation::Pooled => (own.server.clone(), POOLED.to_owned()),
        Isolation::Schema | Isolation::Dedicated => {
            (own_link(own, tenant, isolation).await?, Naming::schema(tenant))
        }
    };
    let key = match isolation {
        Isolation::Dedicated => token::dedicated(&own.key, tenant),
        _ => own.key.clone(),
    };
    let tokens = Tokens::new(key, own.env.clone());
    tokens.database_time(link.connect().await?.query_typed_one(NOW, &[]).await?.try_get(0)?);
    Ok(Party { tenant, hex: hex::encode(tenant.to_bytes()), schema, link, tokens })
}

/// How the tenant's role reaches its home.
async fn own_link(own: &Attacker, tenant: TenantId, isolation: Isolation) -> Result<Link, SetupError> {
    let client = own.server.connect().await?;
    let (select, id) = ("SELECT sealed FROM tenantry.home WHERE tenant = $1", tenant.to_bytes());
    let row = client.query_typed_opt(select, params![id.as_slice() => BYTEA]).await?.ok_or(Fault::NoHome)?;
    let wrapped = WrappedKey::from_bytes(row.try_get(0)?).map_err(|_| Fault::Damaged("a sealed password"))?;
    let key = own.kms.unwrap(&binding(tenant), &wrapped).await.map_err(Fault::from)?;
    let role = own.naming.role(tenant);
    let database = if isolation == Isolation::Dedicated { &role } else { &own.naming.database };
    Ok(own.server.of(&role, &password(&key), database))
}

/// Why attacks on a table would show nothing: its owners' own statements must show their rows.
async fn control(victim: &Party, attacker: &Party, table: &str) -> Result<Option<String>, SetupError> {
    for (who, party) in [("victim", victim), ("attacker", attacker)] {
        let client = party.link.connect().await?;
        let own =
            format!("SELECT count(*) FROM {}.{table} WHERE tenant_id = '\\x{}'", party.schema, party.hex);
        let reason = match tried(&client, Some(&party.token()), &[], &own).await {
            Ok(rows) if rows.first().is_some_and(|row| row.try_get::<_, i64>(0).is_ok_and(|it| it > 0)) => {
                None
            }
            Ok(_) => Some(format!("the {who}'s own statement finds no row of its own in {table}")),
            Err(error) => Some(format!("the {who}'s own statement: {}", super::tally::code(&error))),
        };
        if reason.is_some() {
            return Ok(reason);
        }
    }
    Ok(None)
}

/// Carries a statement out after these in a transaction that is bound to a token, and takes back what it did.
pub(super) async fn tried(
    client: &Client,
    token: Option<&SecretText>,
    before: &[String],
    statement: &str,
) -> Result<Vec<Row>, Error> {
    tried_with(client, token, before, statement, &[]).await
}

/// The same with values.
pub(super) async fn tried_with(
    client: &Client,
    token: Option<&SecretText>,
    before: &[String],
    statement: &str,
    values: &[Param<'_>],
) -> Result<Vec<Row>, Error> {
    client.batch_execute(BEGIN).await?;
    let rows = async {
        if let Some(token) = token {
            bind(client, token).await?;
        }
        for statement in before {
            client.batch_execute(statement).await?;
        }
        client.query_typed(statement, values).await
    };
    let rows = rows.await;
    client.batch_execute("ROLLBACK").await?;
    rows
}

/// Sets the transaction's token as a bind value, as the store does.
pub(super) async fn bind(client: &Client, token: &SecretText) -> Result<(), Error> {
    let set = "SELECT set_config('tenantry.tenant', $1, true)";
    client.query_typed(set, params![token.expose() => TEXT]).await.map(drop)
}
