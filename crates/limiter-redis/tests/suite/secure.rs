//! Redis across a network: both sides prove who they are, and nothing goes over the wire otherwise.

use crate::settings;
use admission_fixture::Fixture;
use limiter::Limiter as _;
use limiter_redis::{Address, Memory, RedisLimiter, UnfitAddress};
use limiter_tests::{Rows, hourly};
use redis_instance::RedisServer;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tls_authority::{Authority, pem};

const PATIENCE: Duration = Duration::from_secs(10);

/// A Redis with a certificate for this name, which wants to see one; and its port.
async fn serve(authority: &Authority, name: &str) -> (RedisServer, u16) {
    let (certificate, key) = authority.sign(name);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let [authority, certificate] = [&authority.certificate, &certificate].map(|der| pem("CERTIFICATE", der));
    let key = pem("PRIVATE KEY", key.secret_der());
    (RedisServer::start_secure(port, &authority, &certificate, &key).await, port)
}

fn address(port: u16, tls: &Tls) -> Address {
    Address::parse(&format!("rediss://127.0.0.1:{port}"), tls).unwrap()
}

fn limiter(fixture: &Fixture, address: &Address) -> RedisLimiter<Rows> {
    let settings = settings(limiter_tests::Settings::default());
    RedisLimiter::new(Arc::<Rows>::default(), fixture.env(), address, settings).unwrap()
}

#[tokio::test]
async fn a_link_across_a_network_is_verified_on_both_sides() {
    let (authority, fixture) = (Authority::new(), Fixture::new(5));
    let (_redis, port) = serve(&authority, "127.0.0.1").await;
    let good = address(port, &authority.tls());
    good.verify(PATIENCE).await.unwrap();
    let limiting = limiter(&fixture, &good);
    assert_eq!(limiting.memory().await.unwrap(), Memory::KeepsAll);
    let owner = fixture.owner(fixture.tenant(hourly(9))).await;
    let standing = owner.enter(async |tenant| limiting.standing(&tenant, limiter::Kind::Ai).await).await;
    assert_eq!(standing.unwrap().standing.remaining, Some(9));

    let another = Authority::new();
    let (_other, other_port) = serve(&authority, "redis.test").await;
    let stranger = Tls { authorities: vec![another.certificate.clone()], ..authority.tls() };
    // The public authorities have not signed it.
    let public = Tls { authorities: Vec::new(), ..authority.tls() };
    for (port, tls) in [(port, stranger), (port, public), (other_port, authority.tls())] {
        let refused = address(port, &tls).verify(PATIENCE).await.unwrap_err();
        assert!(matches!(refused, UnfitAddress::Tls(_)), "{refused:?}");
    }
    // Redis wants to know who comes; it says so when the handshake is over.
    let nameless = Tls { identity: None, ..authority.tls() };
    let foreign = Tls { authorities: authority.tls().authorities, ..another.tls() };
    for tls in [nameless, foreign] {
        limiter(&fixture, &address(port, &tls)).memory().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_nothing() {
    use tokio::io::AsyncReadExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 512];
        let count = stream.read(&mut heard).await.unwrap();
        String::from_utf8_lossy(&heard[..count]).into_owned()
    });
    let address = format!("rediss://anna:hunter2@127.0.0.1:{port}");
    let address = Address::parse(&address, &Authority::new().tls()).unwrap();
    limiter(&Fixture::new(5), &address).memory().await.unwrap_err();
    let heard = heard.await.unwrap();
    assert!(!heard.contains("hunter2") && !heard.is_empty(), "{heard}");
}
