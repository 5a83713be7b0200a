//! What the environment says of how controllers work: whoever runs them decides, and nothing has to be built anew.
use std::time::Duration;

use crate::queue::limiter::{BASE_DELAY, Bucket, ItemExponential, MAX_DELAY, MaxOf, RateLimiter};
use crate::resource::ObjectKey;

use super::Controller;

/// What the variables of one controller say, by [`Overrides::from_vars`]. What is not set stays as it is coded.
///
/// A variable is named `KUBEWRIGHT_<CONTROLLER>_<SETTING>`, the name of the controller in capitals and with `_` for what
/// is neither letter nor digit: `KUBEWRIGHT_WEBSITE_CONCURRENCY=8`. Durations are written as in Go: `500ms`, `1h30m`.
///
/// | setting | value |
/// |---|---|
/// | `CONCURRENCY` | how many reconciles run at once, at least 1 |
/// | `DEADLINE` | how long a reconcile may take, 0 for as long as it likes |
/// | `RESYNC` | how often every primary is reconciled again, 0 for never |
/// | `RETRY_DELAY` | how long a key waits after its first failure; it doubles with each further one |
/// | `RETRY_MAX_DELAY` | the longest that a failing key waits |
/// | `RETRIES_PER_SECOND` | how many failing keys, all together, are tried again each second, after ten times as many at once; 0 for any number |
///
/// Any of the last three replaces the controller's rate limiter by client-go's: exponential for each key from 5 ms up to
/// 1000 s, and a token bucket for all where a rate is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    concurrency: Option<usize>,
    deadline: Option<Duration>,
    resync: Option<Duration>,
    retry_delay: Option<Duration>,
    retry_max_delay: Option<Duration>,
    retries_per_second: Option<u32>,
}

/// One setting: the end of its variable's name, and what `run --help` says of it.
type Setting = (&'static str, &'static str, fn(&mut Overrides, &str) -> Result<(), &'static str>);

const SETTINGS: [Setting; 6] = [
    ("CONCURRENCY", "How many reconciles run at once", |overrides, value| {
        let concurrency = value.parse().ok().filter(|concurrency| *concurrency > 0);
        overrides.concurrency = Some(concurrency.ok_or("use a whole number from 1")?);
        Ok(())
    }),
    ("DEADLINE", "How long a reconcile may take; 0 for as long as it likes", |overrides, value| {
        overrides.deadline = Some(duration(value)?);
        Ok(())
    }),
    ("RESYNC", "How often everything is reconciled again; 0 for never", |overrides, value| {
        overrides.resync = Some(duration(value)?);
        Ok(())
    }),
    ("RETRY_DELAY", "How long a key waits after its first failure", |overrides, value| {
        overrides.retry_delay = Some(duration(value)?);
        Ok(())
    }),
    ("RETRY_MAX_DELAY", "Longest time that a failing key waits", |overrides, value| {
        overrides.retry_max_delay = Some(duration(value)?);
        Ok(())
    }),
    ("RETRIES_PER_SECOND", "Failing keys tried again each second; 0 for any number", |overrides, value| {
        overrides.retries_per_second = Some(value.parse().map_err(|_| "use a whole number, 0 for any number")?);
        Ok(())
    }),
];

const PREFIX: &str = "KUBEWRIGHT_";

impl Overrides {
    /// Reads what `vars` say of the controllers of these names, such as [`std::env::vars`]: one result for each, in their
    /// order. Variables that do not look like any of ours are left alone.
    ///
    /// # Errors
    /// [`OverrideError`] for a value that does not parse, and for a name that is ours but for a typing error: of a setting
    /// that does not exist, or of a controller that does not.
    pub fn from_vars(
        controllers: &[&str],
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<Self>, OverrideError> {
        let mut found = vec![Self::default(); controllers.len()];
        for (variable, value) in vars {
            let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
            let named = |(index, controller): (usize, &&str)| {
                let setting = rest.strip_prefix(&variable_part(controller))?.strip_prefix('_')?;
                let (_, _, set) = SETTINGS.iter().find(|(name, ..)| *name == setting)?;
                Some((index, set))
            };
            match controllers.iter().enumerate().find_map(named) {
                Some((index, set)) => set(&mut found[index], value.trim())
                    .map_err(|expected| OverrideError::Value { variable, expected })?,
                None if is_meant(rest, controllers) => return Err(OverrideError::unknown(variable, controllers)),
                None => {}
            }
        }
        Ok(found)
    }

    /// Describes the variables of these controllers, for a command's help.
    pub fn help(controllers: &[&str]) -> String {
        let names: Vec<_> = controllers.iter().map(|controller| variable_part(controller)).collect();
        let (name, mut help) = match &*names {
            [only] => (only.as_str(), "Environment:".to_owned()),
            names => ("CONTROLLER", format!("Environment, with {} for CONTROLLER:", names.join(" or "))),
        };
        for (setting, meaning, _) in &SETTINGS {
            help.push_str(&format!("\n  {:<42}{meaning}", format!("{PREFIX}{name}_{setting}")));
        }
        help
    }

    fn limiter(&self) -> Option<Box<dyn RateLimiter<ObjectKey>>> {
        let rate = self.retries_per_second.filter(|rate| *rate > 0);
        if self.retry_delay.is_none() && self.retry_max_delay.is_none() && self.retries_per_second.is_none() {
            return None;
        }
        let (base, cap) = (self.retry_delay.unwrap_or(BASE_DELAY), self.retry_max_delay.unwrap_or(MAX_DELAY));
        let each: Box<dyn RateLimiter<ObjectKey>> = Box::new(ItemExponential::new(base, cap));
        Some(match rate {
            None => each,
            Some(rate) => {
                let all = Bucket::new(Duration::from_secs(1) / rate, rate.saturating_mul(10));
                Box::new(MaxOf::new(vec![each, Box::new(all)]))
            }
        })
    }
}

impl Controller {
    /// Lets `overrides` have the last word.
    #[must_use]
    pub fn overridden(mut self, overrides: &Overrides) -> Self {
        let set = |duration: Duration| Some(duration).filter(|duration| !duration.is_zero());
        self.concurrency = overrides.concurrency.unwrap_or(self.concurrency);
        self.deadline = overrides.deadline.map_or(self.deadline, set);
        self.resync = overrides.resync.map_or(self.resync, set);
        match overrides.limiter() {
            Some(limiter) => self.rate_limiter(limiter),
            None => self,
        }
    }
}

/// Says whether the rest of a variable's name can only be meant for one of ours: it begins with a controller, or ends with
/// a setting.
fn is_meant(rest: &str, controllers: &[&str]) -> bool {
    let begins =
        |controller: &&str| rest.strip_prefix(&variable_part(controller)).is_some_and(|rest| rest.starts_with('_'));
    controllers.iter().any(begins) || SETTINGS.iter().any(|(setting, ..)| rest.ends_with(setting))
}

/// Writes the name of a controller as variables have it.
fn variable_part(controller: &str) -> String {
    let part = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' };
    controller.chars().map(part).collect()
}

/// Reads a duration as Go writes it: numbers, each with its unit. `0` needs none.
fn duration(value: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "use a duration such as 500ms, 30s, 5m or 1h30m";
    if value == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut total, mut rest) = (Duration::ZERO, value);
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).ok_or(EXPECTED)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|character: char| character.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let number: u32 = number.parse().map_err(|_| EXPECTED)?;
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(EXPECTED),
        };
        total = unit.checked_mul(number).and_then(|part| total.checked_add(part)).ok_or(EXPECTED)?;
        rest = tail;
    }
    if value.is_empty() { Err(EXPECTED) } else { Ok(total) }
}

/// What is wrong with a variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// Its value.
    #[error("the environment variable {variable} is of no use: {expected}")]
    Value {
        /// Its name.
        variable: String,
        /// What it can be.
        expected: &'static str,
    },
    /// Its name.
    #[error("there is no setting for the environment variable {variable}: {known}")]
    Unknown {
        /// Its name.
        variable: String,
        /// Which names there are.
        known: String,
    },
}

impl OverrideError {
    fn unknown(variable: String, controllers: &[&str]) -> Self {
        let names: Vec<_> = controllers.iter().map(|controller| variable_part(controller)).collect();
        let settings: Vec<_> = SETTINGS.iter().map(|(setting, ..)| *setting).collect();
        let known = format!(
            "names are {PREFIX}<CONTROLLER>_<SETTING> with one of {} and one of {}",
            names.join(", "),
            settings.join(", ")
        );
        Self::Unknown { variable, known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(controllers: &[&str], variable: &str, value: &str) -> Result<Vec<Overrides>, OverrideError> {
        Overrides::from_vars(controllers, [(variable.to_owned(), value.to_owned())])
    }

    #[test]
    fn every_setting_is_read_for_the_controller_it_names() {
        let check = |variable: &str, value: &str, set: fn(&mut Overrides)| {
            let mut expected = Overrides::default();
            set(&mut expected);
            let read = read(&["web", "web-site"], &format!("KUBEWRIGHT_WEB_SITE_{variable}"), value);
            assert_eq!(read, Ok(vec![Overrides::default(), expected]), "{variable}={value}");
        };
        check("CONCURRENCY", "8", |it| it.concurrency = Some(8));
        check("DEADLINE", "0", |it| it.deadline = Some(Duration::ZERO));
        check("RESYNC", "10h", |it| it.resync = Some(Duration::from_secs(36_000)));
        check("RETRY_DELAY", " 500ms ", |it| it.retry_delay = Some(Duration::from_millis(500)));
        check("RETRY_MAX_DELAY", "1h30m5s", |it| it.retry_max_delay = Some(Duration::from_secs(5405)));
        check("RETRIES_PER_SECOND", "20", |it| it.retries_per_second = Some(20));
        let foreign = [("PATH", "/"), ("KUBEWRIGHT_CACHE", "x"), ("KUBEWRIGHT_WEBSITES", "x")];
        let foreign = foreign.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(Overrides::from_vars(&["web"], foreign), Ok(vec![Overrides::default()]));
    }

    #[test]
    fn what_is_mistyped_is_an_error_that_says_what_to_write() {
        let check = |variable: &str, value: &str, told: &str| {
            let error = read(&["web", "shop"], variable, value).unwrap_err().to_string();
            assert!(error.contains(variable) && error.contains(told), "{error}");
        };
        check("KUBEWRIGHT_WEB_CONCURRENCY", "0", "from 1");
        check("KUBEWRIGHT_WEB_CONCURRENCY", "many", "from 1");
        check("KUBEWRIGHT_WEB_RETRIES_PER_SECOND", "-1", "whole number");
        for value in ["", "5", "s", "5d", "5s5", "-5s", "99999999999s", "4294967295h4294967295h5x"] {
            check("KUBEWRIGHT_WEB_DEADLINE", value, "500ms");
        }
        check("KUBEWRIGHT_WEB_CONCURENCY", "8", "one of CONCURRENCY, DEADLINE");
        check("KUBEWRIGHT_WEBB_CONCURRENCY", "8", "WEB, SHOP");
    }

    #[test]
    fn what_is_set_has_the_last_word_and_the_rest_stays() {
        let second = Duration::from_secs(1);
        let coded = || Controller::new("web", 3).deadline(second).resync(60 * second);
        let read = |variables: &[(&str, &str)]| {
            let name = |(setting, value): &(&str, &str)| (format!("KUBEWRIGHT_WEB_{setting}"), (*value).to_owned());
            Overrides::from_vars(&["web"], variables.iter().map(name)).unwrap().remove(0)
        };
        let same = coded().overridden(&Overrides::default());
        assert_eq!((same.concurrency, same.deadline, same.resync), (3, Some(second), Some(60 * second)));
        let other = coded().overridden(&read(&[("CONCURRENCY", "9"), ("DEADLINE", "0"), ("RESYNC", "2m")]));
        assert_eq!((other.concurrency, other.deadline, other.resync), (9, None, Some(120 * second)));

        let delays = |variables: &[(&str, &str)]| {
            let (mut limiter, now) = (coded().overridden(&read(variables)).limiter, crate::clock::now().into_std());
            let (a, b) = (ObjectKey::cluster("a"), ObjectKey::cluster("b"));
            [&a, &a, &a, &b].map(|key| limiter.when(key, now).as_millis())
        };
        assert_eq!(delays(&[]), [5, 10, 20, 5]);
        assert_eq!(delays(&[("RETRY_DELAY", "1s"), ("RETRY_MAX_DELAY", "3s")]), [1000, 2000, 3000, 1000]);
        let many = |count: usize| {
            let mut limiter = coded().overridden(&read(&[("RETRIES_PER_SECOND", "2")])).limiter;
            let (key, now) = (ObjectKey::cluster("a"), crate::clock::now().into_std());
            let keys = (0..count).map(|index| ObjectKey::cluster(&index.to_string()));
            let last = keys.map(|key| limiter.when(&key, now)).last();
            (last, limiter.num_requeues(&key))
        };
        assert_eq!(many(20), (Some(Duration::from_millis(5)), 0), "ten times as many at once");
        assert_eq!(many(22), (Some(second), 0), "then two each second");
    }

    #[test]
    fn the_help_names_every_setting_and_every_controller() {
        let help = Overrides::help(&["web", "web-site"]);
        for expected in ["WEB or WEB_SITE"].into_iter().chain(SETTINGS.iter().map(|(setting, ..)| *setting)) {
            assert!(help.contains(expected), "{expected} {help}");
        }
        assert!(
            Overrides::help(&["web"]).contains("KUBEWRIGHT_WEB_CONCURRENCY"),
            "where there is one it is written out"
        );
    }
}
