//! Events that become durable in the logs of many tenants, and what a verifier makes of an export offline.

use super::{Plan, runtime};
use crate::crowd::Crowd;
use crate::figure::{Figure, Target};
use crate::inside::Inside;
use anyhow::Context as _;
use audit::export::{Trust, verify_export};
use http::Method;
use secret::SecretText;
use std::time::{Duration, Instant};

const TENANTS: usize = 64;
/// Appends of one tenant under way at once.
const AT_ONCE: usize = 4;
/// How long an export may take.
const EXPORT: Duration = Duration::from_secs(60);

pub(crate) fn audit(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    let mut crowd = Crowd::new()?;
    let server = plan.server_on(crowd.folder(), "")?;
    crowd.grow(&server, TENANTS)?;
    server.stop()?;
    let (mut rate, mut shared, mut verified) = (vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let (appended, per_sync) = append(plan, &crowd)?;
        rate.push(appended);
        shared.push(per_sync);
    }
    let server = plan.server_on(crowd.folder(), "")?;
    let (export, key) = export(&server.operator.with_key(SecretText::new(crowd.keys[0].clone())))?;
    let key = key.trim().parse()?;
    for _ in 0..plan.rounds {
        let (begun, mut events) = (Instant::now(), 0);
        while begun.elapsed() < plan.span / 4 {
            events += verify_export(export.as_ref(), &Trust::new(&key))?.events;
        }
        verified.push(events as f64 / begun.elapsed().as_secs_f64());
    }
    Ok(vec![
        Figure::new("audit.rate", &rate, "1/s", Target::AtLeast(10_000.0), &[]),
        Figure::new("audit.shared", &shared, "events a sync", Target::None, &[]),
        Figure::new("audit.verified", &verified, "1/s", Target::AtLeast(200_000.0), &[]),
    ])
}

/// Events a second that became durable, and how many of them shared a wait for the disk.
fn append(plan: &Plan, crowd: &Crowd) -> anyhow::Result<(f64, f64)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let inside = Inside::open(&crowd.data()).await?;
        let mut admissions = Vec::new();
        for key in &crowd.keys {
            let admission = inside.admission(key).await?;
            // The first append finds out where the log stands; what is measured comes after it.
            inside.append(admission.clone()).await?;
            admissions.push(admission);
        }
        let commits = inside.commits();
        let begun = Instant::now();
        let tasks: Vec<_> = admissions
            .iter()
            .flat_map(|admission| std::iter::repeat_n(admission, AT_ONCE))
            .map(|admission| {
                let (inside, admission, span) = (inside.clone(), admission.clone(), plan.span);
                tokio::spawn(async move {
                    let mut count = 0_u64;
                    while begun.elapsed() < span {
                        inside.append(admission.clone()).await?;
                        count += 1;
                    }
                    anyhow::Ok(count)
                })
            })
            .collect();
        let mut count = 0;
        for task in tasks {
            count += task.await.context("a writer fell over")??;
        }
        let took = begun.elapsed().as_secs_f64();
        Ok((count as f64 / took, count as f64 / (inside.commits() - commits) as f64))
    })
}

/// A tenant's whole log and the key that it is signed with.
fn export(owner: &client::Client) -> anyhow::Result<(bytes::Bytes, String)> {
    runtime()?.block_on(async {
        let key = owner.call(Method::GET, "/v1/audit/key").send().await?.accepted()?;
        let log = owner.call(Method::GET, "/v1/audit/export?format=jsonl").within(EXPORT);
        Ok((log.send().await?.accepted()?.body, key.text().into_owned()))
    })
}
