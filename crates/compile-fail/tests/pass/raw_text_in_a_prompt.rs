//! A model is called with what the visit's principal sent.

use context::{Private, Tenant};
use model::dialect::openai::ChatCall;
use model::{ModelEndpoint, Target};

async fn case<'t>(models: &dyn ModelEndpoint, target: &Target, tenant: &Tenant<'t>, call: ChatCall) {
    let _ = Private::sent(tenant, ());
    let _ = models.chat(tenant, target, Private::sent(tenant, call)).await;
}

fn main() {}
