//! Nothing but the dependencies of the cases: `pass` holds what must compile, `fail` what must not.
