//! Which log it is: one for each tenant, region and epoch.

use ids::{Slug, TenantId};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "tenantry.dev/log/";

/// A log's identity, as the first line of its checkpoints and the name of its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whose log.
    pub tenant: TenantId,
    /// Where it is kept.
    pub region: Slug,
    /// Counts the logs that a tenant has had in a region; a restore from a backup begins a new one.
    pub epoch: u64,
}

/// The text is not a log's origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a log's origin of the form {PREFIX}ten_…/region/epoch")]
pub struct OriginError;

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{PREFIX}{}/{}/{}", self.tenant, self.region, self.epoch)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        parse(text).filter(|origin| origin.to_string() == text).ok_or(OriginError)
    }
}

fn parse(text: &str) -> Option<Origin> {
    let mut parts = text.strip_prefix(PREFIX)?.split('/');
    let origin = Origin {
        tenant: parts.next()?.parse().ok()?,
        region: parts.next()?.parse().ok()?,
        epoch: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(origin)
}
