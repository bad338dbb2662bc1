//! It is read with the access to its content.

use context::{Access, ReadContent, on};
use ids::RunId;
use store::RunStore;

async fn case(store: &dyn RunStore, access: &Access<'_, ReadContent<on::Run>>, run: RunId) {
    let _ = store.steps_with_content(access, run).await;
}

fn main() {}
