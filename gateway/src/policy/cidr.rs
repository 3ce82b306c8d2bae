//! Sets of networks: is an address in one of a hundred thousand?
//!
//! Networks become the ranges that they cover, sorted, with what overlaps put together. A look-up
//! is one search in half as many steps as the list has bits, whatever the lengths of prefixes.

use std::net::IpAddr;

use weir_config::model::{Network, NotNetwork};

/// Most networks of a file.
const MOST: usize = 1_000_000;
/// Most bad lines of a file that are told.
const TOLD: usize = 5;

/// A set of networks of both versions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NetworkSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Ranges that neither overlap nor touch, in order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ranges<T> {
    /// The first of each: all that a search looks at but once.
    starts: Box<[T]>,
    ends: Box<[T]>,
}

impl<T: Copy + Ord + From<u8> + std::ops::Sub<Output = T>> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match merged.last_mut() {
                // Behind the one before, or at once after it.
                Some((_, last)) if start <= *last || start - *last == T::from(1) => {
                    *last = end.max(*last);
                }
                _ => merged.push((start, end)),
            }
        }
        let starts = merged.iter().map(|(start, _)| *start).collect();
        let ends = merged.iter().map(|(_, end)| *end).collect();
        Self { starts, ends }
    }

    fn contains(&self, value: T) -> bool {
        let behind = self.starts.partition_point(|start| *start <= value);
        behind.checked_sub(1).is_some_and(|at| value <= self.ends[at])
    }
}

impl FromIterator<Network> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match (network.first(), network.last()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.to_bits(), last.to_bits())),
                // Both ends of a network are of its version.
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }
}

impl NetworkSet {
    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.v4.starts.len() + self.v6.starts.len()
    }

    /// Whether an address is in one of them. An IPv4 address is that however it is written.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }
}

/// Reads a list: one network a line, comments behind `#`.
///
/// # Errors
/// What is wrong with which lines.
pub(crate) fn read_list(text: &str) -> Result<Vec<Network>, String> {
    let (mut networks, mut wrong, mut more) = (Vec::new(), Vec::new(), 0);
    for (index, line) in text.lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        match word.parse() {
            Ok(network) => networks.push(network),
            Err(_) if wrong.len() == TOLD => more += 1,
            Err(why) => wrong.push(format!("line {}: {}", index + 1, describe(word, &why))),
        }
    }
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    match networks.len() {
        _ if !wrong.is_empty() => Err(wrong.join("; ")),
        count if count > MOST => Err(format!("{count} networks; at most {MOST} are")),
        _ => Ok(networks),
    }
}

fn describe(word: &str, why: &NotNetwork) -> String {
    let word: String =
        word.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    match why {
        NotNetwork::Syntax => format!("`{word}` is no address and no network"),
        NotNetwork::Host(meant) => {
            format!("`{word}` has bits set behind its length: is `{meant}` meant?")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn set(networks: &[&str]) -> NetworkSet {
        networks.iter().map(|text| text.parse::<Network>().unwrap()).collect()
    }

    fn has(set: &NetworkSet, address: &str) -> bool {
        set.contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_a_network_or_not() {
        let set = set(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "255.255.255.255"]);
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "192.0.2.7",
            "2001:db8::",
            "::1",
            "255.255.255.255",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "::ffff:10.1.2.3",
        ] {
            assert!(has(&set, inside), "{inside}");
        }
        for outside in
            ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "::2", "::", "0.0.0.0"]
        {
            assert!(!has(&set, outside), "{outside}");
        }
        assert!(!has(&NetworkSet::default(), "10.0.0.1"));
    }

    #[test]
    fn the_whole_of_a_version_is_a_network() {
        let v4 = set(&["0.0.0.0/0"]);
        assert!(has(&v4, "0.0.0.0") && has(&v4, "255.255.255.255") && !has(&v4, "::1"));
        let v6 = set(&["::/0"]);
        assert!(has(&v6, "::") && has(&v6, "ffff::") && !has(&v6, "10.0.0.1"));
    }

    #[test]
    fn neighbours_become_one() {
        let set = set(&["10.0.0.0/25", "10.0.0.128/25", "10.0.0.64/26", "10.0.1.0/24"]);
        assert_eq!(set.v4.starts.len(), 1);
        assert!(has(&set, "10.0.1.255") && !has(&set, "10.0.2.0"));
    }

    #[test]
    fn a_list_names_its_bad_lines() {
        let good = "# office\n10.0.0.0/8\n\n  192.0.2.7   # printer\r\n2001:db8::/32";
        assert_eq!(read_list(good).unwrap().len(), 3);
        let wrong = read_list("10.0.0.0/8\nexample.com\n10.0.0.1/8\n").unwrap_err();
        assert!(wrong.contains("line 2: `example.com` is no address"), "{wrong}");
        assert!(wrong.contains("line 3: `10.0.0.1/8` has bits") && wrong.contains("`10.0.0.0/8`"));
        let many = read_list(&"x\n".repeat(100)).unwrap_err();
        assert!(many.contains("line 5:") && many.ends_with("and 95 more"), "{many}");
        assert_eq!(read_list("").unwrap(), []);
    }

    proptest! {
        /// The set says what each network by itself says.
        #[test]
        fn the_set_agrees_with_its_networks(
            raw in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..40),
            probes in prop::collection::vec(any::<u32>(), 0..40),
        ) {
            let networks: Vec<Network> = raw
                .iter()
                .map(|(bits, prefix)| {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
                    Network::new(Ipv4Addr::from_bits(bits & mask).into(), *prefix).unwrap()
                })
                .collect();
            let set: NetworkSet = networks.iter().copied().collect();
            let ends = networks.iter().flat_map(|network| [network.first(), network.last()]);
            let probes = probes.into_iter().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
            for address in ends.chain(probes) {
                let expected = networks.iter().any(|network| {
                    network.first() <= address && address <= network.last()
                });
                prop_assert_eq!(set.contains(address), expected, "{}", address);
            }
        }
    }
}
