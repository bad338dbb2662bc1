//! What operators offer to tenants: plans, templates, endpoints.

use super::{Platform, bytes_of};
use crate::error::Fault;
use crate::home::params;
use env::Timestamp;
use ids::{Id as _, Slug, TemplateId};
use metering::plan::{Plan, Terms};
use std::sync::Arc;
use store::{Endpoint, Endpoints, StoreError, Template};
use tokio_postgres::Row;

const TEMPLATE: &str = "name, version, id, definition, created_at FROM tenantry.template";

fn template(row: &Row) -> Result<Template, Fault> {
    let damaged = || Fault::Damaged("a template");
    Ok(Template {
        name: row.try_get::<_, &str>(0)?.parse().map_err(|_| damaged())?,
        version: row.try_get::<_, i64>(1)?.try_into().map_err(|_| damaged())?,
        id: TemplateId::from_bytes(bytes_of(row, 2)?),
        definition: row.try_get(3)?,
        created_at: Timestamp::from_millis(row.try_get(4)?),
    })
}

impl Platform {
    pub(crate) async fn put_plan(&self, plan: &Plan) -> Result<(), Fault> {
        // The pool has a column, where claims look. Servers of a version without pools read the rest as before.
        let pool = plan.pool.as_ref().map(Slug::as_str);
        let terms = Terms::from(&Plan { pool: None, ..plan.clone() });
        let limits = serde_json::to_string(&terms).map_err(|_| Fault::Damaged("a plan"))?;
        let put = "INSERT INTO tenantry.plan(name, limits, pool) VALUES($1, $2, $3)
            ON CONFLICT (name) DO UPDATE SET limits = excluded.limits, pool = excluded.pool";
        self.execute(put, params![plan.name.as_str() => TEXT, limits => TEXT, pool => TEXT]).await?;
        self.known.forget();
        Ok(())
    }

    /// Says that a worker of a pool is there.
    pub(crate) async fn attend(&self, pool: &Slug) -> Result<(), Fault> {
        let note = "INSERT INTO tenantry.pool AS pool(name, seen) VALUES($1, clock_timestamp())
            ON CONFLICT (name) DO UPDATE SET seen = excluded.seen WHERE pool.seen < excluded.seen - interval '5 seconds'";
        self.execute(note, params![pool.as_str() => TEXT]).await?;
        Ok(())
    }

    /// When a worker of a pool was last there, to some seconds.
    pub(crate) async fn pool_seen(&self, pool: &Slug) -> Result<Option<Timestamp>, Fault> {
        let select = "SELECT (extract(epoch FROM seen) * 1000)::int8 FROM tenantry.pool WHERE name = $1";
        let rows = self.query(select, params![pool.as_str() => TEXT]).await?;
        let seen = |row: &Row| Ok(Timestamp::from_millis(row.try_get(0)?));
        rows.first().map(seen).transpose()
    }

    pub(crate) async fn publish(
        &self,
        fresh: TemplateId,
        name: &Slug,
        definition: String,
        now: Timestamp,
    ) -> Result<Template, Fault> {
        let session = self.change().await?;
        let newest = format!("SELECT {TEMPLATE} WHERE name = $1 ORDER BY version DESC LIMIT 1");
        let before = session.query_typed_opt(&newest, params![name.as_str() => TEXT]).await?;
        let before = before.as_ref().map(template).transpose()?;
        let (id, version) = before.map_or((fresh, 1), |before| (before.id, before.version + 1));
        session
            .execute_typed(
                "INSERT INTO tenantry.template(name, version, id, definition, created_at)
                 VALUES($1, $2, $3, $4, $5)",
                params![name.as_str() => TEXT, i64::from(version) => INT8, id.to_bytes().as_slice() => BYTEA,
                    definition => TEXT, now.millis() => INT8],
            )
            .await?;
        session.commit().await?;
        Ok(Template { id, name: name.clone(), version, definition, created_at: now })
    }

    pub(crate) async fn withdraw(&self, name: &Slug) -> Result<(), Fault> {
        let remove = "DELETE FROM tenantry.template WHERE name = $1";
        match self.execute(remove, params![name.as_str() => TEXT]).await? {
            0 => Err(StoreError::NotFound.into()),
            _ => Ok(()),
        }
    }

    pub(crate) async fn template(&self, name: &Slug, version: Option<u32>) -> Result<Template, Fault> {
        let select = format!(
            "SELECT {TEMPLATE} WHERE name = $1 AND ($2::int8 IS NULL OR version = $2) ORDER BY version DESC LIMIT 1"
        );
        let values = params![name.as_str() => TEXT, version.map(i64::from) => INT8];
        let rows = self.query(&select, values).await?;
        template(rows.first().ok_or(Fault::Answer(StoreError::NotFound))?)
    }

    pub(crate) async fn templates(&self, after: Option<&Slug>, limit: u32) -> Result<Vec<Template>, Fault> {
        let select = format!(
            "SELECT DISTINCT ON (name) {TEMPLATE} WHERE name > $1 ORDER BY name, version DESC LIMIT $2"
        );
        let values = params![after.map_or("", Slug::as_str) => TEXT, i64::from(limit) => INT8];
        self.query(&select, values).await?.iter().map(template).collect()
    }

    pub(crate) async fn endpoints(&self) -> Result<Endpoints, Fault> {
        let rows = self.query("SELECT body FROM tenantry.endpoint ORDER BY name", &[]).await?;
        let endpoint = |row: &Row| -> Result<Arc<Endpoint>, Fault> {
            serde_json::from_str(row.try_get(0)?).map(Arc::new).map_err(|_| Fault::Damaged("an endpoint"))
        };
        rows.iter().map(endpoint).collect()
    }

    pub(crate) async fn put_endpoint(&self, endpoint: &Endpoint) -> Result<(), Fault> {
        let body = serde_json::to_string(endpoint).map_err(|_| Fault::Damaged("an endpoint"))?;
        let put = "INSERT INTO tenantry.endpoint(name, body) VALUES($1, $2) ON CONFLICT (name) DO UPDATE SET body = $2";
        self.execute(put, params![endpoint.name.as_str() => TEXT, body => TEXT]).await?;
        self.known.forget();
        Ok(())
    }
}
