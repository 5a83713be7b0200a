//! One watch, from its opening to its end.
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use crate::client::{self, Chunks, Status};
use crate::clock;
use crate::resource::ResourceVersion;
use crate::wire::{Event, EventType, LineSplitter, Models};

use super::failure::{Cause, Verb};
use super::source::{InitialEvents, WatchOptions};
use super::state::{Input, SHORT_LIVED, Then};
use super::{Closed, DeltaSink, Reflector};

/// How long a watch is asked to live is drawn from this to twice this, so that watches which began together do not end
/// together (client-go's reflector).
pub(super) const WATCH_TIMEOUT: Duration = Duration::from_secs(300);

/// Longest silence of a watch before it is given up: three bookmarks and a little. The API server sends one about every
/// minute; a connection that a firewall forgot sends none, and no error either. A server without bookmarks costs one
/// more request in this time, at the same version.
pub(super) const WATCH_SILENCE: Duration = Duration::from_secs(195);

/// Longest silence between two initial events, or the last and the bookmark after it. Servers that do not know
/// `sendInitialEvents` send what exists and then no such bookmark, ever.
pub(super) const INITIAL_EVENTS_SILENCE: Duration = Duration::from_secs(10);

/// Longest that initial events are waited for in all, while the store had room: the API server gives a list no longer than
/// that. Where something changes all the time, a server that does not know `sendInitialEvents` is never silent.
pub(super) const INITIAL_EVENTS_LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn follow<S: DeltaSink>(
    reflector: &mut Reflector<S>,
    resource_version: ResourceVersion,
    initial_events: InitialEvents,
) -> Result<(), Closed> {
    let timeout = clock::between(WATCH_TIMEOUT, 2 * WATCH_TIMEOUT);
    let options = WatchOptions { resource_version, initial_events, timeout };
    let chunks = match reflector.source.watch(options).await {
        Ok(chunks) => chunks,
        Err(error) => return reflector.fail(Verb::Watch, Cause::Client(error), Duration::ZERO).await,
    };
    reflector.counts.watches += 1;
    reflector.step(Input::Opened).await?;
    let begun = clock::now();
    Watch { reflector, begun, heard: begun, spoke: false, waited: Duration::ZERO, settled: false }.read(chunks).await
}

struct Watch<'a, S> {
    reflector: &'a mut Reflector<S>,
    begun: Instant,
    /// When the last event was taken in: bytes alone may be the trickle of an event that never ends.
    heard: Instant,
    /// Whether the bytes that came last ended a line.
    spoke: bool,
    /// How long bytes were waited for in all.
    waited: Duration,
    settled: bool,
}

impl<S: DeltaSink> Watch<'_, S> {
    async fn read(mut self, mut chunks: Chunks) -> Result<(), Closed> {
        let mut lines = LineSplitter::default();
        loop {
            let begun = clock::now();
            let arrived = clock::timeout(self.patience(), chunks.next()).await;
            self.waited += since(begun);
            self.settle().await?;
            match arrived {
                Some(Some(Ok(chunk))) => {
                    lines.push(chunk);
                    self.spoke = false;
                    if self.lines(&mut lines).await? == Then::Next {
                        return Ok(());
                    }
                    // A task that was woken from this one waits behind it. So that the store packs this chunk while the
                    // next one is read, let it go first, or let another thread have one of the two.
                    tokio::task::yield_now().await;
                    // From here on the server is waited for. While the store had no room it could not be heard.
                    if self.spoke {
                        self.heard = clock::now();
                    }
                }
                Some(Some(Err(error @ client::Error::Unreadable { .. }))) => {
                    return self.fail(Cause::Client(error)).await.map(drop);
                }
                Some(Some(Err(error))) => {
                    tracing::debug!(kind = %self.reflector.target.resource, %error, "the watch broke");
                    return self.close().await;
                }
                Some(None) => {
                    if let Some(line) = lines.finish()
                        && self.last_line(&line).await? == Then::Next
                    {
                        return Ok(());
                    }
                    return self.close().await;
                }
                None if !self.left().is_zero() => {}
                None if self.reflector.machine.awaits_initial_events() => {
                    tracing::debug!(kind = %self.reflector.target.resource, "the initial events do not end: listing instead");
                    return self.reflector.step(Input::Overdue).await.map(drop);
                }
                None => {
                    tracing::debug!(kind = %self.reflector.target.resource, "the watch fell silent");
                    let lived = since(self.begun);
                    return self.reflector.step(Input::Silent { lived }).await.map(drop);
                }
            }
        }
    }

    /// Takes every line that is whole.
    async fn lines(&mut self, lines: &mut LineSplitter) -> Result<Then, Closed> {
        loop {
            match lines.next_line() {
                Ok(Some(line)) => {
                    self.spoke = true;
                    if self.line(line).await? == Then::Next {
                        return Ok(Then::Next);
                    }
                }
                Ok(None) => {
                    self.reflector.hand_on().await?;
                    return Ok(Then::Stay);
                }
                Err(error) => return self.fail(Cause::Wire(error)).await,
            }
        }
    }

    async fn line(&mut self, line: &[u8]) -> Result<Then, Closed> {
        let Event { r#type, object } = match Event::parse(line, &mut self.reflector.models) {
            Ok(event) => event,
            Err(error) => return self.fail(Cause::Wire(error)).await,
        };
        let input = match r#type {
            EventType::Error => {
                let status = Status::from_json(object.raw).unwrap_or_default();
                return self.fail(Cause::Event(status)).await;
            }
            EventType::Bookmark => {
                Input::Bookmark { version: object.version(), ends_initial_events: object.ends_initial_events() }
            }
            EventType::Added | EventType::Modified | EventType::Deleted => match self.reflector.admit(&object) {
                Some(object) => return self.reflector.collect(Input::Event { r#type, object }).await,
                None => Input::Skipped(object.version()),
            },
            EventType::Unknown => Input::Skipped(object.version()),
        };
        self.reflector.step(input).await
    }

    /// Takes a line without an end: whole if the server ends lines only between events, cut off otherwise.
    async fn last_line(&mut self, line: &[u8]) -> Result<Then, Closed> {
        if Event::parse(line, &mut Models::default()).is_ok() { self.line(line).await } else { Ok(Then::Stay) }
    }

    async fn settle(&mut self) -> Result<(), Closed> {
        if !self.settled && since(self.begun) >= SHORT_LIVED {
            self.settled = true;
            self.reflector.step(Input::Settled).await?;
        }
        Ok(())
    }

    async fn fail(&mut self, cause: Cause) -> Result<Then, Closed> {
        let lived = since(self.begun);
        self.reflector.fail(Verb::Watch, cause, lived).await?;
        Ok(Then::Next)
    }

    async fn close(&mut self) -> Result<(), Closed> {
        self.reflector.hand_on().await?;
        self.reflector.failing = Some((Cause::Closed, Verb::Watch));
        let lived = since(self.begun);
        self.reflector.counts.short_watches += u64::from(lived < SHORT_LIVED);
        self.reflector.step(Input::Closed { lived }).await.map(drop)
    }

    /// How long to wait for the next bytes.
    fn patience(&self) -> Duration {
        let left = self.left();
        if self.settled { left } else { left.min(SHORT_LIVED.saturating_sub(since(self.begun))) }
    }

    /// How long until the watch is given up, if no event comes.
    fn left(&self) -> Duration {
        let silence = since(self.heard);
        if self.reflector.machine.awaits_initial_events() {
            let left = INITIAL_EVENTS_SILENCE.saturating_sub(silence);
            left.min(INITIAL_EVENTS_LIMIT.saturating_sub(self.waited))
        } else {
            WATCH_SILENCE.saturating_sub(silence)
        }
    }
}

fn since(instant: Instant) -> Duration {
    clock::now().saturating_duration_since(instant)
}
