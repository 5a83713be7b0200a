//! What differs from object to object in a real cluster: uids, digests, addresses, times, names.
use std::fmt::Write as _;

/// Random parts of objects, the same for the same seed.
pub(super) struct Random(fastrand::Rng);

/// The letters of generated names: Kubernetes leaves out what spells words or is easily mistaken.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Draws from `low` up to and with `high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        self.0.usize(low..=high)
    }

    /// Says yes in so many of a hundred cases.
    pub(super) fn percent(&mut self, chance: usize) -> bool {
        self.0.usize(0..100) < chance
    }

    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.0.usize(0..choices.len())]
    }

    /// Draws the random end of a generated name.
    pub(super) fn suffix(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(*self.pick(LETTERS))).collect()
    }

    pub(super) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            // Writing to a String does not fail.
            let _ = write!(text, "{:016x}", self.0.u64(..));
        }
        text.truncate(digits);
        text
    }

    /// Draws a version 4 UUID.
    pub(super) fn uid(&mut self) -> String {
        let hex = self.hex(30);
        let variant = *self.pick(&['8', '9', 'a', 'b']);
        format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..])
    }

    /// Draws a moment within two months of 2026.
    pub(super) fn moment(&mut self) -> Moment {
        Moment(self.0.u32(0..60 * 86_400))
    }

    pub(super) fn address(&mut self, network: &str) -> String {
        format!("{network}.{}.{}", self.between(0, 255), self.between(1, 254))
    }

    pub(super) fn version(&mut self) -> usize {
        self.between(10_000_000, 19_999_999)
    }
}

/// A time in May or June 2026, in seconds since the first of May.
#[derive(Clone, Copy)]
pub(super) struct Moment(u32);

impl Moment {
    pub(super) fn later(self, seconds: usize) -> Self {
        Self(self.0 + u32::try_from(seconds).unwrap_or(0))
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (day, second) = (self.0 / 86_400, self.0 % 86_400);
        // May has 31 days; what is beyond June is close enough to July for a fixture, and it has 31 as well.
        let (month, day) = if day < 31 {
            (5, day + 1)
        } else if day < 61 {
            (6, day - 30)
        } else {
            (7, day - 60)
        };
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}
