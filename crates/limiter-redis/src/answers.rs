//! What the script's answers mean to a caller.

use crate::link::Reply;
use crate::{Settings, pack};
use context::Tenant;
use limiter::{Kind, LimitError, LimitStanding, LimiterUnavailable, Parallel, PlannedCall};
use metering::budget::BudgetExceeded;
use metering::window::{Refusal, Standing, Window};

/// The step in which an hour's window forgets.
const STEP: i64 = 10_000;

/// How many calls of a kind may be under way at once.
pub(crate) fn parallel(settings: &Settings, kind: Kind) -> Option<u64> {
    match kind {
        Kind::Ai => Some(settings.parallel_model_calls),
        // Egress bounds them by tenant and host.
        Kind::Api => None,
    }
}

/// Where the limits on calls of a kind stand.
pub(crate) fn standing(
    settings: &Settings,
    tenant: &Tenant<'_>,
    kind: Kind,
    reply: &Reply,
) -> Option<LimitStanding> {
    let window = window(tenant, kind);
    let used = reply.text(0)?.parse().ok()?;
    let (latest, under_way) = (reply.number(2)?, reply.text(3)?.parse().ok()?);
    let span = i64::try_from(window.span.as_millis()).ok()?;
    let wait = reply.number(1).map_or(span, |oldest| (oldest + STEP + span - latest).min(span));
    let standing = Standing {
        limit: window.limit,
        remaining: window.limit.map(|limit| limit.saturating_sub(used)),
        reset_seconds: seconds(wait),
    };
    let parallel = Parallel { limit: parallel(settings, kind), under_way };
    Some(LimitStanding { kind, window, standing, parallel })
}

/// Why a call is not admitted.
pub(crate) fn refusal(
    settings: &Settings,
    tenant: &Tenant<'_>,
    call: &PlannedCall,
    reply: &Reply,
) -> Option<LimitError> {
    let kind = call.kind;
    Some(match reply.text(0)?.as_str() {
        "parallel" => LimitError::Parallel(kind, parallel(settings, kind)?),
        "unpriced" => LimitError::Unpriced,
        "budget" => {
            let (scope, per) = pack::budget(&reply.text(1)?)?;
            let amount = |place| reply.text(place)?.parse().ok();
            LimitError::Budget(BudgetExceeded {
                scope,
                per,
                limit: amount(2)?,
                reserved: amount(3)?,
                spent: amount(4)?,
                resets_in_seconds: per.end(call.at).since(call.at).as_secs() + 1,
            })
        }
        _ => {
            let window = window(tenant, kind);
            let (limit, used) = (window.limit?, reply.text(1)?.parse().ok()?);
            let span = i64::try_from(window.span.as_millis()).ok()?;
            let latest = reply.number(3)?;
            let wait = reply.number(2).map_or(span, |frees| frees + STEP + span - latest);
            let remaining = limit.saturating_sub(used);
            LimitError::Window(kind, Refusal { limit, remaining, retry_after_seconds: seconds(wait) })
        }
    })
}

/// The window of calls of a kind.
pub(crate) fn window(tenant: &Tenant<'_>, kind: Kind) -> Window {
    let limits = &tenant.standing().limits;
    Window::hourly(match kind {
        Kind::Ai => limits.ai_calls_per_hour,
        Kind::Api => limits.api_calls_per_hour,
    })
}

fn seconds(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0).div_ceil(1000).max(1)
}

/// An answer that cannot be read admits nothing.
pub(crate) fn read<T>(answer: Option<T>) -> Result<T, LimiterUnavailable> {
    answer.ok_or(LimiterUnavailable::ForNow)
}
