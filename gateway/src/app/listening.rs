//! Which addresses are bound, across reloads: new ones first, so that a reload that cannot have
//! them changes nothing; removed ones last.

use weir_config::{
    Diagnostics, Loaded,
    model::{Bind, Config, Listener},
};

use crate::listen::bind::{Bound, ListenSocket, bind};

/// Addresses bound, by what the file calls them.
#[derive(Debug, Default)]
pub(super) struct Listening {
    bound: Vec<(Bind, Bound)>,
}

impl Listening {
    /// Binds what the configuration names and is not bound yet.
    ///
    /// # Errors
    /// Every address that cannot be bound, at its line; nothing new stays bound then.
    pub(super) fn bind_missing(
        &mut self,
        loaded: &Loaded,
        workers: usize,
    ) -> Result<(), Diagnostics> {
        let (mut fresh, mut errors) = (Vec::new(), Vec::new());
        for listener in &loaded.config.listeners {
            if self.find(&listener.bind).is_some() {
                continue;
            }
            match bind(&listener.bind, workers) {
                Ok(bound) => fresh.push((listener.bind.clone(), bound)),
                Err(error) => errors.push(loaded.error(listener.at, error.to_string())),
            }
        }
        if !errors.is_empty() {
            return Err(Diagnostics::new(errors));
        }
        self.bound.extend(fresh);
        Ok(())
    }

    fn find(&self, bind: &Bind) -> Option<&Bound> {
        self.bound.iter().find(|(name, _)| name == bind).map(|(_, bound)| bound)
    }

    /// The sockets that no worker has yet.
    pub(super) fn take_new(&mut self) -> Vec<(Bind, Vec<ListenSocket>)> {
        let sockets =
            self.bound.iter_mut().map(|(name, bound)| (name.clone(), bound.take_sockets()));
        sockets.filter(|(_, sockets)| !sockets.is_empty()).collect()
    }

    /// Lets go of what the configuration names no more.
    pub(super) fn release_unused(&mut self, config: &Config) -> Vec<Bind> {
        let used = |bind: &Bind| config.listeners.iter().any(|listener| listener.bind == *bind);
        let gone = self.bound.extract_if(.., |(name, _)| !used(name));
        gone.map(|(name, _)| name).collect()
    }

    /// The addresses as they were bound.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.bound.iter().map(|(_, bound)| bound.address().to_string()).collect()
    }

    /// Each address as the file has it, and as it was bound.
    pub(super) fn pairs(&self) -> Vec<(Bind, Bind)> {
        self.bound.iter().map(|(name, bound)| (name.clone(), bound.address().clone())).collect()
    }

    /// The addresses with what is spoken there, for the log.
    pub(super) fn describe(&self, config: &Config) -> String {
        let line = |listener: &Listener| {
            let bound = self.find(&listener.bind);
            let address = bound.map_or_else(|| &listener.bind, |bound| bound.address());
            let tls = if listener.tls.is_some() { "tls " } else { "" };
            let protocols = match (listener.protocols.h1, listener.protocols.h2) {
                (true, true) => "h1 h2",
                (true, false) => "h1",
                (false, _) => "h2",
            };
            format!("{address} ({tls}{protocols})")
        };
        config.listeners.iter().map(line).collect::<Vec<_>>().join(", ")
    }
}
