//! Fills every collection and kind of object for which there are operations, and puts owners' requests
//! together.
//!
//! How an object is made follows from the description: an object at `/v1/things/{id}` by `POST /v1/things`
//! (or by another `POST` that ends in `things`), or else by `PUT /v1/things/{name}` under a name of the
//! suite's choice.

use crate::bodies::{self, COLLECTION, Course, HOOK_SERVICE, SUBJECT};
use crate::description::{Caller, Operation, parameter_of, parent_of};
use crate::schema::{Members, example};
use crate::side::Side;
use crate::world::{Request, World};
use client::{Answer, signed_delivery};
use futures::future::BoxFuture;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What stands in the parameters of a path, by place.
pub(crate) type Fill = BTreeMap<String, String>;

const HOOK: &str = "/hooks/{token}";
const TEMPLATE: &str = "/v1/templates/{name}";
const TENANT: &str = "/v1/tenants/{id}";

impl World<'_> {
    /// The owner's key for an operation.
    pub(crate) fn owner_key(&self, operation: &Operation, side: &Side) -> Option<SecretText> {
        match operation.caller {
            Caller::Tenant => Some(side.key.clone()),
            Caller::Operator => Some(self.operator.clone()),
            Caller::Worker | Caller::Anyone => None,
        }
    }

    /// The owner's request on these objects.
    pub(crate) fn request<'o>(&self, operation: &'o Operation, side: &Side, fill: Fill) -> Request<'o> {
        self.request_for(operation, side, fill, Course::Succeeds)
    }

    fn request_for<'o>(
        &self,
        operation: &'o Operation,
        side: &Side,
        fill: Fill,
        course: Course,
    ) -> Request<'o> {
        let made = bodies::body(operation, side, course, self.number());
        let schemas = &self.description.schemas;
        let body = made.or_else(|| {
            operation.body.as_ref().map(|schema| example(schema, schemas, &side.canary, Members::Texts))
        });
        let mut request = Request {
            operation,
            fill,
            query: bodies::query(operation),
            headers: Vec::new(),
            body,
            key: self.owner_key(operation, side),
        };
        if operation.path == HOOK {
            request.headers = self.signature(&side.hook_secret, request.body.as_ref());
        }
        request
    }

    /// The headers of a delivery that this secret signs.
    pub(crate) fn signature(&self, secret: &SecretText, body: Option<&Value>) -> Vec<(String, String)> {
        let id = format!("msg_{}", hex::encode(self.env.random::<12>()));
        let body = body.map(Value::to_string).unwrap_or_default();
        let headers = signed_delivery(secret, &id, self.env.now().seconds(), body.as_bytes());
        headers.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The objects that an operation of this side works on. The last is made afresh where the operation
    /// changes it; others are made once.
    pub(crate) async fn objects(&self, operation: &Operation, side: &Side) -> Result<Fill, String> {
        let mut fill = Fill::new();
        let places = operation.places();
        let course = Course::for_operation(operation);
        for (at, place) in places.iter().enumerate() {
            let last = at + 1 == places.len();
            let fresh = last && !operation.is_safe() && is_object(place);
            self.place(place, side, &mut fill, course, fresh).await?;
        }
        Ok(fill)
    }

    fn place<'w>(
        &'w self,
        place: &'w str,
        side: &'w Side,
        fill: &'w mut Fill,
        course: Course,
        fresh: bool,
    ) -> BoxFuture<'w, Result<(), String>> {
        Box::pin(async move {
            let name = format!("{place} {course:?}");
            if !fresh && let Some(kept) = side.kept.lock().await.get(&name) {
                fill.extend(kept.clone());
                return Ok(());
            }
            let value = self.make(place, side, fill, course, fresh).await?;
            fill.insert(place.to_owned(), value);
            if !fresh {
                side.kept.lock().await.insert(name, fill.clone());
            }
            Ok(())
        })
    }

    /// Makes what a place names, and gives its id or name.
    async fn make(
        &self,
        place: &str,
        side: &Side,
        fill: &Fill,
        course: Course,
        fresh: bool,
    ) -> Result<String, String> {
        match place {
            HOOK => return self.make_hook(side).await,
            TENANT => return self.make_tenant(side).await,
            TEMPLATE => return self.make_template(side).await,
            _ => {}
        }
        if let Some(operation) = self.maker(place) {
            let mut around = fill.clone();
            for place in operation.places() {
                if !around.contains_key(&place) {
                    self.place(&place, side, &mut around, course, false).await?;
                }
            }
            let answer = self.ask(&self.request_for(operation, side, around, course), side).await?;
            let made = answer.json();
            let id = ["id", "name"].iter().find_map(|name| made[name].as_str());
            let id = id.ok_or_else(|| format!("`{}` answered without an id", operation.name()))?.to_owned();
            if operation.caller == Caller::Operator {
                self.made.note_path(format!("{}/{id}", operation.path));
            }
            if place == "/v1/runs/{id}" {
                self.settle(&id, side).await;
            }
            return Ok(id);
        }
        let mut value = match place.strip_prefix("/v1/budgets/") {
            // A budget of a key that nobody else works with at the same time.
            Some(rest) if rest.ends_with("/{id}") => {
                Box::pin(self.make("/v1/api-keys/{id}", side, &Fill::new(), course, true)).await?
            }
            _ => free_name(place, side)?,
        };
        let written = self.description.find(&Method::PUT, place);
        if fresh && written.is_some_and(|operation| operation.caller == Caller::Operator) {
            // What is written there is for all tenants, so under a name that nothing has.
            value = format!("verify-{}", side.mark);
        }
        if fresh && value.ends_with(&side.mark) {
            // Attacks run side by side, and each is to have its own.
            value = format!("{value}-{}", self.number());
        }
        if let Some(operation) = written
            && operation.caller == Caller::Tenant
        {
            let mut around = fill.clone();
            around.insert(place.to_owned(), value.clone());
            self.ask(&self.request(operation, side, around), side).await?;
        }
        Ok(value)
    }

    /// The operation that makes what a place names.
    fn maker(&self, place: &str) -> Option<&Operation> {
        let parent = parent_of(place);
        if parent.ends_with('}') || parameter_of(place) == "collection" {
            return self.description.find(&Method::POST, parent).filter(|_| parameter_of(place) == "id");
        }
        let kind = parent.rsplit('/').next()?;
        let exact = self.description.find(&Method::POST, parent);
        exact.or_else(|| {
            let ending = format!("/{kind}");
            let mut makers = self.description.operations.iter();
            makers.find(|it| {
                it.method == Method::POST && it.caller == Caller::Tenant && it.path.ends_with(&ending)
            })
        })
    }

    /// Puts an owner's own request, and learns the ids in its answer.
    pub(crate) async fn ask(&self, request: &Request<'_>, side: &Side) -> Result<Answer, String> {
        let mut answer = self.send(request).await?;
        if answer.status.as_u16() == 400 && request.operation.body.is_some() {
            // Some optional text means something; without those the request may be right.
            let schema = request.operation.body.as_ref().unwrap_or(&Value::Null);
            let body = example(schema, &self.description.schemas, &side.canary, Members::Required);
            let again = self.send(&Request { body: Some(body), ..request.clone() }).await?;
            if again.status.is_success() {
                answer = again;
            }
        }
        if !answer.status.is_success() {
            let problem = answer.json();
            let detail = problem["detail"].as_str().unwrap_or_default();
            let name = request.operation.name();
            return Err(format!("the owner's `{name}` answered {}: {detail}", answer.status.as_u16()));
        }
        // What an operator sees is of all tenants, but for what is under one tenant's path.
        let about_one = request.operation.path.starts_with("/v1/tenants/{id}");
        if request.operation.caller == Caller::Tenant || about_one {
            side.learn(&answer.text());
            side.forget(&self.operator_id());
        }
        Ok(answer)
    }

    /// The operator's id, which stands in both tenants' data: it made them.
    fn operator_id(&self) -> String {
        let ulid = self.operator.expose().split('_').nth(1).unwrap_or_default();
        format!("key_{ulid}")
    }

    /// A template of one version, under a name of its own.
    async fn make_template(&self, side: &Side) -> Result<String, String> {
        self.made.go_on()?;
        let operator = self.client.with_key(self.operator.clone());
        let name = format!("verify-{}-{}", side.mark, self.number());
        self.made.note_path(format!("/v1/templates/{name}"));
        let published = operator.post("/v1/templates", &bodies::template(&name, 1)).await;
        published.map(|_| name).map_err(|error| error.to_string())
    }

    async fn make_tenant(&self, side: &Side) -> Result<String, String> {
        self.made.go_on()?;
        let operator = self.client.with_key(self.operator.clone());
        let made = operator.make_tenant(&format!("{} besides", side.canary), "starter").await;
        let made = made.map_err(|error| error.to_string())?;
        self.made.note(&made.id);
        Ok(made.id)
    }

    /// A workflow with a hook, whose address ends in the hook's token.
    async fn make_hook(&self, side: &Side) -> Result<String, String> {
        let client = self.client.with_key(side.key.clone());
        let missing = || "there is no operation that makes hooks".to_owned();
        let credential =
            self.description.find(&Method::PUT, "/v1/credentials/{service}").ok_or_else(missing)?;
        let fill = Fill::from([(credential.path.clone(), HOOK_SERVICE.to_owned())]);
        let secret = json!({"kind": "webhook_secret", "secret": side.hook_secret.expose()});
        let request = Request { body: Some(secret), ..self.request(credential, side, fill) };
        self.ask(&request, side).await?;
        let workflow = self.description.find(&Method::POST, "/v1/workflows").ok_or_else(missing)?;
        let body = bodies::body(workflow, side, Course::Succeeds, self.number()).unwrap_or(Value::Null);
        let made = client.post("/v1/workflows", &body).await.map_err(|error| error.to_string())?;
        side.learn(&made["id"].to_string());
        let token = made["hook_url"].as_str().and_then(|url| url.rsplit('/').next());
        token.map(str::to_owned).ok_or_else(|| "the workflow was made without a `hook_url`".to_owned())
    }

    /// Waits until a run does nothing by itself, so that what changes it is an attack.
    async fn settle(&self, run: &str, side: &Side) {
        let client = self.client.with_key(side.key.clone());
        for _ in 0..60 {
            let Ok(found) = client.get(&format!("/v1/runs/{run}")).await else { return };
            side.learn(&found.to_string());
            if !["queued", "running"].contains(&found["status"].as_str().unwrap_or_default()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Whether a place names an object that an operation may use up.
fn is_object(place: &str) -> bool {
    !["collection", "scope", "subject", "token"].contains(&parameter_of(place))
}

/// A name that the suite chooses, where the tenant may choose.
fn free_name(place: &str, side: &Side) -> Result<String, String> {
    Ok(match parameter_of(place) {
        "collection" => COLLECTION.to_owned(),
        "scope" => "key".to_owned(),
        "name" if place.starts_with("/v1/plans/") => "starter".to_owned(),
        "id" if place.starts_with("/v1/models/") => "offline".to_owned(),
        "n" | "version" => "1".to_owned(),
        "service" | "name" => format!("verify-{}", side.mark),
        "code" => "not_found".to_owned(),
        "subject" => SUBJECT.to_owned(),
        other => return Err(format!("nothing says how `{{{other}}}` of {place} is made")),
    })
}
