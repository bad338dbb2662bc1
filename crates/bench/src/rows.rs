//! What is measured, a row each.

mod chat;

use crate::figure::Figure;
use crate::machine::Cores;
use std::path::PathBuf;
use std::time::Duration;

/// How each row is measured.
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) span: Duration,
    pub(crate) rounds: usize,
    pub(crate) cores: Option<Cores>,
}

type Measure = fn(&Plan) -> anyhow::Result<Vec<Figure>>;

pub(crate) const ALL: &[(&str, Measure)] =
    &[("chat", chat::chat), ("chat_added", chat::added), ("stream", chat::stream)];

pub(crate) fn names() -> String {
    ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
