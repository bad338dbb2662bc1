//! What a visit put into a cache is used in that visit.

use context::{Private, Tenant, door};
use std::collections::HashMap;

fn case<'a, 'b>(cache: &HashMap<String, Private<'a, String>>, ours: &Tenant<'a>, theirs: &Tenant<'b>) {
    if let Some(cached) = cache.get("weather") {
        let _ = theirs.id();
        let _ = door::answer(ours, cached.clone());
    }
    let _ = ours.id();
}

fn main() {}
