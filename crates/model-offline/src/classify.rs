//! Choosing one of several values by keywords.
//!
//! A value scores 3 for each of its own words that occurs in the text, and 2 for each keyword of a family
//! (below) that one of its words names. The highest score wins, the earlier value on a tie. Where nothing
//! scores, it is the value that stands for "none of these" (`other`, `unknown`, `normal`, …), else the first.

use crate::source::{Source, words};
use std::collections::HashSet;

/// How many values are looked at.
const MAX_VALUES: usize = 500;

/// Words that name a family, and the keywords that speak for it.
const FAMILIES: &[(&[&str], &[&str])] = &[
    (
        &["urgent", "high", "critical", "p0", "p1", "sev1"],
        &[
            "urgent",
            "urgently",
            "asap",
            "immediately",
            "outage",
            "down",
            "emergency",
            "critical",
            "blocker",
            "blocked",
            "production",
            "deadline",
        ],
    ),
    (
        &["low", "minor", "p3", "p4", "trivial"],
        &["typo", "minor", "cosmetic", "whenever", "someday", "trivial", "nitpick"],
    ),
    (
        &["hot", "qualified", "sales", "sql", "enterprise", "buyer"],
        &[
            "buy",
            "purchase",
            "pricing",
            "quote",
            "demo",
            "budget",
            "contract",
            "seats",
            "licenses",
            "licences",
            "trial",
            "rollout",
            "procurement",
        ],
    ),
    (
        &["warm", "interested", "nurture", "mql"],
        &[
            "interested",
            "evaluating",
            "evaluate",
            "compare",
            "comparing",
            "learn",
            "considering",
            "exploring",
        ],
    ),
    (
        &["cold", "unqualified", "disqualified"],
        &["student", "homework", "browsing", "unsubscribe", "newsletter", "internship", "curious"],
    ),
    (
        &["spam", "junk", "abuse"],
        &[
            "lottery",
            "winner",
            "viagra",
            "casino",
            "backlinks",
            "seo",
            "crypto",
            "bitcoin",
            "inheritance",
            "prince",
            "prize",
        ],
    ),
    (
        &["bug", "defect", "incident", "error"],
        &[
            "bug",
            "crash",
            "crashes",
            "crashed",
            "error",
            "errors",
            "exception",
            "broken",
            "fails",
            "failing",
            "regression",
            "panic",
            "stacktrace",
            "wrong",
        ],
    ),
    (
        &["feature", "enhancement", "improvement", "idea"],
        &[
            "feature",
            "add",
            "support",
            "implement",
            "improve",
            "enhancement",
            "wish",
            "suggestion",
            "propose",
            "proposal",
        ],
    ),
    (
        &["question", "inquiry", "howto"],
        &["how", "what", "why", "where", "when", "question", "wondering", "explain"],
    ),
    (&["documentation", "docs"], &["documentation", "docs", "readme", "tutorial", "changelog", "typo"]),
    (
        &["security", "vulnerability"],
        &["vulnerability", "cve", "exploit", "security", "leak", "injection", "xss", "breach"],
    ),
    (
        &["billing", "finance", "payment", "invoice"],
        &["invoice", "refund", "charge", "charged", "payment", "billing", "card", "subscription", "receipt"],
    ),
    (
        &["support", "help", "technical"],
        &["help", "problem", "issue", "cannot", "unable", "trouble", "stuck", "login", "password"],
    ),
    (&["cancel", "churn", "cancellation"], &["cancel", "cancellation", "leaving", "terminate", "switching"]),
    (
        &["positive", "happy", "satisfied"],
        &["great", "love", "thanks", "thank", "excellent", "happy", "good", "perfect", "awesome"],
    ),
    (
        &["negative", "angry", "unhappy", "dissatisfied"],
        &["bad", "terrible", "angry", "hate", "awful", "disappointed", "worst", "unacceptable", "useless"],
    ),
];

/// Values that stand for "none of these".
const NEITHER: &[&str] = &[
    "other",
    "unknown",
    "none",
    "neutral",
    "general",
    "unclear",
    "normal",
    "medium",
    "undecided",
    "default",
];

/// Which of `values` fits the source best: its index, and whether anything spoke for it.
pub(crate) fn choose(values: &[&str], source: &Source) -> (usize, bool) {
    let said: HashSet<&str> = said(source);
    let mut best = (0, 0);
    for (index, value) in values.iter().take(MAX_VALUES).enumerate() {
        let score = score(value, &said);
        if score > best.1 {
            best = (index, score);
        }
    }
    if best.1 > 0 {
        return (best.0, true);
    }
    let neither = values.iter().position(|value| words(value).any(|word| NEITHER.contains(&word.as_str())));
    (neither.unwrap_or(0), false)
}

/// The indices of all values that something speaks for.
pub(crate) fn all_that_fit(values: &[&str], source: &Source) -> Vec<usize> {
    let said = said(source);
    let fits = |(_, value): &(usize, &&str)| score(value, &said) > 0;
    values.iter().take(MAX_VALUES).enumerate().filter(fits).map(|(index, _)| index).collect()
}

/// Whether the text speaks for what `name` says, as in `is_spam` or `urgent`.
pub(crate) fn speaks_for(name: &str, source: &Source) -> bool {
    score(name, &said(source)) > 0
}

fn said(source: &Source) -> HashSet<&str> {
    source.lower().split(|it: char| !it.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

fn score(value: &str, said: &HashSet<&str>) -> usize {
    let own: Vec<String> =
        words(value).filter(|word| !matches!(word.as_str(), "is" | "has" | "needs" | "not" | "a")).collect();
    let named = own.iter().filter(|word| said.contains(word.as_str())).count();
    let spoken = |(names, keywords): &&(&[&str], &[&str])| {
        let applies = own.iter().any(|word| names.contains(&word.as_str()));
        if applies { keywords.iter().filter(|keyword| said.contains(*keyword)).count() } else { 0 }
    };
    named * 3 + FAMILIES.iter().map(|family| spoken(&family)).sum::<usize>() * 2
}

#[cfg(test)]
mod tests {
    use super::{all_that_fit, choose, speaks_for};
    use crate::source::Source;

    fn check(values: &[&str], text: &str, expected: &str) {
        assert_eq!(values[choose(values, &Source::new(text)).0], expected, "{text}");
    }

    #[test]
    fn keywords_decide() {
        let leads = ["cold", "warm", "hot"];
        check(&leads, "We want to buy 50 seats; please send a quote and book a demo.", "hot");
        check(&leads, "I am a student and need this for homework", "cold");
        check(&leads, "We are evaluating several vendors", "warm");
        let issues = ["bug", "feature_request", "question"];
        check(&issues, "It crashes with an exception since the last release", "bug");
        check(&issues, "Please add support for dark mode", "feature_request");
        check(&issues, "How do I set this up?", "question");
    }

    #[test]
    fn where_nothing_speaks_the_neutral_value_is_taken() {
        check(&["bug", "other", "feature"], "lorem ipsum", "other");
        check(&["a1", "b1"], "lorem ipsum", "a1");
        assert!(!choose(&["a1"], &Source::new("lorem")).1);
    }

    #[test]
    fn several_may_fit_and_flags_are_read_alike() {
        let source = Source::new("Urgent: production outage, and a refund please");
        assert_eq!(all_that_fit(&["billing", "spam", "incident-urgent"], &source), [0, 2]);
        assert!(speaks_for("isUrgent", &source) && !speaks_for("is_spam", &source));
    }
}
