//! Feeds the wire layer with any bytes. `fuzz/README.md` says how to run it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubewright::wire::fuzz::wire(data));
