//! Roles: made so that they can do no harm, and given passwords that the database never sees.

use crate::error::Fault;
use crate::home::params;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use env::Env;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;

/// What no role of ours may.
const HARMLESS: &str = "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION";
/// As many rounds as PostgreSQL itself takes.
const ROUNDS: u32 = 4096;

/// Makes a role, or takes from it what it may not have. `how` says whether it logs in.
pub(crate) async fn make(client: &Client, role: &str, how: &str) -> Result<(), Fault> {
    let harmless = "SELECT NOT (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)
        FROM pg_roles WHERE rolname = $1";
    let found = client.query_typed_opt(harmless, params![role => TEXT]).await?;
    let made = match found.map(|row| row.try_get(0)).transpose()? {
        None => format!("CREATE ROLE {role} {how} {HARMLESS}"),
        // Only a superuser may so much as name these attributes of a role that is there.
        Some(true) => format!("ALTER ROLE {role} {how}"),
        Some(false) => format!("ALTER ROLE {role} {how} {HARMLESS}"),
    };
    Ok(client.batch_execute(&made).await?)
}

pub(crate) async fn exists(client: &Client, role: &str) -> Result<bool, Fault> {
    let exists = "SELECT EXISTS(SELECT 1 FROM pg_roles WHERE rolname = $1)";
    Ok(client.query_typed_one(exists, params![role => TEXT]).await?.try_get(0)?)
}

/// Gives a role a password. What is sent is what the server would make of it, so that the password stands in no
/// log of statements.
pub(crate) async fn set_password(
    client: &Client,
    role: &str,
    password: &[u8],
    env: &Env,
) -> Result<(), Fault> {
    let verifier = verifier(password, &env.random::<16>());
    // It consists of characters that need no quoting.
    Ok(client.batch_execute(&format!("ALTER ROLE {role} PASSWORD '{verifier}'")).await?)
}

/// What is stored in the place of a password (RFC 5803). The password is taken to be ASCII.
fn verifier(password: &[u8], salt: &[u8]) -> String {
    let salted = stretched(password, salt);
    let stored = Sha256::digest(mac(&salted, &[b"Client Key"]));
    let server = mac(&salted, &[b"Server Key"]);
    let [salt, stored, server] = [salt, &stored, &server].map(|bytes| STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${ROUNDS}:{salt}${stored}:{server}")
}

/// `Hi` of RFC 5802, section 2.2.
fn stretched(password: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut last = mac(password, &[salt, &1u32.to_be_bytes()]);
    let mut sum = last;
    for _ in 1..ROUNDS {
        last = mac(password, &[&last]);
        sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // A longer key is hashed, a shorter one filled up with zeros.
    let mut block = [0; 64];
    match key.len() {
        ..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let mac = parts.iter().fold(Hmac::<Sha256>::new(&block.into()), |mac, part| mac.chain_update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3: what the client and the server of the example prove to each other.
    #[test]
    fn the_published_exchange_comes_out() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let said = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let salted = stretched(b"pencil", &salt);
        let client = mac(&salted, &[b"Client Key"]);
        let signature = mac(&Sha256::digest(client), &[said.as_bytes()]);
        let proof: Vec<u8> = client.iter().zip(signature).map(|(key, byte)| key ^ byte).collect();
        assert_eq!(STANDARD.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let server = mac(&mac(&salted, &[b"Server Key"]), &[said.as_bytes()]);
        assert_eq!(STANDARD.encode(server), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let stored = STANDARD.encode(Sha256::digest(client));
        assert!(verifier(b"pencil", &salt).contains(&stored));
    }
}
