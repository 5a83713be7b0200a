//! How many pods a Deployment may have and must keep: `replicas`, `maxSurge` and `maxUnavailable` as numbers.
use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The numbers that bound a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `spec.replicas`.
    pub(crate) desired: i32,
    /// How many pods may exist beyond those; 0 unless updates roll.
    pub(crate) max_surge: i32,
    /// How many of those may be unavailable; 0 unless updates roll.
    pub(crate) max_unavailable: i32,
    /// Whether updates roll; otherwise old pods end before new ones begin.
    pub(crate) rolling: bool,
}

impl Limits {
    /// Reads them from a spec that the API server has defaulted and validated.
    ///
    /// Surge is rounded up and unavailability down, and where both come out as 0 one pod may be unavailable: otherwise
    /// nothing could ever move.
    pub(crate) fn of(spec: &DeploymentSpec) -> Self {
        let desired = spec.replicas.unwrap_or(1);
        let strategy = spec.strategy.as_ref();
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
            return Self { desired, max_surge: 0, max_unavailable: 0, rolling: false };
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let max_surge = scaled(rolling.and_then(|rolling| rolling.max_surge.as_ref()), desired, Round::Up);
        let unavailable = scaled(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), desired, Round::Down);
        let max_unavailable = if max_surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Self { desired, max_surge, max_unavailable: max_unavailable.min(desired), rolling: true }
    }

    /// Returns how many pods may exist at once.
    pub(crate) fn max_total(&self) -> i32 {
        self.desired.saturating_add(self.max_surge)
    }

    /// Returns how many pods must stay available.
    pub(crate) fn min_available(&self) -> i32 {
        self.desired - self.max_unavailable
    }
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// Returns a number, or the share of `total` that a percentage means. What is neither counts as 0: validation refuses it.
fn scaled(value: Option<&IntOrString>, total: i32, round: Round) -> i32 {
    match value {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|percent| percent.parse::<i32>().ok()).unwrap_or(0);
            let hundredths = i64::from(percent) * i64::from(total);
            let share = match round {
                Round::Up => (hundredths + 99) / 100,
                Round::Down => hundredths / 100,
            };
            i32::try_from(share).unwrap_or(i32::MAX)
        }
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};

    use super::*;

    #[test]
    fn surge_rounds_up_unavailability_down_and_never_both_to_nothing() {
        let check = |desired: i32, surge: &str, unavailable: &str, expected: (i32, i32)| {
            let value = |text: &str| text.parse().map_or(IntOrString::String(text.to_owned()), IntOrString::Int);
            let rolling_update =
                RollingUpdateDeployment { max_surge: Some(value(surge)), max_unavailable: Some(value(unavailable)) };
            let strategy =
                DeploymentStrategy { type_: Some("RollingUpdate".to_owned()), rolling_update: Some(rolling_update) };
            let spec =
                DeploymentSpec { replicas: Some(desired), strategy: Some(strategy), ..DeploymentSpec::default() };
            let limits = Limits::of(&spec);
            assert_eq!((limits.max_surge, limits.max_unavailable), expected, "{desired} {surge} {unavailable}");
        };
        check(10, "3", "2", (3, 2));
        check(10, "25%", "25%", (3, 2));
        check(2, "0%", "1%", (0, 1));
        check(1, "0", "1%", (0, 1));
        check(2, "1%", "25%", (1, 0));
        check(1, "1%", "0%", (1, 0));
        check(4, "100%", "100%", (4, 4));
        check(3, "0", "10", (0, 3));
        check(0, "0", "25%", (0, 0));
        check(0, "1", "25%", (1, 0));
    }

    #[test]
    fn recreating_neither_surges_nor_keeps_anything_available() {
        let strategy = DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
        let spec = DeploymentSpec { replicas: Some(4), strategy: Some(strategy), ..DeploymentSpec::default() };
        let expected = Limits { desired: 4, max_surge: 0, max_unavailable: 0, rolling: false };
        assert_eq!(Limits::of(&spec), expected);
    }
}
