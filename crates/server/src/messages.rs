//! What carries messages: this process, or NATS where several servers tell each other.

use crate::config::MessagesConfig;
use crate::serve::ServeError;
use crate::stores;
use bus::Bus;
use bus_local::LocalBus;
use bus_nats::{Connection, Credentials, Link, NatsBus, SetupError, Tls};
use env::Env;
use std::sync::Arc;

/// The bus that the configuration names.
pub(crate) async fn bus(config: &MessagesConfig, env: &Env) -> Result<Arc<dyn Bus>, ServeError> {
    let Some(address) = &config.nats_url else {
        return Ok(Arc::new(LocalBus::new(bus_local::Settings::default(), env.clone())));
    };
    let files = stores::tls(&config.tls).map_err(|error| match error {
        store_postgres::SetupError::Tls(message) => SetupError::Tls(message),
        error => SetupError::Tls(error.to_string()),
    })?;
    let tls = Tls { authorities: files.authorities, identity: files.identity };
    let credentials = config.credentials_file.as_deref().map(Credentials::read).transpose()?;
    let connection = Connection::open(&Link::new(address, &tls, credentials)?).await?;
    Ok(Arc::new(NatsBus::new(&connection, bus_nats::Settings::default())))
}
