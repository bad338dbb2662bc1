//! The leaks that are planted, one at a time.

/// A leak in the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plant {
    /// It passes everything on as it is.
    None,
    /// A record that the caller has not got is looked for in the other tenant.
    IgnoresTenantOnRead,
    /// 403 for a record of the other tenant, 404 for one that nobody has.
    TellsForeignFromMissing,
    /// The 404 of the other tenant's record names its title.
    NamesTheRow,
    /// A list has the other tenant's members, too.
    ListForgetsTheFilter,
    /// Answers are kept under the idempotency key alone.
    ReplaysAcrossTenants,
    /// The tenant in a delivery's body is believed.
    HookTrustsTheBody,
    /// The tenant in `X-Tenant-ID` is believed.
    HeaderChoosesTheTenant,
    /// A key is known by its beginning.
    TruncatedKeysOpen,
    /// The response cache is found under the request alone.
    CacheForgetsTheTenant,
    /// Any key of a tenant may do what its owner may.
    RightsAreNotAsked,
    /// The other tenant's object is removed, and the answer says that there is none.
    ForeignDeletes,
    /// Whoever may see their own keys sees all of the tenant's.
    OwnReachIsForgotten,
    /// A stream ends with what another tenant's said.
    StreamsAreMixed,
    /// Answers stay after the tenant that they were kept for was erased.
    KeptAnswersOutliveTheTenant,
    /// Deliveries are taken for a tenant that was erased.
    DeletedHooksLive,
    /// Any tenant's backup is taken.
    RestoresAnyBackup,
}

impl Plant {
    pub(super) const ALL: [Self; 17] = [
        Self::None,
        Self::IgnoresTenantOnRead,
        Self::TellsForeignFromMissing,
        Self::NamesTheRow,
        Self::ListForgetsTheFilter,
        Self::ReplaysAcrossTenants,
        Self::HookTrustsTheBody,
        Self::HeaderChoosesTheTenant,
        Self::TruncatedKeysOpen,
        Self::CacheForgetsTheTenant,
        Self::RightsAreNotAsked,
        Self::ForeignDeletes,
        Self::OwnReachIsForgotten,
        Self::StreamsAreMixed,
        Self::KeptAnswersOutliveTheTenant,
        Self::DeletedHooksLive,
        Self::RestoresAnyBackup,
    ];
}
