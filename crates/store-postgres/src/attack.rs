//! Attacks on the database by SQL, as the role that servers have and as the roles of tenants that have their own: what
//! whoever has statements carried out as one of them gets of another tenant. What they find is tables, numbers of rows
//! and kinds of statements, and never content.
//!
//! Two tenants of one kind of isolation are there already, with content in every table. Before an attack on a table
//! counts, the victim's own statement must show its rows there.

mod catalog;
mod context;
mod functions;
mod ground;
mod reads;
mod rights;
mod sealed;
mod statements;
mod tally;
mod writes;

use crate::Tls;
use crate::error::Fault;
use crate::home::params;
use crate::init::SetupError;
use crate::link::Link;
use crate::naming::Naming;
use crate::token;
use env::Env;
use ground::Ground;
use ids::TenantId;
use kms::Kms;
use secret::{SecretBytes, SecretText};
use std::sync::Arc;
use store::Isolation;
use tally::Tally;
use tokio_postgres::Client;

/// What is attacked.
pub struct Target {
    /// The administrator's address.
    pub admin_url: SecretText,
    /// The address with the run-time role.
    pub url: SecretText,
    /// What TLS goes by where the database is across a network.
    pub tls: Tls,
    /// What opens the key of tokens and the passwords of tenants' roles.
    pub kms: Arc<dyn Kms>,
    /// Clock and randomness.
    pub env: Env,
}

/// Two tenants of one kind.
pub struct Sides {
    /// The kind.
    pub isolation: Isolation,
    /// Whose rows are sought.
    pub victim: TenantId,
    /// On whose behalf they are.
    pub attacker: TenantId,
    /// Words in what the victim stores, which stand nowhere else.
    pub canaries: Vec<SecretText>,
}

/// How an attack ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It got nothing, and would have.
    Held,
    /// It got something; what.
    Leak(String),
    /// It would have shown nothing; why.
    Unattacked(String),
    /// The database does not have what is attacked; what to give.
    NotOffered(&'static str),
}

/// An attack, and how it ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The kind of isolation.
    pub tier: &'static str,
    /// The kind of statement.
    pub statement: &'static str,
    /// The table, or what else is attacked.
    pub place: String,
    /// The attack.
    pub attack: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// The number of the lock that keeps attacks on one database apart.
const ALONE: i64 = 0x7665_7269_6679;

/// Whoever attacks a database. No two do at a time.
pub struct Attacker {
    admin: Link,
    server: Link,
    naming: Naming,
    key: SecretBytes<32>,
    kms: Arc<dyn Kms>,
    env: Env,
    /// Holds the lock.
    _alone: Client,
}

impl Attacker {
    /// Gets ready for the database that `url` names.
    pub async fn enter(target: &Target) -> Result<Self, SetupError> {
        let admin = Link::parse(target.admin_url.expose(), &target.tls)?;
        let server = Link::parse(target.url.expose(), &target.tls)?;
        let naming = Naming::of(&server)?;
        let alone = admin.within(&naming.database).connect().await?;
        let taken = "SELECT pg_try_advisory_lock($1)";
        if !alone.query_typed_one(taken, params![ALONE => INT8]).await?.try_get::<_, bool>(0)? {
            return Err(SetupError::Unusable("somebody else attacks it at this moment".to_owned()));
        }
        let key = token::stored(&server.connect().await?, target.kms.as_ref()).await;
        let key = key.map_err(|_| SetupError::WrongMasterKey)?.ok_or(Fault::Damaged("the token key"))?;
        let (kms, env) = (target.kms.clone(), target.env.clone());
        Ok(Self { admin, server, naming, key, kms, env, _alone: alone })
    }

    /// Attacks one of two tenants on behalf of the other.
    pub async fn attack(&self, sides: &Sides) -> Result<Vec<Attempt>, SetupError> {
        let ground = Ground::of(self, sides).await?;
        let mut tally = Tally::new(ground.tier());
        reads::attack(&ground, &mut tally).await?;
        context::attack(&ground, &mut tally).await?;
        catalog::attack(&ground, &mut tally).await?;
        statements::attack(&ground, &mut tally).await?;
        rights::attack(&ground, &mut tally).await?;
        sealed::attack(&ground, &mut tally).await?;
        writes::attack(&ground, &mut tally).await?;
        functions::attack(&ground, &mut tally).await?;
        Ok(tally.attempts)
    }

    /// What leaks from the shared tables, where no two tenants could be put there: with the policies off the server's own
    /// statements take others' rows for the tenant's, and come to nothing. What holds, and what only two tenants show,
    /// is not said.
    pub async fn survey(&self) -> Result<Vec<Attempt>, SetupError> {
        let (victim, attacker) = (self.env.id(), self.env.id());
        let sides = Sides { isolation: Isolation::Pooled, victim, attacker, canaries: Vec::new() };
        let mut ground = Ground::of(self, &sides).await?;
        // Rows of anybody are a leak to somebody who has none.
        ground.tables.values_mut().for_each(|missing| *missing = None);
        let mut tally = Tally::new(ground.tier());
        reads::attack(&ground, &mut tally).await?;
        catalog::attack(&ground, &mut tally).await?;
        tally.attempts.retain(|attempt| matches!(attempt.outcome, Outcome::Leak(_)));
        Ok(tally.attempts)
    }
}
