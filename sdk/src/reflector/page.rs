//! One LIST request, sent now or while another page is read.
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture, MaybeDone};

use crate::client::{self, Chunks};

use super::source::ListerWatcher;
use super::state::ListOptions;

/// A page that was asked for. It is requested while somebody waits for it, or for something [`beside`] it; dropping it
/// ends the request.
pub(super) struct Page {
    options: ListOptions,
    answer: MaybeDone<BoxFuture<'static, Result<Chunks, client::Error>>>,
}

impl Page {
    pub(super) fn ask(source: &Arc<dyn ListerWatcher>, options: ListOptions) -> Self {
        let (source, asked) = (Arc::clone(source), options.clone());
        let answer: BoxFuture<'static, _> = Box::pin(async move { source.list(asked).await });
        Self { options, answer: future::maybe_done(answer) }
    }

    /// Returns what was asked for.
    pub(super) fn options(&self) -> &ListOptions {
        &self.options
    }

    /// Waits until it is accepted or refused.
    pub(super) async fn answer(mut self) -> Result<Chunks, client::Error> {
        (&mut self.answer).await;
        // It was waited for, and nothing else takes it.
        Pin::new(&mut self.answer).take_output().expect("the answer is there")
    }
}

/// Waits for `next`, which is read now, while the request of the page ahead goes on. Its body stays unread.
pub(super) async fn beside<T>(ahead: &mut Option<Page>, next: impl Future<Output = T>) -> T {
    let mut next = pin!(next);
    future::poll_fn(|cx| {
        if let Some(page) = ahead {
            // Whatever comes of it waits until its turn.
            let _ = page.answer.poll_unpin(cx);
        }
        next.as_mut().poll(cx)
    })
    .await
}
