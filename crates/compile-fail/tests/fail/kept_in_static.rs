//! A private value is put into a static.

use context::{Private, Tenant};
use std::sync::Mutex;

static KEPT: Mutex<Vec<Private<'static, String>>> = Mutex::new(Vec::new());

fn case<'t>(_: &Tenant<'t>, value: Private<'t, String>) {
    if let Ok(mut kept) = KEPT.lock() {
        kept.push(value);
    }
}

fn main() {}
