//! What callers prove themselves with, and what else stands in the head of a request.
#![expect(clippy::expect_used, reason = "what is not set up here is no finding")]

use admission_fixture::Fixture;
use authz::Role;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use context::{Caller, Presented, RequestFacts, SigningAlgorithm};
use futures::FutureExt as _;
use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey};
use metering::plan::Limits;
use secret::SecretText;

/// A private key of Ed25519 (RFC 8410, section 7), and the public one that belongs to it (RFC 8037, appendix A).
const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v_VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
const PUBLIC: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// What a credential opens.
fn opened(fixture: &Fixture, credential: &str, tenant_header: Option<&str>) -> Option<Caller> {
    let credential = Some(SecretText::new(credential.to_owned()));
    let presented = Presented { credential, tenant_header: tenant_header.map(str::to_owned) };
    let facts = RequestFacts::internal(fixture.env().id());
    let outcome = fixture.authenticator().authenticate(&presented, facts).now_or_never();
    outcome.expect("what is in memory is waited for by nobody").ok()
}

/// The first line is the tenant that is meant, the rest the credential, in which `KEY` and `OTHER` stand for two
/// tenants' keys: whatever stands around or within them, no other text opens a tenant than its key.
pub(crate) fn keys(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        key(text);
    }
}

/// Whether a tenant is opened.
fn key(text: &str) -> bool {
    let fixture = Fixture::new(5);
    let tenants = [fixture.tenant(Limits::default()), fixture.tenant(Limits::default())];
    let issued = tenants.map(|tenant| fixture.owner_key(tenant));
    let [one, other] = &issued;
    let text = text.replace("KEY", one.expose()).replace("OTHER", other.expose());
    let text = text.replace("TENANT", &tenants[0].to_string());
    let (header, credential) = text.split_once('\n').unwrap_or(("", &text));
    let header = Some(header).filter(|header| !header.is_empty());
    let caller = opened(&fixture, credential, header);
    if let Some(caller) = &caller {
        let Caller::Tenant(admission) = caller else { panic_with("a tenant's key opens what is no tenant") };
        let whose =
            tenants.iter().position(|tenant| *tenant == admission.tenant_id()).expect("it is one of them");
        assert_eq!(credential, issued[whose].expose(), "another text opens the tenant");
        assert!(header.is_none_or(|header| header == tenants[whose].to_string()), "the header names another");
    }
    caller.is_some()
}

#[expect(clippy::panic, reason = "a target panics where something that must hold does not")]
fn panic_with(what: &str) -> ! {
    panic!("{what}")
}

/// The first line is a token's header, the rest its claims, in which `KID`, `TENANT` and `OTHER` stand for ids:
/// whatever is signed with a tenant's key opens that tenant or nothing.
pub(crate) fn tokens(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        token(text);
    }
}

/// Whether the signed token opens its tenant.
fn token(text: &str) -> bool {
    let fixture = Fixture::new(6);
    let (tenant, other) = (fixture.tenant(Limits::default()), fixture.tenant(Limits::default()));
    let kid = fixture.signing_key(tenant, SigningAlgorithm::EdDSA, PUBLIC.to_owned(), Role::Admin);
    let text = text.replace("KID", &kid.to_string()).replace("TENANT", &tenant.to_string());
    let text = text.replace("OTHER", &other.to_string());
    let (header, claims) = text.split_once('\n').unwrap_or((&text, ""));
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let der = URL_SAFE_NO_PAD.decode(PRIVATE).expect("the key is base64");
    let key = EncodingKey::from_ed_der(&der);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).expect("it signs");
    // Unsigned, and as it came, too.
    let signed = format!("{message}.{signature}");
    for token in [signed.clone(), format!("{message}."), text] {
        match opened(&fixture, &token, None) {
            None => {}
            Some(Caller::Tenant(admission)) => assert_eq!(admission.tenant_id(), tenant),
            Some(_) => panic_with("a tenant's token opens what is no tenant"),
        }
        assert!(
            opened(&fixture, &token, Some(&other.to_string())).is_none(),
            "it opens what it does not name"
        );
    }
    opened(&fixture, &signed, None).is_some()
}

/// A public key that a tenant registers.
pub(crate) fn jwk(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = SigningAlgorithm::EdDSA.accepts(text);
    let _ = SigningAlgorithm::RS256.accepts(text);
}

/// The first line is the target, the others are header fields.
pub(crate) fn requests(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut request = Request::get(lines.next().unwrap_or_default());
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        request = request.header(&line[..colon], line.get(colon + 1..).unwrap_or_default());
    }
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let (keys, fields) = (parts.headers.get_all("idempotency-key").iter().count(), parts.headers.clone());
    let Ok(read) = http_api::outside::read(parts.clone()) else { return };
    assert_eq!(http_api::outside::read(parts).ok().as_ref(), Some(&read));
    // What is said is heeded or refused, never passed over.
    assert_eq!(read.idempotency.is_some(), keys == 1);
    assert_eq!(read.tenant.is_some(), fields.contains_key("x-tenant-id"));
    assert!((1..=500).contains(&read.limit));
    let matched = fields.get("if-match").is_some_and(|tag| tag != "*");
    assert_eq!(read.expected.is_some(), matched);
}

#[cfg(test)]
mod tests {
    use super::{key, token};

    #[test]
    fn what_is_right_opens_so_that_what_is_near_to_it_says_something() {
        assert!(key("\nKEY") && key("TENANT\nKEY"));
        assert!(!key("TENANT\nOTHER") && !key("\nKEYOTHER"));
        assert!(token(include_str!("../corpus/tokens/good")));
        assert!(!token(include_str!("../corpus/tokens/foreign")));
    }
}
