//! Keys of scripts.

use super::{
    Fallback::{Absent, Is},
    Key,
    Kind::{Choice, Count, Duration, Section, Size, Text},
    Short,
};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "routes[].script",
        Section,
        Absent("no script"),
        "A Lua script with hooks that see, change or answer the route's requests and responses.",
    )
    .or(&[Short::Off, Short::For("file")]),
    Key::new(
        "routes[].script.file",
        Text("the path of a Lua file, relative to this file"),
        Absent("`inline` has the text"),
        "The script, in a file of its own; it is watched, and loaded anew when it changes.",
    ),
    Key::new(
        "routes[].script.inline",
        Text("the text of a Lua script"),
        Absent("`file` has it"),
        "The script itself.",
    ),
    Key::new(
        "routes[].script.timeout",
        Duration(1, 10_000),
        Is("50ms"),
        "How long one hook may run; what it waits for (`weir.http`) does not count.",
    ),
    Key::new(
        "routes[].script.steps",
        Count(1_000, 1_000_000_000),
        Is("1000000"),
        "How many calls and turns of loops one hook may make.",
    ),
    Key::new(
        "routes[].script.memory",
        Size(2 << 20, 1 << 30),
        Is("16MiB"),
        "Memory that the script may use on each worker.",
    ),
    Key::new(
        "routes[].script.on_error",
        Choice(&["fail", "pass"]),
        Is("fail"),
        "What follows where a hook fails: the request is answered 500, or goes on as if there were \
         no hook.",
    ),
];
