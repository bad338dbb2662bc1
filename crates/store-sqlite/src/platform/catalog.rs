//! What the operator publishes for all tenants: plans, templates, endpoints.

use super::{Platform, tenants};
use crate::error::Fault;
use env::Timestamp;
use ids::{Id, Slug, TemplateId};
use metering::plan::{Plan, Terms};
use sqlcipher::{Executor, OptionalExtension, Row, params};
use std::sync::Arc;
use store::{Endpoint, Endpoints, StoreError, Template};

fn template(row: &Row<'_>) -> Result<(String, u32, [u8; 16], String, i64), sqlcipher::Error> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn typed(
    (name, version, id, definition, at): (String, u32, [u8; 16], String, i64),
) -> Result<Template, Fault> {
    Ok(Template {
        id: TemplateId::from_bytes(id),
        name: name.parse().map_err(|_| Fault::Damaged("a template's name"))?,
        version,
        definition,
        created_at: Timestamp::from_millis(at),
    })
}

fn newest(connection: &Executor, name: &Slug) -> Result<Option<Template>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT name, version, id, definition, created_at FROM template
         WHERE name = ?1 ORDER BY version DESC LIMIT 1",
    )?;
    select.query_row(params![name.as_str()], template).optional()?.map(typed).transpose()
}

impl Platform {
    pub(crate) async fn plan(self: &Arc<Self>, name: Slug) -> Result<Plan, Fault> {
        self.read(move |connection| {
            tenants::plan(connection, &name)?.ok_or(Fault::Answer(StoreError::NotFound))
        })
        .await
    }

    pub(crate) async fn put_plan(self: &Arc<Self>, plan: Plan) -> Result<(), Fault> {
        self.write(
            move |connection| {
                let limits =
                    serde_json::to_string(&Terms::from(&plan)).map_err(|_| Fault::Damaged("a plan"))?;
                connection.execute(
                    "INSERT OR REPLACE INTO plan(name, limits) VALUES(?1, ?2)",
                    params![plan.name.as_str(), limits],
                )?;
                Ok(())
            },
            |cache| cache.standings.clear(),
        )
        .await
    }

    pub(crate) async fn publish(
        self: &Arc<Self>,
        fresh: TemplateId,
        name: Slug,
        definition: String,
        now: Timestamp,
    ) -> Result<Template, Fault> {
        self.write(
            move |connection| {
                let before = newest(connection, &name)?;
                let (id, version) = before.map_or((fresh, 1), |before| (before.id, before.version + 1));
                connection.execute(
                    "INSERT INTO template(name, version, id, definition, created_at) VALUES(?1, ?2, ?3, ?4, ?5)",
                    params![name.as_str(), version, id.to_bytes(), definition, now.millis()],
                )?;
                Ok(Template { id, name, version, definition, created_at: now })
            },
            |_| (),
        )
        .await
    }

    pub(crate) async fn withdraw(self: &Arc<Self>, name: Slug) -> Result<(), Fault> {
        self.write(
            move |connection| {
                let gone =
                    connection.execute("DELETE FROM template WHERE name = ?1", params![name.as_str()])?;
                if gone == 0 { Err(Fault::Answer(StoreError::NotFound)) } else { Ok(()) }
            },
            |_| (),
        )
        .await
    }

    pub(crate) async fn template(
        self: &Arc<Self>,
        name: Slug,
        version: Option<u32>,
    ) -> Result<Template, Fault> {
        self.read(move |connection| {
            let found = match version {
                None => newest(connection, &name)?,
                Some(version) => {
                    let mut select = connection.prepare_cached(
                        "SELECT name, version, id, definition, created_at FROM template
                         WHERE name = ?1 AND version = ?2",
                    )?;
                    select
                        .query_row(params![name.as_str(), version], template)
                        .optional()?
                        .map(typed)
                        .transpose()?
                }
            };
            found.ok_or(Fault::Answer(StoreError::NotFound))
        })
        .await
    }

    pub(crate) async fn templates(
        self: &Arc<Self>,
        after: Option<Slug>,
        limit: u32,
    ) -> Result<Vec<Template>, Fault> {
        self.read(move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT name, max(version), id, definition, created_at FROM template
                 WHERE name > ?1 GROUP BY name ORDER BY name LIMIT ?2",
            )?;
            let after = after.as_ref().map_or("", Slug::as_str);
            let rows = select.query_map(params![after, limit], template)?;
            rows.map(|row| typed(row?)).collect()
        })
        .await
    }

    pub(crate) async fn endpoints(self: &Arc<Self>) -> Result<Endpoints, Fault> {
        let generation = {
            let cache = self.cache();
            if let Some(endpoints) = &cache.endpoints {
                return Ok(endpoints.clone());
            }
            cache.generation()
        };
        let found = self
            .read(|connection| {
                let mut select = connection.prepare_cached("SELECT body FROM endpoint ORDER BY name")?;
                let rows = select.query_map([], |row| row.get::<_, String>(0))?;
                let parse = |text: String| {
                    serde_json::from_str(&text).map(Arc::new).map_err(|_| Fault::Damaged("an endpoint"))
                };
                rows.map(|row| parse(row?)).collect::<Result<Endpoints, Fault>>()
            })
            .await?;
        self.cache().keep(generation, |cache| cache.endpoints = Some(found.clone()));
        Ok(found)
    }

    pub(crate) async fn put_endpoint(self: &Arc<Self>, endpoint: Endpoint) -> Result<(), Fault> {
        self.write(
            move |connection| {
                let body = serde_json::to_string(&endpoint).map_err(|_| Fault::Damaged("an endpoint"))?;
                connection.execute(
                    "INSERT OR REPLACE INTO endpoint(name, body) VALUES(?1, ?2)",
                    params![endpoint.name.as_str(), body],
                )?;
                Ok(())
            },
            |cache| cache.endpoints = None,
        )
        .await
    }
}
