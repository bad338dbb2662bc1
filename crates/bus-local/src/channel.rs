//! [`Channel`]: what one tenant was told lately, in its order.

use crate::ChannelGone;
use bus::{Body, Heard, Message, Pattern, Place};
use env::Timestamp;
use ids::TenantId;
use std::collections::VecDeque;
use tokio::sync::watch;

/// What a message takes beside its body.
const MESSAGE_BYTES: usize = 256;

/// One tenant's messages.
pub(crate) struct Channel {
    of: TenantId,
    order: u64,
    /// The number of the next message.
    next: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
    bell: watch::Sender<()>,
}

struct Kept {
    number: u64,
    /// Whose it is, as whoever published it was admitted.
    of: TenantId,
    message: Message,
    at: Timestamp,
}

/// How far a listener has come.
pub(crate) struct Listener {
    pattern: Pattern,
    order: u64,
    /// The number of the next message that it has not looked at.
    next: u64,
    missed: bool,
}

fn bytes(message: &Message) -> usize {
    let body = match &message.body {
        Body::Sealed(sealed) => sealed.len(),
        Body::Hint(hint) => hint.to_string().len(),
    };
    MESSAGE_BYTES + message.subject.as_str().len() + body
}

impl Channel {
    pub(crate) fn new(of: TenantId, order: u64) -> Self {
        Self { of, order, next: 1, kept: VecDeque::new(), bytes: 0, bell: watch::Sender::new(()) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nobody would miss it.
    pub(crate) fn is_idle(&self) -> bool {
        self.kept.is_empty() && !self.is_listened_to()
    }

    pub(crate) fn is_listened_to(&self) -> bool {
        self.bell.receiver_count() > 0
    }

    /// When something was told last, of what is kept.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.kept.back().map(|kept| kept.at)
    }

    pub(crate) fn push(&mut self, of: TenantId, message: Message, at: Timestamp) {
        self.bytes += bytes(&message);
        self.kept.push_back(Kept { number: self.next, of, message, at });
        self.next += 1;
        self.bell.send_replace(());
    }

    /// Forgets what was told before this moment; gives back how many bytes that was.
    pub(crate) fn forget_before(&mut self, moment: Timestamp) -> usize {
        self.forget_while(|kept, _| kept.at < moment)
    }

    /// Forgets the oldest beyond these bounds; gives back how many bytes that was.
    pub(crate) fn keep_within(&mut self, messages: usize, bytes: usize) -> usize {
        self.forget_while(|_, (count, held)| count > messages || held > bytes)
    }

    fn forget_while(&mut self, is_too_much: impl Fn(&Kept, (usize, usize)) -> bool) -> usize {
        let before = self.bytes;
        while let Some(first) = self.kept.front()
            && is_too_much(first, (self.kept.len(), self.bytes))
        {
            self.bytes -= bytes(&first.message);
            self.kept.pop_front();
        }
        before - self.bytes
    }

    pub(crate) fn listen(&self, pattern: Pattern, after: Option<Place>) -> (Listener, watch::Receiver<()>) {
        let first = self.first();
        let (next, missed) = match after {
            None => (self.next, false),
            Some(place) if place.order == self.order => {
                (place.number.saturating_add(1).min(self.next), false)
            }
            // What came in the order before is not known here.
            Some(_) => (first, true),
        };
        (Listener { pattern, order: self.order, next, missed }, self.bell.subscribe())
    }

    /// The number of the first message that is kept, or of the next one.
    fn first(&self) -> u64 {
        self.kept.front().map_or(self.next, |kept| kept.number)
    }

    /// What the listener hears next.
    pub(crate) fn next(&self, listener: &mut Listener) -> Result<Option<(TenantId, Heard)>, ChannelGone> {
        if listener.order != self.order {
            return Err(ChannelGone);
        }
        let first = self.first();
        if listener.next < first {
            (listener.next, listener.missed) = (first, true);
        }
        if std::mem::take(&mut listener.missed) {
            return Ok(Some((self.of, Heard::Missed)));
        }
        let skip = usize::try_from(listener.next - first).unwrap_or(usize::MAX);
        let found = self.kept.iter().skip(skip).find(|kept| listener.pattern.matches(&kept.message.subject));
        listener.next = found.map_or(self.next, |kept| kept.number + 1);
        Ok(found.map(|kept| {
            let place = Place { order: self.order, number: kept.number };
            (kept.of, Heard::Message(place, kept.message.clone()))
        }))
    }
}
