//! The task of one connection.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::oneshot, time::Sleep};

use super::{H3Connection, SECTION_BYTES};
use crate::{
    clock,
    h3::{
        code::Code,
        frame::{ControlItem, Role},
        settings::Settings,
    },
    quic::{Connection, ControlStreams, Lost},
};

/// What the task holds.
pub(super) struct Driving {
    quic: Rc<Connection>,
    connection: Weak<H3Connection>,
    control: ControlStreams,
    pulse: Pulse,
    settle: Option<oneshot::Sender<Result<(), Lost>>>,
}

impl Driving {
    pub(super) fn new(
        quic: Rc<Connection>,
        connection: Weak<H3Connection>,
        patience: Duration,
        settle: oneshot::Sender<Result<(), Lost>>,
    ) -> Self {
        let settings =
            Settings { max_field_section: Some(SECTION_BYTES as u64), ..Settings::default() };
        let control = ControlStreams::new(Role::Client, &settings);
        let pulse = Pulse { patience, sleep: None, heard: 0, asked: false };
        Self { quic, connection, control, pulse, settle: Some(settle) }
    }

    /// Runs the connection to its end.
    pub(super) async fn run(mut self) {
        let lost = poll_fn(|cx| self.poll_turn(cx)).await;
        self.settle(Err(lost));
        if let Some(connection) = self.connection.upgrade() {
            connection.end(lost);
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Lost> {
        self.quic.begin_turn(cx);
        if let Poll::Ready(Ok(())) = self.quic.poll_connected() {
            if let Err(code) = self.poll_streams(cx) {
                self.condemn(code);
            }
            if self.poll_pulse(cx).is_ready() {
                self.condemn(Code::NoError);
            }
        }
        self.quic.poll_drive(cx)
    }

    fn settle(&mut self, outcome: Result<(), Lost>) {
        if let Some(settle) = self.settle.take() {
            // Whoever opened the connection may be gone.
            let _ = settle.send(outcome);
        }
    }

    /// What concerns the connection as a whole.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Result<(), Code> {
        if self.quic.accept_bi().is_some() {
            // Only clients open such streams (RFC 9114 section 6.1).
            return Err(Code::StreamCreationError);
        }
        let mut settled = false;
        let connection = &self.connection;
        self.control.poll(&self.quic, cx, |item| match item {
            ControlItem::GoAway(id) => {
                if let Some(connection) = connection.upgrade() {
                    connection.refuse_from(id);
                }
            }
            ControlItem::Settings(settings) => {
                if let Some(connection) = connection.upgrade() {
                    connection.connects.set(settings.connect_protocol);
                }
                settled = true;
            }
            // Only servers hear it.
            ControlItem::MaxPushId(_) => {}
        })?;
        if settled {
            self.settle(Ok(()));
        }
        Ok(())
    }

    /// Ready when the peer is dead.
    fn poll_pulse(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let busy = |connection: Rc<H3Connection>| connection.streams.get() > 0;
        if self.connection.upgrade().is_some_and(busy) {
            return self.pulse.poll(&self.quic, cx);
        }
        self.pulse.sleep = None;
        Poll::Pending
    }

    fn condemn(&self, code: Code) {
        match self.connection.upgrade() {
            Some(connection) => connection.condemn(code),
            None => self.quic.close(code.value(), ""),
        }
    }
}

/// Looks now and then whether anything is heard of the peer. QUIC itself waits for much longer, so
/// that a connection may rest.
#[derive(Debug)]
struct Pulse {
    patience: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Bytes heard at the last look.
    heard: u64,
    /// Nothing had come then: the peer was asked for a sign of life.
    asked: bool,
}

impl Pulse {
    fn poll(&mut self, quic: &Connection, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let heard = quic.bytes_received();
                let silent = heard == self.heard;
                if silent && self.asked {
                    return Poll::Ready(());
                }
                if silent {
                    quic.ping();
                }
                (self.heard, self.asked) = (heard, silent);
            } else {
                (self.heard, self.asked) = (quic.bytes_received(), false);
            }
            let next = (clock::now() + self.patience).instant();
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(next),
                empty => *empty = Some(Box::pin(tokio::time::sleep_until(next))),
            }
        }
    }
}
