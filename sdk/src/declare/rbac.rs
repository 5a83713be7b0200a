//! Computes the role of an operator from what it declares.
