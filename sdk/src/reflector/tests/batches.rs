//! What arrives together is handed on together.
use super::*;

/// Writes down how many deltas it takes at once, and how many bytes of objects are in them.
#[derive(Clone, Default)]
struct Batches(Arc<Mutex<Vec<(usize, usize)>>>);

impl DeltaSink for Batches {
    async fn push(&self, delta: Delta) -> Result<(), Closed> {
        self.push_all(&mut vec![delta]).await
    }

    async fn push_all(&self, deltas: &mut Vec<Delta>) -> Result<(), Closed> {
        let size = |delta: Delta| match delta {
            Delta::Listed(object) | Delta::Applied(object) | Delta::Deleted(object) => object.json().len(),
            Delta::ListStarted | Delta::Replaced(_) | Delta::Bookmark(_) => 0,
        };
        let batch = (deltas.len(), deltas.drain(..).map(size).sum());
        self.0.lock().unwrap().push(batch);
        Ok(())
    }
}

/// Returns the batches that came of `answer`, which is that to the first request.
async fn batches(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Vec<(usize, usize)> {
    let script = move |n: usize, _: &Asked| if n == 1 { answer() } else { body([Step::Hang]) };
    let server = serving(script, FirstSync::WatchList);
    let sink = Batches::default();
    let (reflector, _status) = Reflector::new(pods(), server, sink.clone());
    assert!(clock::timeout(seconds(5), reflector.run()).await.is_none());
    sink.0.lock().unwrap().clone()
}

fn events(count: usize, text: usize) -> String {
    let pod = |n: usize| {
        pod(&format!("{n:09}"), 6).replace("\"metadata\"", &format!("\"x\":\"{}\",\"metadata\"", "x".repeat(text)))
    };
    (0..count).map(|n| event("ADDED", &pod(n))).collect()
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_chunk_are_handed_on_together_before_more_is_waited_for() {
    let batches = batches(|| {
        synced_then(5, [Step::Send(events(7, 1)), Step::Wait(seconds(1)), Step::Send(events(3, 1)), Step::Hang])
    });
    let counts: Vec<usize> = batches.await.iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [1, 1, 7, 3], "the beginning of a list, its end, and two chunks");
}

#[tokio::test(start_paused = true)]
async fn what_is_collected_is_bounded_in_number_and_bytes() {
    let small = batches(|| synced_then(5, [Step::Send(events(2 * COLLECTED + 5, 1)), Step::Hang])).await;
    let counts: Vec<usize> = small.iter().skip(2).map(|(count, _)| *count).collect();
    assert_eq!(counts, [COLLECTED, COLLECTED, 5]);
    let size = COLLECTED_BYTES / 3;
    let large = batches(move || synced_then(5, [Step::Send(events(10, size)), Step::Hang])).await;
    let most = large.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
    assert!(most > size && most < COLLECTED_BYTES + 2 * size, "{large:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_collected_before_a_failure_is_handed_on() {
    let broken = || events(3, 1) + "no event\n" + &events(1, 1);
    let batches = batches(move || synced_then(5, [Step::Send(broken()), Step::Hang])).await;
    let objects: Vec<usize> = batches.iter().filter(|(_, bytes)| *bytes > 0).map(|(count, _)| *count).collect();
    assert_eq!(objects, [3], "{batches:?}");
}
