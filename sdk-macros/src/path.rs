//! The path to the library: `::kubewright`, or what `crate = ..` says.
use quote::ToTokens;
use syn::Path;

/// Says what is wrong with a library path, if anything: generated code sits in other modules and blocks than the
/// attribute, so that a relative path would mean something else there.
pub(crate) fn error(path: &Path) -> Option<String> {
    let first = path.segments.first()?;
    if path.leading_colon.is_some() || first.ident == "crate" {
        return None;
    }
    let written = path.to_token_stream().to_string().replace(' ', "");
    let fix = match written.strip_prefix("self::").or_else(|| written.strip_prefix("super::")) {
        Some(rest) => format!("write the path from the root of this crate, such as `crate::{rest}`"),
        None => format!("write `::{written}` for a dependency, `crate::{written}` for a re-export of this crate"),
    };
    Some(format!("`crate` takes an absolute path: {fix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_refused_with_a_fix() {
        let check = |path: &str, expected: Option<&str>| {
            let found = error(&syn::parse_str(path).unwrap());
            assert_eq!(found.is_some(), expected.is_some(), "{path}: {found:?}");
            let fix = expected.unwrap_or_default();
            assert!(found.unwrap_or_default().contains(fix), "{path}");
        };
        check("::renamed", None);
        check("crate::reexport", None);
        check("renamed", Some("write `::renamed`"));
        check("self::inner", Some("`crate::inner`"));
        check("super::a::b", Some("`crate::a::b`"));
    }
}
