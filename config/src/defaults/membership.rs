//! Keys of the membership.

use super::{
    ADVERTISE, BIND,
    Fallback::{Absent, Is, Required},
    Key,
    Kind::{Secret, Secrets, Section, Text, Texts},
    NAME, SEED, Short,
};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "membership",
        Section,
        Absent("this gateway knows of no other"),
        "Tells gateways and `weir agent`s of each other, without a server.",
    )
    .or(&[Short::Off]),
    Key::new(
        "membership.bind",
        Text(BIND),
        Required,
        "Address to speak at, over UDP and TCP; 7946 is the usual port.",
    ),
    Key::new(
        "membership.advertise",
        Text(ADVERTISE),
        Absent("`bind`"),
        "Where others reach it, if that is not `bind`; needed where `bind` is every address.",
    ),
    Key::new(
        "membership.name",
        Text(NAME),
        Absent("the machine's name and the port, such as `edge-1:7946`"),
        "What it is called: unlike all others, and the same after a restart; at most 128 bytes.",
    ),
    Key::new(
        "membership.seeds",
        Texts(SEED),
        Absent("others come to this one"),
        "Members through whom it joins, at most 64; names are looked up every 60 s. Its own \
         address among them does no harm.",
    ),
    Key::new(
        "membership.secret",
        Secret,
        Absent("`secrets` says, or none: on loopback only"),
        "What all members share, of at least 16 bytes; what they say is sealed with it.",
    ),
    Key::new(
        "membership.secrets",
        Secrets,
        Absent("`secret` says"),
        "Several, at most 8: the first seals, all open. To replace one, add the new one last \
         everywhere, then move it first, then take the old one out.",
    ),
    Key::new(
        "membership.label",
        Text("a text"),
        Is("weir"),
        "What the membership is called, at most 128 bytes: with a secret, members of others are \
         not heard.",
    ),
];
