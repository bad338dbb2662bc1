//! The language in which the allow-list is written, and its interpreter: a value passes if its shape says
//! so, and everything that no shape names is refused.

use super::request::RequestError;
use serde_json::{Map, Value};
use std::fmt;

/// What a value may be.
pub(super) enum Shape {
    /// Text of at most so many bytes.
    Text(usize),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A number within these bounds.
    Number(f64, f64),
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// True or false.
    Flag,
    /// An address that the provider will fetch, or data in the address itself.
    Address,
    /// Base64 data, or an address that the provider will fetch.
    DataOrAddress,
    /// A list of at most so many.
    List(usize, &'static Shape),
    /// An object with these members and no others.
    Object(&'static [Member]),
    /// An object whose member (the first) says which of these it is.
    Tagged(&'static str, &'static [(&'static str, &'static [Member])]),
    /// An object of at most so many members with any names.
    MapOf(usize, &'static Shape),
    /// A JSON Schema, or another object that is the caller's own.
    Schema,
    /// Text in this shape, or a list or an object in another.
    TextOr(&'static Shape, &'static Shape),
    /// Nothing, or this shape.
    OrNull(&'static Shape),
}

/// How a member of an object is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It must be there.
    Required,
    /// It passes where it is.
    Passes,
    /// It passes on the tenant's own key alone: it names state kept at the provider, or buys something.
    OwnKey,
    /// Answers carry it and clients send it back; providers do not want it. It is left out.
    AnswerOnly,
}

/// A member of an object.
pub(super) struct Member(pub(super) &'static str, pub(super) Standing, pub(super) &'static Shape);

/// What was noticed on the way through a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Findings {
    /// Addresses that the provider would fetch.
    pub(super) addresses: Vec<String>,
    /// Members that pass on the tenant's own key alone.
    pub(super) own_key_only: Vec<String>,
    /// Images, files and sounds.
    pub(super) media: u64,
    /// Whether there is a video, a file, or a sound to be fetched: a few bytes of it can be any number of
    /// tokens.
    pub(super) boundless: bool,
    /// Bytes of images in the body itself, which become tokens by their size in pixels, not in bytes.
    pub(super) image_bytes: u64,
}

/// How many addresses one request may have fetched.
const MAX_ADDRESSES: usize = 64;
const MAX_ADDRESS_BYTES: usize = 8192;

/// Where in the body a value is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    pub(super) const ROOT: Place<'static> = Place { parent: None, step: Step::Root };

    pub(super) fn member(&'a self, name: &'a str) -> Self {
        Place { parent: Some(self), step: Step::Member(name) }
    }

    fn item(&'a self, index: usize) -> Self {
        Place { parent: Some(self), step: Step::Item(index) }
    }

    pub(super) fn invalid(&self, why: impl Into<String>) -> RequestError {
        RequestError::Invalid { param: self.to_string(), why: why.into() }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(out)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Item(index) => write!(out, "[{index}]"),
            Step::Member(name) => {
                if self.parent.is_some_and(|parent| parent.parent.is_some()) {
                    out.write_str(".")?;
                }
                // Names that the caller made up are cut, so that an error stays small and printable.
                let plain = |it: &char| !it.is_control();
                name.chars().filter(plain).take(64).try_for_each(|it| fmt::Write::write_char(out, it))
            }
        }
    }
}

/// Lets `value` through if it has the shape. Members without a value, empty lists where nothing is required,
/// and members that only answers carry are taken out.
pub(super) fn admit(
    value: &mut Value,
    shape: &Shape,
    place: &Place<'_>,
    found: &mut Findings,
) -> Result<(), RequestError> {
    match shape {
        Shape::TextOr(text, other) => {
            admit(value, if value.is_string() { text } else { other }, place, found)
        }
        Shape::OrNull(_) if value.is_null() => Ok(()),
        Shape::OrNull(inner) => admit(value, inner, place, found),
        Shape::List(most, of) => list(value, *most, of, place, found),
        Shape::Object(members) => with_members(as_object(value, place)?, None, members, place, found),
        Shape::Tagged(tag, kinds) => tagged(value, tag, kinds, place, found),
        Shape::MapOf(most, of) => map(as_object(value, place)?, *most, of, place, found),
        Shape::Schema => {
            as_object(value, place)?;
            no_remote_reference(value, place)
        }
        Shape::Address | Shape::DataOrAddress => {
            address(value, matches!(shape, Shape::Address), place, found)
        }
        simple => plain(value, simple).map_err(|why| place.invalid(why)),
    }
}

fn plain(value: &Value, shape: &Shape) -> Result<(), String> {
    let text = |most: usize| match value.as_str() {
        Some(text) if text.len() <= most => Ok(()),
        Some(_) => Err(format!("is longer than {most} bytes")),
        None => Err("must be a text".to_owned()),
    };
    let (holds, expected) = match shape {
        Shape::Text(most) => return text(*most),
        Shape::Choice(texts) => {
            let chosen = value.as_str().is_some_and(|text| texts.contains(&text));
            (chosen, format!("one of `{}`", texts.join("`, `")))
        }
        Shape::Number(least, most) => (
            value.as_f64().is_some_and(|it| (*least..=*most).contains(&it)),
            format!("a number from {least} to {most}"),
        ),
        Shape::Whole(least, most) => {
            let within = value.as_i64().is_some_and(|it| (*least..=*most).contains(&it));
            (within, format!("a whole number from {least} to {most}"))
        }
        Shape::Flag => (value.is_boolean(), "true or false".to_owned()),
        _ => (false, "something else".to_owned()),
    };
    if holds { Ok(()) } else { Err(format!("must be {expected}")) }
}

fn as_object<'v>(
    value: &'v mut Value,
    place: &Place<'_>,
) -> Result<&'v mut Map<String, Value>, RequestError> {
    value.as_object_mut().ok_or_else(|| place.invalid("must be an object"))
}

fn list(
    value: &mut Value,
    most: usize,
    of: &Shape,
    place: &Place<'_>,
    found: &mut Findings,
) -> Result<(), RequestError> {
    let Value::Array(items) = value else {
        return Err(place.invalid("must be a list"));
    };
    if items.is_empty() || items.len() > most {
        return Err(place.invalid(format!("must have 1 to {most} items")));
    }
    items.iter_mut().enumerate().try_for_each(|(index, item)| admit(item, of, &place.item(index), found))
}

fn map(
    object: &mut Map<String, Value>,
    most: usize,
    of: &Shape,
    place: &Place<'_>,
    found: &mut Findings,
) -> Result<(), RequestError> {
    if object.len() > most {
        return Err(place.invalid(format!("must have at most {most} members")));
    }
    object.iter_mut().try_for_each(|(name, item)| admit(item, of, &place.member(name), found))
}

fn tagged(
    value: &mut Value,
    tag: &'static str,
    kinds: &[(&'static str, &'static [Member])],
    place: &Place<'_>,
    found: &mut Findings,
) -> Result<(), RequestError> {
    let object = as_object(value, place)?;
    let kind = object.get(tag).and_then(Value::as_str);
    let Some((kind, members)) = kinds.iter().find(|(name, _)| Some(*name) == kind) else {
        let names: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
        return Err(place.member(tag).invalid(format!("must be one of `{}`", names.join("`, `"))));
    };
    // A type that is not a medium is text, a call or a tool.
    if matches!(*kind, "image_url" | "video_url" | "input_audio" | "file") {
        found.media = found.media.saturating_add(1);
    }
    let fetched = found.addresses.len();
    let kind = *kind;
    with_members(object, Some(tag), members, place, found)?;
    let sound_is_fetched = kind == "input_audio" && found.addresses.len() > fetched;
    found.boundless |= matches!(kind, "video_url" | "file") || sound_is_fetched;
    Ok(())
}

fn with_members(
    object: &mut Map<String, Value>,
    tag: Option<&str>,
    members: &[Member],
    place: &Place<'_>,
    found: &mut Findings,
) -> Result<(), RequestError> {
    let member = |name: &str| members.iter().find(|member| member.0 == name);
    let unknown = object.keys().find(|name| Some(name.as_str()) != tag && member(name).is_none());
    if let Some(name) = unknown {
        return Err(RequestError::NotAllowed {
            param: place.member(name).to_string(),
            why: refusal_of(name),
        });
    }
    object.retain(|name, value| match member(name) {
        Some(Member(_, Standing::AnswerOnly, _)) => false,
        // vLLM's answers hold empty lists of tool calls, which clients send back.
        Some(Member(_, Standing::Passes, _)) if value.as_array().is_some_and(Vec::is_empty) => false,
        Some(Member(_, _, shape)) => !value.is_null() || matches!(shape, Shape::OrNull(_)),
        None => true,
    });
    for Member(name, standing, shape) in members {
        let place = place.member(name);
        match (object.get_mut(*name), standing) {
            (None, Standing::Required) => return Err(place.invalid("is missing")),
            (None, _) => {}
            (Some(value), standing) => {
                admit(value, shape, &place, found)?;
                if *standing == Standing::OwnKey {
                    found.own_key_only.push(place.to_string());
                }
            }
        }
    }
    Ok(())
}

/// Why a member that no shape names is refused.
fn refusal_of(name: &str) -> &'static str {
    const KEPT_AT_THE_PROVIDER: [&str; 14] = [
        "assistant_id",
        "batch",
        "cached_content",
        "cachedContent",
        "container",
        "conversation",
        "file_id",
        "file_ids",
        "id",
        "previous_response_id",
        "prompt",
        "thread_id",
        "vector_store_id",
        "vector_store_ids",
    ];
    if KEPT_AT_THE_PROVIDER.contains(&name) {
        "names state kept at the provider"
    } else {
        "is not among the members that are passed on"
    }
}

fn address(
    value: &Value,
    must_be_address: bool,
    place: &Place<'_>,
    found: &mut Findings,
) -> Result<(), RequestError> {
    let text = value.as_str().ok_or_else(|| place.invalid("must be a text"))?;
    let begins = |start: &str| text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    if begins("data:") {
        if must_be_address {
            found.image_bytes = found.image_bytes.saturating_add(text.len() as u64);
        }
        return Ok(());
    }
    if begins("https://") || begins("http://") {
        let fits = text.len() <= MAX_ADDRESS_BYTES && found.addresses.len() < MAX_ADDRESSES;
        // Two readers of one address must not see two hosts.
        let unambiguous = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        return if fits && unambiguous {
            found.addresses.push(text.to_owned());
            Ok(())
        } else {
            Err(place.invalid("is not an address that can be fetched, or there are too many"))
        };
    }
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    if !must_be_address && text.bytes().all(base64) {
        return Ok(());
    }
    Err(place.invalid("must be a `data:`, `https:` or `http:` address"))
}

/// A schema that refers elsewhere would make the provider fetch it.
fn no_remote_reference(value: &Value, place: &Place<'_>) -> Result<(), RequestError> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| no_remote_reference(item, place)),
        Value::Object(members) => members.iter().try_for_each(|(name, inner)| {
            let remote = name.ends_with("Ref") || name == "$ref";
            match inner.as_str() {
                Some(target) if remote && name.starts_with('$') && !target.starts_with('#') => {
                    let param = place.member(name).to_string();
                    Err(RequestError::NotAllowed { param, why: "refers to a schema elsewhere" })
                }
                _ => no_remote_reference(inner, place),
            }
        }),
        _ => Ok(()),
    }
}
