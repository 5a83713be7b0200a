//! What a reflector does next: every recovery as a pure function of what happened. No IO, no clock, no randomness.
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use crate::resource::ResourceVersion;
use crate::wire::{EventType, RawObject};

use super::Delta;
use super::source::FirstSync;

mod list;

use list::List;

/// The first wait after a failure; it doubles with each further one (client-go's reflector).
pub(super) const BACKOFF_START: Duration = Duration::from_millis(800);

/// The longest wait (client-go's reflector).
pub(super) const BACKOFF_LIMIT: Duration = Duration::from_secs(30);

/// How long a watch must live before the next failure counts as the first again (client-go's reflector).
pub(super) const BACKOFF_RESET: Duration = Duration::from_secs(120);

/// A watch that ends before this is a failure: no server closes one so soon on purpose (client-go's VeryShortWatchError).
pub(super) const SHORT_LIVED: Duration = Duration::from_secs(1);

/// Items on one page of a list (client-go's pager).
pub(super) const PAGE: u32 = 500;

/// Watches at one version that may fail in ways that ought to pass before the version itself is given up.
pub(super) const WATCH_ATTEMPTS: u32 = 3;

/// One LIST request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOptions {
    /// At least this version; the most recent one when empty.
    pub resource_version: ResourceVersion,
    /// Items on a page; all at once when `None`.
    pub limit: Option<u32>,
    /// The page, from the one before it.
    pub continue_token: Option<String>,
}

/// What the driver must do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Watch from nothing: the server sends what exists, a bookmark, then what changes.
    WatchList,
    /// Ask for one page of a list.
    List(ListOptions),
    /// Watch what changes after this version.
    Watch(ResourceVersion),
    /// Ask for one object at no older version than this, to see whether the server has come that far.
    Probe(ListOptions),
    /// Do nothing for a time between the two.
    Wait(Duration, Duration),
}

/// What happened to the request.
#[derive(Debug)]
pub(super) enum Input {
    /// The server accepted it.
    Opened,
    /// The next item of the page.
    Item(Arc<RawObject>),
    /// The page is complete.
    Page { version: ResourceVersion, continue_token: Option<String> },
    /// The next event of the watch.
    Event { r#type: EventType, object: Arc<RawObject> },
    /// Nothing changed up to this version.
    Bookmark { version: ResourceVersion, ends_initial_events: bool },
    /// An event came that says nothing we can store; time went on nevertheless.
    Skipped(ResourceVersion),
    /// The watch has lived for [`SHORT_LIVED`].
    Settled,
    /// The server ended the watch after it lived so long.
    Closed { lived: Duration },
    /// Nothing came on the watch for too long, not even a bookmark, after it lived so long.
    Silent { lived: Duration },
    /// The server ended the request with a failure, or never answered. A watch had lived so long.
    Failed { fault: Fault, lived: Duration },
    /// The initial events did not end in time.
    Overdue,
    /// The wait is over.
    Waited,
}

/// Failures by what must be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The version or token asked for is no longer kept.
    Expired,
    /// The version asked for lies ahead of the server.
    TooLargeVersion,
    /// The server asks to slow down, for so long if it says so.
    TooManyRequests(Option<Duration>),
    /// Time or a person must mend it; the request is right: unreachable, unauthorized, forbidden.
    Outside,
    /// The server failed, and asks to wait so long if it says so.
    Server(Option<Duration>),
    /// The server understood and refuses: asking the same again is of no use.
    Refused,
    /// What came is not what the protocol says.
    Broken,
    /// What came can not be read in its encoding; the source asks for another from now on.
    Unreadable,
}

/// What the driver does with an input.
#[derive(Debug)]
pub(super) struct Output {
    /// What to hand on.
    pub(super) delta: Option<Delta>,
    /// Whether the request goes on.
    pub(super) then: Then,
    /// What the input says about health.
    pub(super) health: Health,
}

/// Whether a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It goes on.
    Stay,
    /// It is over: ask for the next.
    Next,
}

/// What an input says about health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing.
    #[default]
    Unchanged,
    /// The server serves us.
    Works,
    /// Something fails that a person may have to look at.
    Fails,
}

/// What a reflector knows.
#[derive(Debug)]
pub(super) struct Machine {
    state: State,
    version: ResourceVersion,
    watch_list: WatchList,
    synced: bool,
    /// Failures since a watch last lived for [`BACKOFF_RESET`].
    backoff: u32,
    /// Watches in a row that failed at this version.
    failed_watches: u32,
    /// When an answer can not be read in its encoding: the same again, in another.
    encoding: Remedy,
}

#[derive(Clone, Debug)]
enum State {
    WatchList,
    List(List),
    Watch,
    /// Before a watch goes on at a version that the server may never have reached.
    Probe,
    Wait {
        low: Duration,
        high: Duration,
        then: Box<State>,
    },
}

/// What is tried once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    Available,
    Used,
}

/// Whether the server is asked for a WatchList.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WatchList {
    /// Not refused so far.
    Try,
    /// Refused, and no list has come through since: perhaps everything is refused.
    Doubted,
    /// Refused, while lists work; or not wanted.
    Off,
}

impl Machine {
    pub(super) fn new(first_sync: FirstSync) -> Self {
        let watch_list = match first_sync {
            FirstSync::WatchList => WatchList::Try,
            FirstSync::List => WatchList::Off,
        };
        let mut machine = Self {
            state: State::WatchList,
            version: ResourceVersion::default(),
            watch_list,
            synced: false,
            backoff: 0,
            failed_watches: 0,
            encoding: Remedy::Available,
        };
        machine.state = machine.first_state();
        machine
    }

    /// Returns what to do now.
    pub(super) fn request(&self) -> Request {
        match &self.state {
            State::WatchList => Request::WatchList,
            State::List(list) => Request::List(list.options.clone()),
            State::Watch => Request::Watch(self.version.clone()),
            State::Probe => Request::Probe(ListOptions {
                resource_version: self.version.clone(),
                limit: Some(1),
                continue_token: None,
            }),
            State::Wait { low, high, .. } => Request::Wait(*low, *high),
        }
    }

    /// Returns what the request after this one will be, if this one is a page that names `token` as the next: as long as
    /// nothing goes wrong, it may be sent already.
    pub(super) fn following(&self, token: &str) -> Option<ListOptions> {
        match &self.state {
            State::List(list) => list.following(token),
            _ => None,
        }
    }

    /// Says whether a page that names `token` as the next makes the list one that never ends.
    pub(super) fn has_passed(&self, token: &str) -> bool {
        matches!(&self.state, State::List(list) if list.has_passed(token))
    }

    /// Says whether a watch is to send what exists first, and has not come to the end of it.
    pub(super) fn awaits_initial_events(&self) -> bool {
        matches!(self.state, State::WatchList)
    }

    /// Returns the version of the last list, event or bookmark.
    pub(super) fn version(&self) -> &ResourceVersion {
        &self.version
    }

    /// Says whether a whole list was handed on.
    pub(super) fn synced(&self) -> bool {
        self.synced
    }

    /// Takes what happened.
    pub(super) fn step(&mut self, input: Input) -> Output {
        if let Input::Failed { fault: Fault::Unreadable, lived } = input
            && self.encoding == Remedy::Available
        {
            // The same again at once: nothing is wrong with the server or the version. A source has one other encoding, so
            // there is no second time.
            self.encoding = Remedy::Used;
            self.lived(lived);
            return Output::next(Health::Unchanged);
        }
        match &self.state {
            State::WatchList => self.watch_list(input),
            State::List(list) => match input {
                // A page that is asked for again by its token belongs to the same snapshot, so the list goes on.
                Input::Opened if list.options.continue_token.is_none() => Output::stay(Some(Delta::ListStarted)),
                Input::Item(object) => Output::stay(Some(Delta::Listed(object))),
                Input::Page { version, continue_token } => self.page(list.clone(), version, continue_token),
                Input::Failed { fault, .. } => self.list_failed(list.clone(), fault),
                _ => Output::stay(None),
            },
            State::Watch => self.watch(input),
            State::Probe => self.probe(input),
            State::Wait { then, .. } => match input {
                Input::Waited => {
                    self.state = then.as_ref().clone();
                    Output::next(Health::Unchanged)
                }
                _ => Output::stay(None),
            },
        }
    }

    fn watch_list(&mut self, input: Input) -> Output {
        match input {
            Input::Opened => Output::stay(Some(Delta::ListStarted)),
            // What was deleted while the initial events were on their way: the store forgets it like any other.
            Input::Event { r#type: EventType::Deleted, object } => Output::stay(Some(Delta::Deleted(object))),
            // The versions of initial events are no versions to resume from: they come in the order of keys.
            Input::Event { object, .. } => Output::stay(Some(Delta::Listed(object))),
            Input::Bookmark { version, ends_initial_events: true } => {
                self.state = State::Watch;
                self.replaced(version)
            }
            Input::Failed { fault: Fault::Refused, .. } => {
                self.watch_list = WatchList::Doubted;
                self.relist(ResourceVersion::default());
                Output::next(Health::Unchanged)
            }
            Input::Overdue => {
                self.watch_list = WatchList::Off;
                self.relist(ResourceVersion::default());
                Output::next(Health::Unchanged)
            }
            Input::Failed { fault: fault @ (Fault::Server(_) | Fault::Broken | Fault::Unreadable), .. } => {
                self.retry_watch_list(fault)
            }
            // No version was asked for that could be.
            Input::Failed { fault: Fault::Expired | Fault::TooLargeVersion, .. } => {
                self.retry_watch_list(Fault::Broken)
            }
            Input::Failed { fault, .. } => self.retry(fault, State::WatchList),
            // Cut before the bookmark: what came is no list, so it begins again.
            Input::Closed { .. } => self.retry_watch_list(Fault::Broken),
            _ => Output::stay(None),
        }
    }

    /// Begins the initial events again; where they never come to their end, a list may.
    fn retry_watch_list(&mut self, fault: Fault) -> Output {
        self.failed_watches += 1;
        if self.failed_watches < WATCH_ATTEMPTS {
            return self.retry(fault, State::WatchList);
        }
        let list = fresh_list(ResourceVersion::default());
        self.retry(fault, list)
    }

    fn page(&mut self, mut list: List, version: ResourceVersion, continue_token: Option<String>) -> Output {
        let Some(version) = list.take(version, continue_token) else {
            self.state = State::List(list);
            return Output::next(Health::Unchanged);
        };
        if self.watch_list == WatchList::Doubted {
            self.watch_list = WatchList::Off;
        }
        self.state = State::Watch;
        Output { then: Then::Next, ..self.replaced(version) }
    }

    fn list_failed(&mut self, mut list: List, fault: Fault) -> Output {
        match fault {
            Fault::Expired | Fault::TooLargeVersion if list.evade() => {
                self.state = State::List(list);
                Output::next(Health::Unchanged)
            }
            // Not even the most recent version is there, which is no history.
            Fault::Expired | Fault::TooLargeVersion => {
                let fresh = fresh_list(ResourceVersion::default());
                self.retry(Fault::Broken, fresh)
            }
            Fault::Refused => self.list_refused(fault),
            _ => self.retry(fault, State::List(list)),
        }
    }

    /// Starts over: nothing of a refused list is worth keeping, not even the version, which may be what is refused. If
    /// WatchList was refused with it, the refusal was about the kind rather than about WatchList.
    fn list_refused(&mut self, fault: Fault) -> Output {
        if self.watch_list == WatchList::Doubted {
            self.watch_list = WatchList::Try;
        }
        let first = self.first_state();
        self.retry(fault, first)
    }

    fn watch(&mut self, input: Input) -> Output {
        match input {
            Input::Event { r#type, object } => self.event(r#type, object),
            Input::Bookmark { version, .. } => {
                self.advance(&version);
                Output { health: Health::Works, ..Output::stay(Some(Delta::Bookmark(version))) }
            }
            Input::Skipped(version) => {
                if !self.began_from_nothing() {
                    self.advance(&version);
                }
                Output::stay(None)
            }
            Input::Settled => {
                self.failed_watches = 0;
                Output { health: Health::Works, ..Output::stay(None) }
            }
            Input::Closed { lived } => {
                self.lived(lived);
                if lived >= SHORT_LIVED { Output::next(Health::Unchanged) } else { self.retry_watch(Fault::Broken) }
            }
            Input::Silent { lived } => {
                self.lived(lived);
                self.state = self.watch_or_probe();
                Output::next(Health::Unchanged)
            }
            Input::Failed { fault, lived } => {
                self.lived(lived);
                self.watch_failed(fault)
            }
            _ => Output::stay(None),
        }
    }

    /// A watch at a version that lies ahead of the server is accepted, and says nothing until the server has come that far:
    /// after etcd was restored from a backup, that is never the history we know. A list says so at once.
    fn probe(&mut self, input: Input) -> Output {
        match input {
            Input::Page { version, .. } if version.compare(&self.version) == Some(Ordering::Less) => {
                self.travelled_back()
            }
            Input::Page { .. } => {
                self.state = State::Watch;
                Output::next(Health::Unchanged)
            }
            Input::Failed { fault: Fault::Expired | Fault::TooLargeVersion, .. } => self.travelled_back(),
            Input::Failed { fault: fault @ (Fault::Refused | Fault::Broken | Fault::Unreadable), .. } => {
                let list = fresh_list(self.version.clone());
                self.retry(fault, list)
            }
            Input::Failed { fault, .. } => self.retry(fault, State::Probe),
            _ => Output::stay(None),
        }
    }

    /// Lists what the server has now, whatever it had before.
    fn travelled_back(&mut self) -> Output {
        self.relist(ResourceVersion::default());
        Output::next(Health::Unchanged)
    }

    fn event(&mut self, r#type: EventType, object: Arc<RawObject>) -> Output {
        let version = object.version();
        if r#type != EventType::Added || !self.began_from_nothing() {
            self.advance(&version);
        }
        self.failed_watches = 0;
        let delta = if r#type == EventType::Deleted { Delta::Deleted(object) } else { Delta::Applied(object) };
        Output { health: Health::Works, ..Output::stay(Some(delta)) }
    }

    fn watch_failed(&mut self, fault: Fault) -> Output {
        match fault {
            Fault::TooManyRequests(_) => self.retry(fault, State::Watch),
            Fault::Outside => self.retry(fault, self.watch_or_probe()),
            Fault::Server(_) => self.retry_watch(fault),
            Fault::Expired | Fault::TooLargeVersion | Fault::Refused | Fault::Broken | Fault::Unreadable => {
                let list = fresh_list(self.version.clone());
                self.retry(fault, list)
            }
        }
    }

    /// Watches again at the same version, which is always right, but not for ever: a version that no watch can begin at
    /// must not hold us.
    fn retry_watch(&mut self, fault: Fault) -> Output {
        self.failed_watches += 1;
        if self.failed_watches < WATCH_ATTEMPTS {
            return self.retry(fault, if fault == Fault::Broken { State::Watch } else { self.watch_or_probe() });
        }
        let list = fresh_list(self.version.clone());
        self.retry(fault, list)
    }

    /// Waits, longer each time, then goes on as `then`.
    fn retry(&mut self, fault: Fault, then: State) -> Output {
        let asked = match fault {
            Fault::TooManyRequests(asked) | Fault::Server(asked) => asked.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        // Half of the wait is drawn, so that reflectors that fail together do not come back together.
        let high = BACKOFF_START.saturating_mul(1 << self.backoff.min(16)).min(BACKOFF_LIMIT);
        let low = asked.max(high / 2);
        self.backoff = self.backoff.saturating_add(1);
        self.state = State::Wait { low, high: high.max(low + low / 2), then: Box::new(then) };
        // An expired version is history, not a fault of anybody.
        Output::next(if fault == Fault::Expired { Health::Unchanged } else { Health::Fails })
    }

    fn replaced(&mut self, version: ResourceVersion) -> Output {
        self.version = version.clone();
        self.synced = true;
        self.failed_watches = 0;
        Output { health: Health::Works, ..Output::stay(Some(Delta::Replaced(version))) }
    }

    fn lived(&mut self, lived: Duration) {
        if lived >= BACKOFF_RESET {
            self.backoff = 0;
        }
    }

    /// Says whether the watch was opened at no version: then it begins with what exists, in the order of keys, and those
    /// versions are none to resume from.
    fn began_from_nothing(&self) -> bool {
        self.version.is_empty() || self.version.as_str() == "0"
    }

    /// Returns how a watch goes on after the server was away, and perhaps is not the one it was.
    fn watch_or_probe(&self) -> State {
        if self.began_from_nothing() { State::Watch } else { State::Probe }
    }

    fn advance(&mut self, version: &ResourceVersion) {
        if !version.is_empty() {
            self.version = version.clone();
        }
    }

    fn first_state(&self) -> State {
        match self.watch_list {
            WatchList::Try if !self.synced => State::WatchList,
            _ => fresh_list(ResourceVersion::default()),
        }
    }

    fn relist(&mut self, version: ResourceVersion) {
        self.state = fresh_list(version);
    }
}

/// Begins a list with its first page, at no older version than this.
fn fresh_list(version: ResourceVersion) -> State {
    State::List(List::new(version))
}

impl Output {
    fn stay(delta: Option<Delta>) -> Self {
        Self { delta, then: Then::Stay, health: Health::Unchanged }
    }

    fn next(health: Health) -> Self {
        Self { delta: None, then: Then::Next, health }
    }
}
