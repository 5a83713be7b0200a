//! Selectors as people write them: `app=web,tier in (front,back)` and `metadata.name!=x`.
use std::collections::BTreeSet;

use kube::core::{Expression, Selector};

/// A selector that says nothing, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// The text is not a selector.
    #[error("`{requirement}` is no requirement of a selector: {advice}")]
    Malformed {
        /// The part of the selector that is wrong.
        requirement: String,
        /// What to write.
        advice: &'static str,
    },
    /// A field selector names a field that the cache knows nothing of.
    #[error(
        "`{field}` cannot be selected by here: besides metadata.name and metadata.namespace the cache knows the fields \
         that were declared with add_field_index(\"{field}\")"
    )]
    UndeclaredField {
        /// The path of the field.
        field: String,
    },
}

/// Parses a label selector in the form that `kubectl -l` takes (apimachinery `labels.Parse`).
///
/// ```
/// use kubewright::store::selector::parse_labels;
///
/// let selector = parse_labels("app=web, tier in (front, back), !legacy")?;
/// assert!(parse_labels("app in web").unwrap_err().to_string().contains("app in (a, b)"));
/// # Ok::<(), kubewright::store::selector::SelectorError>(())
/// ```
///
/// # Errors
/// [`SelectorError::Malformed`]; comparisons by `>` and `<` are not supported.
pub fn parse_labels(text: &str) -> Result<Selector, SelectorError> {
    if text.trim().is_empty() {
        return Ok(Selector::default());
    }
    split(text).into_iter().map(expression).collect()
}

/// A field, whether it is to be equal, and to what.
pub(super) type FieldRequirement = (String, super::condition::Is, String);

/// Parses a field selector in the form that `kubectl --field-selector` takes (apimachinery `fields.ParseSelector`).
pub(super) fn parse_fields(text: &str) -> Result<Vec<FieldRequirement>, SelectorError> {
    use super::condition::Is;
    let requirements = pieces(text, ',').into_iter().filter(|piece| !piece.is_empty());
    let parsed = requirements.map(|requirement| {
        let unequal = requirement.split_once("!=").map(|(field, value)| (field, Is::NotEqual, value));
        let equal = || requirement.split_once('=').map(|(field, value)| (field, Is::Equal, value));
        let advice = "write `metadata.name=a` or `metadata.name!=a`, and a comma between requirements";
        let (field, is, value) = unequal.or_else(equal).ok_or_else(|| malformed(requirement, advice))?;
        let value = value.strip_prefix('=').filter(|_| is == Is::Equal).unwrap_or(value);
        let value = unescape(value)
            .ok_or_else(|| malformed(requirement, "write `\\\\`, `\\,` and `\\=` for `\\`, `,` and `=`"))?;
        Ok((field.trim().to_owned(), is, value))
    });
    parsed.collect()
}

/// Splits at commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Splits at a character that no backslash stands before.
fn pieces(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, char) in text.char_indices() {
        if char == separator && !escaped {
            parts.push(&text[start..at]);
            start = at + char.len_utf8();
        }
        escaped = char == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// Takes the backslashes out; `None` where one stands before what needs none, or a character that needs one has none.
fn unescape(value: &str) -> Option<String> {
    let (mut plain, mut chars) = (String::with_capacity(value.len()), value.chars());
    while let Some(char) = chars.next() {
        match char {
            '\\' => plain.push(chars.next().filter(|char| matches!(char, '\\' | ',' | '='))?),
            '=' => return None,
            _ => plain.push(char),
        }
    }
    Some(plain)
}

fn expression(requirement: &str) -> Result<Expression, SelectorError> {
    let text = requirement.trim();
    if let Some(key) = text.strip_prefix('!') {
        return Ok(Expression::DoesNotExist(label_key(key, requirement)?));
    }
    if text.contains(['<', '>']) {
        return Err(malformed(requirement, "`<` and `>` are not supported; list the values: `key in (a, b)`"));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(label_key(key, requirement)?, label_value(value, requirement)?));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Expression::Equal(label_key(key, requirement)?, label_value(value, requirement)?));
    }
    let Some((key, _)) = text.split_once(|char: char| char.is_whitespace() || char == '(') else {
        return Ok(Expression::Exists(label_key(text, requirement)?));
    };
    let key = label_key(key, requirement)?;
    let rest = text[key.len()..].trim_start();
    let advice = "write `app=a`, `app!=a`, `app in (a, b)`, `app notin (a, b)`, `app` or `!app`";
    let (negated, values) = match (rest.strip_prefix("notin"), rest.strip_prefix("in")) {
        (Some(values), _) => (true, values),
        (_, Some(values)) => (false, values),
        _ => return Err(malformed(requirement, advice)),
    };
    let values = values.trim().strip_prefix('(').and_then(|values| values.strip_suffix(')'));
    let values = values.ok_or_else(|| malformed(requirement, advice))?;
    let values = values.split(',').map(|value| label_value(value, requirement)).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(if negated { Expression::NotIn(key, values) } else { Expression::In(key, values) })
}

fn label_key(key: &str, requirement: &str) -> Result<String, SelectorError> {
    let key = key.trim();
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |prefix: &str| {
        let domain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '-' | '.');
        !prefix.is_empty() && prefix.len() <= 253 && prefix.chars().all(domain)
    };
    if is_word(name) && !name.is_empty() && prefix.is_none_or(is_prefix) {
        return Ok(key.to_owned());
    }
    Err(malformed(
        requirement,
        "a label's key is `name` or `domain/name`, the name of at most 63 letters, digits, `-_.`",
    ))
}

fn label_value(value: &str, requirement: &str) -> Result<String, SelectorError> {
    let value = value.trim();
    if is_word(value) {
        return Ok(value.to_owned());
    }
    Err(malformed(
        requirement,
        "a label's value is at most 63 letters, digits, `-_.`, and begins and ends with the former",
    ))
}

/// Says whether this may be a label's value (apimachinery `validation.IsValidLabelValue`).
fn is_word(text: &str) -> bool {
    let edge = |char: Option<char>| char.is_none_or(|char| char.is_ascii_alphanumeric());
    let inner = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    text.len() <= 63 && text.chars().all(inner) && edge(text.chars().next()) && edge(text.chars().next_back())
}

fn malformed(requirement: &str, advice: &'static str) -> SelectorError {
    SelectorError::Malformed { requirement: requirement.trim().to_owned(), advice }
}

#[cfg(test)]
mod tests {
    use super::super::condition::Is;
    use super::*;

    #[test]
    fn label_selectors_are_read_as_kubectl_reads_them() {
        let check = |text: &str, expected: &str| {
            let parsed = parse_labels(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parsed.to_string(), expected, "{text}");
        };
        check("", "");
        check("app=web", "app=web");
        check(" app == web , tier!= ", "app=web,tier!=");
        check("app in (b, a),tier notin(x)", "app in (a,b),tier notin (x)");
        check("in in (in), notin", "in in (in),notin");
        check("a.example.com/b,!c", "a.example.com/b,!c");
        check("app in (,a)", "app in (,a)");
    }

    #[test]
    fn what_is_no_label_selector_is_told_what_to_write() {
        let check = |text: &str, requirement: &str, says: &str| match parse_labels(text).unwrap_err() {
            SelectorError::Malformed { requirement: at, advice } => {
                assert!(at == requirement && advice.contains(says), "{text}: {at} {advice}");
            }
            other => panic!("{text}: {other}"),
        };
        check("a=b,app in web", "app in web", "app in (a, b)");
        check("app within (a)", "app within (a)", "app notin (a, b)");
        check("app in (a", "app in (a", "app in (a, b)");
        check("a=b,,c=d", "", "label's key");
        check("generation>5", "generation>5", "not supported");
        check("app=web front", "app=web front", "label's value");
        check("a/b/c=d", "a/b/c=d", "domain/name");
        check("-a", "-a", "label's key");
        check("a=b=c", "a=b=c", "label's value");
        check("ä=b", "ä=b", "label's key");
    }

    #[test]
    fn field_selectors_are_read_as_kubectl_reads_them() {
        let check = |text: &str, expected: &[(&str, Is, &str)]| {
            let parsed = parse_fields(text).unwrap();
            let parsed: Vec<_> =
                parsed.iter().map(|(field, is, value)| (field.as_str(), *is, value.as_str())).collect();
            assert_eq!(parsed, expected, "{text}");
        };
        check("", &[]);
        check("metadata.name=a", &[("metadata.name", Is::Equal, "a")]);
        check("a==b,c!=d", &[("a", Is::Equal, "b"), ("c", Is::NotEqual, "d")]);
        check(r"a=x\,y\=z\\,b=", &[("a", Is::Equal, r"x,y=z\"), ("b", Is::Equal, "")]);
        for wrong in ["a", "a=b=c", r"a=\x", r"a=\"] {
            assert!(parse_fields(wrong).is_err(), "{wrong}");
        }
    }
}
