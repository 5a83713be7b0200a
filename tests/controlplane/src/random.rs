//! Names and tokens that no other process has.

use std::fmt::Write as _;

/// Returns `bytes` random bytes in hexadecimal.
///
/// Secrets are made of these too: the bytes come from the operating system's generator.
///
/// # Panics
/// When the operating system has no random numbers: nothing sensible remains to be done.
pub(crate) fn hexadecimal(bytes: usize) -> String {
    let mut random = vec![0_u8; bytes];
    if let Err(error) = getrandom::fill(&mut random) {
        panic!("the operating system gave no random numbers: {error}");
    }
    random.iter().fold(String::with_capacity(2 * bytes), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
