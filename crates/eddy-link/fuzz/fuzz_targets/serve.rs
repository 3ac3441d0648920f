//! Any bytes to a server. The first byte says in which pieces the others come.
#![no_main]

use eddy_link::{Config, Handler, Reply, Request, Responder, Transport};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

struct Echo;

impl Handler for Echo {
    fn handle(&self, request: Request, responder: Responder) {
        let body = request.body;
        responder.finish(Ok(Reply {
            invocation: None,
            body,
        }));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let transport = Transport::other(server);
        let (serving, _drain) = eddy_link::serve(transport, Arc::new(Echo), &Config::default());
        let writing = async move {
            for piece in bytes.chunks(usize::from(*piece).max(1)) {
                if client.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::join!(serving, writing);
    });
});
