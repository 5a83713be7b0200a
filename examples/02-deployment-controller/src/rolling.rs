//! A rolling update as numbers: how far the new ReplicaSet may grow, and how far the old ones may shrink.
use crate::limits::Limits;

/// One ReplicaSet, as far as a rollout looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// How many pods it should have.
    pub(crate) desired: i32,
    /// How many of its pods are available.
    pub(crate) available: i32,
}

impl Size {
    /// How many available pods it keeps: those beyond its desired number are about to go.
    fn kept(&self) -> i32 {
        self.available.min(self.desired)
    }
}

/// Returns how many pods the new ReplicaSet should have when all of them together are to have `total` now.
///
/// It grows as far as the surge allows and shrinks to what is desired.
pub(crate) fn grow(limits: &Limits, new: i32, total: i32) -> i32 {
    let room = limits.max_total().saturating_sub(total).max(0);
    new.saturating_add(room).min(limits.desired)
}

/// Returns how many pods each of the `old` ReplicaSets should have, given in the order in which they should shrink.
///
/// Pods that are not available go first, as they serve nobody and could hold the rollout up for ever. How many may go is
/// bounded by what the new ReplicaSet still owes: pods of it that are not available must not cost more old ones. Then
/// available pods go, down to the number that must stay.
pub(crate) fn shrink(limits: &Limits, new: Size, old: &[Size]) -> Vec<i32> {
    let mut sizes: Vec<i32> = old.iter().map(|size| size.desired).collect();
    let total = new.desired + sizes.iter().sum::<i32>();
    let removable = total - limits.min_available() - (new.desired - new.kept());
    if removable <= 0 {
        return sizes;
    }
    let mut unhealthy = removable;
    for (size, old) in sizes.iter_mut().zip(old) {
        let gone = unhealthy.min(old.desired - old.kept());
        *size -= gone;
        unhealthy -= gone;
    }
    let mut spare = new.kept() + old.iter().map(Size::kept).sum::<i32>() - limits.min_available();
    for size in &mut sizes {
        let gone = spare.min(*size).max(0);
        *size -= gone;
        spare -= gone;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { desired: 10, max_surge: 3, max_unavailable: 2, rolling: true };

    #[test]
    fn the_new_set_grows_into_the_surge_and_no_further_than_desired() {
        let check = |new: i32, total: i32, expected: i32| assert_eq!(grow(&LIMITS, new, total), expected);
        check(0, 10, 3);
        check(3, 11, 5);
        check(0, 13, 0);
        check(0, 20, 0);
        check(9, 9, 10);
        check(12, 12, 10);
    }

    /// Sizes are (desired, available).
    fn check(new: (i32, i32), old: &[(i32, i32)], expected: &[i32]) {
        let size = |&(desired, available): &(i32, i32)| Size { desired, available };
        let old: Vec<Size> = old.iter().map(size).collect();
        assert_eq!(shrink(&LIMITS, size(&new), &old), expected, "{new:?} {old:?}");
    }

    #[test]
    fn old_sets_shrink_to_what_must_stay_available() {
        check((3, 0), &[(10, 10)], &[8]);
        check((3, 3), &[(10, 10)], &[5]);
        check((10, 10), &[(3, 3)], &[0]);
        check((5, 5), &[(4, 4), (4, 4)], &[0, 3]);
    }

    #[test]
    fn pods_that_serve_nobody_go_first() {
        check((3, 0), &[(10, 7)], &[8]);
        check((0, 0), &[(8, 8), (5, 0)], &[8, 0]);
        check((5, 0), &[(8, 7)], &[8]);
        // Rolled back: the broken ones are old now.
        check((8, 7), &[(5, 0)], &[1]);
    }

    #[test]
    fn pods_on_their_way_out_count_as_gone() {
        check((3, 0), &[(8, 10)], &[8]);
        check((0, 0), &[(4, 8), (6, 6)], &[2, 6]);
    }
}
