//! Where a redirect leads, and what may go along (RFC 9110, section 15.4). Pure.

use egress::{AddressPolicy, Denied, Destination, EgressError, Headers, Method, OutboundRequest, Scheme};
use http::{HeaderMap, StatusCode, header};

/// Whether the status is one of those that name another place for the same request.
pub(crate) fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && headers.contains_key(header::LOCATION)
}

/// The request that a redirect asks for: to a destination that is read anew, never with a credential, with
/// none but harmless header fields, and with the body only where that stays at its origin.
pub(crate) fn follow(
    request: OutboundRequest,
    status: StatusCode,
    headers: &HeaderMap,
    policy: &AddressPolicy,
) -> Result<OutboundRequest, EgressError> {
    let url = location(&request.url, headers)?;
    let leaves_tls = request.url.scheme() == Scheme::Https && url.scheme() == Scheme::Http;
    if leaves_tls && !policy.opens(url.host(), url.port()) {
        return Err(Denied::Downgrade.into());
    }
    let keeps_body = match status.as_u16() {
        307 | 308 => true,
        // A form's answer page: everyone asks for it with GET, as the RFC grants.
        301 | 302 => request.method != Method::Post,
        _ => false,
    };
    let (method, body) = match request.method {
        Method::Head => (Method::Head, Vec::new()),
        method if keeps_body => (method, request.body),
        _ => (Method::Get, Vec::new()),
    };
    if !body.is_empty() && !url.same_origin(&request.url) {
        return Err(Denied::BodyElsewhere.into());
    }
    let headers: Headers = request.headers.after_redirect();
    Ok(OutboundRequest { method, url, headers, body, credential: None, ..request })
}

fn location(from: &Destination, headers: &HeaderMap) -> Result<Destination, Denied> {
    let mut named = headers.get_all(header::LOCATION).iter();
    match (named.next().map(|value| value.to_str()), named.next()) {
        (Some(Ok(location)), None) => from.join(location).map_err(|_| Denied::Redirect),
        _ => Err(Denied::Redirect),
    }
}

#[cfg(test)]
mod tests {
    use super::{follow, is_redirect};
    use egress::OutboundRequest;
    use egress::{AddressPolicy, AttachedCredential, Denied, Destination, EgressError, Headers, Method};
    use http::{HeaderMap, HeaderValue, StatusCode, header};
    use secret::SecretText;

    fn request(method: Method) -> OutboundRequest {
        let url = Destination::parse("https://a.example/dir/form").unwrap();
        let hosts = vec!["a.example".parse().unwrap()];
        let credential =
            AttachedCredential::new(hosts, "authorization", SecretText::new("s".into())).unwrap();
        OutboundRequest {
            body: b"body".into(),
            headers: Headers::parse([("accept", "a/b"), ("x-key", "k")]).unwrap(),
            credential: Some(credential),
            ..OutboundRequest::new(method, url)
        }
    }

    fn to(location: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static(location))])
    }

    fn next(method: Method, status: u16, location: &'static str) -> Result<OutboundRequest, EgressError> {
        let policy = AddressPolicy::new(vec!["open.internal:80".parse().unwrap()]);
        follow(request(method), StatusCode::from_u16(status).unwrap(), &to(location), &policy)
    }

    #[test]
    fn no_credential_and_no_other_secret_goes_along() {
        for (status, location) in [(302, "https://b.example/"), (303, "/same"), (307, "/same")] {
            let next = next(Method::Post, status, location).ok().unwrap();
            assert!(next.credential.is_none());
            assert_eq!(
                next.headers.as_map().keys().map(|name| name.as_str()).collect::<Vec<_>>(),
                ["accept"]
            );
        }
    }

    #[test]
    fn the_method_and_the_body_change_as_the_rfc_says() {
        let cases = [
            (Method::Post, 301, Method::Get, 0),
            (Method::Post, 302, Method::Get, 0),
            (Method::Post, 303, Method::Get, 0),
            (Method::Post, 307, Method::Post, 4),
            (Method::Put, 302, Method::Put, 4),
            (Method::Put, 303, Method::Get, 0),
            (Method::Patch, 308, Method::Patch, 4),
            (Method::Head, 303, Method::Head, 0),
        ];
        for (method, status, expected, length) in cases {
            let next = next(method, status, "other?q").ok().unwrap();
            assert_eq!((next.method, next.body.len()), (expected, length), "{method} {status}");
            assert_eq!(next.url.to_string(), "https://a.example/dir/other?q");
        }
    }

    #[test]
    fn neither_tls_nor_the_origin_is_left_with_what_matters() {
        let denied = |method, status, location| match next(method, status, location) {
            Err(EgressError::Denied(denied)) => Some(denied),
            _ => None,
        };
        assert_eq!(denied(Method::Get, 302, "http://a.example/"), Some(Denied::Downgrade));
        assert_eq!(denied(Method::Post, 302, "http://open.internal/"), None);
        assert_eq!(denied(Method::Post, 307, "https://b.example/"), Some(Denied::BodyElsewhere));
        assert_eq!(denied(Method::Post, 307, "https://a.example:444/"), Some(Denied::BodyElsewhere));
        for odd in ["file:///etc/passwd", "https://u@b.example/", "http://127.1/", "//[::1", "/a b"] {
            assert_eq!(denied(Method::Get, 302, odd), Some(Denied::Redirect), "{odd}");
        }
    }

    #[test]
    fn two_locations_are_none() {
        let mut headers = to("/a");
        headers.append(header::LOCATION, HeaderValue::from_static("/b"));
        assert!(
            follow(request(Method::Get), StatusCode::FOUND, &headers, &AddressPolicy::default()).is_err()
        );
        assert!(!is_redirect(StatusCode::FOUND, &HeaderMap::new()));
        assert!(!is_redirect(StatusCode::NOT_MODIFIED, &to("/a")));
    }
}
