//! What a node does beside answering: the loops of `server`, which no test without its stores can start.

use super::wiring::Wired;
use app::Flush;
use app::gateway::expire_leases;
use bus::Topic;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

const MAINTENANCE: Duration = Duration::from_secs(1);
/// How often leases of calls are looked at.
const LEASES: Duration = Duration::from_secs(2);

/// The tasks of a node, which end when they are told to.
pub(super) struct Background {
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Background {
    pub(super) fn start(wired: &Wired) -> Self {
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (app, mut stop) = (wired.app.clone(), stopped.clone());
        tasks.spawn(async move {
            loop {
                let last = tokio::select! {
                    () = tokio::time::sleep(MAINTENANCE) => false,
                    _ = stop.changed() => true,
                };
                let which = if last { Flush::All } else { Flush::Ended };
                if let Err(error) = app.reads.flush(app.store.as_ref(), app.env.now(), which).await {
                    tracing::error!(%error, "reads could not be written to the audit log");
                }
                if last {
                    return;
                }
            }
        });
        let (app, mut stop) = (wired.app.clone(), stopped.clone());
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LEASES) => {}
                    _ = stop.changed() => return,
                }
                app.limiter.sweep().await;
                app.gateway.sweep(app.env.now());
                if let Err(error) = expire_leases(&app).await {
                    tracing::error!(%error, "leases could not be looked at");
                }
            }
        });
        let (bell, scheduler, mut stop) = (wired.bell.clone(), wired.scheduler.clone(), stopped);
        tasks.spawn(async move {
            let mut ear = bell.listen();
            loop {
                tokio::select! {
                    topic = ear.rung() => match topic {
                        Topic::Changed => {}
                        Topic::Work => scheduler.look(),
                    },
                    () = scheduler.left() => bell.ring(Topic::Work).await,
                    _ = stop.changed() => return,
                }
            }
        });
        Self { stopping, tasks }
    }

    /// Has all of them write down what waits, and end.
    pub(super) async fn end(mut self) {
        let _ = self.stopping.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}
