//! `record` steps: the tenant's own records, within the visit and its rights.

use super::{Scene, outcome, record_id};
use crate::open::open;
use crate::worker::Shared;
use app::records;
use context::Tenant;
use errors::{Code, Problem};
use ids::{RecordId, Slug};
use serde_json::{Map, Value, json};
use store::{Comparison, Filter, FilterOperator, PageRequest, Record, RecordQuery};
use workflow::definition::Operation;
use workflow::{Outcome, Request};

pub(super) async fn perform(
    shared: &Shared,
    tenant: &Tenant<'_>,
    scene: &Scene,
    request: Request,
) -> Outcome {
    let Request::Record { operation, collection, record_id, matching, fields, limit } = request else {
        return outcome::invalid("The step is not a `record` step.");
    };
    let work = Work { shared, tenant, scene, collection };
    let made = match operation {
        Operation::Create => work.create(fields).await,
        Operation::Update => work.update(record_id, fields).await,
        Operation::Upsert => work.upsert(matching, fields).await,
        Operation::Get => work.get(record_id).await,
        Operation::Find => work.find(matching, limit).await.map(|found| {
            let data: Vec<Value> = found.into_iter().map(shown).collect();
            json!({"data": data})
        }),
        Operation::Delete => work.delete(record_id).await,
    };
    match made {
        Ok(output) => Outcome::Succeeded { output, cost: None },
        Err(problem) => outcome::of(problem, shared.app.env.now()),
    }
}

struct Work<'s, 't> {
    shared: &'s Shared,
    tenant: &'s Tenant<'t>,
    scene: &'s Scene,
    collection: Slug,
}

impl Work<'_, '_> {
    /// Adds the record. One that an attempt before this left is taken as this one's.
    async fn create(&self, fields: Map<String, Value>) -> Result<Value, Problem> {
        let id = record_id(self.scene);
        let collection = self.collection.clone();
        match records::create_as(&self.shared.app, self.tenant, id, collection, fields, None).await {
            Err(problem) if problem.code == Code::Conflict => self.get(Some(id.to_string())).await,
            made => Ok(shown(open(self.tenant, made?)?)),
        }
    }

    async fn update(&self, id: Option<String>, fields: Map<String, Value>) -> Result<Value, Problem> {
        let id = named(id)?;
        let changed =
            records::change(&self.shared.app, self.tenant, &self.collection, id, fields, None, None).await?;
        Ok(shown(open(self.tenant, changed)?))
    }

    /// Changes what matches, or adds it. The tenant's upserts take turns, so that two of them do not both
    /// find nothing and both add.
    async fn upsert(
        &self,
        matching: Map<String, Value>,
        fields: Map<String, Value>,
    ) -> Result<Value, Problem> {
        let turn = self.shared.scheduler.upserts(self.tenant.id());
        let _turn = turn.lock().await;
        match self.find(matching.clone(), 1).await?.into_iter().next() {
            Some(record) => self.update(Some(record.id.to_string()), fields).await,
            None => {
                // What was looked for holds of what is added; a dotted path is no name of a field.
                let mut data: Map<String, Value> =
                    matching.into_iter().filter(|(field, _)| !field.contains('.')).collect();
                data.extend(fields);
                self.create(data).await
            }
        }
    }

    async fn get(&self, id: Option<String>) -> Result<Value, Problem> {
        let Ok(id) = named(id) else { return Ok(Value::Null) };
        match records::get(&self.shared.app, self.tenant, &self.collection, id).await {
            Err(problem) if problem.code == Code::NotFound => Ok(Value::Null),
            found => Ok(shown(open(self.tenant, found?)?)),
        }
    }

    async fn find(&self, matching: Map<String, Value>, limit: u32) -> Result<Vec<Record>, Problem> {
        let equal = |(field, value)| Comparison { field, operator: FilterOperator::Equal, value };
        let query = RecordQuery {
            collection: self.collection.clone(),
            filter: Filter(matching.into_iter().map(equal).collect()),
            sort: None,
            page: PageRequest { limit, cursor: None },
        };
        let page = records::list(&self.shared.app, self.tenant, &query).await?;
        Ok(open(self.tenant, page)?.data)
    }

    async fn delete(&self, id: Option<String>) -> Result<Value, Problem> {
        let deleted = match named(id) {
            Err(_) => false,
            Ok(id) => {
                let gone =
                    records::delete(&self.shared.app, self.tenant, &self.collection, id, None, None).await;
                match gone {
                    Err(problem) if problem.code == Code::NotFound => false,
                    gone => gone.map(|()| true)?,
                }
            }
        };
        Ok(json!({"deleted": deleted}))
    }
}

/// A record's id; what cannot be one names no record.
fn named(id: Option<String>) -> Result<RecordId, Problem> {
    id.unwrap_or_default().parse().map_err(|_| Problem::not_found())
}

/// A record as templates see it: its fields, and its id among them.
fn shown(record: Record) -> Value {
    let Record { id, mut data, .. } = record;
    data.insert("id".to_owned(), json!(id));
    Value::Object(data)
}
