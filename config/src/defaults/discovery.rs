//! Keys of where endpoints come from.

use super::{
    DNS_HOST, DNS_SERVER, DNS_SERVICE,
    Fallback::{Absent, Below, Is},
    Key,
    Kind::{Section, Text, Texts},
    OFFER, Short, TIMEOUT,
};

pub(super) const RESOLVER: &[Key] = &[
    Key::new("resolver", Section, Below, "Who is asked for the names of `discovery`."),
    Key::new(
        "resolver.servers",
        Texts(DNS_SERVER),
        Absent("those of /etc/resolv.conf, with its search list and /etc/hosts"),
        "DNS servers, asked over UDP, and over TCP where an answer is too long for that.",
    ),
    Key::new("resolver.timeout", TIMEOUT, Is("2s"), "How long one server may take to answer."),
];

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "upstreams.*.discovery",
        Section,
        Absent("`endpoints` says"),
        "Where endpoints come from as they come and go, instead of `endpoints`; one source.",
    )
    .or(&[Short::Off]),
    Key::new(
        "upstreams.*.discovery.members",
        Text(OFFER),
        Absent("another source"),
        "Members of `membership` that offer this service, and are ready.",
    ),
    Key::new(
        "upstreams.*.discovery.dns",
        Text(DNS_HOST),
        Absent("another source"),
        "All IPv4 addresses of a name or, where it has none, its IPv6 addresses; each is an \
         endpoint.",
    ),
    Key::new(
        "upstreams.*.discovery.dns_srv",
        Text(DNS_SERVICE),
        Absent("another source"),
        "The targets of SRV records, those of the lowest priority, with the weights that they say.",
    ),
    Key::new(
        "upstreams.*.discovery.file",
        Text("the path of a YAML file, relative to this file"),
        Absent("another source"),
        "A list in the words of `endpoints`, read again when it changes.",
    ),
];
