//! Memory and processor time of processes, as the kernel counts them.

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

/// Returns the processor time that a process has used so far, in seconds: all its threads, in user and in kernel mode. Zero
/// where there is no `/proc`, and for a process that is gone.
pub fn cpu_seconds(id: u32) -> f64 {
    parse_stat(&std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default()).unwrap_or(0.0)
}

/// In a second, what proc(5) calls clock ticks: the same on every architecture that Rust and Go build for.
const TICKS: f64 = 100.0;

fn parse_stat(stat: &str) -> Option<f64> {
    // The name of the program may hold anything, parentheses and spaces included.
    let (_, fields) = stat.rsplit_once(')')?;
    // utime and stime are the fourteenth and fifteenth field of all, and the name is the second.
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Some(ticks.iter().sum::<u64>() as f64 / TICKS)
}

#[test]
fn processor_time_is_user_and_kernel_whatever_the_program_is_called() {
    let stat = "7 (a) b 1) S 1 7 7 0 -1 4194560 100 0 2 0 250 50 9 9 20 0 4 0 123 1000 200";
    assert_eq!(parse_stat(stat), Some(3.0));
    assert_eq!(parse_stat(""), None);
}

#[test]
fn memory_is_read_in_bytes() {
    let memory = Memory::parse("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n");
    assert_eq!(memory, Memory { resident: 1 << 20, peak: 2 << 20 });
    assert_eq!(memory.over(Memory { resident: 1 << 19, peak: 1 << 20 }), Memory { resident: 1 << 19, peak: 3 << 19 });
}
