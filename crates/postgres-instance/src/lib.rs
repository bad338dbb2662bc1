//! A database server for the tests of one process, or the one that the environment names.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test has failed it")]

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// The server, and what keeps it running.
struct Instance {
    admin: String,
    _until_the_input_ends: Option<Child>,
}

static INSTANCE: OnceLock<Instance> = OnceLock::new();

/// The address of the server's administrator.
pub fn admin() -> &'static str {
    &INSTANCE.get_or_init(start).admin
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests may have a server already, and says so there"
)]
fn start() -> Instance {
    if let Ok(admin) = std::env::var("TENANTRY_TEST_POSTGRES_URL") {
        return Instance { admin, _until_the_input_ends: None };
    }
    let (folder, child) = own(&[]);
    let admin = format!("host={folder} user=postgres dbname=postgres");
    Instance { admin, _until_the_input_ends: Some(child) }
}

/// Starts a server of its own, told these by its environment. It ends with the child's input.
pub fn own(told: &[(&str, String)]) -> (String, Child) {
    script(include_str!("instance.sh"), told)
}

/// Starts a pooler before the server, which pools by transaction, and says where. It ends with the child's input.
pub fn pooler() -> (String, Child) {
    let server = admin().split_whitespace().find_map(|part| part.strip_prefix("host=")).unwrap();
    let (folder, child) = script(include_str!("pooler.sh"), &[("SERVER", server.to_owned())]);
    // Its socket is there a moment before it listens.
    let socket = format!("{folder}/.s.PGSQL.5432");
    for _ in 0..200 {
        if UnixStream::connect(&socket).is_ok() {
            return (folder, child);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the pooler does not listen")
}

fn script(text: &str, told: &[(&str, String)]) -> (String, Child) {
    // The server refuses to run as root.
    let alone =
        r#"if [ "$(id -u)" = 0 ]; then exec runuser -u postgres -- sh -c "$1"; else exec sh -c "$1"; fi"#;
    let mut child = Command::new("sh")
        .args(["-c", alone, "sh", text])
        .current_dir("/")
        .envs(told.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut folder = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut folder).unwrap();
    let folder = folder.trim().to_owned();
    assert!(
        folder.starts_with('/'),
        "these tests need a PostgreSQL server, or name one's administrator in TENANTRY_TEST_POSTGRES_URL, and \
         PgBouncer: `scripts/test-deps` installs Debian's packages `postgresql` and `pgbouncer`"
    );
    (folder, child)
}

/// The address of a role in a database of the same server.
pub fn address(role: &str, database: &str) -> String {
    let kept = |part: &&str| !part.starts_with("user=") && !part.starts_with("dbname=");
    let place: Vec<_> = admin().split_whitespace().filter(kept).collect();
    format!("{} user={role} dbname={database}", place.join(" "))
}
