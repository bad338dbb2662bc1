//! What carries messages: this process, or NATS where several servers tell each other.

use crate::config::MessagesConfig;
use crate::serve::ServeError;
use crate::stores;
use bus::{Bus, Doorbell};
use bus_local::{LocalBell, LocalBus};
use bus_nats::{Connection, Credentials, Link, NatsBell, NatsBus, SetupError};
use env::Env;
use std::sync::Arc;

/// What carries messages, and the bell that servers ring for each other.
pub(crate) struct Messages {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) bell: Arc<dyn Doorbell>,
}

/// As the configuration says.
pub(crate) async fn messages(config: &MessagesConfig, env: &Env) -> Result<Messages, ServeError> {
    let Some(address) = &config.nats_url else {
        let bus = Arc::new(LocalBus::new(bus_local::Settings::default(), env.clone()));
        return Ok(Messages { bus, bell: Arc::new(LocalBell::default()) });
    };
    let tls = stores::tls(&config.tls).map_err(|error| match error {
        store_postgres::SetupError::Tls(message) => SetupError::Tls(message),
        error => SetupError::Tls(error.to_string()),
    })?;
    let credentials = config.credentials_file.as_deref().map(Credentials::read).transpose()?;
    let connection = Connection::open(&Link::new(address, &tls, credentials)?).await?;
    let bus = Arc::new(NatsBus::new(&connection, bus_nats::Settings::default()));
    let bell = NatsBell::hang(&connection).await.map_err(|error| SetupError::Unusable(error.to_string()))?;
    Ok(Messages { bus, bell: Arc::new(bell) })
}
