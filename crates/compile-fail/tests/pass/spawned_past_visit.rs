//! A task enters the tenant by itself.

use context::{Admission, Private};

async fn case(ours: Admission) {
    let later = ours.clone();
    ours.enter(async |tenant| {
        let value = Private::sent(&tenant, "secret");
        let _ = value;
        tokio::spawn(later.enter(async |tenant| Private::sent(&tenant, "secret").is(|text| text.is_empty())));
    })
    .await;
}

fn main() {}
