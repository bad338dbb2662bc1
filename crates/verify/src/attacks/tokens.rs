//! Tokens that a tenant mints: confusions of algorithm, key and claims.

use super::{Attempt, Control, Job, given_away, judged};
use crate::compare::difference;
use crate::pattern::Pattern;
use crate::seed::Fill;
use crate::side::Side;
use crate::world::World;
use authz::Role;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use sha2::Sha256;

/// A way to make a token that must not be taken.
#[derive(Clone, Copy)]
enum Confusion {
    None,
    PublicKeyAsSecret,
    KeyInTheHeader,
    VictimsKeyId,
    VictimsClaims,
    VictimsTenant,
    VictimsIssuer,
    VictimAsSubject,
    AnotherAudience,
    HigherRole,
    Expired,
    TwoSubjects,
}

const CONFUSIONS: [(Confusion, &str); 12] = [
    (Confusion::None, "a token of the victim's key with the algorithm `none`"),
    (Confusion::PublicKeyAsSecret, "a token with HS256 under the victim's public key"),
    (Confusion::KeyInTheHeader, "a token of the victim's key that brings the attacker's key along"),
    (Confusion::VictimsKeyId, "a token of the victim's key, signed by the attacker's"),
    (Confusion::VictimsClaims, "a token of the own key whose claims name the victim"),
    (Confusion::VictimsTenant, "a token of the own key and issuer for the victim's tenant"),
    (Confusion::VictimsIssuer, "a token of the own key whose issuer is the victim"),
    (Confusion::VictimAsSubject, "a token of the own key whose subject is the victim's key"),
    (Confusion::AnotherAudience, "the victim's token for another server"),
    (Confusion::HigherRole, "a token that claims a role above its key's"),
    (Confusion::Expired, "the victim's token after its end"),
    (Confusion::TwoSubjects, "a token that names two tenants"),
];

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let minted = world.description.has(&Method::POST, "/v1/signing-keys");
    if operation.path != "/v1/me" || !minted {
        return Vec::new();
    }
    let job = |(confusion, attack)| {
        Job::new(Pattern::new(operation, "credential", attack), confused(world, control, confusion))
    };
    CONFUSIONS.into_iter().map(job).collect()
}

/// A registered key of a side's.
struct Minter<'s> {
    side: &'s Side,
    key: SigningKey,
    id: String,
    audience: String,
}

impl<'s> Minter<'s> {
    async fn of(world: &World<'_>, side: &'s Side, role: Role) -> Result<Self, String> {
        let key = SigningKey::from_bytes(&world.env.random());
        let x = URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        let wanted = json!({"alg": "EdDSA", "public_jwk": jwk, "role": role.as_str()});
        let client = world.client.with_key(side.key.clone());
        let made = client.post("/v1/signing-keys", &wanted).await.map_err(|error| error.to_string())?;
        let id = made["id"].as_str().ok_or_else(|| "the signing key has no id".to_owned())?.to_owned();
        side.learn(&id);
        Ok(Self { side, key, id, audience: audience(world, side).await? })
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "JWT", "kid": self.id})
    }

    fn claims(&self, now: i64) -> Value {
        json!({
            "iss": self.side.tenant, "tenant": self.side.tenant, "aud": self.audience,
            "sub": "ada@example.com", "iat": now, "exp": now + 600, "role": "viewer",
        })
    }

    fn signed(&self, header: &Value, claims: &str) -> SecretText {
        let text = unsigned(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes());
        SecretText::new(format!("{text}.{signature}"))
    }
}

fn unsigned(header: &Value, claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}", part(&header.to_string()), part(claims))
}

/// Two tokens of one user of the victim's: one that may do everything, and one of this scope alone.
pub(super) async fn of_one_user(world: &World<'_>, scope: &str) -> Result<[SecretText; 2], String> {
    let names = ["a token of everything".to_owned(), format!("a token of {scope}")];
    let mut kept = world.victim.lesser.lock().await;
    if let [Some(full), Some(lesser)] = names.each_ref().map(|name| kept.get(name)) {
        return Ok([full.clone(), lesser.clone()]);
    }
    let minter = Minter::of(world, &world.victim, Role::Owner).await?;
    let mut claims = minter.claims(world.env.now().seconds());
    claims["role"] = json!(Role::Owner.as_str());
    let full = minter.signed(&minter.header(), &claims.to_string());
    claims["scope"] = json!(scope);
    let lesser = minter.signed(&minter.header(), &claims.to_string());
    kept.extend(names.into_iter().zip([full.clone(), lesser.clone()]));
    Ok([full, lesser])
}

/// The address that the server knows itself by, which is not always the one by which it is reached: hooks
/// stand below it.
async fn audience(world: &World<'_>, side: &Side) -> Result<String, String> {
    let making = world.description.find(&Method::POST, "/v1/workflows");
    let making = making.ok_or_else(|| "there is no operation that tells the server's address".to_owned())?;
    let hook = Fill::from([("/v1/credentials/{service}".to_owned(), crate::bodies::HOOK_SERVICE.to_owned())]);
    if let Some(credential) = world.description.find(&Method::PUT, "/v1/credentials/{service}") {
        let mut request = world.request(credential, side, hook);
        request.body = Some(json!({"kind": "webhook_secret", "secret": side.hook_secret.expose()}));
        world.ask(&request, side).await?;
    }
    let made = world.ask(&world.request(making, side, Fill::new()), side).await?.json();
    let address = made["hook_url"].as_str().and_then(|url| url.split_once("/hooks/"));
    address.map(|(base, _)| base.to_owned()).ok_or_else(|| "the workflow has no `hook_url`".to_owned())
}

async fn confused(world: &World<'_>, control: &Control<'_>, confusion: Confusion) -> Attempt {
    let (request, _) = control.held()?;
    let theirs = Minter::of(world, &world.victim, Role::Developer).await?;
    let own = Minter::of(world, &world.attacker, Role::Developer).await?;
    let now = world.env.now().seconds();
    for minter in [&theirs, &own] {
        let good = minter.signed(&minter.header(), &minter.claims(now).to_string());
        let answer = world.send(&request.by(&good)).await?;
        if !answer.status.is_success() || !answer.text().contains(&minter.side.tenant) {
            let status = answer.status.as_u16();
            return Err(format!("the owner's own token is answered {status}"));
        }
    }
    let token = forged(confusion, &theirs, &own, now);
    let forged = request.by(&token);
    let answer = world.send(&forged).await?;
    if answer.status.is_success() {
        return judged(Some(format!("it was let in ({})", answer.status.as_u16())));
    }
    let nobody = world.send(&request.by(&SecretText::new("tk_nothing".to_owned()))).await?;
    judged(given_away(world, &forged, &answer).or_else(|| difference((&answer, "…"), (&nobody, "…"))))
}

fn forged(confusion: Confusion, theirs: &Minter<'_>, own: &Minter<'_>, now: i64) -> SecretText {
    let victims = theirs.claims(now).to_string();
    let own_with = |name: &str, value: &str| {
        let mut claims = own.claims(now);
        claims[name] = json!(value);
        own.signed(&own.header(), &claims.to_string())
    };
    let theirs_with = |changed: Value| {
        let mut claims = theirs.claims(now);
        for (name, value) in changed.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        theirs.signed(&theirs.header(), &claims.to_string())
    };
    match confusion {
        Confusion::None => {
            let header = json!({"alg": "none", "typ": "JWT", "kid": theirs.id});
            SecretText::new(format!("{}.", unsigned(&header, &victims)))
        }
        Confusion::PublicKeyAsSecret => {
            let header = json!({"alg": "HS256", "typ": "JWT", "kid": theirs.id});
            let text = unsigned(&header, &victims);
            let public = theirs.key.verifying_key().to_bytes();
            let tag = Hmac::<Sha256>::new_from_slice(&public).map(|mac| mac.chain_update(text.as_bytes()));
            let tag = tag.map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
            SecretText::new(format!("{text}.{}", tag.unwrap_or_default()))
        }
        Confusion::KeyInTheHeader => {
            let mut header = theirs.header();
            let x = URL_SAFE_NO_PAD.encode(own.key.verifying_key().to_bytes());
            header["jwk"] = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
            own.signed(&header, &victims)
        }
        Confusion::VictimsKeyId => own.signed(&theirs.header(), &victims),
        Confusion::VictimsClaims => own.signed(&own.header(), &victims),
        Confusion::VictimsTenant => own_with("tenant", &theirs.side.tenant),
        Confusion::VictimsIssuer => own_with("iss", &theirs.side.tenant),
        Confusion::VictimAsSubject => own_with("sub", &theirs.id),
        Confusion::AnotherAudience => theirs_with(json!({"aud": "https://another.invalid"})),
        Confusion::HigherRole => theirs_with(json!({"role": "owner"})),
        Confusion::Expired => theirs_with(json!({"iat": now - 1200, "exp": now - 600})),
        Confusion::TwoSubjects => {
            let claims = own.claims(now).to_string();
            let second = format!("{{\"tenant\":\"{}\",", theirs.side.tenant);
            own.signed(&own.header(), &claims.replacen('{', &second, 1))
        }
    }
}
