//! Names that generated methods would hide.

/// The methods of `Context`, and of what it dereferences to, that an accessor would hide.
pub(super) const CONTEXT_METHODS: [&str; 18] = [
    "apply",
    "client",
    "clone",
    "create",
    "delete",
    "delete_with",
    "dependents",
    "deref",
    "dry_run",
    "generation",
    "key",
    "owned",
    "primaries",
    "set_condition",
    "set_status",
    "to_owned",
    "uid",
    "watched",
];

/// The methods of `Lister`, and of what it dereferences to, that an index would hide.
pub(super) const LISTER_METHODS: [&str; 23] = [
    "by",
    "by_slot",
    "clone",
    "compact_metadata",
    "controlled_by",
    "count_by",
    "deref",
    "dynamic",
    "get",
    "is_empty",
    "json",
    "keys",
    "keys_by",
    "len",
    "list",
    "matching",
    "memory_usage",
    "metadata",
    "namespaced",
    "partial",
    "query",
    "to_owned",
    "values",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_that_an_accessor_or_an_index_would_hide_is_refused() {
        let check = |file: &str, known: &[&str]| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/src").join(file);
            let source = std::fs::read_to_string(path).unwrap();
            let mut methods = 0;
            for line in source.lines().map(str::trim_start).filter(|line| line.contains("(&self") || line.contains("<"))
            {
                let Some(signature) = line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("pub async fn "))
                else {
                    continue;
                };
                let name = signature.split(['(', '<']).next().unwrap();
                assert!(known.contains(&name), "{file}: `{name}` could be hidden");
                methods += 1;
            }
            assert!(methods > 5, "{file} was not understood");
        };
        check("reconcile/context.rs", &CONTEXT_METHODS);
        check("store/lister.rs", &LISTER_METHODS);
    }
}
