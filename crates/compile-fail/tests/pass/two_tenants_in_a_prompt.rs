//! A prompt is put together from one tenant's parts.

use context::{Private, Tenant};
use model::dialect::openai::ChatCall;
use model::{ModelEndpoint, Target};

async fn case<'a, 'b>(
    models: &dyn ModelEndpoint,
    target: &Target,
    ours: &Tenant<'a>,
    question: Private<'a, String>,
    example: Private<'a, String>,
    _: &Tenant<'b>,
    build: fn((String, String)) -> ChatCall,
) {
    let Ok(parts) = question.zip(example) else { return };
    let _ = models.chat(ours, target, parts.map(build)).await;
}

fn main() {}
