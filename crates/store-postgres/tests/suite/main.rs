//! The PostgreSQL backend as a whole, on a real server.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test has failed it"
)]

mod attacks;
mod calls_at_once;
mod conformance;
mod homes;
mod moves;
mod place;
mod policies;
mod pooled_connections;
mod ranges;
mod rotation;
mod several_servers;
mod tls;
mod two_databases;
mod verify;

/// A connection that no store has anything to do with.
async fn connect(address: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
