//! Memory of this process, as the kernel counts it.

/// Resident memory, now and at its highest so far, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

impl Memory {
    /// Reads it from the kernel; zeros where there is no `/proc`.
    pub fn now() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn parse(status: &str) -> Self {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kibibytes.unwrap_or(0) * 1024
        };
        Self { resident: bytes("VmRSS"), peak: bytes("VmHWM") }
    }

    /// Returns what is above `empty`, the process before it did anything.
    #[must_use]
    pub fn over(self, empty: Self) -> Self {
        let above = |bytes: u64| bytes.saturating_sub(empty.resident);
        Self { resident: above(self.resident), peak: above(self.peak) }
    }
}

#[test]
fn memory_is_read_in_bytes() {
    let memory = Memory::parse("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n");
    assert_eq!(memory, Memory { resident: 1 << 20, peak: 2 << 20 });
    assert_eq!(memory.over(Memory { resident: 1 << 19, peak: 1 << 20 }), Memory { resident: 1 << 19, peak: 3 << 19 });
}
