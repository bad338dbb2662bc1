//! The table against the package it was imported from, and what a lookup must never do.

use super::rate::Rate;
use super::rule::Rule;
use super::{OperatorPrice, OperatorPrices, PerMillion, Price, PriceTable, price_of, provider_of_host};
use crate::tokens::Tokens;
use env::Timestamp;
use genai_prices::{Calculator, ErrorKind, PriceRequest, Usage, UsageKey};
use money::Usd;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// The package computes in floating point, so its totals are only near the exact ones.
const TOLERANCE: f64 = 5e-9;

fn table() -> PriceTable {
    PriceTable::built_in().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-23T12:00:00Z")
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// A few ways to divide a call's tokens. Long prompts are beyond every tier's start.
fn mixes() -> Vec<Tokens> {
    let short = Tokens {
        uncached_input: 1_003,
        cache_read: 517,
        cache_write: 211,
        visible_output: 333,
        reasoning_output: 77,
        ..Tokens::default()
    };
    let long =
        Tokens { uncached_input: 700_001, cache_read: 400_003, visible_output: 9_001, ..Tokens::default() };
    let hour =
        Tokens { uncached_input: 31_000, cache_write: 900, cache_write_1h: 1_500, ..Tokens::plain(0, 12) };
    let audio = Tokens { uncached_input: 40, input_audio: 60, output_audio: 25, ..Tokens::plain(40, 10) };
    vec![Tokens::plain(1_000, 100), Tokens::plain(199_999, 0), short, long, hour, audio]
}

/// Our disjoint counts as the package's nested ones.
fn as_their_usage(tokens: &Tokens) -> Usage {
    let number = |count: u64| count as f64;
    let mut usage = Usage::new();
    usage.insert(UsageKey::INPUT_TOKENS, number(tokens.input()));
    usage.insert(UsageKey::CACHE_READ_TOKENS, number(tokens.cache_read));
    usage.insert(UsageKey::CACHE_WRITE_TOKENS, number(tokens.cache_write + tokens.cache_write_1h));
    usage.insert(UsageKey::CACHE_WRITE_1H_TOKENS, number(tokens.cache_write_1h));
    usage.insert(UsageKey::INPUT_AUDIO_TOKENS, number(tokens.input_audio));
    usage.insert(UsageKey::OUTPUT_TOKENS, number(tokens.output()));
    usage.insert(UsageKey::OUTPUT_REASONING_TOKENS, number(tokens.reasoning_output));
    usage.insert(UsageKey::OUTPUT_AUDIO_TOKENS, number(tokens.output_audio));
    for overlap in [UsageKey::CACHE_AUDIO_READ_TOKENS, UsageKey::CACHE_AUDIO_WRITE_TOKENS] {
        usage.insert(overlap, 0.0);
    }
    usage
}

fn names(rule: &Rule, names: &mut BTreeSet<String>) {
    match rule {
        Rule::Equals(text) | Rule::StartsWith(text) | Rule::EndsWith(text) | Rule::Contains(text) => {
            names.insert(text.clone());
        }
        Rule::Shape(shape) => {
            names.insert(shape.replace('#', "2").replace('*', "-more"));
        }
        Rule::All(rules) | Rule::Any(rules) => rules.iter().for_each(|rule| self::names(rule, names)),
        Rule::Not(_) => {}
    }
}

/// Every provider, with every name that one of its rules speaks of and a variation of each.
fn every_name(table: &PriceTable) -> Vec<(&str, String)> {
    let mut all = Vec::new();
    for (provider, models) in table.providers.iter() {
        let mut found = BTreeSet::new();
        models.iter().for_each(|model| names(&model.rule, &mut found));
        for name in found {
            all.push((provider.as_str(), format!("{name}-tts")));
            all.push((provider.as_str(), name.to_uppercase()));
            all.push((provider.as_str(), name));
        }
    }
    all
}

/// Whether the package answers from somewhere that our table does not look, so that it is no oracle:
/// a provider's models may fall back to other providers', and a compact date is rewritten and tried again.
fn falls_back(provider: &str, name: &str) -> bool {
    let compact_date = name.split(['-', ':']).any(|part| part.len() == 8 && part.starts_with("20"));
    matches!(provider, "azure" | "google") || compact_date
}

#[test]
fn every_model_costs_what_the_package_says() {
    let table = table();
    let moments =
        ["2024-06-01T00:00:00Z", "2026-09-01T02:30:00Z", "2026-11-23T08:00:00Z", "2027-06-01T20:00:00Z"];
    let (mut compared, mut unpriced, mut unknown) = (0, 0, 0);
    for (provider, name) in every_name(&table) {
        for moment in moments.map(at) {
            let time =
                SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(moment.millis()).unwrap());
            let ours = table.find(provider, &name, moment);
            for tokens in mixes() {
                let usage = as_their_usage(&tokens);
                let request =
                    PriceRequest::new(&name, &usage).with_provider_id(provider).with_timestamp(time);
                match (ours, Calculator::bundled().calculate(&request)) {
                    (Some(price), Ok(theirs)) => {
                        // Output of a model that answers no tokens costs us its input price; them, nothing.
                        if price.output.is_some() || tokens.output() == 0 {
                            let ours: f64 = price.cost(&tokens).to_string().parse().unwrap();
                            let difference = (ours - theirs.total_price).abs();
                            let case = format!("{provider} {name} {moment} {tokens:?}");
                            assert!(difference < TOLERANCE, "{case}: {ours} {}", theirs.total_price);
                            compared += 1;
                        }
                    }
                    // Known to both and left without a price in our table, which the import says why.
                    (None, Ok(_)) if is_left_out(&table, provider, &name, moment) => unpriced += 1,
                    (None, Ok(_)) => assert!(falls_back(provider, &name), "{provider} {name} {moment}"),
                    (None, Err(error)) => {
                        assert!(matches!(error.kind(), ErrorKind::ModelNotFound | ErrorKind::InvalidUsage));
                        unknown += 1;
                    }
                    (Some(_), Err(error)) => panic!("{provider} {name} {moment} {tokens:?}: {error}"),
                }
            }
        }
    }
    assert!(compared > 100_000 && unpriced > 1_000 && unknown > 1_000, "{compared} {unpriced} {unknown}");
}

/// Whether the model that matches has a price entry that the import left without a price.
fn is_left_out(table: &PriceTable, provider: &str, name: &str, moment: Timestamp) -> bool {
    let name = name.to_lowercase();
    let model = table.providers[provider].iter().find(|model| model.rule.fits(&name));
    model.is_some_and(|model| {
        model
            .prices
            .iter()
            .rev()
            .find(|dated| dated.when.holds(moment))
            .is_some_and(|dated| dated.price.is_none())
    })
}

#[test]
fn known_prices_are_exact() {
    let table = table();
    let price = table.find("openai", "gpt-4o-mini", now()).unwrap();
    assert_eq!(price.cost(&Tokens::plain(1, 0)), usd("0.00000015"));
    assert_eq!(price.cost(&Tokens::plain(0, 1_000_000)), usd("0.60"));
    let cached = Tokens { cache_read: 1_000_000, ..Tokens::default() };
    assert_eq!(price.cost(&cached), usd("0.075"));
    let reasoning = Tokens { reasoning_output: 1_000_000, ..Tokens::default() };
    assert_eq!(price.cost(&reasoning), usd("0.60"));
}

#[test]
fn a_call_that_costs_by_itself_costs_with_no_tokens() {
    let table = table();
    let price = table.find("perplexity", "sonar", now()).unwrap();
    assert_eq!(price.cost(&Tokens::default()), usd("0.012"));
}

#[test]
fn prices_follow_the_date_and_the_hour() {
    let table = table();
    let input = |moment: &str| {
        table.find("deepseek", "deepseek-v4-flash", at(moment)).unwrap().cost(&Tokens::plain(1_000_000, 0))
    };
    assert_eq!(input("2026-08-16T23:59:59.999Z"), usd("0.14"));
    assert_eq!(input("2026-08-17T00:00:00Z"), usd("0.22"));
    assert_eq!(input("2026-11-23T00:59:59Z"), usd("0.15"));
    assert_eq!(input("2026-11-23T01:00:00Z"), usd("0.3"));
    assert_eq!(input("2026-11-23T04:00:00Z"), usd("0.15"));
}

#[test]
fn long_prompts_cost_by_their_tier() {
    let table = table();
    let price = table.find("openrouter", "qwen/qwen3.7-flash", now()).unwrap();
    assert_eq!(price.cost(&Tokens::plain(32_000, 0)), usd("0.00096"));
    assert_eq!(price.cost(&Tokens::plain(32_001, 0)), usd("0.0032001"));
    let mostly_cached = Tokens { uncached_input: 1, cache_read: 300_000, ..Tokens::default() };
    assert_eq!(price.cost(&mostly_cached), usd("0.0120002"));
}

#[test]
fn no_match_is_unpriced_and_never_another_providers_price() {
    let table = table();
    assert!(table.find("openai", "gpt-4o-mini", now()).is_some());
    assert!(table.find("openai", "GPT-4o-Mini", now()).is_some());
    assert!(table.find("azure", "gpt-4o-mini", now()).is_none(), "no fallback to openai");
    assert!(table.find("", "gpt-4o-mini", now()).is_none());
    assert!(table.find("OpenAI", "gpt-4o-mini", now()).is_none());
    assert!(table.find("openai", "claude-sonnet-4", now()).is_none());
    assert!(table.find("openai", "gpt-image-1", now()).is_none(), "image tokens cannot be told apart");
    assert!(table.find("openrouter", "deepseek/deepseek-r1:free", now()).is_none(), "no published price");
    assert!(table.find("anthropic", &"claude-2".repeat(100), now()).is_none());
}

#[test]
fn an_operators_price_comes_first() {
    let table = table();
    let text = r#"{"gpt-4o-mini":{"input_per_million":"1.5","output_per_million":"6"},
        "own":{"input_per_million":"2","output_per_million":"3","cached_input_per_million":"0.5"}}"#;
    let own: OperatorPrices = serde_json::from_str(text).unwrap();
    let find = |provider, model| price_of(&own, &table, provider, model, now());
    let million = Tokens::plain(1_000_000, 0);
    assert_eq!(find(Some("openai"), "gpt-4o-mini").unwrap().cost(&million), usd("1.50"));
    assert_eq!(find(Some("openai"), "gpt-4o").unwrap().cost(&million), usd("2.50"));
    assert_eq!(find(None, "gpt-4o"), None);
    let cached = Tokens { cache_read: 1_000_000, ..Tokens::default() };
    assert_eq!(find(None, "own").unwrap().cost(&cached), usd("0.50"));
    assert_eq!(find(None, "gpt-4o-mini").unwrap().cost(&cached), usd("1.50"));
    for wrong in [
        r#"{"input_per_million":0.15,"output_per_million":"1"}"#,
        r#"{"input_per_million":"0.15"}"#,
        r#"{"input_per_million":"0.15","output_per_million":"1","input_per_thousand":"2"}"#,
        r#"{"input_per_million":"0.0000000001","output_per_million":"1"}"#,
    ] {
        assert!(serde_json::from_str::<OperatorPrice>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_exact_hosts_name_a_provider() {
    let table = table();
    for host in ["api.openai.com", "API.OpenAI.com", "openrouter.ai", "api.x.ai", "open.bigmodel.cn"] {
        let provider = provider_of_host(host).unwrap();
        assert!(table.providers.contains_key(provider), "{provider}");
    }
    for host in ["openai.com", "api.openai.com.evil.example", "eu.api.openai.com", "localhost", ""] {
        assert_eq!(provider_of_host(host), None, "{host}");
    }
}

#[test]
fn a_table_that_is_not_understood_is_refused() {
    let table = |prices: &str| {
        let text = r#"{"source":"s","licence":"l","newest_date":"","providers":{"p":[{"model":"m","match":{"equals":"m"},"prices":PRICES}]}}"#;
        PriceTable::parse(&text.replace("PRICES", prices))
    };
    assert!(table(r#"[{"input":"1","output":"2"}]"#).is_ok());
    assert!(table(r#"[{"input":1,"output":"2"}]"#).is_err());
    assert!(table(r#"[{"input":"1","when_raining":true}]"#).is_err());
    assert!(table(r#"[{"input":"1","from":"tomorrow"}]"#).is_err());
    assert!(table(r#"[{"input":"1","between":["25:00:00","26:00:00"]}]"#).is_err());
}

fn rate() -> impl Strategy<Value = Rate> {
    let price = || (0u64..100_000).prop_map(|micros| format!("0.{micros:06}").parse::<PerMillion>().unwrap());
    let tiers = prop::collection::vec((0u64..300_000, price()), 0..3);
    prop_oneof![
        price().prop_map(Rate::flat),
        (price(), tiers).prop_map(|(base, mut above)| {
            above.sort_by_key(|(start, _)| *start);
            Rate::Tiered { base, above }
        }),
    ]
}

fn price() -> impl Strategy<Value = Price> {
    let some = || prop::option::of(rate());
    let narrow = (some(), some(), some(), some());
    (rate(), narrow, some(), some(), some(), prop::option::of(Just("5".parse().unwrap()))).prop_map(
        |(
            input,
            (cache_read, cache_write, cache_write_1h, input_audio),
            output,
            reasoning,
            output_audio,
            thousand_calls,
        )| {
            Price {
                input,
                cache_read,
                cache_write,
                cache_write_1h,
                input_audio,
                output,
                reasoning,
                output_audio,
                thousand_calls,
            }
        },
    )
}

proptest! {
    #[test]
    fn no_division_of_the_tokens_costs_more_than_the_worst_case(
        price in price(),
        parts in prop::array::uniform8(0u64..200_000),
        (more_input, more_output) in (0u64..200_000, 0u64..200_000),
    ) {
        let [uncached_input, cache_read, cache_write, cache_write_1h, input_audio, visible_output, reasoning_output, output_audio] = parts;
        let tokens = Tokens {
            uncached_input, cache_read, cache_write, cache_write_1h, input_audio,
            visible_output, reasoning_output, output_audio,
        };
        let bound = price.worst_case(tokens.input() + more_input, tokens.output() + more_output);
        prop_assert!(price.cost(&tokens) <= bound);
    }
}

#[test]
fn a_lookup_never_panics() {
    let table = table();
    let anything = ("[a-z]{0,8}|openai|google|openrouter", ".{0,300}", any::<i64>());
    let check = |(provider, model, millis): (String, String, i64)| {
        let _ = table.find(&provider, &model, Timestamp::from_millis(millis));
        Ok(())
    };
    TestRunner::default().run(&anything, check).unwrap();
}
