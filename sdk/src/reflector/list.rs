//! The pages of a list, item by item as they arrive. The next is asked for while one is read.
use std::time::Duration;

use futures_util::StreamExt;

use crate::clock;
use crate::wire::{ListHead, ListSplitter};

use super::failure::{Cause, Verb};
use super::page::{Page, beside};
use super::state::{Input, ListOptions, Request};
use super::{Closed, DeltaSink, Reflector};

/// Longest silence within the body of a list. The API server ends a list after 60 s, and never pauses for that long.
pub(super) const LIST_SILENCE: Duration = Duration::from_secs(60);

/// Longest that a page is waited for in all, while the store had room: a body that trickles is no list. Then the API server
/// has long ended it, and compacted the version of its token.
pub(super) const LIST_LIMIT: Duration = Duration::from_secs(300);

/// Reads pages until the machine asks for something else.
pub(super) async fn pages<S: DeltaSink>(reflector: &mut Reflector<S>, options: ListOptions) -> Result<(), Closed> {
    let mut page = Page::ask(&reflector.source, options);
    loop {
        match read(reflector, page).await? {
            Ok(Some(ahead)) if reflector.machine.request() == Request::List(ahead.options().clone()) => page = ahead,
            Ok(_) => return Ok(()),
            Err(cause) => return reflector.fail(Verb::List, cause, Duration::ZERO).await,
        }
    }
}

/// Reads one page, and returns the next where it was asked for ahead.
async fn read<S: DeltaSink>(reflector: &mut Reflector<S>, page: Page) -> Result<Result<Option<Page>, Cause>, Closed> {
    let mut chunks = match page.answer().await {
        Ok(chunks) => chunks,
        Err(error) => return Ok(Err(Cause::Client(error))),
    };
    reflector.step(Input::Opened).await?;
    let mut splitter = ListSplitter::new();
    let (mut ahead, mut left) = (None, LIST_LIMIT);
    loop {
        let begun = clock::now();
        let arrived = clock::timeout(left.min(LIST_SILENCE), beside(&mut ahead, chunks.next())).await;
        left = left.saturating_sub(clock::now().saturating_duration_since(begun));
        match arrived {
            Some(Some(Ok(chunk))) => splitter.push(chunk),
            Some(Some(Err(error))) => return Ok(Err(Cause::Client(error))),
            Some(None) => break,
            None => return Ok(Err(Cause::Silent)),
        }
        loop {
            match splitter.next_item(&mut reflector.models) {
                Ok(None) => {
                    splitter.let_go();
                    ahead = ahead.or_else(|| {
                        let options = reflector.machine.following(splitter.continue_token()?)?;
                        Some(Page::ask(&reflector.source, options))
                    });
                    reflector.hand_on().await?;
                    // As in a watch: the store packs this chunk while the next one is read.
                    tokio::task::yield_now().await;
                    break;
                }
                Err(error) => return Ok(Err(Cause::Wire(error))),
                // An item that is not JSON casts doubt on the whole body; one that is JSON and can not be used is only
                // skipped.
                Ok(Some(scanned)) => {
                    if let Some(object) = reflector.admit(&scanned) {
                        reflector.collect(Input::Item(object)).await?;
                    }
                }
            }
        }
    }
    match splitter.finish() {
        Ok(ListHead { continue_token: Some(token), .. }) if reflector.machine.has_passed(&token) => {
            Ok(Err(Cause::SamePage))
        }
        Ok(head) => {
            let page = Input::Page { version: head.version, continue_token: head.continue_token };
            reflector.step(page).await.map(|_| Ok(ahead))
        }
        Err(error) => Ok(Err(Cause::Wire(error))),
    }
}
