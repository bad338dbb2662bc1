//! A private value is put into a cache of the visit.

use context::{Private, Tenant};
use std::collections::HashMap;
use std::sync::Mutex;

struct Cache<'c>(Mutex<HashMap<String, Private<'c, String>>>);

fn case<'t>(cache: &Cache<'t>, tenant: &Tenant<'t>, answer: Private<'t, String>) {
    if let Ok(mut cache) = cache.0.lock() {
        cache.insert(tenant.id().to_string(), answer);
    }
}

fn main() {}
