//! kube-rs's Controller with a reconciler that does nothing.
use std::convert::Infallible;
use std::sync::Arc;

use bench::connect;
use bench::reconcile::{EVENTS_PER_SECOND, Progress, Record};
use bench::widget::Widget;
use futures_util::StreamExt as _;
use kube::{Api, Client};
use kube_runtime::controller::{Action, Config, Controller};
use kube_runtime::watcher;
use tokio::time::Instant;

/// Runs it over every widget, then measures events.
pub(crate) async fn run(client: Client, events: usize, workers: u16) -> bench::Result<Record> {
    let own = kubewright::Client::new(client.clone());
    let before = connect::count(&own, "/apis/bench.example.com/v1/widgets").await?;
    let progress = Arc::new(Progress::new(before.objects, events));
    let config = watcher::Config::default().streaming_lists();
    let controller = Controller::new(Api::<Widget>::all(client), config)
        .with_config(Config::default().concurrency(workers))
        .run(reconcile, |_, error, _| match *error {}, Arc::clone(&progress));
    let measured = async {
        let started = Instant::now();
        progress.all().await?;
        let took = started.elapsed();
        let trigger = async || connect::trigger(&own, 1).await;
        let latency = progress.latencies.measure(before.version, EVENTS_PER_SECOND, trigger).await?;
        Ok(Record::new(before.objects, took, latency))
    };
    tokio::select! {
        record = measured => record,
        () = controller.for_each(|_| std::future::ready(())) => Err("the controller ended".into()),
    }
}

async fn reconcile(widget: Arc<Widget>, progress: Arc<Progress>) -> Result<Action, Infallible> {
    std::hint::black_box(widget.spec.replicas);
    progress.reconcile(widget.metadata.resource_version.as_deref());
    Ok(Action::await_change())
}
