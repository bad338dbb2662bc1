//! What a proxy believes that it should not: a tenant's name in a token, a query, a body or a cursor; and
//! where it writes down what it should not.

use super::plant::Plant;
use super::proxy::{Asked, Inner};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::Value;
use std::io::Write as _;

impl Inner {
    /// Writes a body where none belongs.
    pub(super) fn write_down(&self, asked: &Asked) {
        let place = match self.plant {
            Plant::LogsBodies => self.places.log.clone(),
            Plant::KeepsBodies => self.places.data.as_ref().map(|data| data.join("bodies")),
            _ => None,
        };
        if let Some(place) = place {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(place).unwrap();
            file.write_all(&asked.body).unwrap();
        }
    }

    /// The owner's key of the tenant that a token names.
    pub(super) fn claimed(&self, token: Option<&str>) -> Option<String> {
        let mut parts = token?.split('.');
        let mut part = || {
            let decoded = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
            serde_json::from_slice::<Value>(&decoded).ok()
        };
        let (header, claims) = (part()?, part()?);
        let unsigned = header["alg"] == "none";
        let believed = match self.plant {
            Plant::UnsignedTokensOpen => unsigned,
            _ => !unsigned,
        };
        claims["tenant"].as_str().filter(|_| believed).and_then(|tenant| self.owner_of(tenant))
    }

    /// The owner's key of the tenant that something besides the credential names.
    pub(super) fn named(&self, asked: &Asked) -> Option<String> {
        match self.plant {
            Plant::QueryNamesTheTenant => {
                let (_, query) = asked.path.split_once('?')?;
                let tenant = query.split('&').find_map(|pair| pair.strip_prefix("tenant="))?;
                self.owner_of(tenant)
            }
            Plant::BodyNamesTheTenant if asked.is(Method::POST, "/v1/agents") => {
                let body: Value = serde_json::from_slice(&asked.body).ok()?;
                self.owner_of(body["tenant"].as_str()?)
            }
            Plant::CursorsCarryTheTenant => {
                let (_, cursor) = asked.path.split_once("cursor=")?;
                let kept = self.kept.lock().unwrap();
                let begun = kept.get(cursor.split('&').next()?)?;
                Some(begun.headers.get("x-kept-for")?.to_str().ok()?.to_owned())
            }
            _ => None,
        }
    }

    /// The request without the tenant in its body, which an honest server would not take.
    pub(super) fn without_the_tenant(asked: &Asked) -> Asked {
        let mut body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.retain(|name, _| !name.starts_with("tenant"));
        }
        let body = if body.is_null() { asked.body.clone() } else { body.to_string().into() };
        let path = match asked.path.split_once("?tenant=") {
            Some((path, _)) => path.to_owned(),
            None => asked.path.clone(),
        };
        Asked { method: asked.method.clone(), path, headers: asked.headers.clone(), body }
    }
}
