//! Load on a running node over one native link, for profiles:
//! `load ADDRESS echo|increment CLIENTS SECONDS [AGENTS]`. The clients go through the agents in turn.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a program of its own"
)]

use bytes::Bytes;
use eddy_link::{Config, Operation, Request, open};
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let clients: usize = args[2].parse().unwrap();
    let time = Duration::from_secs(args[3].parse().unwrap());
    let agents: usize = args.get(4).map_or(1, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(&args[0]).await.unwrap();
        let (link, linking) = open(stream, &Config::default());
        tokio::spawn(linking);
        let body = match args[1].as_str() {
            "echo" => Bytes::from(format!("\"{}\"", "x".repeat(1022))),
            _ => Bytes::from_static(b"null"),
        };
        let until = Instant::now() + time;
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let (link, body, method) = (link.clone(), body.clone(), args[1].clone());
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    let mut agent = client;
                    while Instant::now() < until {
                        let began = Instant::now();
                        let operation = Operation::Call {
                            agent_type: "counter".into(),
                            key: format!("a{}", agent % agents),
                            method: method.clone(),
                            snapshot: false,
                        };
                        link.request(Request::new(operation, body.clone()))
                            .await
                            .unwrap();
                        times.push(began.elapsed());
                        agent += clients;
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        times.sort_unstable();
        let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e6;
        let rate = times.len() as f64 / time.as_secs_f64();
        println!(
            "{} c{clients}: p50 {:.1} us, p99 {:.1} us, {rate:.0}/s",
            args[1],
            at(0.5),
            at(0.99)
        );
    });
}
