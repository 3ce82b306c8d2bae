//! What the process uses of memory, and what it may. Reads what Linux says of it; what it does not
//! say, or says in a way that is not understood, is no bound.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Component, Path},
};

/// cgroup v1 says this many bytes, or a little less, when there is no limit.
const UNLIMITED: u64 = 1 << 60;

/// Bytes of `/proc/self/status`, and some to spare.
const STATUS: usize = 4096;

/// The memory that this process uses. Kept open: a look is one system call.
#[derive(Debug)]
pub struct Resident {
    status: File,
}

impl Resident {
    /// `root` is `/`.
    pub fn open(root: &Path) -> Option<Self> {
        Some(Self { status: File::open(root.join("proc/self/status")).ok()? })
    }

    /// Resident bytes.
    pub fn bytes(&self) -> Option<u64> {
        let mut buffer = [0; STATUS];
        let length = self.status.read_at(&mut buffer, 0).ok()?;
        // What is cut off at the end is none of it.
        kibibytes(&String::from_utf8_lossy(buffer.get(..length)?), "VmRSS:")
    }
}

/// Bytes that this process may use: the least limit of its control group and of those above, else
/// all memory of the machine. `root` is `/`.
pub fn bound(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        if controllers.is_empty() {
            least(&root.join("sys/fs/cgroup"), group, "memory.max")
        } else if controllers.split(',').any(|one| one == "memory") {
            least(&root.join("sys/fs/cgroup/memory"), group, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    let memory = fs::read_to_string(root.join("proc/meminfo")).ok();
    let memory = memory.and_then(|text| kibibytes(&text, "MemTotal:"));
    limits.chain(memory).min()
}

/// The least limit that stands in `file` of a group or of one above, up to the root of the mount:
/// in a container that is the group itself, whatever its path says.
fn least(mount: &Path, group: &str, file: &str) -> Option<u64> {
    let names = Path::new(group).components().filter(|one| matches!(one, Component::Normal(_)));
    let group = mount.join(names.collect::<std::path::PathBuf>());
    let above = group.ancestors().take_while(|folder| folder.starts_with(mount));
    let limit = |folder: &Path| -> Option<u64> {
        let text = fs::read_to_string(folder.join(file)).ok()?;
        // "max" is no number.
        text.trim().parse().ok().filter(|bytes| (1..UNLIMITED).contains(bytes))
    };
    above.filter_map(limit).min()
}

/// The number behind a name, in kB, as bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = rest.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    number.checked_mul(1024).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       2000 kB\nMemFree: 1 kB\n");

    fn machine(files: &[(&str, &str)]) -> TempDir {
        let dir = TempDir::new().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn bound_of(files: &[(&str, &str)]) -> Option<u64> {
        bound(machine(files).path())
    }

    #[test]
    fn without_a_group_it_is_the_machines() {
        assert_eq!(bound_of(&[MACHINE]), Some(2_048_000));
        assert_eq!(bound_of(&[]), None);
        assert_eq!(bound_of(&[("proc/meminfo", "MemTotal: many kB\n")]), None);
        assert_eq!(bound_of(&[("proc/meminfo", "MemTotal: 99999999999999999999 kB\n")]), None);
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_above_counts() {
        let group = ("proc/self/cgroup", "0::/a/b/c\n");
        let limits = [
            ("sys/fs/cgroup/a/b/c/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.max", "500000\n"),
            ("sys/fs/cgroup/a/memory.max", "600000\n"),
            ("sys/fs/cgroup/other/memory.max", "5\n"),
        ];
        let all = [&[MACHINE, group], &limits[..]].concat();
        assert_eq!(bound_of(&all), Some(500_000));
        let generous = ("sys/fs/cgroup/a/b/c/memory.max", "3000000\n");
        assert_eq!(bound_of(&[MACHINE, group, generous]), Some(2_048_000));
        for broken in ["", "0", "-1", "1e9", "99999999999999999999999"] {
            let limit = ("sys/fs/cgroup/a/b/c/memory.max", broken);
            assert_eq!(bound_of(&[MACHINE, group, limit]), Some(2_048_000), "{broken:?}");
        }
    }

    #[test]
    fn in_a_container_the_mount_is_the_group() {
        for path in ["/", "/docker/abc", "/../../x", ""] {
            let group = format!("0::{path}\n");
            let limit = ("sys/fs/cgroup/memory.max", "700000\n");
            let files = [MACHINE, ("proc/self/cgroup", &group), limit];
            assert_eq!(bound_of(&files), Some(700_000), "{path:?}");
        }
    }

    #[test]
    fn groups_of_the_first_version_count_as_well() {
        let group = ("proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/x\nbroken\n0::/\n");
        let limit = |text| ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", text);
        assert_eq!(bound_of(&[MACHINE, group, limit("400000\n")]), Some(400_000));
        let none = limit("9223372036854771712\n");
        assert_eq!(bound_of(&[MACHINE, group, none]), Some(2_048_000));
        assert_eq!(bound_of(&[group, none]), None);
    }

    #[test]
    fn resident_memory_is_read() {
        let status = ("proc/self/status", "Name:\tweir\nVmHWM:\t 9 kB\nVmRSS:\t    12 kB\n");
        let resident = |root: &Path| Resident::open(root).map(|open| open.bytes());
        assert_eq!(resident(machine(&[status]).path()), Some(Some(12_288)));
        assert_eq!(resident(machine(&[("proc/self/status", "Name: x\n")]).path()), Some(None));
        assert_eq!(resident(machine(&[]).path()), None);
        let this = Resident::open(Path::new("/")).unwrap();
        let before = this.bytes().unwrap();
        let more = vec![1_u8; 50 << 20];
        let after = this.bytes().unwrap();
        assert!(before > 100_000 && after > before + (40 << 20), "{before} {after}");
        drop(more);
    }
}
