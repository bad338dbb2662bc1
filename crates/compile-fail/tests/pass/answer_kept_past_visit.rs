//! A model's answer is used within its visit.

use context::{Admission, Private};
use model::dialect::openai::ChatCall;
use model::{ModelEndpoint, Target};

async fn case(models: &dyn ModelEndpoint, target: &Target, ours: Admission, call: ChatCall) {
    let answer = ours
        .enter(async |tenant| {
            let call = Private::sent(&tenant, call);
            models.chat(&tenant, target, call).await.is_ok()
        })
        .await;
    let _ = answer;
}

fn main() {}
