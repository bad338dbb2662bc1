//! A model's answer outlives the visit in which it was asked.

use context::{Admission, Private};
use model::dialect::openai::ChatCall;
use model::{ModelEndpoint, Target};

async fn case(models: &dyn ModelEndpoint, target: &Target, ours: Admission, call: ChatCall) {
    let answer = ours
        .enter(async |tenant| {
            let call = Private::sent(&tenant, call);
            models.chat(&tenant, target, call).await
        })
        .await;
    let _ = answer;
}

fn main() {}
