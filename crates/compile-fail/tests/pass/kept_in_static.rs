//! A number is put into a static.

use context::{Private, Tenant};
use std::sync::Mutex;

static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn case<'t>(_: &Tenant<'t>, value: Private<'t, String>) {
    if let Ok(mut kept) = KEPT.lock() {
        kept.push(usize::from(value.is(String::is_empty)));
    }
}

fn main() {}
