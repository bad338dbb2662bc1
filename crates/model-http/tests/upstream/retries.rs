//! What is sent again, and what is not.

use crate::ask::{ask, models, target};
use crate::provider::{Act, Provider, completion};
use model::ModelError;
use std::time::Duration;

#[tokio::test]
async fn a_connection_gone_stale_is_replaced() {
    let provider = Provider::start(vec![completion(), vec![Act::Close], completion()]).await;
    let (models, target) = (models(), target(provider.address));
    assert!(ask(&models, &target, false).await.whole.is_some());
    let again = ask(&models, &target, false).await;
    assert!(again.whole.is_some(), "{:?}", again.error);
    assert_eq!((provider.requests().len(), provider.connections()), (3, 2));
}

#[tokio::test]
async fn a_byte_of_an_answer_ends_all_retries() {
    let one_byte = vec![Act::Say("H".into()), Act::Pause(Duration::from_millis(20)), Act::Close];
    let provider = Provider::start(vec![completion(), one_byte, completion()]).await;
    let (models, target) = (models(), target(provider.address));
    assert!(ask(&models, &target, false).await.whole.is_some());
    assert_eq!(ask(&models, &target, false).await.error, Some(ModelError::Broken));
    assert_eq!(provider.requests().len(), 2);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_even_tried() {
    let closing = [completion(), vec![Act::Close]].concat();
    let provider = Provider::start(vec![closing]).await;
    let (models, target) = (models(), target(provider.address));
    for _ in 0..3 {
        let came = ask(&models, &target, false).await;
        assert!(came.whole.is_some(), "{:?}", came.error);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((provider.requests().len(), provider.connections()), (3, 3));
}

#[tokio::test]
async fn a_provider_that_always_closes_is_given_up() {
    let provider = Provider::start(vec![completion(), vec![Act::Close]]).await;
    let (models, target) = (models(), target(provider.address));
    assert!(ask(&models, &target, false).await.whole.is_some());
    assert_eq!(ask(&models, &target, false).await.error, Some(ModelError::Broken));
    assert_eq!(provider.requests().len(), 3, "one on the stale connection, one on a fresh one");
}
