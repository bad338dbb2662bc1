//! Prints how fast events are sealed and exports verified on this machine, in one thread. Run it with
//! `cargo run --release -p audit --example verify_speed -- 1000000`.

use audit::event::{Action, Actor, ActorKind, AuthMethod, Draft, Outcome, Position, Resource, seal};
use audit::export::{Trust, checkpoint_line, verify_export};
use audit::merkle::Frontier;
use audit::note::{LogKey, Origin};
use env::{Env, Timestamp};
use ids::{Id, TenantId};
use secret::SecretBytes;
use std::io::Write;
use std::time::Duration;

const DEFAULT_EVENTS: u32 = 400_000;

fn draft(env: &Env) -> Draft {
    let actor = Actor {
        auth: AuthMethod::ApiKey,
        id: "key_01JZ0000000000000000000000".to_owned(),
        kind: ActorKind::ServiceKey,
        on_behalf_of: Vec::new(),
    };
    let resource = Resource { id: "rec_01JZ0000000000000000000000".to_owned(), kind: "record".to_owned() };
    let mut draft = Draft::new(actor, const { Action::new("record.create") }, resource, Outcome::Success);
    draft.request_id = Some(env.id());
    draft.ip = Some([192, 0, 2, 7].into());
    draft.user_agent = Some("openai-python/2.1.0".to_owned());
    draft.details.insert("collection".to_owned(), "contacts".into());
    draft
}

#[expect(clippy::disallowed_methods, reason = "a measurement is of the real clock")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: u32 = std::env::args().nth(1).map_or(Ok(DEFAULT_EVENTS), |count| count.parse())?;
    let (env, _) = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 7);
    let tenant = TenantId::from_parts(1_780_000_000_000, [1; 10]);
    let log = Origin { tenant, region: "eu-central".parse()?, epoch: 0 };
    let key = LogKey::from_seed(log.clone(), &SecretBytes::take(&mut [1; 32]));

    let drafts: Vec<Draft> = (0..events).map(|_| draft(&env)).collect();
    let mut file = Vec::with_capacity(drafts.len() * 700);
    let mut frontier = Frontier::new();
    let mut position = Position::start(log);
    let (sealed, took) = timed(|| {
        drafts.into_iter().try_for_each(|draft| {
            let sealed = seal(draft, &position, &env)?;
            position.advance(sealed.leaf_hash);
            frontier.append(sealed.leaf_hash);
            file.extend_from_slice(&sealed.leaf);
            file.push(b'\n');
            Ok::<(), audit::event::EventError>(())
        })
    });
    sealed?;
    let mut out = std::io::stdout().lock();
    let bytes = file.len() / events.max(1) as usize;
    let micros = took.as_secs_f64() * 1e6 / f64::from(events);
    writeln!(out, "sealed {events} events of {bytes} bytes: {micros:.2} us each")?;

    let checkpoint = key.sign(frontier.size(), frontier.root());
    file.extend_from_slice(checkpoint_line(&checkpoint).as_bytes());
    let (report, took) = timed(|| verify_export(file.as_slice(), &Trust::new(key.verifier())));
    let rate = f64::from(events) / took.as_secs_f64();
    writeln!(out, "verified {} events: {rate:.0} events/s", report?.events)?;
    Ok(())
}
