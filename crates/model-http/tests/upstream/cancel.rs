//! Whoever stops listening is heard by the provider.

use crate::ask::{call, models, target};
use crate::provider::{Act, Provider, delta, stream_head};
use admission_fixture::somebody;
use futures::StreamExt;
use model::{ChatAnswer, ModelEndpoint};
use std::time::Duration;

async fn heard(provider: &Provider) {
    tokio::time::timeout(Duration::from_secs(2), provider.seen.hung_up.notified())
        .await
        .expect("the provider hears it");
}

#[tokio::test]
async fn dropping_a_stream_cancels_the_call() {
    let provider = Provider::start(vec![vec![stream_head(), delta("x"), Act::Hang]]).await;
    let (models, target) = (models(), target(provider.address));
    let admission = somebody(None).await;
    admission
        .enter(async |tenant| {
            let answer = models.chat(&tenant, &target, call(&tenant, &target, true)).await;
            let Ok(ChatAnswer::Stream(mut pieces)) = answer else { panic!("no stream") };
            assert!(pieces.next().await.unwrap().is_ok());
        })
        .await;
    heard(&provider).await;
}

#[tokio::test]
async fn dropping_a_call_that_waits_cancels_it() {
    for stream in [false, true] {
        let provider = Provider::start(vec![vec![Act::Hang]]).await;
        let (models, target) = (models(), target(provider.address));
        let admission = somebody(None).await;
        admission
            .enter(async |tenant| {
                let waiting = models.chat(&tenant, &target, call(&tenant, &target, stream));
                assert!(tokio::time::timeout(Duration::from_millis(100), waiting).await.is_err());
            })
            .await;
        heard(&provider).await;
        assert_eq!(provider.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_visit_that_is_aborted_cancels_its_stream() {
    let provider = Provider::start(vec![vec![stream_head(), delta("x"), Act::Hang]]).await;
    let (models, mut target) = (models(), target(provider.address));
    target.timeouts.idle = Duration::from_secs(60);
    target.timeouts.total = Duration::from_secs(60);
    let admission = somebody(None).await;
    let (sent, mut received) = tokio::sync::mpsc::channel(4);
    let task = tokio::spawn(admission.enter(async move |tenant| {
        let answer = models.chat(&tenant, &target, call(&tenant, &target, true)).await;
        let Ok(ChatAnswer::Stream(mut pieces)) = answer else { panic!("no stream") };
        while let Some(Ok(piece)) = pieces.next().await {
            sent.send(context::door::answer(&tenant, piece).unwrap()).await.unwrap();
        }
    }));
    assert_eq!(received.recv().await.unwrap().emitted_bytes, 1);
    task.abort();
    heard(&provider).await;
}
