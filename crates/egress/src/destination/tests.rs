//! What is read as a destination, what is refused, and where a redirect leads.

use super::{Destination, DestinationError, MAX_URL_BYTES, Scheme};
use crate::HostError;
use proptest::prelude::*;

fn read(text: &str) -> Result<String, DestinationError> {
    Destination::parse(text).map(|destination| destination.to_string())
}

#[test]
fn a_url_is_kept_in_parts() {
    let destination = Destination::parse("HTTPS://API.Example.com.:8443/a/../b?q=1#part").unwrap();
    assert_eq!(destination.scheme(), Scheme::Https);
    assert_eq!(destination.host().name(), Some("api.example.com"));
    assert_eq!((destination.port(), destination.target()), (8443, "/b?q=1"));
    assert_eq!(destination.authority(), "api.example.com:8443");
    assert_eq!(format!("{destination:?}"), "Destination(https://api.example.com:8443/…)");
}

#[test]
fn the_scheme_gives_the_port() {
    assert_eq!(read("http://a.example"), Ok("http://a.example/".into()));
    assert_eq!(read("http://a.example:80/"), Ok("http://a.example/".into()));
    assert_eq!(read("https://a.example:443"), Ok("https://a.example/".into()));
    assert_eq!(Destination::parse("https://[2606:4700::1]").unwrap().authority(), "[2606:4700::1]");
}

#[test]
fn odd_urls_are_refused() {
    use DestinationError::{Characters, Host, Malformed, Port, Scheme, TooLong, UserInfo};
    let long = format!("http://a.example/{}", "a".repeat(MAX_URL_BYTES));
    let grows = format!("http://a.example/{}", "ü".repeat(MAX_URL_BYTES / 3));
    let odd = [
        ("", Scheme),
        ("ftp://a.example/", Scheme),
        ("file:///etc/passwd", Scheme),
        ("//a.example/", Scheme),
        ("http:/a.example/", Scheme),
        ("http:a.example", Scheme),
        ("http:////a.example/", Host(HostError::Malformed)),
        ("http:///a.example/", Host(HostError::Malformed)),
        ("http://user@a.example/", UserInfo),
        ("http://user:pass@a.example/", UserInfo),
        ("http://@a.example/", UserInfo),
        ("http://good.example\\@127.0.0.1/", Characters),
        ("http://a.example\t/", Characters),
        (" http://a.example/", Characters),
        ("http://a.exa\nmple/", Characters),
        ("http://a.example/a b", Characters),
        ("http://a.example:/", Port),
        ("http://a.example:0/", Port),
        ("http://a.example:65536/", Port),
        ("http://a.example:+80/", Port),
        ("http://2130706433/", Host(HostError::OddAddress)),
        ("http://0x7f.0.0.1/", Host(HostError::OddAddress)),
        ("http://0177.0.0.1/", Host(HostError::OddAddress)),
        ("http://127.1/", Host(HostError::OddAddress)),
        ("http://1%32%37.0.0.1/", Host(HostError::Malformed)),
        ("http://[::1", Port),
        ("http://[::1]x/", Host(HostError::Malformed)),
        (&long, TooLong),
        (&grows, TooLong),
    ];
    for (text, expected) in odd {
        assert_eq!(read(text), Err(expected), "{text}");
    }
    assert_ne!(read("http://a.example:80:90/"), Ok(String::new()));
    assert!(matches!(read("http://a.example:80:90/"), Err(Port | Malformed)));
}

#[test]
fn a_location_is_read_against_where_it_came_from() {
    let from = Destination::parse("https://a.example:8443/dir/page?q").unwrap();
    let cases = [
        ("/other", "https://a.example:8443/other"),
        ("next?x=http://c.example/", "https://a.example:8443/dir/next?x=http://c.example/"),
        ("?only", "https://a.example:8443/dir/page?only"),
        ("//b.example/x", "https://b.example/x"),
        ("http://b.example", "http://b.example/"),
        ("/x?to=https://c.example/", "https://a.example:8443/x?to=https://c.example/"),
    ];
    for (location, expected) in cases {
        assert_eq!(
            from.join(location).map(|joined| joined.to_string()),
            Ok(expected.to_owned()),
            "{location}"
        );
    }
    for location in
        ["ftp://a.example/", "//user@b.example/", "/a b", "/\\b.example", "//127.1/", "javascript:x"]
    {
        assert!(from.join(location).is_err(), "{location}");
    }
}

proptest! {
    #[test]
    fn what_it_prints_it_reads(text in "https?://[a-z0-9.\\[\\]:@%-]{1,30}(/\\PC{0,20})?") {
        if let Ok(destination) = Destination::parse(&text) {
            prop_assert_eq!(Destination::parse(&destination.to_string()), Ok(destination));
        }
    }

    #[test]
    fn no_text_makes_the_reader_fall_over(text in "\\PC{0,60}", location in "\\PC{0,60}") {
        let _ = Destination::parse(&text);
        let _ = Destination::parse("https://a.example/").unwrap().join(&location);
    }

    #[test]
    fn nothing_that_is_sent_could_break_a_line(text in "http://a.example/[ -~\\PC\r\n\t]{0,30}") {
        if let Ok(destination) = Destination::parse(&text) {
            prop_assert!(destination.target().bytes().all(|byte| (0x21..0x7f).contains(&byte)));
        }
    }
}
