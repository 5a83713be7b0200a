//! A Deployment that is scaled in the middle of a rollout: every ReplicaSet gets its share.
use crate::limits::Limits;

/// One ReplicaSet that has pods, as far as its share depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// How many pods it should have.
    pub(crate) desired: i32,
    /// The most pods that all of them could have had when it was last scaled; 0 where nobody knows.
    pub(crate) max_before: i32,
}

/// Returns how many pods are to be added to all of them together; negative where there are too many.
pub(crate) fn missing(limits: &Limits, total: i32) -> i32 {
    let allowed = if limits.desired > 0 { limits.max_total() } else { 0 };
    allowed - total
}

/// Returns how many pods each of them should have, so that together they have `missing` more.
///
/// Each keeps its proportion of the whole, and none takes more than is left. What rounding leaves over goes to the
/// first, so give the largest first.
pub(crate) fn distribute(limits: &Limits, missing: i32, shares: &[Share]) -> Vec<i32> {
    let mut left = missing;
    let mut sizes = Vec::with_capacity(shares.len());
    for share in shares {
        let fraction = fraction(limits, *share);
        let taken = if missing > 0 { fraction.min(left) } else { fraction.max(left) };
        let taken = if share.desired == 0 || left == 0 { 0 } else { taken };
        left -= taken;
        sizes.push(share.desired + taken);
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + left).max(0);
    }
    sizes
}

/// How many pods its proportion gives it, or takes from it.
fn fraction(limits: &Limits, share: Share) -> i32 {
    if limits.desired == 0 {
        return -share.desired;
    }
    if share.max_before == 0 {
        return 0;
    }
    let (part, now, before) = (i64::from(share.desired), i64::from(limits.max_total()), i64::from(share.max_before));
    // Rounded half up, in whole numbers.
    let size = (2 * part * now + before) / (2 * before);
    i32::try_from(size).unwrap_or(i32::MAX) - share.desired
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(desired: i32, surge: i32, sizes: &[i32], before: i32, expected: &[i32]) {
        let limits = Limits { desired, max_surge: surge, max_unavailable: 0, rolling: true };
        let shares: Vec<Share> = sizes.iter().map(|&desired| Share { desired, max_before: before }).collect();
        let missing = missing(&limits, sizes.iter().sum());
        assert_eq!(distribute(&limits, missing, &shares), expected, "{desired} {surge} {sizes:?} {before}");
    }

    #[test]
    fn every_set_keeps_its_proportion() {
        check(15, 3, &[8, 5], 13, &[11, 7]);
        check(20, 0, &[5, 5], 10, &[10, 10]);
        check(5, 0, &[5, 5], 10, &[2, 3]);
        check(10, 0, &[12, 4], 16, &[7, 3]);
    }

    #[test]
    fn what_rounding_leaves_over_goes_to_the_first() {
        check(7, 0, &[2, 2, 2], 6, &[3, 2, 2]);
        check(8, 0, &[3, 3], 6, &[4, 4]);
        check(4, 0, &[1, 1, 1], 3, &[2, 1, 1]);
    }

    #[test]
    fn nothing_is_left_of_a_deployment_that_is_scaled_to_nothing() {
        check(0, 3, &[8, 5], 13, &[0, 0]);
    }

    #[test]
    fn without_a_memory_of_the_size_before_the_first_takes_it_all() {
        check(6, 0, &[2, 2], 0, &[4, 2]);
    }
}
