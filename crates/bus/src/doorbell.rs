//! The doorbell: one server tells all of them that there may be something to look for. A ring says what kind of thing
//! and nothing else, belongs to no tenant, and may be lost: whoever has to know looks by itself now and then.

use async_trait::async_trait;

/// What there may be to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Work that can be taken up.
    Work,
    /// Something that servers remember has changed.
    Changed,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Work, Self::Changed];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Changed => "changed",
        }
    }
}

/// Rings at every server.
#[async_trait]
pub trait Doorbell: Send + Sync {
    /// Rings, at this server as well.
    async fn ring(&self, topic: Topic);

    /// An ear for what is rung from now on.
    fn listen(&self) -> Box<dyn Ear>;
}

/// Somebody who hears the doorbell.
#[async_trait]
pub trait Ear: Send {
    /// What is rung next. Rings of a topic that came since the last look are one, and none is lost where the wait for
    /// it is given up. Without a ring it does not end.
    async fn rung(&mut self) -> Topic;
}
