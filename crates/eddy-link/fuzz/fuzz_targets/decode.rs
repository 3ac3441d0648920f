//! Any bytes through the decoder: no panic, and nothing beyond the limits.
#![no_main]

use bytes::BytesMut;
use eddy_link::frame::{Decoder, MAX_HEAD_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let decoder = Decoder::new(1 << 16);
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
        assert!(frame.head.len() <= MAX_HEAD_BYTES);
        assert!(frame.head.len() + frame.body.len() <= 1 << 16);
    }
});
