//! The few parameters of a query that the server knows; none of their values needs decoding.

/// The parameters of one request.
pub(super) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    pub(super) fn parse(query: &'a str) -> Self {
        Self(query.split('&').filter_map(|pair| pair.split_once('=')).collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }

    /// Says whether it is given as true, in either way in which clients write it.
    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true"))
    }
}

#[test]
fn parameters_are_found() {
    let query = Query::parse("watch=1&limit=500&sendInitialEvents=false");
    assert!(query.is_set("watch") && !query.is_set("sendInitialEvents"));
    assert_eq!((query.number("limit"), query.number("continue")), (Some(500), None));
}
