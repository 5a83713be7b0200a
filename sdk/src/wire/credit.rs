//! How much may be learned: what it costs is paid for by what was read by it.

/// Most that is saved, as a multiple of the price.
const MOST: u32 = 32;

/// How many objects that had to be scanned count as one that was read by what is known.
const TRICKLE: u32 = 64;

/// What is saved for learning.
#[derive(Debug)]
pub(super) struct Credit {
    price: u32,
    saved: u32,
    trickle: u32,
}

impl Credit {
    /// Learning once is worth that so many objects are read by what was learned; the first time is free.
    pub(super) fn new(price: u32) -> Self {
        Self { price, saved: price, trickle: 0 }
    }

    /// Says that an object was read by what is known.
    pub(super) fn earn(&mut self) {
        self.saved = self.saved.saturating_add(1).min(MOST * self.price);
    }

    /// Says that one was not, and answers whether to learn from it.
    pub(super) fn spend(&mut self) -> bool {
        let affordable = self.saved >= self.price;
        if affordable {
            self.saved -= self.price;
        } else {
            // So that what has changed altogether is learned in the end.
            self.trickle = (self.trickle + 1) % TRICKLE;
            self.saved += u32::from(self.trickle == 0);
        }
        affordable
    }

    /// Pays for whatever comes.
    #[cfg(test)]
    pub(super) fn fill(&mut self) {
        self.saved = u32::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learned_is_paid_for_and_what_is_saved_is_bounded() {
        let mut credit = Credit::new(4);
        let affordable = |credit: &mut Credit| (0..).take_while(|_| credit.spend()).count();
        assert_eq!(affordable(&mut credit), 1, "the first time is free");
        (0..3).for_each(|_| credit.earn());
        assert_eq!(affordable(&mut credit), 0);
        credit.earn();
        assert_eq!(affordable(&mut credit), 1);
        (0..100_000).for_each(|_| credit.earn());
        assert_eq!(affordable(&mut credit), MOST as usize);
        let missed = (0..).take_while(|_| !credit.spend()).count();
        assert!(missed > 3 * TRICKLE as usize && missed <= 4 * TRICKLE as usize, "{missed}");
    }
}
