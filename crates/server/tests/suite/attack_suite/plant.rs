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
    /// Answers are kept for all keys of a tenant together.
    ReplaysToAnyKey,
    /// Answers are kept for a user, whatever the token may do.
    ReplaysToAnyToken,
    /// Answers to requests about an object are kept under the path and the idempotency key.
    ReplaysAtObjects,
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
    /// Any tenant's export is taken.
    ImportsAnyExport,
    /// A token whose algorithm is `none` is believed.
    UnsignedTokensOpen,
    /// The tenant is taken from a token's claims, and the key from its header.
    TokensNameTheTenant,
    /// Whoever used a connection before is the caller of what comes without a credential.
    ConnectionsRemember,
    /// A line of the log has the body.
    LogsBodies,
    /// Bodies lie in a file of the data folder.
    KeepsBodies,
    /// The tenant in the query is believed.
    QueryNamesTheTenant,
    /// The tenant in a body is believed.
    BodyNamesTheTenant,
    /// A tenant's key does what the operator's may.
    AnyKeyAdministers,
    /// A cursor says whose list goes on.
    CursorsCarryTheTenant,
    /// What the other tenant has takes longer to be refused than what nobody has.
    ForeignTakesLonger,
    /// Whoever comes after a tenant that used its limit up is refused, too.
    LimitsAreShared,
    /// Templates in what a tenant writes are carried out.
    TemplatesAreCarriedOut,
    /// All streams of a connection are its first caller's.
    StreamsAreTheFirstCallers,
    /// An address of IPv6 that stands for one of IPv4 is not looked at.
    MappedAddressesAreOpen,
    /// An answer from outside that names another place is gone after, wherever it leads.
    RedirectsAreFollowed,
    /// A credential goes to whatever host is called with it, whosever it is.
    CredentialsGoAnywhere,
    /// What a request names at the provider goes there on the operator's key.
    ProviderIdsPassThrough,
    /// What one tenant spent is spent for those who come after it.
    BudgetsAreShared,
    /// A proof, a checkpoint or an export is of the other tenant's log.
    LogsAreMixed,
    /// A grant erases any tenant, not only those that it made.
    GrantsReachAnyTenant,
    /// What a grant may do it may do after its end.
    EndedGrantsLive,
    /// An operator's key that may only read changes what operators change.
    ViewersAdminister,
    /// Definitions are found by their lengths, whosever they are.
    DefinitionsForgetTheTenant,
    /// A `record` node reads whatever record it names.
    NodesReachAnyRecord,
    /// A version is compared before it is asked whose the object is.
    VersionsComeFirst,
    /// The end of one tenant stops the runs of others.
    ErasuresStopOthers,
    /// Whoever has a key takes a backup of everything.
    AnyKeyTakesBackups,
    /// A backup of everything has what tenants wrote as they wrote it.
    BackupsAreReadable,
    /// An export has what the tenant wrote as it wrote it.
    ExportsAreReadable,
    /// The tenant that a subject begins with is believed.
    SubjectsNameTheTenant,
    /// A pattern for everything is answered with everybody's.
    PatternsReachEverybody,
    /// What the server tells is told to everybody.
    HintsReachEverybody,
    /// Anybody may speak in the server's name.
    AnybodySpeaksForTheServer,
}

impl Plant {
    /// Those that are leaks.
    pub(super) const ALL: [Self; 53] = [
        Self::IgnoresTenantOnRead,
        Self::TellsForeignFromMissing,
        Self::NamesTheRow,
        Self::ListForgetsTheFilter,
        Self::ReplaysAcrossTenants,
        Self::ReplaysToAnyKey,
        Self::ReplaysToAnyToken,
        Self::ReplaysAtObjects,
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
        Self::ImportsAnyExport,
        Self::UnsignedTokensOpen,
        Self::TokensNameTheTenant,
        Self::ConnectionsRemember,
        Self::LogsBodies,
        Self::KeepsBodies,
        Self::QueryNamesTheTenant,
        Self::BodyNamesTheTenant,
        Self::AnyKeyAdministers,
        Self::CursorsCarryTheTenant,
        Self::ForeignTakesLonger,
        Self::LimitsAreShared,
        Self::TemplatesAreCarriedOut,
        Self::StreamsAreTheFirstCallers,
        Self::MappedAddressesAreOpen,
        Self::RedirectsAreFollowed,
        Self::CredentialsGoAnywhere,
        Self::ProviderIdsPassThrough,
        Self::BudgetsAreShared,
        Self::LogsAreMixed,
        Self::GrantsReachAnyTenant,
        Self::EndedGrantsLive,
        Self::ViewersAdminister,
        Self::DefinitionsForgetTheTenant,
        Self::NodesReachAnyRecord,
        Self::VersionsComeFirst,
        Self::ErasuresStopOthers,
        Self::AnyKeyTakesBackups,
        Self::BackupsAreReadable,
        Self::ExportsAreReadable,
        Self::SubjectsNameTheTenant,
        Self::PatternsReachEverybody,
        Self::HintsReachEverybody,
        Self::AnybodySpeaksForTheServer,
    ];

    /// Whether answers are kept under an idempotency key and given to others.
    pub(super) fn replays(self) -> bool {
        [Self::ReplaysAcrossTenants, Self::ReplaysToAnyKey, Self::ReplaysToAnyToken, Self::ReplaysAtObjects]
            .contains(&self)
    }
}
