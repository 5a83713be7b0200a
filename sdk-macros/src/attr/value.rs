//! Values of attributes that are more than a string, a number or a path.
use darling::{Error, FromMeta};
use proc_macro2::{Ident, Span};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Lit};

/// A span of time in quotes, as Go and Kubernetes write it: `"30s"`, `"1h30m"`.
#[derive(Debug)]
pub(crate) struct Time {
    pub(crate) millis: u64,
    pub(crate) span: Span,
}

/// What to make of a kind that is not installed: a variant of `Presence` in lower case.
#[derive(Debug)]
pub(crate) struct PresenceWord(pub(crate) Ident);

/// Each unit in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

const PRESENCES: [&str; 3] = ["required", "awaited", "optional"];

impl FromMeta for Time {
    fn from_expr(expr: &Expr) -> darling::Result<Self> {
        let millis = match expr {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => millis(&text.value()),
            _ => None,
        };
        let wrong = || {
            let help =
                "write a time in quotes, such as `\"30s\"`, `\"5m\"` or `\"1h30m\"`; units are `ms`, `s`, `m` and `h`";
            Error::custom(help).with_span(expr)
        };
        Ok(Self { millis: millis.ok_or_else(wrong)?, span: expr.span() })
    }
}

impl FromMeta for PresenceWord {
    fn from_expr(expr: &Expr) -> darling::Result<Self> {
        let word = match expr {
            Expr::Path(path) if path.qself.is_none() => path.path.get_ident(),
            _ => None,
        };
        let known = |word: &&Ident| PRESENCES.iter().any(|known| *word == known);
        word.filter(known).cloned().map(Self).ok_or_else(|| {
            let help = "write `required`, `awaited` or `optional`: what to make of a kind that is not installed";
            Error::custom(help).with_span(expr)
        })
    }
}

/// Adds up whole numbers with their units. Without any, or beyond what fits, there is no time.
fn millis(text: &str) -> Option<u64> {
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn times_are_those_of_go_in_whole_numbers() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(millis(text), expected, "{text}");
        check("30s", Some(30_000));
        check("500ms", Some(500));
        check("1h30m", Some(5_400_000));
        check("1m1m", Some(120_000));
        check("0s", Some(0));
        check("", None);
        check("30", None);
        check("s", None);
        check("-1s", None);
        check("1.5h", None);
        check("1d", None);
        check("1 s", None);
        check("18446744073709551615h", None);
    }
}
