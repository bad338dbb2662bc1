//! The report as JUnit writes it, which CI systems show: a test case for every pattern.

use crate::report::Report;
use std::collections::BTreeMap;
use std::fmt::Write;

impl Report {
    /// The report as a JUnit document: a leak is a failure, and what could not be attacked an error.
    pub fn junit(&self) -> String {
        let leaks: BTreeMap<_, _> =
            self.leaks.iter().map(|it| (name(&it.operation, &it.place, &it.attack), &it.detail)).collect();
        let missed = self.unattacked.iter();
        let missed: Vec<_> =
            missed.map(|it| (name(&it.operation, &it.place, &it.attack), &it.reason)).collect();
        let mut cases = String::new();
        for tried in &self.tried {
            let time = self.times.get(tried).copied().unwrap_or_default();
            let fault = leaks.get(tried).map(|detail| ("failure", detail.as_str()));
            case(&mut cases, tried, time, fault);
        }
        for (tried, reason) in &missed {
            case(&mut cases, tried, 0, Some(("error", reason)));
        }
        for missed in &self.not_offered {
            case(&mut cases, &missed.cell, 0, Some(("skipped", &missed.give)));
        }
        let (tests, failures, errors) = (self.tried.len() + missed.len(), leaks.len(), missed.len());
        let (skipped, seconds) = (self.not_offered.len(), self.millis as f64 / 1000.0);
        let tests = tests + skipped;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"tenantry verify\" \
             tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" \
             time=\"{seconds:.3}\">\n{cases}</testsuite>\n</testsuites>\n"
        )
    }
}

fn name(operation: &str, place: &str, attack: &str) -> String {
    format!("{operation} | {place} | {attack}")
}

fn case(out: &mut String, name: &str, millis: u64, fault: Option<(&str, &str)>) {
    let (class, seconds) = (name.split(" | ").next().unwrap_or(name), millis as f64 / 1000.0);
    let (class, name) = (escaped(class), escaped(name));
    let fault =
        fault.map_or(String::new(), |(kind, message)| format!("<{kind} message=\"{}\"/>", escaped(message)));
    // Writing into a text does not fail.
    let _ = writeln!(
        out,
        "<testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\">{fault}</testcase>"
    );
}

/// A text as it stands in an attribute (XML 1.0, section 2.4); characters that XML cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{0}'..='\u{1f}' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use crate::pattern::{NotOffered, Outcome, Pattern, Verdict};
    use crate::report::Report;

    fn outcome(attack: &'static str, verdict: Verdict) -> Outcome {
        let (surface, operation) = ("data".to_owned(), "GET /v1/x".to_owned());
        let pattern = Pattern { surface, operation, place: "query `a`".to_owned(), attack };
        Outcome { pattern, verdict, millis: 1500 }
    }

    #[test]
    fn leaks_are_failures_and_what_was_not_attacked_is_an_error() {
        let outcomes = vec![
            outcome("held", Verdict::Held),
            outcome("leaked", Verdict::Leak("shows <b> & \"c\"".to_owned())),
            outcome("missed", Verdict::Unattacked("no control".to_owned())),
        ];
        let not_offered = vec![NotOffered { cell: "log".to_owned(), give: "`--log FILE`".to_owned() }];
        let report = Report::new(outcomes, not_offered, 2000);
        assert!(report.is_bad_news());
        let written = report.junit();
        assert!(
            written.contains(r#"tests="4" failures="1" errors="1" skipped="1" time="2.000""#),
            "{written}"
        );
        assert!(written.contains(r#"<failure message="shows &lt;b&gt; &amp; &quot;c&quot;"/>"#), "{written}");
        assert!(written.contains(r#"<error message="no control"/>"#), "{written}");
        assert!(
            written.contains(r#"name="GET /v1/x | query `a` | held" time="1.500"></testcase>"#),
            "{written}"
        );
    }
}
