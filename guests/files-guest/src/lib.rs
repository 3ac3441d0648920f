//! A guest that tries what Eddy gives nobody: files and sockets. It is apart from the guest of the
//! tests and benchmarks because linking them brings some seventy imports along, which every
//! instance would pay for.

use bindings::exports::eddy::platform::guest::{Definition, Failure, Guest, Json, Target};

/// What the WIT world generates.
mod bindings {
    #![allow(missing_docs, reason = "generated from wit/, which documents it")]
    wit_bindgen::generate!({ world: "app", path: "../../wit" });
    use super::Files;
    export!(Files);
}

struct Files;

impl Guest for Files {
    fn describe() -> Result<Definition, Failure> {
        Ok(Definition {
            functions: vec!["files".to_owned()],
            agents: Vec::new(),
        })
    }

    /// What came of each attempt, whatever is asked for.
    fn handle(_: Target, _: Json) -> Result<Json, Failure> {
        let connect = std::net::TcpStream::connect("127.0.0.1:9").map_err(|error| error.kind());
        let connect = connect.map_or_else(|kind| kind.to_string(), |_| "connected".to_owned());
        let listen = std::net::TcpListener::bind("127.0.0.1:0").is_ok();
        let read = std::fs::read_dir("/").is_ok();
        let write = std::fs::write("/tmp/guest", "x").is_ok();
        let found = format!(
            r#"{{"connect":"{connect}","listen":{listen},"read":{read},"write":{write}}}"#
        );
        Ok(found.into_bytes())
    }
}
