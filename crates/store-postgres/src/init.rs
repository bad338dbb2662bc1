//! Making the database: the database itself, its roles, its schema and the key of tokens. Done by an administrator
//! before the first start and after an update; the server has no right to any of it.

use crate::error::Fault;
use crate::{schema, token};
use env::Env;
use kms::Kms;
use secret::SecretBytes;
use tokio_postgres::config::Config;
use tokio_postgres::{Client, NoTls};

use crate::home::params;

/// Why the database could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address says too little.
    #[error("the address of the database names no {0}")]
    Missing(&'static str),
    /// It is no address.
    #[error("the address of the database cannot be read")]
    Address,
    /// A name would need quoting.
    #[error("{0:?} is no name for a role or database here: lower-case letters, digits and _, at most 48")]
    Name(String),
    /// The run-time role may do more than it should.
    #[error("the role of the server {0}; make it anew with the command that makes the database")]
    Role(&'static str),
    /// The server is older than the last known hole in row-level security.
    #[error("the database server is older than 15.9, which has known holes in row-level security")]
    OldServer,
    /// A table can be read without a token.
    #[error("the table {0} is not kept apart by row-level security")]
    Open(String),
    /// The master key is another.
    #[error("the database was made under another master key")]
    WrongMasterKey,
    /// Something else stands in the way.
    #[error("the database cannot be used: {0}")]
    Unusable(String),
}

impl From<Fault> for SetupError {
    fn from(fault: Fault) -> Self {
        Self::Unusable(fault.to_string())
    }
}

impl From<tokio_postgres::Error> for SetupError {
    fn from(error: tokio_postgres::Error) -> Self {
        Fault::from(error).into()
    }
}

/// What there is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The database.
    pub database: String,
    /// The server's role.
    pub role: String,
    /// The version of the schema.
    pub schema_version: usize,
}

/// Makes the database that `url` names, with `admin_url`, or brings it to the newest version.
pub async fn init(admin_url: &str, url: &str, kms: &dyn Kms, env: &Env) -> Result<Made, SetupError> {
    let admin: Config = admin_url.parse().map_err(|_| SetupError::Address)?;
    let target: Config = url.parse().map_err(|_| SetupError::Address)?;
    let database = name(target.get_dbname(), "database")?;
    let role = name(target.get_user(), "role")?;
    let owner = format!("{database}_owner");
    let server = connect(&admin).await?;
    make_roles(&server, &owner, role, target.get_password()).await?;
    let exists = "SELECT EXISTS(SELECT 1 FROM pg_database WHERE datname = $1)";
    if !server.query_typed_one(exists, params![database => TEXT]).await?.try_get::<_, bool>(0)? {
        let make = format!(
            "CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        server.batch_execute(&make).await?;
    }
    server
        .batch_execute(&format!(
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {role}"
        ))
        .await?;
    let mut inside = admin.clone();
    inside.dbname(database);
    let client = connect(&inside).await?;
    client.batch_execute("REVOKE ALL ON SCHEMA public FROM PUBLIC").await?;
    schema::migrate(&client, &owner, role).await?;
    make_token_key(&client, kms, env).await?;
    Ok(Made { database: database.to_owned(), role: role.to_owned(), schema_version: schema::VERSION })
}

/// The name, where it needs no quoting.
fn name<'a>(name: Option<&'a str>, what: &'static str) -> Result<&'a str, SetupError> {
    let name = name.ok_or(SetupError::Missing(what))?;
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let fits =
        plain && name.len() <= 48 && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    if fits { Ok(name) } else { Err(SetupError::Name(name.to_owned())) }
}

async fn connect(config: &Config) -> Result<Client, SetupError> {
    let (client, connection) = config.connect(NoTls).await?;
    // It ends with the client.
    tokio::spawn(async move {
        if connection.await.is_err() {
            tracing::error!("the connection that makes the database was lost");
        }
    });
    Ok(client)
}

const HARMLESS: &str = "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION";

async fn make_roles(
    client: &Client,
    owner: &str,
    role: &str,
    password: Option<&[u8]>,
) -> Result<(), SetupError> {
    for (role, login) in [(owner, "NOLOGIN"), (role, "LOGIN")] {
        let exists = "SELECT EXISTS(SELECT 1 FROM pg_roles WHERE rolname = $1)";
        let there = client.query_typed_one(exists, params![role => TEXT]).await?.try_get::<_, bool>(0)?;
        let verb = if there { "ALTER" } else { "CREATE" };
        client.batch_execute(&format!("{verb} ROLE {role} {login} {HARMLESS}")).await?;
    }
    // Whoever is no superuser must be a member of the role to hand the database to it.
    client.batch_execute(&format!("GRANT {owner} TO CURRENT_USER")).await?;
    if let Some(password) = password {
        let password = std::str::from_utf8(password).map_err(|_| SetupError::Address)?;
        // A role's password is no bind parameter. The server quotes it, and hashes it before it is stored.
        let quoted = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)";
        let row = client.query_typed_one(quoted, params![role => TEXT, password => TEXT]).await?;
        client.batch_execute(row.try_get(0)?).await?;
    }
    Ok(())
}

async fn make_token_key(client: &Client, kms: &dyn Kms, env: &Env) -> Result<(), SetupError> {
    let found = "SELECT sealed FROM tenantry.own_key WHERE name = $1";
    if let Some(row) = client.query_typed_opt(found, params![token::NAME => TEXT]).await? {
        let sealed: Vec<u8> = row.try_get(0)?;
        return token::unseal(kms, &sealed).await.map(drop).map_err(|_| SetupError::WrongMasterKey);
    }
    let key = SecretBytes::fill_with(|bytes| env.fill(bytes));
    let sealed = token::seal(kms, &key).await?;
    let [inner, outer] = token::pads(&key);
    let (inner, outer) = (inner.expose().as_slice(), outer.expose().as_slice());
    client.batch_execute("BEGIN").await?;
    client
        .execute_typed(
            "INSERT INTO tenantry.token_pad(inner_pad, outer_pad) VALUES($1, $2)",
            params![inner => BYTEA, outer => BYTEA],
        )
        .await?;
    client
        .execute_typed(
            "INSERT INTO tenantry.own_key(name, sealed) VALUES($1, $2)",
            params![token::NAME => TEXT, sealed => BYTEA],
        )
        .await?;
    Ok(client.batch_execute("COMMIT").await?)
}

/// What a start checks before it serves anybody: that the role cannot step over the policies, and that every
/// table has them.
pub(crate) async fn check(client: &Client) -> Result<(), SetupError> {
    let row = client
        .query_typed_one(
            "SELECT rolsuper, rolbypassrls, rolcreaterole OR rolcreatedb,
                current_setting('server_version_num')::int8,
                EXISTS(SELECT 1 FROM pg_class WHERE relowner = pg_roles.oid AND relkind = 'r')
             FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .await?;
    for (place, what) in [
        (0, "is a superuser"),
        (1, "may step over policies"),
        (2, "may make roles or databases"),
        (4, "owns tables"),
    ] {
        if row.try_get::<_, bool>(place)? {
            return Err(SetupError::Role(what));
        }
    }
    if row.try_get::<_, i64>(3)? < 150_009 {
        return Err(SetupError::OldServer);
    }
    let open = client
        .query_typed(
            "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
             WHERE nspname = 'pooled' AND relkind IN ('r', 'p', 'v', 'm')
             AND NOT (relkind = 'r' AND relrowsecurity AND relforcerowsecurity)",
            &[],
        )
        .await?;
    if let Some(row) = open.first() {
        return Err(SetupError::Open(row.try_get(0)?));
    }
    for table in schema::TENANT_TABLES {
        let any =
            client.query_typed_one(&format!("SELECT EXISTS(SELECT 1 FROM pooled.{table})"), &[]).await?;
        if any.try_get::<_, bool>(0)? {
            return Err(SetupError::Open(table.to_owned()));
        }
    }
    Ok(())
}
