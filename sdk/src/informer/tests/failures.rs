//! What fails, and how it shows.
use std::time::Duration;

use crate::reflector::{Failure, FailureReason};

use super::super::runner::Runner;
use super::*;
use crate::store::Store;

#[tokio::test]
async fn failures_of_the_reflector_show_until_they_are_over() {
    let script = Script::new();
    let mut status = script.informer.shared().status();
    let failure = Failure {
        reason: FailureReason::Forbidden,
        message: "may not list configmaps".to_owned(),
        attempts: 3,
        retry_in: std::time::Duration::from_secs(1),
    };
    script.reflector.send_modify(|status| status.failure = Some(Arc::new(failure)));
    let seen = status.wait_for(|status| status.failure.is_some()).await.unwrap().clone();
    assert_eq!(seen.failure.unwrap().message, "may not list configmaps");
    script.reflector.send_modify(|status| status.failure = None);
    status.wait_for(|status| status.failure.is_none()).await.unwrap();
}

#[tokio::test]
async fn i5_every_failed_attempt_shows_in_the_status_of_the_informer() {
    let script = Script::new();
    // At any time, also after the start.
    let mut status = script.informer.status();
    for attempts in 1..=5 {
        let failure = Failure {
            reason: FailureReason::Unreachable,
            message: format!("attempt {attempts}"),
            attempts,
            retry_in: Duration::from_secs(1),
        };
        script.reflector.send_modify(|status| status.failure = Some(Arc::new(failure)));
        let seen = status.wait_for(|status| status.failure.is_some()).await.unwrap().failure.clone().unwrap();
        let seen = match seen.attempts == attempts {
            true => seen,
            false => {
                status.changed().await.unwrap();
                status.borrow_and_update().failure.clone().unwrap()
            }
        };
        assert_eq!((seen.attempts, &*seen.message), (attempts, &*format!("attempt {attempts}")));
    }
}

#[tokio::test]
async fn a_source_that_ends_is_a_failure_and_the_store_is_still_served() {
    let Script { informer, deltas, reflector, stop: _stop, tasks: _tasks } = Script::new();
    deltas.push(Delta::ListStarted).await.unwrap();
    deltas.push(Delta::Listed(config_map("a/one").raw())).await.unwrap();
    deltas.push(Delta::Replaced(ResourceVersion::new("1"))).await.unwrap();
    drop((deltas, reflector));
    let mut status = informer.shared().status();
    let status = status.wait_for(|status| status.failure.is_some()).await.unwrap().clone();
    assert!(status.synced && status.failure.unwrap().message.contains("configmaps/v1"));
    let (recorder, mut seen) = Recorder::new();
    let registration = informer.add_event_handler(recorder);
    registration.synced().await;
    assert_eq!(seen.recv().await, Some(initial("a/one", 1)));
}

#[tokio::test]
async fn a_source_that_ends_with_its_informer_is_no_failure() {
    let Script { informer, .. } = Script::new();
    let (deltas, receiver) = delta::channel();
    let mut deltas = Some(deltas);
    // Reflectors run on other threads, and may be gone between two looks of the informer.
    let end = std::future::poll_fn(move |_| match deltas.take() {
        Some(ended) => {
            drop(ended);
            std::task::Poll::Pending
        }
        None => std::task::Poll::Ready(()),
    });
    let (_store, writer) = Store::new(Options::default());
    let core = informer.shared().core();
    // Else it would look at what was asked of it before anything came, and then for its end again.
    core.changed.notified().await;
    Runner::new(Arc::clone(core), writer).run(receiver, Vec::new(), end).await;
    let status = informer.status().borrow().clone();
    assert!(status.failure.is_none() && status.stopped, "{status:?}");
}

#[tokio::test]
async fn an_index_decodes_only_what_it_names() {
    #[derive(serde::Deserialize)]
    struct Named {
        metadata: Metadata,
    }
    #[derive(serde::Deserialize)]
    struct Metadata {
        name: String,
    }
    let script = Script::new();
    let by_name = script.informer.add_index(|object: &Named| [object.metadata.name.clone()]);
    script.list(1, &[config_map("a/bad").undecodable()]).await;
    script.reaches(1).await;
    let later = script.informer.add_index(|object: &Named| [object.metadata.name.clone()]);
    let lister = script.informer.lister();
    assert!(lister.get(&key("a/bad")).is_err(), "the whole is no ConfigMap");
    assert_eq!([lister.keys_by(&by_name, "bad"), lister.keys_by(&later, "bad")], [[key("a/bad")], [key("a/bad")]]);
}

#[tokio::test]
async fn an_object_that_does_not_decode_is_an_event_and_an_error_and_the_watch_goes_on() {
    let script = Script::new();
    let by_data = script.informer.add_index(|object: &ConfigMap| object.data.clone().unwrap_or_default().into_values());
    let (sender, mut seen) = mpsc::unbounded_channel();
    struct Decoder(mpsc::UnboundedSender<Result<String, String>>);
    impl ResourceEventHandler<ConfigMap> for Decoder {
        fn on_add(&mut self, object: Handle<ConfigMap>, _: bool) {
            let _ = self
                .0
                .send(object.get().map(|object| object.metadata.name.clone().unwrap()).map_err(|error| error.path));
        }
    }
    let _registration = script.informer.add_event_handler(Decoder(sender));
    script.list(1, &[config_map("a/bad").undecodable(), config_map("a/good").data("k", "v")]).await;
    assert_eq!(seen.recv().await.unwrap(), Err("data.broken".to_owned()));
    assert_eq!(seen.recv().await.unwrap(), Ok("good".to_owned()));
    assert_eq!(script.informer.lister().keys_by(&by_data, "v"), [key("a/good")]);
    assert_eq!(script.informer.lister().get(&key("a/bad")).unwrap_err().path, "data.broken");
}
