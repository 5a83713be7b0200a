//! Structs that are no root type, and a union.
use kubewright::Operator;

#[derive(Operator)]
pub struct WebsiteSpec {
    pub host: String,
}

#[derive(Operator)]
#[operator(cleanup)]
pub struct Pair(u8, u8);

#[derive(Operator)]
pub enum Either {
    One,
    Other,
}

#[derive(Operator)]
pub union Overlay {
    one: u8,
    other: u8,
}

fn main() {}
