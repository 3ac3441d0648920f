//! The bytes on the wire: what docs/protocol.md and link.proto promise to other languages.

use bytes::BytesMut;
use eddy_link::frame::{Header, Kind, flags};
use eddy_link::message::{
    ErrorBody, Goaway, GuestBody, Hello, OperationKind, Ping, RequestHead, ResponseHead, Window,
};
use prost::Message;

const PROTO: &str = include_str!("../../proto/link.proto");

/// The fields of a message in link.proto: name, number, and whether it has a length.
fn fields(message: &str) -> Vec<(String, u64, bool)> {
    let start = format!("message {message} {{\n");
    let (_, rest) = PROTO.split_once(&start).expect("the message is there");
    let (text, _) = rest.split_once("\n}").expect("it ends");
    let fields = text.lines().map(|line| {
        let (field, _) = line.split_once(';').expect("a field");
        let (left, number) = field.split_once(" = ").expect("a number");
        let mut words = left.split_whitespace().rev();
        let name = words.next().expect("a name").to_owned();
        let kind = words.next().expect("a type");
        let varint = matches!(kind, "uint32" | "uint64" | "bool" | "Operation");
        (name, number.parse().expect("a number"), !varint)
    });
    fields.collect()
}

fn varint(bytes: &mut &[u8]) -> u64 {
    prost::encoding::decode_varint(bytes).expect("a varint")
}

/// The fields in an encoded message: number, and whether it has a length.
fn encoded(message: &impl Message) -> Vec<(u64, bool)> {
    let bytes = message.encode_to_vec();
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let value = varint(&mut rest);
        match key & 7 {
            0 => {}
            2 => rest = &rest[usize::try_from(value).expect("small")..],
            other => panic!("wire type {other}"),
        }
        found.push((key >> 3, key & 7 == 2));
    }
    found
}

/// Every field is set, so all of them are encoded, under the numbers of link.proto.
fn agrees(name: &str, message: &(impl Message + std::fmt::Debug)) {
    let (fields, shown) = (fields(name), format!("{message:?}"));
    let numbers: Vec<_> = fields
        .iter()
        .map(|(_, number, long)| (*number, *long))
        .collect();
    assert_eq!(encoded(message), numbers, "{name}");
    let mut rest = &shown[..];
    for (field, _, _) in &fields {
        let (_, after) = rest
            .split_once(&format!("{field}: "))
            .unwrap_or_else(|| panic!("{name} has no {field} in its place: {shown}"));
        rest = after;
    }
}

#[test]
fn messages_agree_with_link_proto() {
    let text = || Some("x".to_owned());
    let guest = GuestBody {
        name: "x".to_owned(),
        stack: text(),
        status: Some(409),
        details: text(),
    };
    agrees("GuestBody", &guest);
    let error = ErrorBody {
        code: "x".to_owned(),
        detail: "x".to_owned(),
        hint: text(),
        status: 500,
        retry_after_ms: Some(1),
        guest: Some(GuestBody::default()),
        retryable: true,
    };
    agrees("ErrorBody", &error);
    let goaway = Goaway {
        last_stream: 1,
        reason: Some(ErrorBody::default()),
    };
    agrees("Goaway", &goaway);
    agrees("Ping", &Ping { id: 1 });
    agrees("Window", &Window { credit: 1 });
    let response = ResponseHead {
        invocation: vec![1; 16].into(),
        body_bytes: 1,
    };
    agrees("ResponseHead", &response);
    agrees("RequestHead", &request());
    let hello = Hello {
        token: text(),
        ..Hello::new("x", eddy_link::Settings::default())
    };
    agrees("Hello", &hello);
}

fn request() -> RequestHead {
    RequestHead {
        operation: OperationKind::SubmitFunction as i32,
        agent_type: "t".to_owned(),
        key: "k".to_owned(),
        name: "n".to_owned(),
        body_bytes: 1,
        timeout_ms: 2,
        idempotency_key: Some("i".to_owned()),
        traceparent: Some("p".to_owned()),
        snapshot: true,
        tenant: Some("a".to_owned()),
    }
}

#[test]
fn a_request_by_hand() {
    // The example in docs/protocol.md.
    let head = RequestHead {
        operation: OperationKind::CallAgent as i32,
        agent_type: "cart".to_owned(),
        key: "alice".to_owned(),
        name: "view".to_owned(),
        ..RequestHead::default()
    };
    let head = head.encode_to_vec();
    assert_eq!(head, b"\x08\x01\x12\x04cart\x1a\x05alice\x22\x04view");
    let mut bytes = BytesMut::new();
    let header = Header {
        length: u32::try_from(head.len()).expect("small") + 2,
        kind: Kind::Request.number(),
        flags: flags::END,
        head: u16::try_from(head.len()).expect("small"),
        stream: 1,
    };
    header.put(&mut bytes);
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(b"{}");
    let expected = b"\x17\0\0\0\x02\x01\x15\0\x01\0\0\0\0\0\0\0\
        \x08\x01\x12\x04cart\x1a\x05alice\x22\x04view{}";
    assert_eq!(&bytes[..], &expected[..]);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(page.contains(&hex[..16].join(" ")), "the header's bytes");
    assert!(page.contains(&hex[16..].join(" ")), "the payload's bytes");
    assert!(page.contains(PROTO.trim()), "the messages");
}

#[test]
fn kinds_have_their_numbers() {
    let numbers = (1..=9).map(|number| Kind::of(number).expect("known"));
    let names: Vec<_> = numbers.map(|kind| format!("{kind:?}")).collect();
    let expected = "Hello Request Response Data Window Cancel Ping Pong Goaway";
    assert_eq!(names.join(" "), expected);
    for (number, kind) in [(2, Kind::Request), (9, Kind::Goaway)] {
        assert_eq!(kind.number(), number);
    }
    assert_eq!((Kind::of(0), Kind::of(10)), (None, None));
}
