//! Last known objects by key, and indexes over them: one writer, many readers, raw bytes and metadata only.
pub mod lister;

pub mod index;
