//! Keeping time: silence, pauses and deadlines.

use super::{Driver, Phase, READ_BYTES};
use crate::frame::{Kind, violation};
use crate::message::Ping;
use crate::shared::{Role, lost};
use bytes::BytesMut;
use std::future::Future as _;
use std::task::{Context, Poll};
use tokio::time::Instant;

impl<R: Role> Driver<R> {
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.phase != Phase::Open {
                return Poll::Ready(());
            }
            let period = self.shared.config.keepalive / 2;
            self.timer.set(tokio::time::sleep(period));
            self.tick();
        }
        Poll::Pending
    }

    /// Looks for what is too late, and when to look again.
    pub(super) fn poll_alarm(&mut self, cx: &mut Context<'_>) {
        loop {
            let at = self.shared.state.lock().role.alarm();
            let Some(at) = at else {
                self.alarm_at = None;
                return;
            };
            if self.alarm_at != Some(at) {
                self.alarm_at = Some(at);
                self.alarm.as_mut().reset(at);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return;
            }
            self.alarm_at = None;
            let shared = self.shared.clone();
            let mut state = shared.state.lock();
            R::expire(&mut state, Instant::now(), &mut self.events);
            shared.flush(state);
            for event in self.events.drain(..) {
                R::act(&shared, event);
            }
        }
    }

    /// Every half of `keepalive`, and once at the time-out of the HELLO.
    fn tick(&mut self) {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        if state.hello.is_none() {
            let late = violation("the other side did not say HELLO in time");
            state.refuse(late, &mut self.events);
        }
        self.silent = if std::mem::take(&mut self.heard) {
            0
        } else {
            self.silent + 1
        };
        let waits = state.out.buffered() > 0 && !std::mem::take(&mut state.progress);
        self.stuck = if waits { self.stuck + 1 } else { 0 };
        if self.silent > 2 || self.stuck > 2 {
            state.end(lost("the other side is silent"), &mut self.events);
        } else if self.silent == 2 {
            state.out.frame(Kind::Ping, 0, &Ping { id: 1 });
        } else if self.silent == 1 && self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.read_bytes = READ_BYTES;
            state.out.shrink();
        }
        let late = state
            .receiving
            .stalled(Instant::now(), shared.config.body_timeout);
        for stream in late {
            R::stalled(&mut state, stream, &mut self.events);
        }
        shared.flush(state);
        for event in self.events.drain(..) {
            R::act(&shared, event);
        }
    }
}
