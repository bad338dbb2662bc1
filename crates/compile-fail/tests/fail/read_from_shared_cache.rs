//! What one tenant put into a cache is answered to another.

use context::{Private, Tenant, door};
use std::collections::HashMap;

fn case<'a, 'b>(cache: &HashMap<String, Private<'a, String>>, ours: &Tenant<'a>, theirs: &Tenant<'b>) {
    if let Some(cached) = cache.get("weather") {
        let _ = door::answer(theirs, cached.clone());
    }
    let _ = ours.id();
}

fn main() {}
