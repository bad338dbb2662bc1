//! The targets.

use crate::{Target, callers, lists};
use audit::export::{Trust, verify_export, verify_proof};
use audit::merkle::TilePath;
use audit::note::{Origin, SignedNote, VerifierKey};
use env::Timestamp;
use secret::SecretText;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::time::Duration;
use workflow::hook::{self, Received, Scheme};

/// All of them. A parser of outside bytes that is added gets a line here, and a folder in the corpus.
pub const TARGETS: &[Target] = &[
    Target { name: "ids", run: ids },
    Target { name: "scalars", run: scalars },
    Target { name: "credentials", run: credentials },
    Target { name: "notes", run: notes },
    Target { name: "export", run: export },
    Target { name: "proof", run: proof },
    Target { name: "workflow", run: definition },
    Target { name: "hook", run: delivery },
    Target { name: "filters", run: filters },
    Target { name: "chat_request", run: chat_request },
    Target { name: "chat_answer", run: chat_answer },
    Target { name: "stream", run: stream },
    Target { name: "keys", run: callers::keys },
    Target { name: "tokens", run: callers::tokens },
    Target { name: "jwk", run: callers::jwk },
    Target { name: "requests", run: callers::requests },
    Target { name: "cursors", run: lists::cursors },
    Target { name: "addresses", run: addresses },
    Target { name: "backup", run: backup },
];

/// Whose notes are checked: the example key of C2SP's signed-note.
const KEY: &str = "example.com/foo+530fdb5d+AWVvKNQVUdTYDjL7hTB4O7UeUOs1PSFrlXB+yDtSYhzC";

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// What is read is written so that it is read again as the same.
fn round<T: FromStr + Display + PartialEq + Debug>(text: &str)
where
    T::Err: Debug,
{
    if let Ok(read) = text.parse::<T>() {
        let again = read.to_string().parse::<T>();
        assert!(again.is_ok_and(|again| again == read), "{read} is read as another");
    }
}

fn ids(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    round::<ids::TenantId>(text);
    round::<ids::RunId>(text);
    round::<ids::Slug>(text);
}

fn scalars(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    round::<money::Usd>(text);
    round::<Timestamp>(text);
    round::<authz::Scope>(text);
    let _ = text.parse::<metering::prices::PerMillion>();
    let _ = text.parse::<workflow::NodeName>();
}

fn credentials(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let _ = context::ApiKey::parse(text);
    let _ = context::OperatorKey::parse(text);
    let _ = context::HookToken::parse(text);
}

fn notes(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    round::<SignedNote>(text);
    round::<Origin>(text);
    round::<VerifierKey>(text);
    let _ = text.parse::<TilePath>();
}

fn export(bytes: &[u8]) {
    if let Ok(key) = KEY.parse::<VerifierKey>() {
        let _ = verify_export(bytes, &Trust::new(&key));
    }
}

fn proof(bytes: &[u8]) {
    if let (Some(text), Ok(key)) = (text(bytes), KEY.parse::<VerifierKey>()) {
        let _ = verify_proof(text, &key, &[]);
    }
}

/// What is taken for a definition is so once more as its own document says.
fn definition(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(read) = workflow::validate(text) {
        assert!(workflow::validate(&read.document().to_string()).is_ok());
        workflow::definition::effects(&read);
    }
}

/// The first line is a header's value, the rest is the body.
fn delivery(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (value, body) = (text(&bytes[..end]), &bytes[end..]);
    let secret = SecretText::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
    let header = |_: &str| value;
    for scheme in ["github", "slack", "standard"].iter().filter_map(|name| name.parse::<Scheme>().ok()) {
        let received = Received { header: &header, body };
        let now = Timestamp::from_millis(1_700_000_000_000);
        let _ = hook::verify(scheme, Some(&secret), &received, now, Duration::from_secs(300), None);
    }
}

fn filters(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let _ = store::Filter::parse(text);
    let _ = store::Sort::parse(text);
}

fn chat_request(bytes: &[u8]) {
    let _ = model::dialect::openai::ChatRequest::parse(bytes);
}

fn chat_answer(bytes: &[u8]) {
    let _ = model::ProviderError::read(500, text(bytes), bytes, None, model::KeyOwner::Operator);
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        let _ = model::dialect::openai::Completion::read(value.clone());
        let _ = model::dialect::openai::Chunk::read(value);
    }
}

/// A provider's stream of events is the same wherever it is cut into pieces.
fn stream(bytes: &[u8]) {
    let read = |size: usize| {
        let mut reader = model_http::SseReader::default();
        let mut events = Vec::new();
        for piece in bytes.chunks(size) {
            events.extend(reader.feed(piece)?);
        }
        events.extend(reader.finish()?);
        Ok::<_, model_http::TooLong>(events)
    };
    let whole = read(usize::MAX);
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(7));
    for event in whole.into_iter().flatten() {
        chat_answer(&event);
    }
}

fn addresses(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    round::<egress::HostPort>(text);
    let _ = egress::Destination::parse(text);
    let _ = egress::Host::parse(text);
    let _ = text.parse::<egress::HostPattern>();
    let _ = text.parse::<model::EndpointUrl>();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let _ = egress::Headers::parse(fields);
}

fn backup(bytes: &[u8]) {
    if let Ok(claimed) = kms::stream::ClaimedStream::read(bytes) {
        let _ = claimed.claimed_header();
    }
}
