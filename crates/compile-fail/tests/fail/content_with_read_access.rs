//! The content of a run's steps is read with the access to the run.

use context::{Access, Read, on};
use ids::RunId;
use store::RunStore;

async fn case(store: &dyn RunStore, access: &Access<'_, Read<on::Run>>, run: RunId) {
    let _ = store.steps_with_content(access, run).await;
}

fn main() {}
