//! Makes the CRD of a primary kind fit to apply.
