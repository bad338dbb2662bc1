//! The platform store and the credential index.

use crate::MemoryStore;
use crate::tenant::Known;
use async_trait::async_trait;
use context::{
    CredentialIndex, IndexEntry, IndexUnavailable, IndexedSubject, KeyedHash, Operator, Tenant,
    TenantStanding,
};
use env::Timestamp;
use ids::{KeyId, Slug, TemplateId, TenantId};
use metering::plan::Plan;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use store::{
    Commit, Endpoint, Endpoints, Entity, Isolation, NewTenant, Object, ObjectKind, OperatorKeyRow,
    PlatformStore, StoreError, Template, TenantRow,
};

/// A line of the credential index.
pub(crate) struct Line {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) subject: IndexedSubject,
    pub(crate) expires_at: Option<Timestamp>,
}

#[derive(Default)]
pub(crate) struct Platform {
    pub(crate) rows: BTreeMap<TenantId, TenantRow>,
    pub(crate) deleted: BTreeSet<TenantId>,
    pub(crate) lines: BTreeMap<KeyedHash, Line>,
    pub(crate) uses: BTreeMap<(TenantId, KeyId), Timestamp>,
    plans: BTreeMap<Slug, Plan>,
    templates: BTreeMap<Slug, Vec<Template>>,
    endpoints: BTreeMap<Slug, Endpoint>,
}

fn subject_id(subject: &IndexedSubject) -> String {
    match subject {
        IndexedSubject::ApiKey { id, .. }
        | IndexedSubject::Operator { id, .. }
        | IndexedSubject::VerifyGrant { id, .. }
        | IndexedSubject::Worker { id } => id.to_string(),
        IndexedSubject::SigningKey { id, .. } => id.to_string(),
        IndexedSubject::Hook { id, .. } => id.to_string(),
    }
}

impl Platform {
    /// The operators' keys, by id.
    pub(crate) fn operators(&self) -> Vec<OperatorKeyRow> {
        let mut keys: Vec<_> = self
            .lines
            .values()
            .filter_map(|line| match &line.subject {
                IndexedSubject::Operator { id, role, name } => {
                    Some(OperatorKeyRow::new(*id, name.clone(), *role))
                }
                _ => None,
            })
            .collect();
        keys.sort_by_key(|key| key.id);
        keys
    }

    pub(crate) fn row(&self, id: TenantId) -> Result<&TenantRow, StoreError> {
        self.rows.get(&id).ok_or(StoreError::NotFound)
    }

    fn plan(&self, name: &Slug) -> Option<Plan> {
        let built_in = || Plan::built_in().ok()?.into_iter().find(|plan| plan.name == *name);
        self.plans.get(name).cloned().or_else(built_in)
    }

    fn check(&self, row: &TenantRow) -> Result<(), StoreError> {
        let same = |other: &&TenantRow| other.id != row.id && other.external_id == row.external_id;
        if row.external_id.is_some() && self.rows.values().any(|other| same(&other)) {
            return Err(StoreError::Exists("a tenant with this external id".into()));
        }
        let place = row.throwaway.map(|it| (it.grant, it.slot));
        let in_place = |other: &TenantRow| other.throwaway.map(|it| (it.grant, it.slot)) == place;
        if place.is_some() && self.rows.values().any(|other| other.id != row.id && in_place(other)) {
            return Err(StoreError::Exists("a throwaway tenant in this place of the grant".into()));
        }
        match self.plan(&row.plan) {
            Some(_) => Ok(()),
            None => Err(StoreError::Invalid(format!("There is no plan `{}`.", row.plan))),
        }
    }

    fn standing(&self, id: TenantId) -> Option<TenantStanding> {
        let row = self.rows.get(&id)?;
        let plan = self.plan(&row.plan)?;
        let limits = Arc::new(plan.with(&row.overrides));
        Some(TenantStanding {
            id,
            status: row.status,
            plan: row.plan.clone(),
            limits,
            region: row.region.clone(),
            throwaway_until: row.throwaway.map(|it| it.until),
            own_worker: false,
            pool: plan.pool,
        })
    }
}

#[async_trait]
impl CredentialIndex for MemoryStore {
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        let now = self.env().now();
        let mut state = self.state();
        let platform = &mut state.platform;
        let Some(line) = platform.lines.get(hash) else { return Ok(None) };
        let tenant = line.tenant.and_then(|id| platform.standing(id));
        if line.tenant.is_some() && tenant.is_none() {
            return Ok(None);
        }
        let entry = IndexEntry { subject: line.subject.clone(), tenant, expires_at: line.expires_at };
        if let (IndexedSubject::ApiKey { id, .. }, Some(tenant)) = (&entry.subject, &entry.tenant) {
            let minute = Timestamp::from_millis(now.millis() / 60_000 * 60_000);
            platform.uses.insert((tenant.id, *id), minute);
        }
        Ok(Some(entry))
    }

    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        Ok(self.state().platform.standing(tenant))
    }
}

#[async_trait]
impl PlatformStore for MemoryStore {
    fn isolations(&self) -> &'static [Isolation] {
        &[Isolation::Embedded]
    }

    async fn create_tenant(&self, _: &Operator, tenant: NewTenant) -> Result<(), StoreError> {
        let NewTenant { row, key_hash, key, key_record, events } = tenant;
        if !self.isolations().contains(&row.isolation) {
            return Err(StoreError::IsolationUnavailable);
        }
        let mut state = self.state();
        if state.platform.deleted.contains(&row.id) || state.platform.rows.contains_key(&row.id) {
            return Err(StoreError::Exists("a tenant with this id".into()));
        }
        state.platform.check(&row)?;
        let mut known = Known::new(row.id, row.region.clone(), self.env());
        let body = serde_json::to_value(&key_record).map_err(|_| StoreError::Unavailable)?;
        let object = Object { id: key_record.key(), owner: key_record.owner(), body, version: 1 };
        known.commit(Commit { events, ..Commit::default() }, self.env(), |tables| {
            tables.objects.insert((ObjectKind::ApiKey, object.id.clone()), object);
            Ok(())
        })?;
        state.tenants.0.insert(row.id, known);
        let line = Line { tenant: Some(row.id), subject: key, expires_at: None };
        state.platform.lines.insert(key_hash, line);
        state.platform.rows.insert(row.id, row);
        Ok(())
    }

    async fn tenant(&self, _: &Operator, id: TenantId) -> Result<TenantRow, StoreError> {
        self.state().platform.row(id).cloned()
    }

    async fn tenants(
        &self,
        _: &Operator,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRow>, StoreError> {
        let state = self.state();
        let rows = state.platform.rows.values().filter(|row| after.is_none_or(|after| row.id > after));
        Ok(rows.take(limit as usize).cloned().collect())
    }

    async fn update_tenant(&self, _: &Operator, mut row: TenantRow) -> Result<TenantRow, StoreError> {
        let mut state = self.state();
        let stored = state.platform.row(row.id)?;
        if stored.region != row.region {
            return Err(StoreError::Invalid("A tenant's region does not change.".into()));
        }
        if stored.isolation != row.isolation {
            return Err(StoreError::Invalid("A tenant's isolation does not change.".into()));
        }
        if stored.throwaway != row.throwaway {
            return Err(StoreError::Invalid("Which grant made a tenant does not change.".into()));
        }
        if stored.version != row.version {
            return Err(StoreError::Stale);
        }
        state.platform.check(&row)?;
        row.version += 1;
        state.platform.rows.insert(row.id, row.clone());
        Ok(row)
    }

    async fn plan(&self, name: &Slug) -> Result<Plan, StoreError> {
        self.state().platform.plan(name).ok_or(StoreError::NotFound)
    }

    async fn put_plan(&self, _: &Operator, plan: Plan) -> Result<(), StoreError> {
        self.state().platform.plans.insert(plan.name.clone(), plan);
        Ok(())
    }

    async fn publish_template(
        &self,
        _: &Operator,
        id: TemplateId,
        name: &Slug,
        definition: String,
        now: Timestamp,
    ) -> Result<Template, StoreError> {
        let mut state = self.state();
        let versions = state.platform.templates.entry(name.clone()).or_default();
        let (id, version) = versions.last().map_or((id, 1), |last| (last.id, last.version + 1));
        let template = Template { id, name: name.clone(), version, definition, created_at: now };
        versions.push(template.clone());
        Ok(template)
    }

    async fn withdraw_template(&self, _: &Operator, name: &Slug) -> Result<(), StoreError> {
        self.state().platform.templates.remove(name).map(drop).ok_or(StoreError::NotFound)
    }

    async fn template(&self, name: &Slug, version: Option<u32>) -> Result<Template, StoreError> {
        let state = self.state();
        let versions = state.platform.templates.get(name).ok_or(StoreError::NotFound)?;
        let found = match version {
            None => versions.last(),
            Some(version) => versions.iter().find(|template| template.version == version),
        };
        found.cloned().ok_or(StoreError::NotFound)
    }

    async fn templates(&self, after: Option<&Slug>, limit: u32) -> Result<Vec<Template>, StoreError> {
        let state = self.state();
        let all = state.platform.templates.iter().filter(|(name, _)| after.is_none_or(|it| *name > it));
        Ok(all.filter_map(|(_, versions)| versions.last().cloned()).take(limit as usize).collect())
    }

    async fn endpoints(&self) -> Result<Endpoints, StoreError> {
        Ok(self.state().platform.endpoints.values().cloned().map(Arc::new).collect())
    }

    async fn put_endpoint(&self, _: &Operator, endpoint: Endpoint) -> Result<(), StoreError> {
        self.state().platform.endpoints.insert(endpoint.name.clone(), endpoint);
        Ok(())
    }

    async fn index_credential(
        &self,
        tenant: &Tenant<'_>,
        hash: KeyedHash,
        subject: IndexedSubject,
        expires_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        state.platform.row(tenant.id())?;
        state.platform.lines.insert(hash, Line { tenant: Some(tenant.id()), subject, expires_at });
        Ok(())
    }

    async fn has_operators(&self) -> Result<bool, StoreError> {
        Ok(self.state().platform.lines.values().any(|line| line.tenant.is_none()))
    }

    async fn revoke_credential(&self, tenant: &Tenant<'_>, subject: &str) -> Result<(), StoreError> {
        let of_tenant =
            |line: &Line| line.tenant == Some(tenant.id()) && subject_id(&line.subject) == subject;
        self.state().platform.lines.retain(|_, line| !of_tenant(line));
        Ok(())
    }

    async fn last_uses(&self, tenant: &Tenant<'_>) -> Result<HashMap<KeyId, Timestamp>, StoreError> {
        let state = self.state();
        let uses = state.platform.uses.iter().filter(|((of, _), _)| *of == tenant.id());
        Ok(uses.map(|((_, key), at)| (*key, *at)).collect())
    }

    async fn own_worker_seen(&self, _: &Tenant<'_>) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn pool_seen(&self, _: &Slug) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
