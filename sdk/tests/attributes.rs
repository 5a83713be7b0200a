//! What an attribute says is what the operator does: a limit, a period, a predicate, and a kind that need not be there.
#![allow(missing_docs, unreachable_pub)]
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::api::coordination::v1::Lease;
use kube::client::Body;
use kubewright::controller::{ControllerStatus, Predicate};
use kubewright::manager::Manager;
use kubewright::{Action, Client, CustomResource, InformerFactory, Operator, Result, Setup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "test.kubewright.dev", version = "v1", kind = "Beacon", namespaced)]
#[operator(
    watches(Lease, by = spec.text, presence = optional, predicate = renewed),
    predicate = edited,
    deadline = "5s",
    resync = "1h"
)]
pub struct BeaconSpec {
    text: String,
}

fn edited() -> Predicate<Beacon> {
    Predicate::generation_changed()
}

fn renewed() -> Predicate<Lease> {
    Predicate::resource_version_changed()
}

/// Writes down what each reconcile saw; one that sees `hang` never ends.
#[derive(Clone, Default)]
struct Beacons(Arc<Mutex<Vec<String>>>);

impl BeaconReconciler for Beacons {
    async fn reconcile(&self, beacon: Arc<Beacon>, _: BeaconContext) -> Result<Action> {
        self.0.lock().unwrap().push(beacon.spec.text.clone());
        if beacon.spec.text == "hang" {
            std::future::pending::<()>().await;
        }
        Ok(Action::await_change())
    }
}

fn event(r#type: &str, version: u32, generation: u32, text: &str) -> String {
    let metadata = format!(
        r#"{{"name":"a","namespace":"shop","uid":"u","resourceVersion":"{version}","generation":{generation},"labels":{{"v":"{version}"}}}}"#
    );
    let object = format!(
        r#"{{"apiVersion":"test.kubewright.dev/v1","kind":"Beacon","metadata":{metadata},"spec":{{"text":"{text}"}}}}"#
    );
    format!("{{\"type\":\"{type}\",\"object\":{object}}}\n")
}

const END: &str = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"4","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;

type Answer = std::result::Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible>;

/// A server that knows Beacons and no other kind. The first watch sends what comes from `events`.
fn server(events: mpsc::UnboundedReceiver<String>) -> Client {
    let events = Arc::new(Mutex::new(Some(events)));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let answer = answer(&request, &events);
        async move { answer }
    });
    Client::new(kube::Client::new(service, "default"))
}

fn answer(request: &http::Request<Body>, events: &Mutex<Option<mpsc::UnboundedReceiver<String>>>) -> Answer {
    let whole = |code: u16, body: &'static str| Response::builder().status(code).body(Full::from(body).boxed_unsync());
    let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    let response = match (request.uri().path().ends_with("/beacons"), is_watch) {
        (false, _) => whole(404, ""),
        (true, false) => whole(200, r#"{"kind":"BeaconList","metadata":{"resourceVersion":"99"},"items":[]}"#),
        (true, true) => {
            let sent = stream::unfold(events.lock().unwrap().take(), async |events| {
                let mut events = events?;
                let event = events.recv().await?;
                Some((event, Some(events)))
            });
            let frames = sent.map(|event| Ok(Frame::data(Bytes::from(event)))).chain(stream::pending());
            Ok(Response::new(StreamBody::new(frames).boxed_unsync()))
        }
    };
    Ok(response.unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_operator_does_what_its_attributes_say() {
    let (sender, events) = mpsc::unbounded_channel();
    let send = |event: String| sender.send(event).unwrap();
    let client = server(events);
    let factory = InformerFactory::new(client.clone());
    let beacons = Beacons::default();
    let made = beacons.clone();
    let operator = Beacon::operator(async move |_| Ok(made));
    let (controller, reconcile) = operator.controller(Setup::new(client, factory.clone())).await.unwrap();
    let manager = Manager::new(factory).controller(controller, reconcile);
    let (controllers, stop) = (manager.controllers(), manager.stop_handle());
    let seen = || std::mem::take(&mut *beacons.0.lock().unwrap());
    let pass = |seconds: u64| tokio::time::sleep(Duration::from_secs(seconds));
    let check = async {
        send(event("ADDED", 3, 1, "one") + END + "\n");
        pass(1).await;
        assert_eq!(seen(), ["one"], "a kind that need not be there holds nobody up");
        send(event("MODIFIED", 5, 1, "one"));
        pass(1).await;
        assert_eq!(seen(), [""; 0], "the predicate drops what asks for nothing new");

        send(event("MODIFIED", 6, 2, "hang"));
        pass(4).await;
        let timeouts =
            || controllers.status().iter().map(|ControllerStatus { counts, .. }| counts.timeouts).sum::<u64>();
        assert_eq!((seen(), timeouts()), (vec!["hang".to_owned()], 0));
        pass(2).await;
        assert_eq!(timeouts(), 1, "dropped at its deadline");
        send(event("MODIFIED", 7, 3, "two"));
        pass(10).await;
        assert_eq!(seen().last().map(String::as_str), Some("two"));

        pass(50 * 60).await;
        assert_eq!(seen(), [""; 0], "nothing has changed");
        pass(20 * 60).await;
        assert_eq!(seen(), ["two"], "reconciled again within a tenth of the hour");
        stop.stop();
    };
    let (outcome, ()) = tokio::join!(manager.run(), check);
    assert!(outcome.is_ok(), "{outcome:?}");
}
