//! Any bytes to a client that has requests open. The first byte says in which pieces they come.
#![no_main]

use eddy_link::{Config, Operation, Request, Transport};
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncWriteExt as _;

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (mut server, client) = tokio::io::duplex(1 << 20);
        let (link, linking) = eddy_link::open(Transport::other(client), &Config::default());
        let ask = || {
            let function = "f".to_owned();
            link.request(Request::new(Operation::Invoke { function }, "x".into()))
        };
        let asking = async { tokio::join!(ask(), ask(), ask()) };
        let writing = async move {
            for piece in bytes.chunks(usize::from(*piece).max(1)) {
                if server.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::join!(asking, linking, writing);
    });
});
