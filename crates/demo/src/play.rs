//! The demonstration from its first line to its last.

use crate::accounts;
use crate::crm::Crm;
use crate::deliveries::{deliver, leads};
use crate::screen::Screen;
use crate::stage::{Published, Tenant, publish, tenants};
use crate::watch::{Watched, watch};
use client::{CallError, Client};
use env::Env;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use verify::{OwnServer, OwnServerError, VerifyError};

/// How the demonstration is given.
pub struct Options {
    /// The program whose `serve` is run.
    pub program: PathBuf,
    /// Where data, log and exports go; a temporary folder where absent.
    pub folder: Option<PathBuf>,
    /// Where the server listens.
    pub listen: String,
    /// Whether to end instead of serving on.
    pub exit: bool,
    /// The model that classifies.
    pub model: String,
    /// Further arguments of `serve`, such as the model's address.
    pub arguments: Vec<OsString>,
    /// Clock and randomness.
    pub env: Env,
}

/// Why the demonstration did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The server.
    #[error(transparent)]
    Server(#[from] OwnServerError),
    /// A call to it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The terminal, the CRM stand-in or a file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The attack suite.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Something else.
    #[error("{0}")]
    Unusable(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Gives the demonstration. Gives back whether everything in it was as it should be.
pub async fn play(options: Options) -> Result<bool, DemoError> {
    let mut screen = Screen::new();
    screen.line("Tenantry: two tenants on one server.")?;
    let crm = Crm::open().await?;
    let configuration = format!("[egress]\nallow = [\"{}\"]\n", crm.host());
    let Options { program, folder, listen, arguments, .. } = &options;
    let mut server = OwnServer::start(program, folder.as_deref(), listen, &configuration, arguments).await?;
    let outcome = tokio::select! {
        outcome = scenes(&mut screen, &options, &server, &crm) => outcome,
        never = crm.serve() => match never {},
        _ = tokio::signal::ctrl_c() => Err(DemoError::Interrupted),
    };
    if let (Ok(_), false) = (&outcome, options.exit) {
        tokio::select! {
            () = server.ended() => {}
            never = crm.serve() => match never {},
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    server.stop().await;
    outcome
}

async fn scenes(
    screen: &mut Screen,
    options: &Options,
    server: &OwnServer,
    crm: &Crm,
) -> Result<bool, DemoError> {
    let operator = Client::new(server.url.clone()).with_key(server.operator_key.clone());
    screen.line(format!("Server: {}", server.url))?;
    screen.line(format!("Folder: {}", server.folder().display()))?;
    let published = publish(&operator).await?;
    let tenants = tenants(&operator, crm, &published, &options.model, &options.env).await?;
    introduce(screen, &published, &tenants, crm)?;

    screen.heading("Six signed webhook deliveries, and what becomes of them:")?;
    let mut runs = Vec::new();
    for lead in leads() {
        if let Some(tenant) = tenants.get(lead.tenant) {
            let run = deliver(tenant, &lead, &options.env).await?;
            runs.push(Watched::new(lead, run));
        }
    }
    let failed = watch(screen, &tenants, runs).await?;
    let crm_is_right = tell_of_crm(screen, crm).await?;

    screen.heading("What each tenant used:")?;
    accounts::usage(screen, &tenants).await?;
    screen.heading("Each tenant's audit log, exported and checked without the server:")?;
    let bad_logs = accounts::audit(screen, &tenants, server.folder()).await?;
    let leaks = attack(screen, &operator, server, &options.env).await?;
    let good = failed == 0 && crm_is_right && bad_logs == 0 && leaks == 0;
    if !good {
        screen.heading("Something above is not as it should be.")?;
    }
    if !options.exit {
        hints(screen, server, &tenants)?;
    }
    Ok(good)
}

fn introduce(
    screen: &mut Screen,
    published: &Published,
    tenants: &[Tenant],
    crm: &Crm,
) -> Result<(), DemoError> {
    screen.line(format!("CRM:    {} (a stand-in that takes only the right tenant's token)", crm.host()))?;
    screen.heading(&format!(
        "The operator published the template \"Inbound lead triage\", version {}.",
        published.version
    ))?;
    for tenant in tenants {
        let (name, plan, id) = (tenant.name, tenant.plan, &tenant.id);
        screen.line(format!("  {name:<7} plan {plan:<13} {id}"))?;
    }
    screen.line("Each runs an instance with its own CRM address, token and routing.")?;
    Ok(())
}

/// What the CRM saw. True where every hot lead arrived, and no token opened another customer's book.
async fn tell_of_crm(screen: &mut Screen, crm: &Crm) -> Result<bool, DemoError> {
    let stranger = crm.status_of_foreign_token("acme", "globex").await?;
    let (taken, busy, refused) = {
        let books = crm.books();
        let count = |customer: &str| books.taken.get(customer).map_or(0, Vec::len);
        ([count("acme"), count("globex")], books.busy, books.refused)
    };
    let [acme, globex] = taken;
    screen.line(format!(
        "  The CRM has {acme} lead(s) of Acme and {globex} of Globex. It was busy {busy} time(s) (503),"
    ))?;
    screen.line("  and the step was tried again with the same idempotency key.")?;
    screen.line(format!("  Acme's token at Globex's address: {stranger}"))?;
    // The one wrong token is the demonstration's own.
    Ok(refused == 1 && stranger == 401 && acme > 0 && globex > 0)
}

async fn attack(
    screen: &mut Screen,
    operator: &Client,
    server: &OwnServer,
    env: &Env,
) -> Result<usize, DemoError> {
    screen.heading("A first attack on this server: tenantry verify")?;
    let options = verify::Options {
        client: operator.without_key(),
        other: None,
        isolation: None,
        operator_key: server.operator_key.clone(),
        granted: false,
        env: env.clone(),
        places: server.places(),
        outside: None,
        only: verify::Only::default(),
        progress: &|_, _| {},
    };
    let report = verify::run(options).await?;
    for leak in &report.leaks {
        screen.line(format!("  LEAK {}: {} ({})", leak.operation, leak.attack, leak.detail))?;
    }
    let (patterns, leaks) = (report.patterns, report.leaks.len());
    let seconds = report.millis / 1000;
    screen
        .line(format!("  {patterns} attacks between two throwaway tenants in {seconds} s: {leaks} leaks"))?;
    Ok(leaks)
}

fn hints(screen: &mut Screen, server: &OwnServer, tenants: &[Tenant]) -> Result<(), DemoError> {
    let url = &server.url;
    screen.heading("The server keeps running until Ctrl-C. The two keys:")?;
    for tenant in tenants {
        screen.line(format!("export {}={}", tenant.name.to_uppercase(), tenant.key.expose()))?;
    }
    screen.heading("Try:")?;
    for name in ["ACME", "GLOBEX"] {
        screen.line(format!("curl -s {url}/v1/records/contacts \\"))?;
        screen.line(format!("  -H \"Authorization: Bearer ${name}\""))?;
    }
    screen.line(format!("curl -s {url}/v1/chat/completions \\"))?;
    screen.line("  -H \"Authorization: Bearer $ACME\" -H 'Content-Type: application/json' \\")?;
    screen.line("  -d '{\"model\":\"offline\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'")?;
    Ok(())
}
