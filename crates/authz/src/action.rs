//! Verbs and nouns of the table.

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Look at it, or list it.
    Read,
    /// Make a new one.
    Create,
    /// Change it.
    Update,
    /// Remove it.
    Delete,
    /// Use it: call the model, start the run, spend the credential.
    Invoke,
    /// See the content that passed through it, where the description alone is not content.
    ReadContent,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Create, Self::Update, Self::Delete, Self::Invoke, Self::ReadContent];

    /// The verb in a scope's text.
    pub const fn scope_verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create | Self::Update | Self::Delete => "write",
            Self::Invoke => "invoke",
            Self::ReadContent => "content",
        }
    }
}

macro_rules! resources {
    ($($(#[$doc:meta])* $variant:ident $text:literal;)*) => {
        /// What is acted upon.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Resource { $($(#[$doc])* $variant,)* }

        impl Resource {
            /// Every resource.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The noun in a scope's text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

resources! {
    /// The tenant itself and its settings.
    Account "account";
    /// API keys.
    ApiKey "keys";
    /// Registered signing keys for tenant-minted tokens.
    SigningKey "signing_keys";
    /// People with a role in the tenant.
    Member "members";
    /// Agents.
    Agent "agents";
    /// Secrets for outside services.
    Credential "credentials";
    /// Models.
    Model "ai";
    /// Workflows and their hooks.
    Workflow "workflows";
    /// Runs and their steps.
    Run "runs";
    /// Records.
    Record "records";
    /// Outside addresses that workflows and tools call.
    Egress "egress";
    /// The audit log.
    Audit "audit";
    /// Usage and cost.
    Usage "usage";
    /// Budgets.
    Budget "budgets";
    /// Messages that the tenant's own programs tell each other.
    Message "messages";
}
