//! What a server does beside answering: it writes down, folds and closes what waits, and shows its log to witnesses.

use crate::models;
use crate::wiring::Wired;
use app::Flush;
use bus::Topic;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const MAINTENANCE: Duration = Duration::from_secs(1);
/// How often leases are looked at, in seconds.
const LEASES: u64 = 2;
/// How often witnesses are shown the operators' log.
const WITNESSES: Duration = Duration::from_secs(10);

/// The tasks of a server, which end when they are told to.
pub(crate) struct Background {
    stopping: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 5],
}

impl Background {
    pub(crate) fn start(wired: &Wired) -> Self {
        let (stopping, stopped) = watch::channel(false);
        let tasks = [
            write_reads(wired, stopped.clone()),
            keep_house(wired, stopped.clone()),
            keep_few_open(wired, stopped.clone()),
            ring_and_hear(wired, stopped.clone()),
            show_to_witnesses(wired, stopped),
        ];
        Self { stopping, tasks }
    }

    /// Has all of them write down what waits, and end.
    pub(crate) async fn end(self) {
        let _ = self.stopping.send(true);
        for task in self.tasks {
            if task.await.is_err() {
                tracing::error!("the housekeeping ended early");
            }
        }
    }
}

/// Writes down what was read in minutes that are over, and all of it at the end. A task of its own: a tenant
/// whose log is slow keeps no folding and no lease waiting.
fn write_reads(wired: &Wired, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = wired.app.clone();
    tokio::spawn(async move {
        loop {
            let last = tokio::select! {
                () = tokio::time::sleep(MAINTENANCE) => false,
                _ = stopped.changed() => true,
            };
            let which = if last { Flush::All } else { Flush::Ended };
            if let Err(error) = app.reads.flush(app.store.as_ref(), app.env.now(), which).await {
                tracing::error!(%error, "reads could not be written to the audit log");
            }
            if last {
                return;
            }
        }
    })
}

/// Shows the operators' log to its witnesses, now and then. A task of its own: a witness that does not answer
/// keeps nothing else waiting.
fn show_to_witnesses(wired: &Wired, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = wired.app.clone();
    tokio::spawn(async move {
        loop {
            let round = async {
                app.witnesses.round(app.platform.as_ref(), app.env.now()).await;
                tokio::time::sleep(WITNESSES).await;
            };
            tokio::select! {
                () = round => {}
                _ = stopped.changed() => return,
            }
        }
    })
}

/// Rings for other servers, and looks where they have rung. A ring may be lost: all of it is looked for now and then
/// without one.
fn ring_and_hear(wired: &Wired, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    let (bell, upkeep, scheduler) = (wired.bell.clone(), wired.upkeep.clone(), wired.scheduler.clone());
    tokio::spawn(async move {
        let mut ear = bell.listen();
        loop {
            tokio::select! {
                topic = ear.rung() => match topic {
                    Topic::Changed => upkeep.look_for_changes().await,
                    Topic::Work => scheduler.look(),
                },
                () = upkeep.changed() => bell.ring(Topic::Changed).await,
                () = scheduler.left() => bell.ring(Topic::Work).await,
                _ = stopped.changed() => return,
            }
        }
    })
}

/// Closes what is idle whenever many tenants' databases were opened. A task of its own: what else is kept in order
/// takes longer than a crowd does to come.
fn keep_few_open(wired: &Wired, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    let upkeep = wired.upkeep.clone();
    tokio::spawn(async move {
        tokio::select! {
            never = upkeep.keep_few_open() => match never {},
            _ = stopped.changed() => {}
        }
    })
}

/// Folds, closes and writes down, every second and at the end.
fn keep_house(wired: &Wired, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    let (app, upkeep, failures) = (wired.app.clone(), wired.upkeep.clone(), wired.failures.clone());
    let mut seconds = 0u64;
    tokio::spawn(async move {
        loop {
            let last = tokio::select! {
                () = tokio::time::sleep(MAINTENANCE) => false,
                _ = stopped.changed() => true,
            };
            seconds += 1;
            if seconds.is_multiple_of(LEASES) {
                models::keep_house(&app).await;
            }
            if last || seconds.is_multiple_of(60) {
                let drafts = failures.take();
                if !drafts.is_empty()
                    && let Err(error) = Arc::clone(&app.platform).append_outsiders_events(drafts).await
                {
                    tracing::error!(%error, "failed authentications could not be written to the operators' log");
                }
            }
            upkeep.maintain().await;
            if last {
                return;
            }
        }
    })
}
