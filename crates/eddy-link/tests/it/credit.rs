//! Flow control as a property: whatever a client asks, grants, cancels and in which order, it gets
//! no byte more than it granted, and no byte that it granted is lost.

use crate::support::{Raw, Served, at_once, large, raw_client};
use eddy_link::frame::{Kind, flags};
use eddy_link::message::{Ping, Window};
use eddy_link::{Reply, Responder, Settings};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const MAX_STREAMS: u32 = 6;
const LARGEST: usize = 200_000;

#[derive(Clone, Debug)]
enum Op {
    Ask,
    /// One of those open, with an answer of so many bytes.
    Answer(prop::sample::Index, usize),
    Cancel(prop::sample::Index),
    /// One of the streams, and the connection.
    Grant(prop::sample::Index, u32, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let any = any::<prop::sample::Index>;
    prop_oneof![
        4 => Just(Op::Ask),
        3 => (any(), 0..LARGEST).prop_map(|(index, size)| Op::Answer(index, size)),
        1 => any().prop_map(Op::Cancel),
        3 => (any(), 1..90_000u32, 1..90_000u32).prop_map(|(i, a, b)| Op::Grant(i, a, b)),
    ]
}

/// What the client knows of a stream.
struct Stream {
    responder: Option<Responder>,
    granted: usize,
    got: usize,
    /// Bytes of the answer, once it was given.
    total: Option<usize>,
    cancelled: bool,
}

struct Client {
    raw: Raw,
    served: Served,
    streams: BTreeMap<u64, Stream>,
    granted: usize,
    got: usize,
    next: u64,
}

impl Client {
    async fn start() -> Self {
        let config = at_once(MAX_STREAMS);
        let (mut raw, served) = raw_client(&config).await;
        raw.greet().await;
        Self {
            raw,
            served,
            streams: BTreeMap::new(),
            granted: Settings::FLOOR.connection_window as usize,
            got: 0,
            next: 1,
        }
    }

    /// Takes one frame; true for a PONG.
    async fn take(&mut self) -> bool {
        let frame = self.raw.next().await.expect("the connection is open");
        self.got += frame.body.len();
        assert!(self.got <= self.granted, "more than the connection takes");
        if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.got += frame.body.len();
            assert!(stream.got <= stream.granted, "more than the stream takes");
            let ends = frame.has(flags::END);
            assert!(!ends || stream.total.is_none_or(|total| total == stream.got));
        }
        frame.kind == Some(Kind::Pong)
    }

    /// Everything sent so far was read, and what it made the server write has come.
    async fn settle(&mut self) {
        let ping = Ping { id: 1 };
        self.raw.frame(Kind::Ping.number(), 0, 0, &ping, b"").await;
        while !self.take().await {}
    }

    async fn grant(&mut self, stream: u64, credit: usize) {
        let credit = u32::try_from(credit).expect("small");
        let window = Window { credit };
        let kind = Kind::Window.number();
        self.raw.frame(kind, 0, stream, &window, b"").await;
    }

    async fn ask(&mut self) {
        let id = self.next;
        self.next += 1;
        self.raw.request(id, "keep", b"").await;
        self.settle().await;
        let kept = self.served.probe.kept.lock().pop();
        let refused = kept.is_none();
        let stream = Stream {
            responder: kept.map(|(_, responder)| responder),
            granted: Settings::FLOOR.stream_window as usize,
            got: 0,
            total: None,
            // What a refusal is made of is tried elsewhere.
            cancelled: refused,
        };
        self.streams.insert(id, stream);
        let live = self.streams.values().filter(|s| s.responder.is_some());
        assert!(live.count() <= MAX_STREAMS as usize, "too many at once");
    }

    async fn apply(&mut self, op: &Op) {
        let pick = |index: &prop::sample::Index, streams: &BTreeMap<u64, Stream>| {
            (!streams.is_empty()).then(|| index.index(streams.len()) as u64 + 1)
        };
        match op {
            Op::Ask => self.ask().await,
            Op::Answer(index, size) => {
                let Some(id) = pick(index, &self.streams) else {
                    return;
                };
                let stream = self.streams.get_mut(&id).expect("asked");
                if let Some(responder) = stream.responder.take() {
                    stream.total = Some(*size);
                    let body = large(*size);
                    responder.finish(Ok(Reply {
                        invocation: None,
                        body,
                    }));
                }
            }
            Op::Cancel(index) => {
                let Some(id) = pick(index, &self.streams) else {
                    return;
                };
                self.streams.get_mut(&id).expect("asked").cancelled = true;
                let kind = Kind::Cancel.number();
                self.raw.frame(kind, 0, id, &(), b"").await;
            }
            Op::Grant(index, of_stream, of_connection) => {
                self.granted += *of_connection as usize;
                self.grant(0, *of_connection as usize).await;
                if let Some(id) = pick(index, &self.streams) {
                    let stream = self.streams.get_mut(&id).expect("asked");
                    stream.granted += *of_stream as usize;
                    self.grant(id, *of_stream as usize).await;
                }
            }
        }
        self.settle().await;
    }

    /// Grants what is missing and not a byte more: then every answer arrives whole.
    async fn finish(&mut self) {
        self.granted += 100 * LARGEST;
        self.grant(0, 100 * LARGEST).await;
        let missing = self.streams.iter_mut().filter_map(|(id, stream)| {
            let missing = stream
                .total?
                .checked_sub(stream.granted)
                .filter(|n| *n > 0)?;
            stream.granted += missing;
            Some((*id, missing))
        });
        let missing: Vec<_> = missing.collect();
        for (id, missing) in missing {
            self.grant(id, missing).await;
        }
        let lacks = |stream: &Stream| {
            !stream.cancelled && stream.total.is_some_and(|total| stream.got < total)
        };
        while self.streams.values().any(lacks) {
            self.take().await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn credit_is_neither_lost_nor_exceeded(ops in vec(op(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut client = Client::start().await;
            for op in &ops {
                client.apply(op).await;
            }
            let end = tokio::time::timeout(Duration::from_secs(5), client.finish());
            end.await.expect("what was granted comes");
        });
    }
}
