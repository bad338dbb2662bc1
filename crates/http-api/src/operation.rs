//! [`Operation`]: all that there is to say about a route, in the route's own file.

use crate::Api;
use axum::handler::Handler;
use axum::routing::{MethodRouter, on};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::time::Duration;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// A principal of a tenant.
    Tenant,
    /// An operator.
    Operator,
    /// The worker that a tenant has for itself.
    Worker,
    /// Whoever has the token that stands in the path.
    TokenHolder,
    /// Anyone.
    Anyone,
}

/// What a call leaves in the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audited {
    /// An event with this action.
    Event(&'static str),
    /// One event with this action per principal, collection and minute.
    Aggregated(&'static str),
    /// Nothing, and why.
    Silent(&'static str),
}

impl Audited {
    /// What operators' reads leave.
    pub const OPERATOR_READ: Self = Self::Silent(
        "shows an operator the deployment's own settings and log, and nothing of a tenant's content",
    );
}

/// How long an operation may wait for others, such as a token endpoint.
const USUAL_TIME: Duration = Duration::from_secs(120);

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a parameter's text has to be, as far as a schema can say it.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Any text, or one whose rules no schema says.
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A text of this pattern.
    Pattern(&'static str),
    /// A moment, RFC 3339.
    Moment,
    /// A whole number, from the least to the most.
    Number(u64, u64),
}

/// A parameter in the query.
#[derive(Clone, Copy, Debug)]
pub struct QueryParameter {
    /// Its name.
    pub name: &'static str,
    /// What its text has to be.
    pub form: Form,
    /// What it does.
    pub description: &'static str,
}

/// An answer other than a problem.
#[derive(Clone)]
pub struct AnswerForm {
    /// The status.
    pub status: u16,
    /// What the body is, as a media type.
    pub media_type: &'static str,
    /// The body's schema, where it is JSON.
    pub schema: Option<SchemaOf>,
}

/// A route: its place, its description, what guards it, what it leaves behind, and what carries it out.
#[derive(Clone)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// The part of the API that it belongs to.
    pub tag: &'static str,
    /// Who may call it.
    pub caller: CallerKind,
    /// Whether a grant to run the attack suite may call it, for its own throwaway tenants.
    pub for_grants: bool,
    /// What a call leaves in the audit log.
    pub audited: Audited,
    /// The scope that a tenant's key needs.
    pub scope: Option<String>,
    /// Parameters in the query.
    pub query: Vec<QueryParameter>,
    /// The body's schema.
    pub body: Option<SchemaOf>,
    /// What the body is, as a media type.
    pub body_type: &'static str,
    /// Answers other than problems.
    pub answers: Vec<AnswerForm>,
    /// Whether it is carried out also when its caller hangs up.
    pub is_carried_out_to_its_end: bool,
    /// Whether it is done anew each time, so that no key tells of its repetition.
    pub never_repeated: bool,
    /// Whether it may be bound to a version by `If-Match`.
    pub conditional: bool,
    /// How long it may take, where that has a bound.
    pub time: Option<Duration>,
    /// What carries it out.
    pub handler: MethodRouter<Api>,
}

impl Operation {
    /// A route with this method at this path.
    pub fn new<H, T>(method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let filter =
            axum::routing::MethodFilter::try_from(method.clone()).unwrap_or(axum::routing::MethodFilter::GET);
        Self {
            time: Some(USUAL_TIME),
            is_carried_out_to_its_end: method != Method::GET,
            method,
            path,
            summary: "",
            tag: "",
            caller: CallerKind::Anyone,
            for_grants: false,
            never_repeated: false,
            conditional: false,
            audited: Audited::Silent(""),
            scope: None,
            query: Vec::new(),
            body: None,
            body_type: "application/json",
            answers: Vec::new(),
            handler: on(filter, handler),
        }
    }

    /// Says what it does.
    #[must_use]
    pub fn about(mut self, tag: &'static str, summary: &'static str) -> Self {
        self.tag = tag;
        self.summary = summary;
        self
    }

    /// Callable with a tenant's credential that has this permission.
    #[must_use]
    pub fn for_tenants<P: context::Permission>(mut self) -> Self {
        self.caller = CallerKind::Tenant;
        self.scope = Some(authz::Rights::needed(P::ACTION, P::RESOURCE));
        self
    }

    /// Callable with any credential of a tenant.
    #[must_use]
    pub fn for_any_principal(mut self) -> Self {
        self.caller = CallerKind::Tenant;
        self
    }

    /// Callable with an operator's key.
    #[must_use]
    pub fn for_operators(mut self) -> Self {
        self.caller = CallerKind::Operator;
        self
    }

    /// Callable with a grant to run the attack suite, too.
    #[must_use]
    pub fn and_for_grants(mut self) -> Self {
        self.for_grants = true;
        self
    }

    /// Callable by the worker that a tenant has for itself.
    #[must_use]
    pub fn for_workers(mut self) -> Self {
        self.caller = CallerKind::Worker;
        self
    }

    /// Callable by whoever has the token in the path.
    #[must_use]
    pub fn for_token_holders(mut self) -> Self {
        self.caller = CallerKind::TokenHolder;
        self
    }

    /// Given up when its caller hangs up: it sees to its own end and to its own time.
    #[must_use]
    pub fn ends_with_its_caller(mut self) -> Self {
        self.is_carried_out_to_its_end = false;
        self.time = None;
        self
    }

    /// Says what it leaves in the audit log.
    #[must_use]
    pub fn audited(mut self, audited: Audited) -> Self {
        self.audited = audited;
        self
    }

    /// Takes a parameter in the query.
    #[must_use]
    pub fn takes(self, name: &'static str, description: &'static str) -> Self {
        self.takes_as(Form::Text, name, description)
    }

    /// Takes a parameter of this form in the query.
    #[must_use]
    pub fn takes_as(mut self, form: Form, name: &'static str, description: &'static str) -> Self {
        self.query.push(QueryParameter { name, form, description });
        self
    }

    /// Is done anew each time, and refuses an `Idempotency-Key`.
    #[must_use]
    pub fn never_repeated(mut self) -> Self {
        self.never_repeated = true;
        self
    }

    /// Is done only where what it changes is at the version that an `If-Match` names.
    #[must_use]
    pub fn conditional(mut self) -> Self {
        self.conditional = true;
        self
    }

    /// Whether a caller may send an `Idempotency-Key`.
    pub fn takes_idempotency_key(&self) -> bool {
        let by_key = matches!(self.caller, CallerKind::Tenant | CallerKind::Operator);
        by_key && self.method != Method::GET && !self.never_repeated
    }

    /// Takes `limit` and `cursor`.
    #[must_use]
    pub fn paged(self) -> Self {
        self.takes_as(Form::Number(1, 500), "limit", "how many at most, 1 to 500; 50 where absent")
            .takes("cursor", "where to go on: the `next_cursor` of the page before")
    }

    /// Takes a JSON body.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(|generator| generator.subschema_for::<T>());
        self
    }

    /// Takes a file as its body.
    #[must_use]
    pub fn body_file(mut self) -> Self {
        self.body = Some(|_| schemars::json_schema!({"type": "string", "format": "binary"}));
        self.body_type = "application/octet-stream";
        self
    }

    /// Answers with JSON.
    #[must_use]
    pub fn answers<T: JsonSchema>(mut self, status: u16) -> Self {
        let schema: SchemaOf = |generator| generator.subschema_for::<T>();
        self.answers.push(AnswerForm { status, media_type: "application/json", schema: Some(schema) });
        self
    }

    /// Answers with something other than JSON, or with nothing.
    #[must_use]
    pub fn answers_with(mut self, status: u16, media_type: &'static str) -> Self {
        self.answers.push(AnswerForm { status, media_type, schema: None });
        self
    }

    /// Its id in the interface description: the tag-free form of method and path.
    pub fn id(&self) -> String {
        let words = self.path.split(['/', '-']).filter(|part| !part.is_empty() && *part != "v1");
        let words = words.map(|part| part.trim_matches(['{', '}', '*']).replace('.', "_"));
        std::iter::once(self.method.as_str().to_lowercase()).chain(words).collect::<Vec<_>>().join("_")
    }
}
