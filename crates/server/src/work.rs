//! The worker and its way out.

use crate::config::Config;
use crate::models::address_policy;
use crate::serve::ServeError;
use crate::wiring::Wired;
use app::gateway::Models;
use egress::Egress;
use egress_http::{HttpEgress, Settings, SystemResolver};
use env::Env;
use std::sync::Arc;
use worker::Worker;

/// The one way out for what tenants name.
pub(crate) fn egress(config: &Config, env: &Env) -> Result<Arc<dyn Egress>, ServeError> {
    let policy = address_policy(config)?;
    let egress = HttpEgress::new(policy, Arc::new(SystemResolver), Settings::default(), env.clone());
    Ok(Arc::new(egress.map_err(ServeError::Egress)?))
}

/// Starts carrying runs out.
pub(crate) fn start(wired: &Wired) -> Worker {
    let settings = worker::Settings::default();
    let outside = (wired.egress.clone(), Arc::new(wired.app.clone()) as Arc<dyn Models>);
    Worker::start(wired.app.clone(), wired.scheduler.clone(), outside, settings)
}
