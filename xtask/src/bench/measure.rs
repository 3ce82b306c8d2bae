//! What the kernel says a process has used.

use std::{fs, time::Duration};

/// Processor time of a whole process since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// In user and system mode, to the nanosecond.
    pub(crate) total: Duration,
    /// In user mode, to the clock tick.
    pub(crate) user: Duration,
    /// In system mode, to the clock tick.
    pub(crate) system: Duration,
}

/// What Linux calls USER_HZ; fixed at 100 on every machine that this runs on.
const TICK: Duration = Duration::from_millis(10);

impl Cpu {
    /// Reads what process `pid` has used so far.
    pub(crate) fn read(pid: u32) -> Result<Self, String> {
        let stat = read(&format!("/proc/{pid}/stat"))?;
        // The second field is a name in brackets, which may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
        let (Some(Ok(user)), Some(Ok(system))) = (ticks.next(), ticks.next()) else {
            return Err(format!("/proc/{pid}/stat: `{stat}`"));
        };
        let (user, system) = (TICK * user, TICK * system);
        let threads = fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| e.to_string())?;
        let mut total = Duration::ZERO;
        for thread in threads.flatten() {
            let file = thread.path().join("schedstat");
            let text = fs::read_to_string(&file).unwrap_or_default();
            let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
            total += Duration::from_nanos(nanoseconds.unwrap_or(0));
        }
        // A kernel without schedstat, or a thread that has ended meanwhile.
        if total + 4 * TICK < user + system {
            total = user + system;
        }
        Ok(Self { total, user, system })
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Time that core `core` has been busy since the machine's start, whoever used it.
pub(super) fn busy(core: &str) -> Result<Duration, String> {
    let stat = read("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")));
    let line = line.ok_or_else(|| format!("/proc/stat names no core {core}"))?;
    let fields: Vec<u32> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| fields.get(*i)).sum::<u32>();
    Ok(TICK * busy)
}

/// Proportional set size of process `pid`, in bytes.
pub(super) fn memory(pid: u32) -> Result<u64, String> {
    let rollup = read(&format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| format!("/proc/{pid}/smaps_rollup names no Pss"))
}

/// Files that this process may have open.
pub(super) fn files_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(1024)
}

/// Kernel, processor and cores in one line.
pub(crate) fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} cores of {model}, Linux {}, loopback", kernel.trim())
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_our_own_figures() {
        let pid = std::process::id();
        let before = Cpu::read(pid).unwrap();
        let mut sum = 0u64;
        while Cpu::read(pid).unwrap().since(before).total < Duration::from_millis(5) {
            sum = (0..100_000).fold(sum, u64::wrapping_add);
        }
        assert!(memory(pid).unwrap() > 100_000, "{sum}");
        assert!(busy("0").unwrap() > Duration::ZERO);
        assert!(files_max() > 0 && machine().contains("Linux"));
    }
}
