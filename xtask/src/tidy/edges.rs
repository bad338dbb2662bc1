//! Who may depend on whom. A crate stands on a floor and depends on lower floors only, or along one of
//! the listed arrows; tests may reach further.

use crate::repo::{Dependency, Kind, Package, Repo};
use std::collections::BTreeSet;

const VOCABULARY: u8 = 0;
const DECISIONS: u8 = 1;
const PORTS: u8 = 2;
const ADAPTERS: u8 = 3;
const USE_CASES: u8 = 4;
const EDGES: u8 = 5;
const TOP: u8 = 6;
/// Programs and tests around the product, which may depend on all of it and which nothing depends on.
const BESIDE: u8 = 7;

/// Which crate stands where. An adapter that is named `PORT-something` need not be listed.
const FLOORS: &[(u8, &[&str])] = &[
    (VOCABULARY, &["ids", "env", "errors", "money", "secret"]),
    (DECISIONS, &["authz", "audit", "workflow", "metering", "residency"]),
    (PORTS, &["context", "kms", "limiter", "prompt", "store", "model", "egress", "sandbox", "bus", "vault"]),
    (ADAPTERS, &["sqlcipher", "hardening", "connectors", "tls"]),
    (USE_CASES, &["app", "worker"]),
    (
        EDGES,
        &[
            "http-api",
            "mcp",
            "oauth",
            "client",
            "cli",
            "own-worker",
            "verify",
            "witness",
            "demo",
            "console-assets",
        ],
    ),
    (TOP, &["server"]),
    (
        BESIDE,
        &[
            "xtask",
            "fuzz",
            "sim",
            "admission-fixture",
            "nats-instance",
            "postgres-instance",
            "redis-instance",
            "tls-authority",
            "bench",
            "compile-fail",
        ],
    ),
];

/// Ports that stand under the other ports.
const FIRST_PORTS: &[&str] = &["context", "kms"];

/// Dependencies that the floors alone would refuse: from, to, why.
const ARROWS: &[(&str, &str, &str)] = &[
    ("bus-nats", "bus-local", "what others ring is heard in this process by its own doorbell"),
    ("bus-nats", "tls", "links to other engines are verified in the same way"),
    ("env", "ids", "IdGen makes ids out of the clock and randomness"),
    ("kms-file", "hardening", "key material is kept in locked memory"),
    ("limiter", "store", "the call that asks to be admitted is the one of which its row tells"),
    ("limiter-local", "store", "what the limiter keeps in memory is restored from usage and budgets at rest"),
    ("limiter-redis", "store", "what the limiter keeps in Redis is restored from usage and budgets at rest"),
    ("limiter-redis", "limiter-local", "both limiters read the rows that they restore from in the same way"),
    ("limiter-redis", "tls", "links to other engines are verified in the same way"),
    ("store-core", "hardening", "tenants' keys are kept in locked memory"),
    ("store-memory", "store-core", "the reference and the durable backends mean the same by a filter"),
    ("store-postgres", "store-core", "what every durable backend does alike is written once"),
    ("store-postgres", "tls", "links to other engines are verified in the same way"),
    ("store-sqlite", "store-core", "what every durable backend does alike is written once"),
    ("store-sqlite", "hardening", "tenants' keys are kept in locked memory"),
    ("store-sqlite", "sqlcipher", "the unsafe part of the embedded store has a crate of its own"),
    ("cli", "client", "commands are calls of the server's own API"),
    ("cli", "demo", "`tenantry demo` is a command"),
    ("cli", "verify", "`tenantry verify` is a command"),
    ("cli", "witness", "`tenantry witness` is a command"),
    ("demo", "client", "the demo is a caller of the API like any other"),
    ("demo", "verify", "the demo ends with a first attack run"),
    ("own-worker", "client", "what a tenant's own worker asks of a server are calls of its API"),
    ("worker", "app", "the steps of runs are use cases, carried out for whoever started the run"),
    ("verify", "client", "the attacks are calls of the API"),
];

/// Other people's crates that bring I/O or async, which floors 0 and 1 do without.
const IO: &[&str] =
    &["async-trait", "axum", "futures", "futures-util", "hyper", "rusqlite", "tokio", "tokio-postgres"];

/// Other people's crates that only some of ours may name: crate, ours, why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("async-nats", &["bus-nats"], "subjects of tenants are put together at one place"),
    ("rusqlite", &["sqlcipher", "store-sqlite"], "nobody above the embedded store sees SQL"),
    ("tokio-postgres", &["store-postgres"], "nobody above the backend sees SQL"),
    ("deadpool-postgres", &["store-postgres"], "no connection is handed out that no tenant is bound to"),
];

/// Crates that must build without the encrypted store's C code, so that their tests start soon.
const WITHOUT_SQLCIPHER: &[&str] = &["sim", "compile-fail"];

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in &repo.packages {
        let Some(floor) = floor(&package.name) else {
            findings.push(unknown(&package.name));
            continue;
        };
        for dependency in &package.dependencies {
            findings.extend(if dependency.ours {
                inside(floor, package, dependency)
            } else {
                outside(floor, package, dependency)
            });
        }
    }
    findings.extend(stale_arrows(repo));
    findings.extend(without_sqlcipher(repo));
    Ok(findings)
}

fn floor(name: &str) -> Option<u8> {
    if let Some((floor, _)) = FLOORS.iter().find(|(_, names)| names.contains(&name)) {
        return Some(*floor);
    }
    if name.ends_with("-tests") || name.ends_with("-conformance") {
        return Some(BESIDE);
    }
    port_of(name).map(|_| ADAPTERS)
}

/// The port that an adapter with this name implements.
fn port_of(name: &str) -> Option<&str> {
    let (port, _) = name.split_once('-')?;
    FLOORS.iter().any(|(floor, names)| *floor == PORTS && names.contains(&port)).then_some(port)
}

fn unknown(name: &str) -> String {
    format!(
        "crate `{name}` stands on no floor. Add it to FLOORS in xtask/src/tidy/edges.rs (0 vocabulary, 1 pure \
         decisions, 2 ports, 3 adapters, 4 use cases, 5 edges), name an adapter `PORT-something`, or name a \
         crate of tests `…-tests`"
    )
}

fn inside(floor: u8, from: &Package, to: &Dependency) -> Option<String> {
    let target = self::floor(&to.name)?;
    let allowed = floor == BESIDE
        || ARROWS.iter().any(|(a, b, _)| *a == from.name && *b == to.name)
        || match to.kind {
            Kind::Dev => target <= floor.max(ADAPTERS) || target == BESIDE,
            Kind::Build => false,
            Kind::Normal => match floor {
                PORTS => target < PORTS || below_other_ports(&from.name, &to.name),
                ADAPTERS => {
                    target < PORTS
                        || FIRST_PORTS.contains(&to.name.as_str())
                        || port_of(&from.name) == Some(&to.name)
                }
                TOP => target < TOP,
                _ => target < floor && target != ADAPTERS,
            },
        };
    (!allowed).then(|| {
        format!(
            "`{}` (floor {floor}) may not depend on `{}` (floor {target}). Turn the dependency round, put a port \
             between, or add an arrow with its reason in xtask/src/tidy/edges.rs",
            from.name, to.name
        )
    })
}

fn below_other_ports(from: &str, to: &str) -> bool {
    FIRST_PORTS.contains(&to) && !FIRST_PORTS.contains(&from)
}

fn outside(floor: u8, from: &Package, to: &Dependency) -> Option<String> {
    if to.kind == Kind::Dev || floor == BESIDE {
        return None;
    }
    if floor <= DECISIONS && IO.contains(&to.name.as_str()) {
        return Some(format!(
            "`{}` (floor {floor}) does no I/O and no async, and names `{}`",
            from.name, to.name
        ));
    }
    let (_, ours, why) = CONFINED.iter().find(|(name, _, _)| *name == to.name)?;
    (!ours.contains(&from.name.as_str()))
        .then(|| format!("`{}` may not name `{}`: {why}", from.name, to.name))
}

fn stale_arrows(repo: &Repo) -> Vec<String> {
    let stale = ARROWS.iter().filter(|(from, to, _)| {
        let both = repo.package(from).zip(repo.package(to));
        both.is_some_and(|(from, to)| !from.dependencies.iter().any(|dependency| dependency.name == to.name))
    });
    stale
        .map(|(from, to, _)| format!("no crate goes along the arrow `{from}` → `{to}`; take it out"))
        .collect()
}

/// Crates with compile-fail tests, and simulation, whose builds the C code would hold up.
fn without_sqlcipher(repo: &Repo) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &repo.packages {
        let compile_fail = package.dependencies.iter().any(|dependency| dependency.name == "trybuild");
        let reached = reach(repo, package);
        if (compile_fail || WITHOUT_SQLCIPHER.contains(&package.name.as_str()))
            && reached.contains("sqlcipher")
        {
            findings.push(format!("`{}` must build without `sqlcipher`, and reaches it", package.name));
        }
    }
    findings
}

/// Every crate of ours that building this one's tests builds.
fn reach<'a>(repo: &'a Repo, package: &'a Package) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<_> = package.dependencies.iter().filter(|dependency| dependency.ours).collect();
    while let Some(dependency) = waiting.pop() {
        if reached.insert(dependency.name.as_str())
            && let Some(next) = repo.package(&dependency.name)
        {
            waiting.extend(next.dependencies.iter().filter(|next| next.ours && next.kind == Kind::Normal));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::repo::Package;
    use crate::tidy::fixture::{package, repo};

    fn findings(packages: &[Package]) -> usize {
        check(&repo(&[], packages)).unwrap().len()
    }

    fn refused(from: &str, to: &str) -> bool {
        findings(&[package(from, &[to])]) == 1
    }

    #[test]
    fn lower_floors_may_be_named_and_higher_ones_not() {
        for (from, to) in [("audit", "ids"), ("store", "audit"), ("app", "store"), ("http-api", "app")] {
            assert!(!refused(from, to), "{from} → {to}");
            assert!(refused(to, from), "{to} → {from}");
        }
    }

    #[test]
    fn ports_know_the_context_and_the_context_knows_no_port() {
        assert!(!refused("store", "context"));
        assert!(refused("context", "store"));
        assert!(refused("context", "kms"));
        assert!(refused("store", "model"));
    }

    #[test]
    fn an_adapter_knows_its_own_port_and_only_the_server_knows_adapters() {
        assert!(!refused("store-sqlite", "store"));
        assert!(refused("store-sqlite", "model"));
        assert!(refused("store-sqlite", "kms-file"));
        assert!(refused("model-http", "sqlcipher"));
        assert!(!refused("store-sqlite", "sqlcipher"));
        assert!(refused("app", "store-sqlite"));
        assert!(refused("http-api", "store-sqlite"));
        assert!(!refused("server", "store-sqlite"));
        assert!(!refused("app", "dev:store-memory"));
        assert!(refused("app", "dev:server"));
    }

    #[test]
    fn a_crate_on_no_floor_is_told_where_to_stand() {
        let text = check(&repo(&[], &[package("common", &[])])).unwrap().join("");
        assert!(text.contains("crate `common` stands on no floor"));
    }

    #[test]
    fn nothing_ships_what_stands_beside() {
        assert!(refused("server", "xtask"));
        assert!(!refused("store-sqlite", "dev:store-conformance"));
        assert!(!refused("isolation-tests", "server"));
    }

    #[test]
    fn the_pure_floors_do_no_io_and_sql_stays_in_its_adapter() {
        assert!(refused("audit", "outside:tokio"));
        assert!(!refused("audit", "dev:outside:tokio"));
        assert!(refused("app", "outside:rusqlite"));
        assert!(!refused("store-sqlite", "outside:rusqlite"));
    }

    #[test]
    fn arrows_that_nobody_goes_along_are_stale() {
        assert_eq!(findings(&[package("env", &[]), package("ids", &[])]), 1);
        assert_eq!(findings(&[package("env", &["ids"]), package("ids", &[])]), 0);
    }

    #[test]
    fn compile_fail_tests_do_not_wait_for_c_code() {
        let rest = [package("store-sqlite", &["sqlcipher"]), package("sqlcipher", &[])];
        let mut packages = vec![package("context", &["dev:store-sqlite", "dev:outside:trybuild"])];
        packages.extend(rest);
        assert_eq!(findings(&packages), 1);
        packages[0] = package("context", &["dev:store-sqlite"]);
        assert_eq!(findings(&packages), 0);
    }
}
