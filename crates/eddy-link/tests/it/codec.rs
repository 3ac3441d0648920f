//! The decoder and both sides of a connection against any bytes, however they are split.

use crate::support::{Probe, invoke};
use bytes::{Bytes, BytesMut};
use eddy_link::frame::{Decoder, Frame, HEADER_BYTES, Header, Kind, MAX_HEAD_BYTES};
use eddy_link::message::{Hello, RequestHead, ResponseHead, Window};
use eddy_link::{Config, PREFACE, Settings, Transport};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;

const MAX: u32 = 4096;

fn frame() -> impl Strategy<Value = Frame> {
    let kind = (1u8..=9).prop_map(Kind::of);
    let parts = (kind, any::<u8>(), any::<u64>());
    (parts, vec(any::<u8>(), 0..64), vec(any::<u8>(), 0..512)).prop_map(
        |((kind, flags, stream), head, body)| Frame {
            kind,
            flags,
            stream,
            head: head.into(),
            body: body.into(),
        },
    )
}

fn encode(frames: &[Frame]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for frame in frames {
        let header = Header {
            length: (frame.head.len() + frame.body.len()) as u32,
            kind: frame.kind.expect("known").number(),
            flags: frame.flags,
            head: frame.head.len() as u16,
            stream: frame.stream,
        };
        header.put(&mut bytes);
        bytes.extend_from_slice(&frame.head);
        bytes.extend_from_slice(&frame.body);
    }
    bytes
}

/// All frames of `bytes`, given in pieces that end at `cuts`.
fn decode(bytes: &[u8], cuts: &[usize]) -> (Vec<Frame>, bool) {
    let decoder = Decoder::new(MAX);
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let (mut buffer, mut frames, mut from) = (BytesMut::new(), Vec::new(), 0);
    for cut in cuts {
        buffer.extend_from_slice(&bytes[from..cut]);
        from = cut;
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
        // What is kept for later is less than one frame.
        assert!(buffer.len() < HEADER_BYTES + MAX as usize);
        assert!(decoder.missing(&buffer).unwrap_or(1) <= HEADER_BYTES + MAX as usize);
    }
    (frames, true)
}

/// A good conversation of one side, whose bytes are then changed.
fn conversation(role: bool) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut add = |kind, flags, stream, head: Vec<u8>, body: &[u8]| {
        frames.push(Frame {
            kind: Some(kind),
            flags,
            stream,
            head: head.into(),
            body: Bytes::copy_from_slice(body),
        });
    };
    let hello = Hello::new("test", Settings::default()).encode_to_vec();
    add(Kind::Hello, 0, 0, hello, b"");
    for stream in 1..=3 {
        let (kind, head, part) = if role {
            let mut head = crate::support::head(["echo", "fail", "later"][stream as usize - 1]);
            let whole = head.encode_to_vec();
            head.body_bytes = 5;
            (Kind::Request, whole, RequestHead::encode_to_vec(&head))
        } else {
            let mut head = ResponseHead::default();
            let whole = head.encode_to_vec();
            head.body_bytes = 5;
            (Kind::Response, whole, head.encode_to_vec())
        };
        add(kind, 1, stream, head, b"hello");
        add(kind, 0, stream + 3, part, b"he");
        add(Kind::Data, 1, stream + 3, Vec::new(), b"llo");
        add(
            Kind::Window,
            0,
            0,
            Window { credit: 5 }.encode_to_vec(),
            b"",
        );
        add(Kind::Ping, 0, 0, Vec::new(), b"");
    }
    if role {
        add(Kind::Cancel, 0, 2, Vec::new(), b"");
    }
    add(Kind::Goaway, 0, 0, Vec::new(), b"");
    let mut bytes = if role { PREFACE.to_vec() } else { Vec::new() };
    bytes.extend_from_slice(&encode(&frames));
    bytes
}

/// Changes to bytes: which one, and how.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    vec((any::<prop::sample::Index>(), 0u8..5, any::<u8>()), 0..6)
}

fn change(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) {
    for (index, how, value) in changes {
        if bytes.is_empty() {
            return;
        }
        let at = index.index(bytes.len());
        match how {
            0 => bytes[at] = *value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => bytes.insert(at, *value),
            3 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
    }
}

/// Lets one side read `bytes` in pieces, and waits for its end.
fn feed(as_server: bool, bytes: &[u8], piece: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (mut other, side) = tokio::io::duplex(1 << 20);
        let transport = Transport::other(side);
        let config = Config::default();
        let writing = async {
            for piece in bytes.chunks(piece.max(1)) {
                if other.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            drop(other);
        };
        if as_server {
            let (serving, _drain) = eddy_link::serve(transport, Probe::new(), &config);
            let _ = tokio::join!(serving, writing);
        } else {
            let (link, linking) = eddy_link::open(transport, &config);
            let asking = async move {
                let asks = (0..6).map(|_| link.request(invoke("echo", "x")));
                futures::future::join_all(asks).await
            };
            let _ = tokio::join!(asking, linking, writing);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn frames_survive_any_splitting(
        frames in vec(frame(), 0..8),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let bytes = encode(&frames);
        let (decoded, good) = decode(&bytes, &cuts);
        prop_assert!(good);
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn any_bytes_decode_to_frames_within_limits_or_to_an_error(
        bytes in vec(any::<u8>(), 0..6000),
        small in any::<bool>(),
        cuts in vec(any::<usize>(), 0..6),
    ) {
        let mut bytes = bytes;
        if small && bytes.len() > 8 {
            // Most random lengths are too large to get anywhere.
            (bytes[1], bytes[2], bytes[3], bytes[7]) = (bytes[1] & 15, 0, 0, 0);
            bytes[4] = bytes[4] % 9 + 1;
        }
        let (frames, _) = decode(&bytes, &cuts);
        for frame in frames {
            prop_assert!(frame.head.len() + frame.body.len() <= MAX as usize);
            prop_assert!(frame.head.len() <= MAX_HEAD_BYTES);
        }
        // How the bytes are split changes nothing.
        prop_assert_eq!(decode(&bytes, &cuts), decode(&bytes, &[]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_server_survives_changed_conversations(changes in changes(), piece in 1usize..200) {
        let mut bytes = conversation(true);
        change(&mut bytes, &changes);
        feed(true, &bytes, piece);
    }

    #[test]
    fn a_client_survives_changed_conversations(changes in changes(), piece in 1usize..200) {
        let mut bytes = conversation(false);
        change(&mut bytes, &changes);
        feed(false, &bytes, piece);
    }
}
