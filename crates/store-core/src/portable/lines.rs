//! The lines, and the sum over them by which both sides know that they have the same.

use crate::backup::BackupError;
use crate::keys::LogAge;
use context::{IndexedSubject, KeyedHash, TenantStatus};
use env::Timestamp;
use ids::{Slug, TenantId};
use metering::plan::Overrides;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use store::{Exported, Isolation, TenantRow};

/// What one deployment's platform tells another's of a tenant. It is the first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// What the operator calls it.
    pub name: String,
    /// The operator's own id for it.
    pub external_id: Option<String>,
    /// Where its data rests: the audit log's checkpoints name it, so that it stays.
    pub region: Slug,
    /// Its plan, which must be there.
    pub plan: Slug,
    /// What differs from the plan.
    pub overrides: Overrides,
    /// When it was made.
    pub created_at: Timestamp,
    /// How often it was restored.
    pub generation: u64,
    /// Which of its audit logs it writes.
    pub log_epoch: u64,
    /// Which of the servers that came one after the other signs it.
    pub log_generation: u64,
    /// Its credentials' lines of the index.
    pub credentials: Vec<Credential>,
}

/// What the credential index has to have for a tenant.
pub type IndexLines = Vec<(KeyedHash, IndexedSubject, Option<Timestamp>)>;

impl Told {
    /// What is told of the tenant of this row.
    pub fn new(row: TenantRow, log: LogAge, credentials: Vec<Credential>) -> Self {
        let TenantRow { name, external_id, region, plan, overrides, created_at, generation, .. } = row;
        let LogAge { epoch: log_epoch, generation: log_generation } = log;
        Self {
            name,
            external_id,
            region,
            plan,
            overrides,
            created_at,
            generation,
            log_epoch,
            log_generation,
            credentials,
        }
    }

    /// The tenant as it is to be made, with what the index is to have for it: as it was, but suspended.
    pub fn arriving(
        self,
        id: TenantId,
        isolation: Isolation,
    ) -> Result<(TenantRow, LogAge, IndexLines), BackupError> {
        let log = LogAge { epoch: self.log_epoch, generation: self.log_generation };
        let lines = self.credentials.into_iter().map(|it| {
            let hash = it.keyed_hash();
            let hash = hash.ok_or_else(|| BackupError::refused("The file has a credential of nobody's."))?;
            Ok((hash, it.subject, it.expires_at))
        });
        let lines = lines.collect::<Result<_, BackupError>>()?;
        let row = TenantRow {
            id,
            name: self.name,
            external_id: self.external_id,
            region: self.region,
            plan: self.plan,
            overrides: self.overrides,
            throwaway: None,
            isolation,
            status: TenantStatus::Suspended,
            created_at: self.created_at,
            generation: self.generation,
            version: 1,
        };
        Ok((row, log, lines))
    }
}

/// A line of the credential index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credential {
    /// The keyed hash, in hexadecimal digits.
    pub hash: String,
    /// What it stands for.
    pub subject: IndexedSubject,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

impl Credential {
    /// A line of the index.
    pub fn new(hash: KeyedHash, subject: IndexedSubject, expires_at: Option<Timestamp>) -> Self {
        Self { hash: hex::encode(hash.0), subject, expires_at }
    }

    /// The hash, where it stands for something that a tenant can have.
    pub fn keyed_hash(&self) -> Option<KeyedHash> {
        match self.subject {
            IndexedSubject::ApiKey { .. }
            | IndexedSubject::SigningKey { .. }
            | IndexedSubject::Hook { .. } => {}
            IndexedSubject::Operator { .. }
            | IndexedSubject::VerifyGrant { .. }
            | IndexedSubject::Worker { .. } => return None,
        }
        Some(KeyedHash(hex::decode(&self.hash).ok()?.try_into().ok()?))
    }
}

/// A row of a tenant's. Bodies are JSON as the layers above wrote it; bytes are in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of the rows that the variants name")]
pub enum Line {
    /// A key, an agent, a workflow and the like.
    Object { kind: String, id: String, owner: Option<String>, version: u64, body: String },
    /// A record.
    Record { collection: String, id: String, created_at: i64, updated_at: i64, version: u64, data: String },
    /// What is declared of a collection.
    Collection { name: String, settings: String },
    /// A run, with what it began from.
    Run { run: String, state: String, definition: String, config: String, input: String },
    /// A step of a run.
    Step { run: String, id: String, body: String, state: String },
    /// An event of a run.
    RunEvent { run: String, number: u64, at: i64, body: String },
    /// A delivery that began a run, by its token.
    Delivery { token: String, run: String },
    /// A call.
    Call { id: String, body: String, outcome: Option<String> },
    /// What calls of an hour came to.
    Hour {
        hour: i64,
        kind: String,
        target: String,
        key: String,
        agent: String,
        workflow: String,
        totals: String,
    },
    /// An idempotency key and what it was answered.
    Remembered { key: String, request: String, until: i64, status: Option<u16>, body: Option<String> },
    /// An event of the audit log.
    AuditEvent {
        epoch: u64,
        number: u64,
        time: i64,
        action: String,
        actor: String,
        resource: String,
        hash: String,
        leaf: String,
        disclosures: String,
    },
}

impl Line {
    /// What it is a line of.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Object { .. } => "object",
            Self::Record { .. } => "record",
            Self::Collection { .. } => "collection",
            Self::Run { .. } => "run",
            Self::Step { .. } => "step",
            Self::RunEvent { .. } => "run_event",
            Self::Delivery { .. } => "delivery",
            Self::Call { .. } => "call",
            Self::Hour { .. } => "hour",
            Self::Remembered { .. } => "remembered",
            Self::AuditEvent { .. } => "audit_event",
        }
    }
}

/// How many lines of each kind there are, and a sum over their content that does not go by their order. Two tenants'
/// rows that sum up alike are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    counts: BTreeMap<String, u64>,
    /// The sum of the lines' SHA-256, as four numbers that wrap.
    sum: [u64; 4],
}

impl Summary {
    /// Takes a line up, as it is written.
    pub fn add(&mut self, line: &Line, text: &[u8]) {
        *self.counts.entry(line.kind().to_owned()).or_default() += 1;
        let hash = Sha256::digest(text);
        for (sum, bytes) in self.sum.iter_mut().zip(hash.chunks_exact(8)) {
            let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            *sum = sum.wrapping_add(number);
        }
    }

    /// Takes a line up that is not written.
    pub fn count(&mut self, line: &Line) -> Result<(), serde_json::Error> {
        self.add(line, &serde_json::to_vec(line)?);
        Ok(())
    }

    /// What is told of it to whoever has the tenant exported or imported.
    pub fn of_tenant(&self, tenant: TenantId) -> Exported {
        let sum = self.sum.iter().map(|part| format!("{part:016x}")).collect();
        Exported { tenant, rows: self.lines(), audit_events: self.of("audit_event"), sum }
    }

    /// How many lines there are.
    pub fn lines(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many lines there are of one kind.
    pub fn of(&self, kind: &str) -> u64 {
        self.counts.get(kind).copied().unwrap_or_default()
    }
}
