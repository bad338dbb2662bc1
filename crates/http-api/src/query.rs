//! Parameters of paths and queries: like the framework's own extractors, but whatever is wrong with them is
//! answered as a problem, and a parameter that the operation does not know is refused.

use crate::Api;
use crate::problem::Refused;
use axum::extract::FromRequestParts;
use errors::Problem;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::time::Duration;
use store::PageRequest;

/// The parameters of the query. Numbers are read from their text also within flattened parts.
pub(crate) struct Query<T>(pub(crate) T);

/// The parameters of the path.
pub(crate) struct Path<T>(pub(crate) T);

/// What an operation says of itself, put beside each request by the router.
#[derive(Clone)]
pub(crate) struct Declared {
    /// The names of its query parameters.
    pub(crate) query: Vec<&'static str>,
    /// How long it may take, where that has a bound.
    pub(crate) time: Option<Duration>,
}

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Refused> {
        let read = axum::extract::Query::try_from_uri(&parts.uri);
        let axum::extract::Query(value) = read.map_err(|error| {
            let text = error.to_string();
            let reason = text.rsplit(": ").next().unwrap_or_default();
            let detail: String =
                format!("The query is not what this call takes: {reason}.").chars().take(300).collect();
            Problem::invalid(detail)
        })?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Path<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        // What is not even text names nothing.
        let read = axum::extract::Path::from_request_parts(parts, api).await;
        let axum::extract::Path(value) = read.map_err(|_| Problem::not_found())?;
        Ok(Self(value))
    }
}

/// Refuses parameters that the operation does not know, that occur twice, or that hold the character NUL.
pub(crate) fn check(parts: &Parts) -> Result<(), Problem> {
    let declared = parts.extensions.get::<Declared>();
    let (Some(query), Some(Declared { query: known, .. })) = (parts.uri.query(), declared) else {
        return Ok(());
    };
    let mut seen = BTreeSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !known.contains(&name) {
            let name: String = name.chars().take(64).collect();
            let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let detail = format!("The call takes no parameter `{name}` in its query; it takes: {takes}.");
            return Err(Problem::invalid(detail));
        }
        if !seen.insert(name) {
            return Err(Problem::invalid(format!("The parameter `{name}` occurs twice.")));
        }
        if value.contains("%00") {
            return Err(Problem::invalid(format!("The parameter `{name}` has the character NUL.")));
        }
    }
    Ok(())
}

/// The page that `?limit=&cursor=` asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct Paging {
    #[serde(default, deserialize_with = "number")]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// A number from its text: a flattened part is given texts alone.
pub(crate) fn number<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// Where a list of the operator's goes on: after the object whose name or id is the cursor.
pub(crate) fn place<T: std::str::FromStr>(page: &PageRequest) -> Result<Option<T>, Problem> {
    let wrong = |_| Problem::invalid("The cursor is not one of this list's.");
    page.cursor.as_deref().map(str::parse).transpose().map_err(wrong)
}

impl Paging {
    pub(crate) fn page(&self) -> Result<PageRequest, Problem> {
        let limit = self.limit.unwrap_or(PageRequest::DEFAULT_LIMIT);
        if !(1..=PageRequest::MAX_LIMIT).contains(&limit) {
            return Err(Problem::invalid(format!("`limit` is from 1 to {}.", PageRequest::MAX_LIMIT)));
        }
        Ok(PageRequest { limit, cursor: self.cursor.clone() })
    }
}
