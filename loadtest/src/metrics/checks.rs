//! Checks and the groups they were made in.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// A check and how often it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What the script calls it.
    pub name: Box<str>,
    /// How often it held.
    pub passes: u64,
    /// How often it did not.
    pub fails: u64,
}

/// A group, with the checks made directly in it.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// `::outer::inner`; empty for the script itself.
    pub path: Box<str>,
    /// In the order in which they were first made.
    pub checks: Vec<Check>,
    by_name: HashMap<Box<str>, usize, RandomState>,
}

/// All groups, in the order in which they were first entered; the first is the script itself.
#[derive(Clone, Debug)]
pub struct Groups {
    groups: Vec<Group>,
    by_path: HashMap<Box<str>, usize, RandomState>,
    checks: usize,
}

/// What a script's excess is counted as, one that puts numbers into names.
const MORE: &str = "(more than can be told apart)";

impl Groups {
    /// How many groups, and how many checks in all, are told apart.
    pub const MOST: usize = 10_000;

    /// Only the script itself.
    pub fn new() -> Self {
        let mut groups = Self { groups: vec![], by_path: HashMap::default(), checks: 0 };
        groups.enter("");
        groups
    }

    /// Counts a check made in the group at `path`.
    pub fn check(&mut self, path: &str, name: &str, passed: bool) {
        self.count(path, name, u64::from(passed), u64::from(!passed));
    }

    /// Makes a group known that may have no checks, and returns its place.
    pub fn enter(&mut self, path: &str) -> usize {
        if let Some(at) = self.by_path.get(path) {
            return *at;
        }
        if self.groups.len() >= Self::MOST {
            return 0;
        }
        self.groups.push(Group { path: path.into(), ..Group::default() });
        self.by_path.insert(path.into(), self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for group in &other.groups {
            self.enter(&group.path);
            for Check { name, passes, fails } in &group.checks {
                self.count(&group.path, name, *passes, *fails);
            }
        }
    }

    /// All of them; the first is the script itself.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// Whether nothing was entered and nothing checked.
    pub fn is_empty(&self) -> bool {
        self.groups.len() == 1 && self.checks == 0
    }

    fn count(&mut self, path: &str, name: &str, passes: u64, fails: u64) {
        let at = self.enter(path);
        let full = self.checks >= Self::MOST;
        let group = &mut self.groups[at];
        let at = match group.by_name.get(name) {
            Some(at) => *at,
            None => {
                let name = if full { MORE } else { name };
                *group.by_name.entry(name.into()).or_insert_with(|| {
                    self.checks += 1;
                    group.checks.push(Check { name: name.into(), passes: 0, fails: 0 });
                    group.checks.len() - 1
                })
            }
        };
        group.checks[at].passes += passes;
        group.checks[at].fails += fails;
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self::new()
    }
}
