//! One tenant's prompt goes to a model in another's name.

use context::{Private, Tenant};
use model::dialect::openai::ChatCall;
use model::{ModelEndpoint, Target};

async fn case<'a, 'b>(
    models: &dyn ModelEndpoint,
    target: &Target,
    ours: &Tenant<'a>,
    theirs: &Tenant<'b>,
    prompt: Private<'a, ChatCall>,
) {
    let _ = models.chat(theirs, target, prompt).await;
    let _ = ours.id();
}

fn main() {}
