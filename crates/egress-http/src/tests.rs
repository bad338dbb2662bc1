//! The whole way, from a tenant's visit to servers of our own that answer as badly as servers can.

mod addresses;
mod answers;
mod credentials;
mod neighbours;
mod server;
mod tls;
mod world;
