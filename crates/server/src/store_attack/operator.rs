//! The operator on whose behalf throwaway tenants are made: a key of this process, which stands in no database and is
//! known to nobody else. Whoever may attack the store has the administrator's address and the master key, and so need
//! not have an operator's key besides.

use crate::stores::Stores;
use app::App;
use async_trait::async_trait;
use authz::OperatorRole;
use context::{
    Caller, CredentialIndex, CredentialKind, IndexEntry, IndexKey, IndexUnavailable, IndexedSubject,
    KeyedHash, Operator, Presented, RequestFacts, TenantStanding, issue_operator_key,
};
use env::Env;
use ids::TenantId;
use secret::SecretText;
use std::sync::Arc;

/// The store's index, and one line more.
struct Appointed {
    hash: KeyedHash,
    entry: IndexEntry,
    others: Arc<dyn CredentialIndex>,
}

#[async_trait]
impl CredentialIndex for Appointed {
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        if *hash == self.hash { Ok(Some(self.entry.clone())) } else { self.others.find(hash).await }
    }

    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        self.others.standing(tenant).await
    }
}

/// Puts an operator's key before the store's index, and gives the key.
pub(super) fn appoint(stores: &mut Stores, env: &Env) -> SecretText {
    let key = issue_operator_key(env.id(), env);
    let index_key = IndexKey::new(stores.index_key.clone());
    let hash = index_key.hash(CredentialKind::OperatorKey.as_str(), key.text.expose());
    let subject =
        IndexedSubject::Operator { id: key.id, role: OperatorRole::Admin, name: super::NAME.to_owned() };
    let entry = IndexEntry { subject, tenant: None, expires_at: None };
    stores.index = Arc::new(Appointed { hash, entry, others: stores.index.clone() });
    key.text
}

/// The operator behind the key, by the same authentication as over HTTP.
pub(super) async fn admit(app: &App, key: SecretText, env: &Env) -> Result<Operator, String> {
    let presented = Presented { credential: Some(key), tenant_header: None };
    match app.authenticator.authenticate(&presented, RequestFacts::internal(env.id())).await {
        Ok(Caller::Operator(operator)) => Ok(operator),
        Ok(Caller::Tenant(_) | Caller::Grant(_)) | Err(_) => {
            Err("the suite's own operator was refused".to_owned())
        }
    }
}
