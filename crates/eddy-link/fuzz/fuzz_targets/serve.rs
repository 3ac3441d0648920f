//! Any bytes to a server. The first byte says in which pieces the others come. What the handler holds
//! stays within the limits, and all room for bodies is free in the end.
#![no_main]

use eddy_link::{Config, Handler, Reply, Request, Responder, Room, Settings, Transport};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

const MAX_STREAMS: u32 = 4;
const ROOM: usize = 1 << 20;

struct Echo {
    kept: Mutex<Vec<(Request, Responder)>>,
    room: Arc<Semaphore>,
}

impl Handler for Echo {
    /// Keeps requests until one comes without a body.
    fn handle(&self, request: Request, responder: Responder) {
        let mut kept = self.kept.lock().expect("no panic");
        let answer = request.body.is_empty();
        kept.push((request, responder));
        assert!(kept.len() <= MAX_STREAMS as usize);
        if answer {
            for (Request { body, .. }, responder) in kept.drain(..) {
                responder.finish(Ok(Reply {
                    invocation: None,
                    body,
                }));
            }
        }
    }

    fn reserve(&self, bytes: usize) -> Option<Room> {
        let bytes = u32::try_from(bytes).ok()?;
        let permit = self.room.clone().try_acquire_many_owned(bytes);
        permit.ok().map(Room::new)
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
        let config = Config {
            settings: Settings {
                max_streams: MAX_STREAMS,
                ..Settings::default()
            },
            ..Config::default()
        };
        let echo = Arc::new(Echo {
            kept: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM)),
        });
        let (serving, _drain) = eddy_link::serve(transport, echo.clone(), &config);
        let writing = async move {
            for piece in bytes.chunks(usize::from(*piece).max(1)) {
                if client.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::join!(serving, writing);
        echo.kept.lock().expect("no panic").clear();
        assert_eq!(echo.room.available_permits(), ROOM);
    });
});
