//! The platform store: tenants, plans, templates, endpoints, operators and the credential index's lines.
//! It holds no tenant content.

use crate::{Isolation, OperatorLog, OperatorStore, StoreError, TenantMove, VerifyGrants, WholeBackups};
use async_trait::async_trait;
use audit::event::Draft;
use context::{IndexedSubject, KeyedHash, Operator, Tenant, TenantStatus, Throwaway};
use env::Timestamp;
use ids::{BackupId, KeyId, Slug, TemplateId, TenantId};
use metering::plan::{Overrides, Plan};
use metering::prices::OperatorPrices;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A tenant, as the platform knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// What the operator calls it.
    pub name: String,
    /// The operator's own id for it.
    pub external_id: Option<String>,
    /// Where its data rests.
    pub region: Slug,
    /// Its plan.
    pub plan: Slug,
    /// What differs from the plan.
    pub overrides: Overrides,
    /// Which grant to run the attack suite made it, where one did. It is written when the tenant is made, and
    /// never again.
    pub throwaway: Option<Throwaway>,
    /// How it is kept apart.
    pub isolation: Isolation,
    /// Whether it takes part.
    pub status: TenantStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts restores; a backup carries the generation that it was taken in.
    pub generation: u64,
    /// Counts its changes, from 1.
    pub version: u64,
}

/// A tenant to be made, with its first key.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// The tenant.
    pub row: TenantRow,
    /// The first key's hash.
    pub key_hash: KeyedHash,
    /// What the first key stands for.
    pub key: IndexedSubject,
    /// What the tenant's own store keeps of the first key.
    pub key_record: crate::ApiKeyRecord,
    /// The first events of its log.
    pub events: Vec<Draft>,
}

/// A published template version. Immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// The template's id, the same for all versions.
    pub id: TemplateId,
    /// The template's name.
    pub name: Slug,
    /// The version, from 1.
    pub version: u32,
    /// The definition's text.
    pub definition: String,
    /// When it was published.
    pub created_at: Timestamp,
}

/// A provider's address that serves models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The endpoint's name.
    pub name: Slug,
    /// The base URL, up to and without `/chat/completions`.
    pub url: String,
    /// The dialect that it speaks.
    pub dialect: String,
    /// The models that it serves.
    pub models: Vec<String>,
    /// The operator's key, sealed under a key derived from the master key, in base64.
    pub sealed_api_key: Option<String>,
    /// The service whose credential the tenant's own calls carry, where tenants bring their key.
    pub tenant_credential: Option<Slug>,
    /// Where it processes.
    pub region: Option<String>,
    /// What its models cost.
    pub prices: OperatorPrices,
    /// The most that one answer may hold, where the caller does not say less.
    pub max_output_tokens: Option<u64>,
}

/// All endpoints, shared with whoever looks at them: every call does.
pub type Endpoints = std::sync::Arc<[std::sync::Arc<Endpoint>]>;

/// Keeps what the platform knows.
#[async_trait]
pub trait PlatformStore: OperatorStore + OperatorLog + VerifyGrants {
    /// The kinds of isolation that it offers. The first is that of a tenant for which none was asked.
    fn isolations(&self) -> &'static [Isolation];

    /// Makes a tenant, its key and its first key's line in one durable write, after the first events of
    /// its log are durable. A kind of isolation that it does not offer is refused.
    async fn create_tenant(&self, operator: &Operator, tenant: NewTenant) -> Result<(), StoreError>;

    /// A tenant. Deleted ones are not found.
    async fn tenant(&self, operator: &Operator, id: TenantId) -> Result<TenantRow, StoreError>;

    /// Tenants by id, after the given one.
    async fn tenants(
        &self,
        operator: &Operator,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRow>, StoreError>;

    /// Changes a tenant, if it still has the row's version. Its region and its isolation stay as they are.
    async fn update_tenant(&self, operator: &Operator, row: TenantRow) -> Result<TenantRow, StoreError>;

    /// A plan.
    async fn plan(&self, name: &Slug) -> Result<Plan, StoreError>;

    /// Writes a plan. It holds from the next request on.
    async fn put_plan(&self, operator: &Operator, plan: Plan) -> Result<(), StoreError>;

    /// Publishes a template's next version.
    async fn publish_template(
        &self,
        operator: &Operator,
        id: TemplateId,
        name: &Slug,
        definition: String,
        now: Timestamp,
    ) -> Result<Template, StoreError>;

    /// Takes a template away with all its versions. Workflows keep the definition that they were made from.
    async fn withdraw_template(&self, operator: &Operator, name: &Slug) -> Result<(), StoreError>;

    /// A template's version, or its newest.
    async fn template(&self, name: &Slug, version: Option<u32>) -> Result<Template, StoreError>;

    /// The newest version of each template, by name, after the given one.
    async fn templates(&self, after: Option<&Slug>, limit: u32) -> Result<Vec<Template>, StoreError>;

    /// All endpoints, by name. There are few.
    async fn endpoints(&self) -> Result<Endpoints, StoreError>;

    /// Writes an endpoint.
    async fn put_endpoint(&self, operator: &Operator, endpoint: Endpoint) -> Result<(), StoreError>;

    /// Adds a line to the credential index, for the tenant whose visit this is.
    async fn index_credential(
        &self,
        tenant: &Tenant<'_>,
        hash: KeyedHash,
        subject: IndexedSubject,
        expires_at: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Whether there is any operator.
    async fn has_operators(&self) -> Result<bool, StoreError>;

    /// Takes a credential out of the index, by the id that its subject has. Holds from the next request on.
    async fn revoke_credential(&self, tenant: &Tenant<'_>, subject_id: &str) -> Result<(), StoreError>;

    /// When the tenant's keys were last used, to the minute, as far as they were.
    async fn last_uses(&self, tenant: &Tenant<'_>) -> Result<HashMap<KeyId, Timestamp>, StoreError>;

    /// When the worker that the tenant has for itself was last there, to the minute, if it ever was.
    async fn own_worker_seen(&self, tenant: &Tenant<'_>) -> Result<Option<Timestamp>, StoreError>;

    /// When a worker of a pool was last there, if one ever was.
    async fn pool_seen(&self, pool: &Slug) -> Result<Option<Timestamp>, StoreError>;

    /// Whether the store can serve: the platform store reads, and what takes writes is alive.
    async fn probe(&self) -> Result<(), StoreError>;
}

/// What an erasure did in one place, and what an older copy could still open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErasedPlace {
    /// The place: `credential_index`, `platform_store`, `tenant_file`, `node_journal`, `memory`.
    pub place: String,
    /// What was done there.
    pub done: String,
    /// What an older copy of this place could still open, with what else, and until when.
    pub older_copies: String,
}

/// What an erasure did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErasureReceipt {
    /// The tenant, whose id is never used again.
    pub tenant: TenantId,
    /// When the key was destroyed.
    pub erased_at: Timestamp,
    /// Each place.
    pub places: Vec<ErasedPlace>,
    /// How many events its audit log had.
    pub audit_events: u64,
    /// The last checkpoint of its audit log, signed: it says what was there without saying anything of it.
    /// Empty where the store was too damaged to be read.
    pub final_checkpoint: String,
}

/// How a backup is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Whether a backup of an older generation may replace what came after it.
    pub allow_older: bool,
    /// Whether it may replace a store that cannot be read, whose audit log and usage since the backup are
    /// lost with it.
    pub accept_loss: bool,
}

/// What a restore did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub backup: BackupId,
    /// What was lost, where the store that was replaced could not be read.
    pub loss: Option<RestoreLoss>,
}

/// What a restore could not bring along from a store that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreLoss {
    /// From when on audit events and usage may be missing: the time of the backup.
    pub since: Timestamp,
    /// The epoch of the audit log that begins. The one before it has ended, and a checkpoint of it that
    /// anybody holds shows how long it was.
    pub log_epoch: u64,
}

/// What was exported or imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// The tenant.
    pub tenant: TenantId,
    /// How many rows it has.
    pub rows: u64,
    /// How many of them are events of its audit log.
    pub audit_events: u64,
    /// A sum over all of them that does not go by their order. It is the same on both sides.
    pub sum: String,
}

/// What the operator does to a tenant's store as a whole, without looking into it.
#[async_trait]
pub trait TenantLifecycle: WholeBackups {
    /// Writes a consistent, sealed backup to `target`; gives back its id.
    async fn backup(
        &self,
        operator: &Operator,
        tenant: TenantId,
        target: &Path,
    ) -> Result<BackupId, StoreError>;

    /// Replaces the tenant's store by a backup of the same tenant.
    async fn restore(
        &self,
        operator: &Operator,
        tenant: TenantId,
        source: PathBuf,
        options: RestoreOptions,
    ) -> Result<Restored, StoreError>;

    /// Gives the tenant another data key and encrypts its store anew. Older backups open no more.
    async fn change_data_key(&self, operator: &Operator, tenant: TenantId) -> Result<(), StoreError>;

    /// Destroys the tenant's key, then its files. What was under way has been stopped by then.
    async fn erase(&self, operator: &Operator, tenant: TenantId) -> Result<ErasureReceipt, StoreError>;

    /// Has a tenant moved to another kind of home, beside its work, and says how far that is. What is not offered is
    /// [`StoreError::IsolationUnavailable`]; a tenant that is kept so already, or is on its way,
    /// [`StoreError::Exists`].
    async fn move_tenant(
        &self,
        operator: &Operator,
        tenant: TenantId,
        to: Isolation,
    ) -> Result<TenantMove, StoreError>;

    /// Writes all of a tenant that takes no part any more to `target`, sealed, for another deployment with the same
    /// master key to take in. [`StoreError::BackupRefused`] says why not, where it cannot be done.
    async fn export_tenant(
        &self,
        operator: &Operator,
        tenant: TenantId,
        target: &Path,
    ) -> Result<Exported, StoreError>;

    /// Takes in a tenant that another deployment has exported, suspended. Nothing of it is here before
    /// all of it is, and what is here is compared with what was sent.
    async fn import_tenant(
        &self,
        operator: &Operator,
        tenant: TenantId,
        source: PathBuf,
        isolation: Option<Isolation>,
    ) -> Result<Exported, StoreError>;

    /// The tenant's last move, where there was one.
    async fn tenant_move(
        &self,
        operator: &Operator,
        tenant: TenantId,
    ) -> Result<Option<TenantMove>, StoreError>;

    /// How many bytes the tenant has stored.
    async fn stored_bytes(&self, operator: &Operator, tenant: TenantId) -> Result<u64, StoreError>;
}
