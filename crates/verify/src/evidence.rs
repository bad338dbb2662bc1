//! The report as evidence: a line for every pattern, for the operators' log to vouch for.

use crate::report::Report;
use audit::evidence::{About, Line, Report as Evidence};

impl Report {
    /// The report in the form that the operators' log vouches for.
    pub fn evidence(&self, about: About) -> Evidence {
        let tried = self.tried.iter().filter_map(|name| {
            // No operation and no place has a bar with spaces around it; what stands after the second is the
            // attack.
            let mut parts = name.splitn(3, " | ").map(str::to_owned);
            Some(Line::Held { operation: parts.next()?, place: parts.next()?, attack: parts.next()? })
        });
        let leaks = self.leaks.iter().map(|leak| Line::Leak {
            operation: leak.operation.clone(),
            place: leak.place.clone(),
            attack: leak.attack.clone(),
            detail: leak.detail.clone(),
        });
        let unattacked = self.unattacked.iter().map(|missed| Line::Unattacked {
            operation: missed.operation.clone(),
            place: missed.place.clone(),
            attack: missed.attack.clone(),
            reason: missed.reason.clone(),
        });
        let not_offered = self
            .not_offered
            .iter()
            .map(|missed| Line::NotOffered { cell: missed.cell.clone(), give: missed.give.clone() });
        // What leaked was tried, too; of the two lines the worse one stays.
        Evidence::new(about, tried.chain(leaks).chain(unattacked).chain(not_offered).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::pattern::{NotOffered, Outcome, Pattern, Verdict};
    use crate::report::Report;
    use audit::evidence::{About, Count, Server};
    use env::Timestamp;

    #[test]
    fn the_evidence_has_every_pattern_once_with_its_worst_outcome() {
        let outcome = |attack: &'static str, verdict| Outcome {
            pattern: Pattern {
                surface: "data".to_owned(),
                operation: "GET /v1/x".to_owned(),
                place: "query `a`".to_owned(),
                attack,
            },
            verdict,
            millis: 1,
        };
        let outcomes = vec![
            outcome("held", Verdict::Held),
            outcome("leaked", Verdict::Leak("shown".to_owned())),
            outcome("missed", Verdict::Unattacked("no control".to_owned())),
        ];
        let not_offered = vec![NotOffered { cell: "log".to_owned(), give: "`--log FILE`".to_owned() }];
        let now = Timestamp::from_millis(0);
        let about = About {
            version: "0.1.0".into(),
            description: String::new(),
            url: String::new(),
            server: Server::Own,
            log: false,
            data: true,
            started_at: now,
            finished_at: now,
        };
        let evidence = Report::new(outcomes, not_offered, 2).evidence(about);
        assert_eq!(evidence.count, Count { patterns: 2, leaks: 1, unattacked: 1, not_offered: 1 });
        assert!(evidence.text().contains(r#""attack":"leaked","detail":"shown""#), "{}", evidence.text());
    }
}
