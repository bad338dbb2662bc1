//! The kinds of isolation that the deployment offers.

use crate::App;
use errors::{Code, Problem};
use store::Isolation;

/// The kind of isolation asked for, or the first that is offered.
pub(crate) fn isolation_of(app: &App, asked: Option<&str>) -> Result<Isolation, Problem> {
    let all = app.platform.isolations();
    match asked {
        Some(asked) => offered(app, asked),
        None => all.first().copied().ok_or_else(|| not_offered(app)),
    }
}

/// The kind of isolation of this name, where it is offered.
pub(crate) fn offered(app: &App, kind: &str) -> Result<Isolation, Problem> {
    let found = app.platform.isolations().iter().find(|it| it.as_str() == kind);
    found.copied().ok_or_else(|| {
        let problem = not_offered(app);
        let detail = format!("{} Leave `isolation` out to take the first.", problem.detail);
        Problem::new(Code::IsolationUnavailable, detail)
    })
}

/// Says which kinds of isolation are offered.
pub(crate) fn not_offered(app: &App) -> Problem {
    let all: Vec<_> = app.platform.isolations().iter().map(|it| format!("`{it}`")).collect();
    Problem::new(Code::IsolationUnavailable, format!("This deployment offers {}.", all.join(", ")))
}
