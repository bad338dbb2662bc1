//! Background work has a name and fixed duties, never a borrowed role.

use crate::{Action, Resource};

macro_rules! system_principals {
    ($($(#[$doc:meta])* $variant:ident $text:literal [$(($action:ident, $resource:ident)),* $(,)?];)*) => {
        /// A named piece of background work.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SystemPrincipal { $($(#[$doc])* $variant,)* }

        impl SystemPrincipal {
            /// Every system principal.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name, as the audit log shows it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// All that it may do.
            pub const fn duties(self) -> &'static [(Action, Resource)] {
                match self { $(Self::$variant => &[$((Action::$action, Resource::$resource),)*],)* }
            }
        }
    };
}

system_principals! {
    /// Carries out the steps of runs, on behalf of whoever started them.
    RunExecution "run_execution" [
        (Read, Workflow), (Read, Run), (ReadContent, Run), (Update, Run), (Invoke, Model), (Invoke, Egress),
        (Invoke, Credential), (Read, Record), (Create, Record), (Update, Record), (Delete, Record),
        (Invoke, Agent),
    ];
    /// Finds the runs that a stopped server left under way, and goes on with them.
    RunRecovery "run_recovery" [(Read, Run), (Update, Run)];
    /// Takes an inbound delivery that its hook's signature vouches for, and starts a run.
    HookDelivery "hook_delivery" [(Read, Workflow), (Create, Run), (Read, Credential), (Invoke, Credential)];
    /// Charges calls whose outcome a crash left unknown, once their lease has ended.
    LeaseExpiry "lease_expiry" [(Update, Usage), (Read, Usage)];
    /// Removes what the plan keeps no longer.
    Retention "retention" [(Read, Run), (Delete, Run), (Delete, Usage)];
    /// Renews OAuth access tokens before they expire.
    CredentialRefresh "credential_refresh" [(Read, Credential), (Invoke, Credential), (Update, Credential)];
    /// Writes what an operator did to the tenant into the tenant's own log.
    OperatorAction "operator_action" [];
}
