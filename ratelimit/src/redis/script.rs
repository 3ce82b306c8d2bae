//! Programs that servers run, whole or not at all as far as others can see.

use std::sync::OnceLock;

/// A Lua script for the servers: declare it as a `static`.
///
/// It is sent once per connection, when it is first used there, and called by its name from then
/// on; a server that has forgotten it is sent it again.
#[derive(Debug)]
pub struct Script {
    pub(super) text: &'static str,
    /// What servers call it: all the same, and known from the first that was sent it.
    pub(super) name: OnceLock<String>,
    pub(super) repeatable: bool,
}

impl Script {
    /// The script `text`. It must name all keys that it touches in `KEYS`.
    pub const fn new(text: &'static str) -> Self {
        Self { text, name: OnceLock::new(), repeatable: false }
    }

    /// Lets it be sent once more, on a new connection, when the old one breaks before the answer:
    /// the server may have run it or not. Otherwise that is a failure.
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

/// A script, and what it is to work on: keys of one place.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) script: &'static Script,
    pub(super) keys: &'a [&'a [u8]],
    pub(super) arguments: &'a [&'a [u8]],
    /// Of a slot that is on its way to the node that is asked.
    pub(super) asking: bool,
}

impl<'a> Call<'a> {
    pub(super) const fn new(
        script: &'static Script,
        keys: &'a [&'a [u8]],
        arguments: &'a [&'a [u8]],
    ) -> Self {
        Self { script, keys, arguments, asking: false }
    }

    /// As `EVALSHA` or `EVAL`, with the script's name or its text.
    pub(super) fn command(&self, verb: &str, script: &str) -> redis::Cmd {
        let parts = 3 + self.keys.len() + self.arguments.len();
        let sum = |list: &[&[u8]]| list.iter().map(|part| part.len()).sum::<usize>();
        let bytes = 16 + script.len() + sum(self.keys) + sum(self.arguments);
        let mut command = redis::Cmd::with_capacity(parts, bytes);
        command.arg(verb).arg(script).arg(self.keys.len()).arg(self.keys).arg(self.arguments);
        command
    }
}
