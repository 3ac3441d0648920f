//! Closed-loop load: so many callers, each with one request in flight, for a bounded time after a
//! warm-up. With one caller the client runs on one thread, as a program that makes one call at a
//! time would; with more it has a thread for each core. That holds for every side alike.

use crate::rows::Figures;
use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use std::future::Future;
use std::time::{Duration, Instant};

/// What comes before the time that counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// One caller: it makes a request and waits for the answer.
pub(crate) trait Caller: Send + 'static {
    fn once(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// Runs `callers` side by side, on a runtime of their own.
pub(crate) async fn run<Make, Setup, Client>(
    callers: usize,
    time: Duration,
    make: Make,
) -> Result<Figures>
where
    Make: Fn(usize) -> Setup,
    Setup: Future<Output = Result<Client>>,
    Client: Caller,
{
    let mut runtime = match callers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    // Moved in, because it may not be dropped where this runs.
    tokio::task::block_in_place(move || runtime.block_on(on_this_runtime(callers, time, make)))
}

async fn on_this_runtime<Make, Setup, Client>(
    callers: usize,
    time: Duration,
    make: Make,
) -> Result<Figures>
where
    Make: Fn(usize) -> Setup,
    Setup: Future<Output = Result<Client>>,
    Client: Caller,
{
    let mut ready = Vec::with_capacity(callers);
    for caller in 0..callers {
        ready.push(make(caller).await?);
    }
    // What they talk to is there before the time starts.
    try_join_all(ready.iter_mut().map(Caller::once)).await?;
    let from = Instant::now() + WARM_UP;
    let tasks: Vec<_> = ready
        .into_iter()
        .map(|caller| tokio::spawn(one(caller, from, time)))
        .collect();
    let mut all = Times::new()?;
    for task in tasks {
        all.add(&task.await??)?;
    }
    all.measured(time)
}

async fn one(mut caller: impl Caller, from: Instant, time: Duration) -> Result<Times> {
    let mut times = Times::new()?;
    loop {
        let began = Instant::now();
        if began >= from + time {
            return Ok(times);
        }
        caller.once().await?;
        if began >= from {
            times.record(began.elapsed())?;
        }
    }
}

/// The same with a thread for each caller, for clients that block.
pub(crate) fn threads<Make, Call>(callers: usize, time: Duration, make: Make) -> Result<Figures>
where
    Make: Fn(usize) -> Result<Call>,
    Call: FnMut() -> Result<()> + Send,
{
    let ready = (0..callers).map(make).collect::<Result<Vec<_>>>()?;
    let from = Instant::now() + WARM_UP;
    let all = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let running: Vec<_> = ready
                .into_iter()
                .map(|call| scope.spawn(move || one_thread(call, from, time)))
                .collect();
            let mut all = Times::new()?;
            for thread in running {
                let times = thread.join().ok().context("a client panicked")?;
                all.add(&times?)?;
            }
            anyhow::Ok(all)
        })
    })?;
    all.measured(time)
}

fn one_thread(
    mut call: impl FnMut() -> Result<()>,
    from: Instant,
    time: Duration,
) -> Result<Times> {
    let mut times = Times::new()?;
    loop {
        let began = Instant::now();
        if began >= from + time {
            return Ok(times);
        }
        call()?;
        if began >= from {
            times.record(began.elapsed())?;
        }
    }
}

/// A single flow that keeps many requests in flight: it says itself which ones were answered.
/// `turn` does one step and hands over when each answered request was sent.
pub(crate) fn window(
    time: Duration,
    mut turn: impl FnMut(&mut Vec<Instant>) -> Result<()>,
) -> Result<Figures> {
    tokio::task::block_in_place(|| {
        let from = Instant::now() + WARM_UP;
        let mut times = Times::new()?;
        let mut answered = Vec::new();
        loop {
            turn(&mut answered)?;
            let now = Instant::now();
            for sent in answered.drain(..).filter(|sent| *sent >= from) {
                times.record(now - sent)?;
            }
            if now >= from + time {
                return times.measured(time);
            }
        }
    })
}

/// Requests that each do the same `count` times inside: what one of them takes, by batch.
pub(crate) async fn batches<Work, Done>(
    time: Duration,
    count: u32,
    mut work: Work,
) -> Result<Figures>
where
    Work: FnMut() -> Done,
    Done: Future<Output = Result<()>>,
{
    work().await?; // warm
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < time {
        let began = Instant::now();
        work().await?;
        times.push(began.elapsed() / count);
    }
    Figures::of(times)
}

/// Times of requests, to three digits.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 60_000_000_000, 3)?))
    }

    pub(crate) fn record(&mut self, time: Duration) -> Result<()> {
        self.0.saturating_record(u64::try_from(time.as_nanos())?);
        Ok(())
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0)?;
        Ok(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// The figures of a row; an error when there are none, which is no rate of 0.
    fn measured(&self, time: Duration) -> Result<Figures> {
        ensure!(self.len() > 0, "no request was answered in {time:?}");
        Ok(self.figures(time))
    }

    /// Percentiles, if there was anything, and the rate over `time`.
    pub(crate) fn figures(&self, time: Duration) -> Figures {
        let any = self.len() > 0;
        let at = |quantile| any.then(|| self.0.value_at_quantile(quantile) as f64 / 1e3);
        Figures {
            p50_us: at(0.5),
            p99_us: at(0.99),
            per_second: Some(self.0.len() as f64 / time.as_secs_f64()),
            ..Figures::default()
        }
    }
}
