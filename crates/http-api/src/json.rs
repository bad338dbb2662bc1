//! Reading JSON from outside strictly: no member twice in one object, no value nested too deep, no number
//! that does not fit, no character NUL, since whoever reads it after us may take it otherwise than we did.

use crate::shape::misplaced_list;
use errors::Problem;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// How deep values may be nested.
const MAX_DEPTH: usize = 64;
/// How much of the caller's own text an error repeats, in characters.
const MAX_QUOTE: usize = 64;
const MAX_DETAIL: usize = 300;

/// Reads one JSON value that fills `bytes`, with an error that says where it is wrong.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    check(bytes).and_then(|()| serde_json::from_slice(bytes)).map_err(|error| {
        // The message quotes names of members and kinds of values, never more of the caller's text than a
        // short piece of what was misplaced.
        let detail: String =
            format!("The body is not what this call takes: {error}.").chars().take(MAX_DETAIL).collect();
        Problem::invalid(detail)
    })
}

/// Reads a body: one object, with lists only where `T` has them.
pub(crate) fn parse_body<T: DeserializeOwned + JsonSchema>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte == b'[') {
        return Err(Problem::invalid("The body must be a JSON object, not a list."));
    }
    let value = parse(bytes)?;
    if bytes.contains(&b'[') {
        check_lists::<T>(&parse(bytes)?)?;
    }
    Ok(value)
}

/// Refuses a list where `T` has an object or a plain value.
pub(crate) fn check_lists<T: JsonSchema>(value: &Value) -> Result<(), Problem> {
    match misplaced_list::<T>(value) {
        None => Ok(()),
        Some(place) => {
            let place: String = place.chars().take(MAX_QUOTE).collect();
            Err(Problem::invalid(format!("The body has a list at `{place}`, where this call takes none.")))
        }
    }
}

fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Strict { depth: MAX_DEPTH }.deserialize(&mut reader)?;
    reader.end()?;
    match integers(bytes).find(|digits| !fits(digits)) {
        None => Ok(()),
        Some(digits) => Err(serde_json::Error::custom(format!("the number {} does not fit", cut(digits)))),
    }
}

/// Walks through a value and keeps nothing of it but what the rules need.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        depth.map(|depth| Self { depth }).ok_or_else(|| E::custom(format!("nested deeper than {MAX_DEPTH}")))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(E::custom("a text has the character NUL")) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            inner.visit_str(&name)?;
            members.next_value_seed(inner)?;
            if names.contains(&name) {
                let twice = format!("the member `{}` occurs twice in one object", cut(&name));
                return Err(A::Error::custom(twice));
            }
            names.insert(name);
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_QUOTE).collect()
}

/// The whole numbers of a JSON text, outside its strings, as they are written. The reader turns those that
/// are too long into rounded ones without a word.
fn integers(json: &[u8]) -> impl Iterator<Item = &str> {
    let (mut in_text, mut escaped) = (false, false);
    let outside = json.split(move |byte| {
        let part_of_number = !in_text && (byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ => {}
        }
        !part_of_number
    });
    let words = outside.filter_map(|word| std::str::from_utf8(word).ok());
    words.filter(|word| {
        let digits = word.strip_prefix('-').unwrap_or(word);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn fits(digits: &str) -> bool {
    digits.parse::<u64>().is_ok() || digits.parse::<i64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, parse};
    use serde_json::Value;

    fn detail(text: &str) -> String {
        parse::<Value>(text.as_bytes()).unwrap_err().detail
    }

    #[test]
    fn what_is_well_formed_is_read() {
        let just_deep_enough = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        let numbers =
            r#"[0, -1, 18446744073709551615, -9223372036854775808, 1.5e300, "99999999999999999999"]"#;
        let quotes = r#"{"a\"b":"\\","c":"\" 99999999999999999999 \\\""}"#;
        for text in ["null", numbers, quotes, r#"{"a":{"x":1},"b":{"x":1}}"#, &just_deep_enough] {
            assert_eq!(
                parse::<Value>(text.as_bytes()).unwrap(),
                serde_json::from_str::<Value>(text).unwrap()
            );
        }
    }

    #[test]
    fn a_member_that_occurs_twice_is_named() {
        for text in [r#"{"role":1,"role":2}"#, r#"{"x":[{"role":1,"\u0072ole":2}]}"#] {
            assert!(detail(text).contains("`role` occurs twice"), "{text}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_named() {
        for text in ["[18446744073709551616]", r#"{"a":-9223372036854775809}"#, "99999999999999999999"] {
            assert!(detail(text).contains("does not fit"), "{text}");
        }
        assert!(detail("[1e999]").contains("out of range"));
    }

    #[test]
    fn deep_nests_nul_and_trailing_text_are_refused() {
        let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        assert!(detail(&deep).contains("nested deeper"));
        assert!(detail(r#"{"a":"x\u0000"}"#).contains("NUL"));
        assert!(detail(r#"{"\u0000":1}"#).contains("NUL"));
        for text in ["", "{} {}", "{", "\"\\ud800\"", "nul"] {
            assert!(!detail(text).is_empty(), "{text}");
        }
        assert!(parse::<Value>(b"\"\xff\"").is_err());
    }
}
