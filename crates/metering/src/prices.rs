//! What a model's tokens cost: our own dated table, and the prices that an operator sets on an endpoint.
//!
//! The table is imported from the data of genai-prices by `cargo xtask prices` (see `data/NOTICE`). A
//! lookup names its provider and never falls back to another one: the same model costs differently
//! elsewhere. No match is `None`, which means unpriced and never free.

mod rate;
mod rule;
#[cfg(test)]
mod tests;

pub use rate::{ParsePriceError, PerMillion, Price};

use env::Timestamp;
use rate::Rate;
use rule::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const DATA: &str = include_str!("../data/prices.json");
/// Names longer than this are no model's; it bounds the work of a lookup.
const MAX_MODEL_NAME: usize = 256;
const SECONDS_PER_DAY: i64 = 86_400;

/// The table's data file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PriceDataError {
    /// It is not of the expected form.
    #[error("the price table is not of the expected form: {0}")]
    Form(#[from] serde_json::Error),
    /// A date or a time of day in it is none.
    #[error("the price table has a date or time of day that is none: {0}")]
    Moment(String),
}

/// The dated prices of the known providers. Clones are the same table.
#[derive(Clone, Debug)]
pub struct PriceTable {
    source: String,
    providers: Arc<BTreeMap<String, Vec<Model>>>,
}

#[derive(Debug)]
struct Model {
    rule: Rule,
    prices: Vec<Dated>,
}

/// A price, or that there is none, while its condition holds.
#[derive(Debug)]
struct Dated {
    when: When,
    price: Option<Price>,
}

#[derive(Debug)]
enum When {
    Always,
    /// From this moment on.
    From(Timestamp),
    /// Between two times of day (UTC, seconds since midnight), over midnight where the end is before the start.
    Between {
        start: i64,
        end: i64,
    },
}

impl PriceTable {
    /// The table that is part of the program. Reading it takes some milliseconds; keep it.
    pub fn built_in() -> Result<Self, PriceDataError> {
        Self::parse(DATA)
    }

    fn parse(text: &str) -> Result<Self, PriceDataError> {
        let file: File = serde_json::from_str(text)?;
        let mut providers = BTreeMap::new();
        for (provider, entries) in file.providers {
            let models = entries.into_iter().map(Entry::model).collect::<Result<Vec<_>, _>>()?;
            providers.insert(provider, models);
        }
        Ok(Self { source: file.source, providers: Arc::new(providers) })
    }

    /// Where the prices come from, with the version: kept with what was charged by them.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What `model` costs at `provider` at this moment. `None` is unpriced.
    ///
    /// The provider's first model whose rule the name (in any case) fulfils decides, and of its prices the
    /// last whose condition holds.
    pub fn find(&self, provider: &str, model: &str, at: Timestamp) -> Option<&Price> {
        if model.len() > MAX_MODEL_NAME {
            return None;
        }
        let name = model.to_lowercase();
        let found = self.providers.get(provider)?.iter().find(|candidate| candidate.rule.fits(&name))?;
        found.prices.iter().rev().find(|dated| dated.when.holds(at))?.price.as_ref()
    }
}

impl When {
    fn holds(&self, at: Timestamp) -> bool {
        match *self {
            Self::Always => true,
            Self::From(start) => at >= start,
            Self::Between { start, end } => {
                let now = at.seconds().rem_euclid(SECONDS_PER_DAY);
                if start <= end { start <= now && now < end } else { start <= now || now < end }
            }
        }
    }
}

/// An operator's price of one model at an endpoint, in US dollars a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorPrice {
    /// A million prompt tokens.
    pub input_per_million: PerMillion,
    /// A million answer tokens.
    pub output_per_million: PerMillion,
    /// A million prompt tokens that the provider had in its cache; as other prompt tokens where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million: Option<PerMillion>,
    /// A million prompt tokens that the provider put into its cache; as other prompt tokens where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_million: Option<PerMillion>,
}

impl OperatorPrice {
    /// The price as calls are charged by it.
    pub fn price(&self) -> Price {
        let flat = |price: PerMillion| Rate::flat(price);
        Price {
            input: flat(self.input_per_million),
            output: Some(flat(self.output_per_million)),
            cache_read: self.cached_input_per_million.map(flat),
            cache_write: self.cache_write_per_million.map(flat),
            ..Price::of_input(self.input_per_million)
        }
    }
}

/// An endpoint's own prices by model name, exactly as the upstream is called.
pub type OperatorPrices = BTreeMap<String, OperatorPrice>;

/// What a call costs: by the endpoint's own prices where they name the model, else by the table where the
/// endpoint's provider is known. `None` is unpriced.
pub fn price_of(
    operator: &OperatorPrices,
    table: &PriceTable,
    provider: Option<&str>,
    model: &str,
    at: Timestamp,
) -> Option<Price> {
    match operator.get(model) {
        Some(own) => Some(own.price()),
        None => table.find(provider?, model, at).cloned(),
    }
}

/// The provider whose public API this host is. Only exact names count: a proxy may charge otherwise.
pub fn provider_of_host(host: &str) -> Option<&'static str> {
    Some(match host.to_ascii_lowercase().as_str() {
        "api.anthropic.com" => "anthropic",
        "api.arcee.ai" => "arcee",
        "api.avian.io" => "avian",
        "inference.baseten.co" => "baseten",
        "api.cerebras.ai" => "cerebras",
        "api.cohere.ai" | "api.cohere.com" => "cohere",
        "api.deepseek.com" => "deepseek",
        "api.fireworks.ai" => "fireworks",
        "generativelanguage.googleapis.com" => "google",
        "api.groq.com" => "groq",
        "api.minimax.io" => "minimax",
        "api.mistral.ai" => "mistral",
        "api.moonshot.ai" => "moonshotai",
        "api.novita.ai" => "novita",
        "api.openai.com" => "openai",
        "openrouter.ai" => "openrouter",
        "oai.endpoints.kepler.ai.cloud.ovh.net" => "ovhcloud",
        "api.perplexity.ai" => "perplexity",
        "api.together.xyz" => "together",
        "api.voyageai.com" => "voyageai",
        "api.x.ai" => "x-ai",
        "api.z.ai" => "zai",
        "open.bigmodel.cn" => "zhipuai",
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: String,
    #[serde(rename = "licence")]
    _licence: String,
    #[serde(rename = "newest_date")]
    _newest_date: String,
    providers: BTreeMap<String, Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "model")]
    _model: String,
    #[serde(rename = "match")]
    rule: Rule,
    prices: Vec<DatedEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatedEntry {
    from: Option<String>,
    between: Option<[String; 2]>,
    #[serde(rename = "unpriced")]
    _unpriced: Option<String>,
    input: Option<Rate>,
    cache_read: Option<Rate>,
    cache_write: Option<Rate>,
    cache_write_1h: Option<Rate>,
    input_audio: Option<Rate>,
    output: Option<Rate>,
    reasoning: Option<Rate>,
    output_audio: Option<Rate>,
    thousand_calls: Option<PerMillion>,
}

impl Entry {
    fn model(self) -> Result<Model, PriceDataError> {
        let prices = self.prices.into_iter().map(DatedEntry::dated).collect::<Result<_, _>>()?;
        Ok(Model { rule: self.rule, prices })
    }
}

impl DatedEntry {
    fn dated(self) -> Result<Dated, PriceDataError> {
        let when = match (&self.from, &self.between) {
            (Some(date), _) => When::From(midnight(date)?),
            (None, Some([start, end])) => {
                When::Between { start: second_of_day(start)?, end: second_of_day(end)? }
            }
            (None, None) => When::Always,
        };
        let price = self.input.map(|input| Price {
            input,
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            cache_write_1h: self.cache_write_1h,
            input_audio: self.input_audio,
            output: self.output,
            reasoning: self.reasoning,
            output_audio: self.output_audio,
            thousand_calls: self.thousand_calls,
        });
        Ok(Dated { when, price })
    }
}

fn midnight(date: &str) -> Result<Timestamp, PriceDataError> {
    format!("{date}T00:00:00Z").parse().map_err(|_| PriceDataError::Moment(date.to_owned()))
}

fn second_of_day(time: &str) -> Result<i64, PriceDataError> {
    let moment: Timestamp =
        format!("1970-01-01T{time}Z").parse().map_err(|_| PriceDataError::Moment(time.to_owned()))?;
    Ok(moment.seconds())
}
