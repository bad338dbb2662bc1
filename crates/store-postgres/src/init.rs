//! Making the database: the database itself, its roles, its schema and the key of tokens. Done by an administrator
//! before the first start and after an update; the server has no right to any of it.

use crate::Tls;
use crate::error::Fault;
use crate::footing::Footing;
use crate::home::params;
use crate::link::Link;
use crate::naming::Naming;
use crate::platform::own_key;
use crate::schema::Place;
use crate::{role, schema, token};
use env::Env;
use kms::Kms;
use secret::SecretBytes;
use tokio_postgres::Client;

/// Why the database could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address says too little.
    #[error("the address of the database names no {0}")]
    Missing(&'static str),
    /// It is no address.
    #[error("the address of the database cannot be read")]
    Address,
    /// The database is across a network, and no TLS is wanted.
    #[error("the address turns TLS off, and the database is neither on a socket nor on loopback")]
    Plaintext,
    /// TLS came to nothing.
    #[error("TLS with the database: {0}")]
    Tls(String),
    /// A name would need quoting, or is too long.
    #[error("{0:?} is no name for it here: lower-case letters, digits and _, at most {1}")]
    Name(String, usize),
    /// The roles, the policies or the rights are not as they should be.
    #[error(
        "the database does not keep tenants apart as it should; make it anew with the command that makes it: {0}"
    )]
    Footing(Footing),
    /// There is a server already.
    #[error(
        "another server is on this database, and several need `[limits] redis_url`, where they count together"
    )]
    Taken,
    /// Others are on the database who may not be.
    #[error(
        "others are connected to the database or to tenants' own: stop the servers, workers and the provisioner, and a \
         pooler's connections, of these roles: {0}"
    )]
    InUse(String),
    /// The master key is another.
    #[error("the database was made under another master key")]
    WrongMasterKey,
    /// What was copied of a table is not what is there.
    #[error("what was copied of the table {0} is not what is there, and the tenant stays where it is")]
    Differs(&'static str),
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
    pub schema_version: i64,
}

/// Makes the database that `url` names, with `admin_url`, or brings it to the newest version.
pub async fn init(
    admin_url: &str,
    url: &str,
    tls: &Tls,
    kms: &dyn Kms,
    env: &Env,
) -> Result<Made, SetupError> {
    let (admin, target) = (Link::parse(admin_url, tls)?, Link::parse(url, tls)?);
    let naming = Naming::of(&target)?;
    let (owner, server) = (naming.owner(), &naming.server);
    let client = admin.connect().await?;
    role::make(&client, &owner, "NOLOGIN").await?;
    role::make(&client, server, "LOGIN").await?;
    // Whoever is no superuser must be a member of the role to hand the database to it.
    client.batch_execute(&format!("GRANT {owner} TO CURRENT_USER")).await?;
    if let Some(password) = target.config.get_password() {
        if !password.is_ascii() {
            return Err(SetupError::Unusable("the password in its address is not ASCII".to_owned()));
        }
        role::set_password(&client, server, password, env).await?;
    }
    make_database(&client, &naming.database, &owner, server).await?;
    let inside = enter(&admin, &naming.database).await?;
    schema::migrate(&inside, &Place::Platform, &owner, server).await?;
    make_token_key(&inside, kms, env).await?;
    let Naming { database, server: role, .. } = naming;
    Ok(Made { database, role, schema_version: schema::VERSION })
}

/// Gives a database that no server has used yet the keys that another deployment has for itself, so that credentials of
/// the tenants that come from there are known here, and what its operators sealed opens.
pub async fn give_own_keys(
    admin_url: &str,
    url: &str,
    tls: &Tls,
    kms: &dyn Kms,
    keys: &[(&'static str, SecretBytes<32>)],
) -> Result<(), SetupError> {
    let (admin, target) = (Link::parse(admin_url, tls)?, Link::parse(url, tls)?);
    let client = admin.within(&Naming::of(&target)?.database).connect().await?;
    for (name, key) in keys {
        let (binding, sealed) = own_key::sealed(kms, name, key).await?;
        let put = "INSERT INTO tenantry.own_key(name, sealed) VALUES($1, $2) ON CONFLICT DO NOTHING";
        client.execute_typed(put, params![*name => TEXT, sealed => BYTEA]).await?;
        let select = "SELECT sealed FROM tenantry.own_key WHERE name = $1";
        let row = client.query_typed_one(select, params![*name => TEXT]).await?;
        if own_key::opened(kms, &binding, row.try_get(0)?).await?.expose() != key.expose() {
            let detail = "it has keys of its own already, since a server was started on it; another database is needed";
            return Err(SetupError::Unusable(detail.to_owned()));
        }
    }
    Ok(())
}

/// Makes a database that only its owner and this role can connect to.
pub(crate) async fn make_database(
    client: &Client,
    database: &str,
    owner: &str,
    role: &str,
) -> Result<(), Fault> {
    let exists = "SELECT EXISTS(SELECT 1 FROM pg_database WHERE datname = $1)";
    if !client.query_typed_one(exists, params![database => TEXT]).await?.try_get::<_, bool>(0)? {
        let make = format!(
            "CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        client.batch_execute(&make).await?;
    }
    let rights = format!(
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {role}"
    );
    Ok(client.batch_execute(&rights).await?)
}

/// The administrator's connection to a database, in which nobody has a right to what was there before.
pub(crate) async fn enter(admin: &Link, database: &str) -> Result<Client, SetupError> {
    let client = admin.within(database).connect().await?;
    client.batch_execute("REVOKE ALL ON SCHEMA public FROM PUBLIC").await?;
    Ok(client)
}

async fn make_token_key(client: &Client, kms: &dyn Kms, env: &Env) -> Result<(), SetupError> {
    match token::stored(client, kms).await {
        Ok(Some(_)) => return Ok(()),
        Ok(None) => {}
        Err(_) => return Err(SetupError::WrongMasterKey),
    }
    let key = SecretBytes::fill_with(|bytes| env.fill(bytes));
    let sealed = token::seal(kms, &key).await?;
    client.batch_execute("BEGIN").await?;
    token::put_pads(client, &key).await?;
    client
        .execute_typed(
            "INSERT INTO tenantry.own_key(name, sealed) VALUES($1, $2)",
            params![token::NAME => TEXT, sealed => BYTEA],
        )
        .await?;
    Ok(client.batch_execute("COMMIT").await?)
}
