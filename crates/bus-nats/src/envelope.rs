//! How a message goes over NATS: sealed bytes as they are and hints as JSON, with what else there is to it in headers.

use async_nats::HeaderMap;
use bus::{Body, Message, Subject};
use bytes::Bytes;
use env::Timestamp;
use ids::TenantId;

const ID: &str = "Tenantry-Id";
const AT: &str = "Tenantry-At";
const BODY: &str = "Tenantry-Body";
const SEALED: &str = "sealed";
const HINT: &str = "hint";

pub(crate) fn close(message: &Message) -> (HeaderMap, Bytes) {
    let (kind, payload) = match &message.body {
        Body::Sealed(sealed) => (SEALED, Bytes::copy_from_slice(sealed)),
        Body::Hint(hint) => (HINT, Bytes::from(hint.to_string())),
    };
    let mut headers = HeaderMap::new();
    headers.insert(ID, message.id.to_string());
    headers.insert(AT, message.at.millis().to_string());
    headers.insert(BODY, kind);
    (headers, payload)
}

/// Whose message it is, by its subject, and the message. Nothing where it was not told by us.
pub(crate) fn open(message: &async_nats::Message) -> Option<(TenantId, Message)> {
    let (of, subject) = message.subject.strip_prefix("tenant.")?.split_once('.')?;
    let headers = message.headers.as_ref()?;
    let header = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
    let body = match header(BODY)? {
        SEALED => Body::Sealed(message.payload.to_vec()),
        HINT => Body::Hint(serde_json::from_slice(&message.payload).ok()?),
        _ => return None,
    };
    let subject = subject.parse::<Subject>().ok()?;
    let at = Timestamp::from_millis(header(AT)?.parse().ok()?);
    Some((of.parse().ok()?, Message { id: header(ID)?.parse().ok()?, subject, at, body }))
}

#[cfg(test)]
mod tests {
    use super::{close, open};
    use bus::{Body, Message};
    use env::Timestamp;
    use ids::{Id, MessageId, TenantId};
    use serde_json::json;

    fn sent(subject: &str, message: &Message) -> async_nats::Message {
        let (headers, payload) = close(message);
        async_nats::Message {
            subject: subject.into(),
            reply: None,
            length: payload.len(),
            payload,
            headers: Some(headers),
            status: None,
            description: None,
        }
    }

    #[test]
    fn what_is_opened_is_what_was_closed() {
        let tenant = TenantId::from_parts(1_790_000_000_000, [1; 10]);
        let bodies = [
            Body::Sealed(vec![0, 1, 255, b'\r', b'\n']),
            Body::Sealed(b"{\"hint\":1}".to_vec()),
            Body::Hint(json!({"id": "key_1"})),
        ];
        for body in bodies {
            let message = Message {
                id: MessageId::from_parts(1_790_000_000_001, [2; 10]),
                subject: "app.orders.created".parse().unwrap(),
                at: Timestamp::from_millis(1_790_000_000_002),
                body,
            };
            let sent = sent(&message.subject.whole(tenant), &message);
            assert_eq!(open(&sent), Some((tenant, message)));
        }
    }

    #[test]
    fn what_was_not_told_by_us_is_not_opened() {
        let tenant = TenantId::from_parts(1_790_000_000_000, [1; 10]);
        let message = Message {
            id: MessageId::from_parts(1_790_000_000_001, [2; 10]),
            subject: "app.word".parse().unwrap(),
            at: Timestamp::from_millis(0),
            body: Body::Hint(json!(1)),
        };
        let good = sent(&message.subject.whole(tenant), &message);
        assert!(open(&good).is_some());
        for subject in [
            "app.word".to_owned(),
            "tenant.app.word".to_owned(),
            format!("tenant.{tenant}"),
            format!("tenant.{tenant}.word"),
            format!("other.{tenant}.app.word"),
        ] {
            let other = async_nats::Message { subject: subject.as_str().into(), ..good.clone() };
            assert!(open(&other).is_none(), "{subject}");
        }
        for (name, value) in [("Tenantry-Body", "other"), ("Tenantry-At", "x"), ("Tenantry-Id", "key_1")] {
            let mut other = good.clone();
            other.headers.as_mut().unwrap().insert(name, value);
            assert!(open(&other).is_none(), "{name}");
        }
        assert!(open(&async_nats::Message { headers: None, ..good.clone() }).is_none());
        assert!(open(&async_nats::Message { payload: "{".into(), ..good }).is_none());
    }
}
