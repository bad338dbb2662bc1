//! The stable codes: status, title and page of each.

use std::fmt;

macro_rules! codes {
    ($($variant:ident $text:literal $status:literal $title:literal: $help:literal;)*) => {
        /// A stable code. Its text never changes once released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the pages.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as programs compare it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What it means, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What to do about it, as its page says.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

codes! {
    InvalidRequest "invalid_request" 400 "The request is not well formed":
        "The detail names the member that is wrong. Correct it; the same request will fail again.";
    InvalidDefinition "invalid_definition" 400 "The workflow definition is not valid":
        "The `errors` member lists each fault with its node and line.";
    InvalidConfig "invalid_config" 400 "The configuration does not fit the template":
        "The `errors` member lists the members that the template's `config_required` schema refuses.";
    FieldNotAllowed "field_not_allowed" 400 "A field of the request is not allowed here":
        "The field names state kept at the provider, or makes the provider fetch an address that the egress rules refuse. Leave it out.";
    Unauthorized "unauthorized" 401 "The credential is missing or not valid":
        "Send `Authorization: Bearer KEY`. Unknown, revoked, expired and malformed credentials all answer this.";
    TenantMismatch "tenant_mismatch" 403 "The X-Tenant-ID header names another tenant than the credential":
        "The tenant comes from the credential alone. Leave the header out, or use that tenant's key.";
    Forbidden "forbidden" 403 "The credential may not do this":
        "The `needs` member names the scope or role that the call requires.";
    TenantSuspended "tenant_suspended" 403 "The tenant is suspended":
        "The operator has suspended this tenant. Ask the operator to resume it.";
    EgressDenied "egress_denied" 403 "The address may not be reached from here":
        "Private, loopback, link-local and metadata addresses are refused unless the operator lists them under `[egress] allow`.";
    NotFound "not_found" 404 "There is no such object":
        "Another tenant's object and a missing one give the same answer. Check the id and the key.";
    ModelNotFound "model_not_found" 404 "There is no such model for this tenant":
        "`GET /v1/models` lists the models that this tenant may call.";
    MethodNotAllowed "method_not_allowed" 405 "The path does not take this method":
        "`GET /openapi.json` lists the operations.";
    Conflict "conflict" 409 "The request conflicts with the present state":
        "The detail says what stands in the way.";
    IdempotencyConflict "idempotency_conflict" 409 "The idempotency key was used for another request":
        "Use a fresh `Idempotency-Key` for a different body. Keys are kept for 24 hours.";
    IsolationUnavailable "isolation_unavailable" 409 "This deployment does not offer the isolation asked for":
        "The embedded store offers `embedded` alone, PostgreSQL `pooled`, `schema` and `dedicated`. A new tenant takes the default where `isolation` is left out; a tenant is moved only to what is offered.";
    BackupRefused "backup_refused" 409 "The backup cannot be restored into this tenant":
        "The backup is of another tenant, altered, of a newer schema, or older than what the tenant had. The detail says which.";
    PreconditionFailed "precondition_failed" 412 "The object has changed since it was read":
        "Read it again and send its new `ETag` in `If-Match`.";
    PayloadTooLarge "payload_too_large" 413 "The request body is too large":
        "The detail names the limit.";
    UnsupportedMediaType "unsupported_media_type" 415 "The request body is not of a supported media type":
        "Send `Content-Type: application/json`.";
    HookRefused "hook_refused" 401 "The delivery was refused":
        "The hook token is unknown, or the signature or its time does not hold.";
    RateLimited "rate_limited" 429 "The window's limit is reached":
        "Wait for `Retry-After` seconds. Windows slide; they do not reset on the hour.";
    ConcurrencyLimited "concurrency_limited" 429 "Too much work is in progress or queued":
        "Wait for `Retry-After` seconds, or for work to end.";
    QuotaExceeded "quota_exceeded" 429 "The tenant's stored amount is at its limit":
        "The tenant is read-only until something is deleted or its plan changes.";
    BudgetExceeded "budget_exceeded" 429 "The budget does not cover this call":
        "`reserved` and `spent` tell where the money is. Raise the budget, or wait for the next period.";
    UnpricedModel "unpriced_model" 403 "The model has no price and a money budget applies":
        "The operator sets `prices` on the endpoint; a call that cannot be priced cannot be kept within a budget.";
    NeedsReauthorization "needs_reauthorization" 409 "The credential must be authorized again":
        "The provider refused the refresh, or its outcome is unknown. Store the credential again.";
    ContentBlocked "content_blocked" 403 "The content was blocked":
        "A door found a value that does not belong to this tenant and stopped the answer.";
    UpstreamFailed "upstream_failed" 502 "The outside service did not answer as it should":
        "The detail says how it failed. The call may be retried where its effect is safe to repeat.";
    UpstreamTimeout "upstream_timeout" 504 "The outside service did not answer in time":
        "Retry later, or raise the timeout where the call has one.";
    Unavailable "unavailable" 503 "The server cannot take this now":
        "It is starting, draining, or out of a resource. Wait for `Retry-After` seconds.";
    ProvisioningUnavailable "provisioning_unavailable" 503 "The tenant's database or schema was not made in time":
        "It is made by `tenantry provisioner`, which does not run or has too much to do. Start it, and repeat the request.";
    TenantUnavailable "tenant_unavailable" 503 "This tenant's store is out of service":
        "Its file is damaged or its key is missing. The operator's log says more, and restoring a backup mends it.";
    Internal "internal" 500 "The server failed":
        "Its log has the request id. Please report it.";
}

impl Code {
    /// The code with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// The page about it, as Markdown: where the `type` of a problem leads.
    pub fn page(self) -> String {
        let retry = if self.retry_helps() {
            "The same request may succeed later without being changed."
        } else {
            "The same request fails again until something is changed."
        };
        format!(
            "# `{self}`\n\nStatus {}. {}.\n\n## What to do\n\n{}\n\n{retry}\n",
            self.status(),
            self.title(),
            self.help(),
        )
    }

    /// Whether the same request may succeed later without being changed.
    pub const fn retry_helps(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::ConcurrencyLimited
                | Self::UpstreamFailed
                | Self::UpstreamTimeout
                | Self::Unavailable
                | Self::Internal
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Code;
    use std::collections::HashSet;

    #[test]
    fn every_code_is_distinct_and_found_by_its_text() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!((400..600).contains(&code.status()));
        }
    }
}
