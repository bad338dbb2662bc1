//! Many tenants on one server: what making one costs, and what it is to serve each of them once.

use super::Plan;
use crate::figure::{Figure, Target};
use crate::load::Load;
use crate::wire::Request;
use std::time::Duration;

/// How many tenants are active before all the others come.
const ACTIVE: usize = 1_000;
const CALLERS: usize = 4;
/// However many tenants there are, asking them all takes no longer.
const LONGEST: Duration = Duration::from_secs(600);

pub(crate) fn tenants(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let crowd = plan.crowd(plan.tenants)?;
    let server = plan.server_on(crowd.folder(), "")?;
    let ask = |key: &String, path: &str| Some(Request::new("GET", path, key, ""));
    // A stride without a common divisor visits all of them in an order that looks like none.
    let keys: Vec<_> = (0..crowd.keys.len()).map(|n| &crowd.keys[n * 7_919 % crowd.keys.len()]).collect();
    let mut load = Load::steady(server.address, CALLERS, LONGEST);
    load.run(|caller, number| {
        let key = keys.get(number * CALLERS + caller).filter(|_| number * CALLERS + caller < ACTIVE)?;
        ask(key, "/v1/records/contacts")
    })?;
    load.span = LONGEST;
    let bound = load.run(|caller, number| ask(keys.get(number * CALLERS + caller)?, "/v1/me"))?;
    let resident = server.resident()?;
    server.stop()?;
    Ok(vec![
        Figure::new("tenants.creation", &[crowd.each_took()], "ms each", Target::AtMost(2.0), &[]),
        Figure::new("tenants.memory", &[resident], "MiB", Target::AtMost(1024.0), &[]),
        Figure::new("tenants.bind_p50", &[bound.whole(0.5)], "ms", Target::None, &[]),
        Figure::new("tenants.bind_p99", &[bound.whole(0.99)], "ms", Target::AtMost(5.0), &[]),
    ])
}
