//! What only a tenant's own worker may call. The suite has no such worker's token, which is never given over HTTP, so
//! that the control is that nobody comes in without one, and the attack that nobody comes in with anything else.

use super::{Attempt, Control, Job, given_away, judged};
use crate::pattern::Pattern;
use crate::world::{Request, World};
use client::Answer;
use secret::SecretText;

/// What whoever has no worker's token is answered.
const NO_TOKEN: u16 = 401;

pub(super) async fn nobody_is_let_in<'w>(
    world: &World<'_>,
    request: Request<'w>,
) -> Result<(Request<'w>, Answer), String> {
    let answer = world.send(&request).await?;
    match answer.status.as_u16() {
        NO_TOKEN => Ok((request, answer)),
        status => Err(format!("without any credential `{}` answered {status}", request.operation.name())),
    }
}

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let job = |attack, key: SecretText| {
        Job::new(Pattern::new(control.operation, "credential", attack), refused(world, control, key))
    };
    let operator = world.operator.expose();
    let in_form = SecretText::new(operator.replacen("op_", "wk_", 1));
    vec![
        job("the attacker's key on what is a worker's", world.attacker.key.clone()),
        job("the tenant's own key on what is its worker's", world.victim.key.clone()),
        job("the operator's key on what is a worker's", world.operator.clone()),
        job("another key in the form of a worker's token", in_form),
    ]
}

/// Whoever comes with this is answered as if it came with nothing.
async fn refused(world: &World<'_>, control: &Control<'_>, key: SecretText) -> Attempt {
    let (request, _) = control.held()?;
    let request = request.clone().by(&key);
    let answer = world.send(&request).await?;
    match answer.status.as_u16() {
        NO_TOKEN => judged(given_away(world, &request, &answer)),
        status => judged(Some(format!("it was answered {status}, as whoever has a token is"))),
    }
}
