//! The deliveries: leads as a web form would send them, signed.

use crate::stage::Tenant;
use client::{CallError, signed_delivery};
use env::Env;
use http::Method;
use serde_json::{Value, json};

/// A lead on its way.
pub(crate) struct Lead {
    /// Which of the tenants it is for.
    pub(crate) tenant: usize,
    pub(crate) name: &'static str,
    body: Value,
}

/// Leads for both tenants in turn.
pub(crate) fn leads() -> Vec<Lead> {
    let lead = |tenant, name: &'static str, company: &str, country: &str, message: &str| {
        let email = format!("{}@{}.example", name.split(' ').next().unwrap_or("x").to_lowercase(), company);
        let body = json!({
            "name": name, "email": email, "company": company, "country": country, "message": message,
        });
        Lead { tenant, name, body }
    };
    vec![
        lead(
            0,
            "Ines Weber",
            "nordwind",
            "DE",
            "We have a budget of 40,000 and want a demo and a quote by May.",
        ),
        lead(
            1,
            "Kenji Sato",
            "hoshi",
            "JP",
            "Please send pricing and a contract for 300 seats, rollout in June.",
        ),
        lead(
            0,
            "Tom Reed",
            "bayline",
            "US",
            "We are evaluating tools and comparing vendors, happy to learn more.",
        ),
        lead(1, "Lea Martin", "rivage", "FR", "Interested. We are considering this for next year."),
        lead(0, "Sam Poe", "campus", "GB", "I am a student, just browsing for homework."),
        lead(1, "Ola Berg", "fjell", "NO", "We want to purchase 50 licences now; procurement needs a quote."),
    ]
}

/// Posts a lead to its tenant's hook; gives the run that it started.
pub(crate) async fn deliver(tenant: &Tenant, lead: &Lead, env: &Env) -> Result<String, CallError> {
    let id = format!("msg_{}", hex::encode(env.random::<12>()));
    let body = lead.body.to_string();
    let signed = signed_delivery(&tenant.hook_secret, &id, env.now().seconds(), body.as_bytes());
    let headers = signed.ok_or_else(|| CallError::Unexpected("the secret cannot sign".to_owned()))?;
    let anyone = tenant.client.without_key();
    let mut call = anyone.call(Method::POST, &tenant.hook).body("application/json", body.into());
    for (name, value) in &headers {
        call = call.header(name, value);
    }
    let answer = call.send().await?.accepted()?.json();
    let run = answer["id"].as_str().map(str::to_owned);
    run.ok_or_else(|| CallError::Unexpected("the delivery was answered without a run".to_owned()))
}
