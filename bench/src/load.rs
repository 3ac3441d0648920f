//! Closed-loop load: so many clients, each with one request in flight, for a bounded time.

use anyhow::Result;
use hdrhistogram::Histogram;
use std::future::Future;
use std::time::{Duration, Instant};

/// What a run gave.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) per_second: f64,
}

impl Measured {
    /// Of single requests, one after the other; not empty.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        let sum: Duration = times.iter().sum();
        times.sort_unstable();
        let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e6;
        Self {
            p50_us: at(0.5),
            p99_us: at(0.99),
            per_second: times.len() as f64 / sum.as_secs_f64(),
        }
    }
}

/// Runs `clients` loops side by side for `time`. `make` sets one client up and answers with a
/// closure that does one request.
pub(crate) async fn run<Make, Client, Setup, Op>(
    clients: usize,
    time: Duration,
    make: Make,
) -> Result<Measured>
where
    Make: Fn(usize) -> Setup,
    Setup: Future<Output = Result<Client>>,
    Client: FnMut() -> Op + Send + 'static,
    Op: Future<Output = Result<()>> + Send + 'static,
{
    let mut ready = Vec::with_capacity(clients);
    for client in 0..clients {
        ready.push(make(client).await?);
    }
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = ready
        .into_iter()
        .map(|client| tokio::spawn(one_client(client, until)))
        .collect();
    let mut all = histogram()?;
    for task in tasks {
        all.add(task.await??)?;
    }
    let elapsed = started.elapsed().as_secs_f64();
    Ok(Measured {
        p50_us: all.value_at_quantile(0.5) as f64 / 1e3,
        p99_us: all.value_at_quantile(0.99) as f64 / 1e3,
        per_second: all.len() as f64 / elapsed,
    })
}

async fn one_client<Client, Op>(mut client: Client, until: Instant) -> Result<Histogram<u64>>
where
    Client: FnMut() -> Op + Send,
    Op: Future<Output = Result<()>> + Send + 'static,
{
    let mut times = histogram()?;
    loop {
        let began = Instant::now();
        if began >= until {
            return Ok(times);
        }
        client().await?;
        times.record(u64::try_from(began.elapsed().as_nanos())?)?;
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}
