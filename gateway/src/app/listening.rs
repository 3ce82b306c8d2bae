//! Which addresses are bound, across reloads: new ones first, so that a reload that cannot have
//! them changes nothing; removed ones last.

use std::{
    mem,
    net::UdpSocket,
    sync::{Arc, Weak},
};

use weir_config::{
    Diagnostics, Loaded,
    model::{Bind, Config, Listener, Protocols},
};

use crate::{
    listen::bind::{BindError, Bound, ListenSocket, bind, bind_udp},
    quic::{QuicSocket, Steering},
};

/// How often another port is tried where the system picks one that only TCP has free.
const TRIES: usize = 16;

/// Addresses bound, by what the file calls them.
#[derive(Debug, Default)]
pub(super) struct Listening {
    bound: Vec<Place>,
    /// UDP addresses let go of, with what lives as long as a worker has a socket there.
    parting: Vec<(Bind, Weak<Steering>)>,
}

/// One address, over TCP or a Unix socket, over UDP, or both.
#[derive(Debug)]
struct Place {
    /// As the file has it.
    name: Bind,
    /// As it was bound.
    address: Bind,
    streams: Option<Bound>,
    quic: Option<Quic>,
}

/// UDP sockets of an address.
#[derive(Debug)]
struct Quic {
    /// Those that no worker has yet.
    fresh: Vec<QuicSocket>,
    steering: Weak<Steering>,
}

impl Quic {
    fn new(sockets: Vec<UdpSocket>) -> Self {
        let fresh = Steering::share(sockets);
        let steering = fresh.first().map_or_else(Weak::new, |one| Arc::downgrade(&one.steering));
        Self { fresh, steering }
    }
}

/// Addresses that nobody names any more, by what was let go there.
#[derive(Debug, Default)]
pub(super) struct Released {
    pub(super) streams: Vec<Bind>,
    pub(super) quic: Vec<Bind>,
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
            match self.missing(listener, workers) {
                Ok(place) => fresh.push(place),
                Err(error) => {
                    let error = self.whose(error);
                    errors.push(loaded.error(listener.at, error.to_string()));
                }
            }
        }
        if !errors.is_empty() {
            return Err(Diagnostics::new(errors));
        }
        for place in fresh {
            match self.bound.iter_mut().find(|old| old.name == place.name) {
                Some(old) => {
                    old.streams = old.streams.take().or(place.streams);
                    old.quic = old.quic.take().or(place.quic);
                }
                None => self.bound.push(place),
            }
        }
        Ok(())
    }

    /// What a listener needs and does not have yet.
    fn missing(&self, listener: &Listener, workers: usize) -> Result<Place, BindError> {
        let before = self.find(&listener.bind);
        let offers = listener.protocols;
        let streams = offers.over_streams() && before.is_none_or(|place| place.streams.is_none());
        let quic = offers.h3 && before.is_none_or(|place| place.quic.is_none());
        let address = before.map_or(&listener.bind, |place| &place.address);
        let (address, streams, quic) = match (streams, quic) {
            (false, false) => (address.clone(), None, None),
            (true, false) => {
                let bound = bind(address, workers)?;
                (bound.address().clone(), Some(bound), None)
            }
            (false, true) => {
                let (address, sockets) = bind_quic(address, workers)?;
                (address, None, Some(sockets))
            }
            (true, true) => {
                let (bound, sockets) = bind_both(address, workers)?;
                (bound.address().clone(), Some(bound), Some(sockets))
            }
        };
        Ok(Place { name: listener.bind.clone(), address, streams, quic })
    }

    /// Tells our own sockets that are not gone yet from those of others.
    fn whose(&self, error: BindError) -> BindError {
        match error {
            BindError::Udp(inner) => match *inner {
                BindError::InUse(bind) if self.is_parting(&bind) => {
                    BindError::Udp(Box::new(BindError::Parting(bind)))
                }
                inner => BindError::Udp(Box::new(inner)),
            },
            error => error,
        }
    }

    fn is_parting(&self, bind: &Bind) -> bool {
        self.parting.iter().any(|(old, steering)| old == bind && steering.strong_count() > 0)
    }

    fn find(&self, bind: &Bind) -> Option<&Place> {
        self.bound.iter().find(|place| place.name == *bind)
    }

    /// The sockets over TCP or a path that no worker has yet.
    pub(super) fn take_new(&mut self) -> Vec<(Bind, Vec<ListenSocket>)> {
        let sockets = self
            .bound
            .iter_mut()
            .filter_map(|place| Some((place.name.clone(), place.streams.as_mut()?.take_sockets())));
        sockets.filter(|(_, sockets)| !sockets.is_empty()).collect()
    }

    /// The sockets over UDP that no worker has yet.
    pub(super) fn take_new_quic(&mut self) -> Vec<(Bind, Vec<QuicSocket>)> {
        let sockets = self.bound.iter_mut().filter_map(|place| {
            Some((place.name.clone(), mem::take(&mut place.quic.as_mut()?.fresh)))
        });
        sockets.filter(|(_, sockets)| !sockets.is_empty()).collect()
    }

    /// Lets go of what the configuration names no more.
    pub(super) fn release_unused(&mut self, config: &Config) -> Released {
        let mut released = Released::default();
        self.parting.retain(|(_, steering)| steering.strong_count() > 0);
        for place in &mut self.bound {
            let listener = config.listeners.iter().find(|listener| listener.bind == place.name);
            let offers = listener.map(|listener| listener.protocols);
            if !offers.is_some_and(Protocols::over_streams) && place.streams.take().is_some() {
                released.streams.push(place.name.clone());
            }
            if !offers.is_some_and(|offers| offers.h3)
                && let Some(quic) = place.quic.take()
            {
                self.parting.push((place.address.clone(), quic.steering));
                released.quic.push(place.name.clone());
            }
        }
        self.bound.retain(|place| place.streams.is_some() || place.quic.is_some());
        released
    }

    /// The port that an address of the file got; none on a Unix socket.
    pub(super) fn port(&self, bind: &Bind) -> Option<u16> {
        self.find(bind)?.address.port()
    }

    /// The addresses as they were bound.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.bound.iter().map(|place| place.address.to_string()).collect()
    }

    /// Each address as the file has it, and as it was bound.
    pub(super) fn pairs(&self) -> Vec<(Bind, Bind)> {
        self.bound.iter().map(|place| (place.name.clone(), place.address.clone())).collect()
    }

    /// The addresses with what is spoken there, for the log.
    pub(super) fn describe(&self, config: &Config) -> String {
        let line = |listener: &Listener| {
            let place = self.find(&listener.bind);
            let address = place.map_or(&listener.bind, |place| &place.address);
            let Protocols { h1, h2, h3 } = listener.protocols;
            let words =
                [(listener.tls.is_some(), "tls"), (h1, "h1"), (h2, "h2"), (h3, "h3")].into_iter();
            let words: Vec<_> = words.filter(|(on, _)| *on).map(|(_, word)| word).collect();
            format!("{address} ({})", words.join(" "))
        };
        config.listeners.iter().map(line).collect::<Vec<_>>().join(", ")
    }
}

/// UDP alone, at the port that is written.
fn bind_quic(address: &Bind, workers: usize) -> Result<(Bind, Quic), BindError> {
    let written = address.port().unwrap_or_default();
    let sockets = bind_udp(address, written, workers)?;
    let port = sockets.first().and_then(|socket| socket.local_addr().ok());
    let address = address.with_port(port.map_or(written, |port| port.port()));
    Ok((address, Quic::new(sockets)))
}

/// TCP and UDP at the same port.
fn bind_both(address: &Bind, workers: usize) -> Result<(Bound, Quic), BindError> {
    // Kept until the end, so that the system does not offer the same port again.
    let mut useless = Vec::new();
    loop {
        let bound = bind(address, workers)?;
        match bind_udp(address, bound.port().unwrap_or_default(), workers) {
            Ok(sockets) => return Ok((bound, Quic::new(sockets))),
            Err(error)
                if error.is_in_use() && address.is_chosen_by_system() && useless.len() < TRIES =>
            {
                useless.push(bound);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
