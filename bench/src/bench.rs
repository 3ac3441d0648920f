//! One run: the plan, the rows so far, and the peers. Suites put their work in here, one row at a
//! time, so that nothing else runs while a row is measured.

use crate::args::{Plan, Suite};
use crate::floors::flush;
use crate::peers::{Peer, Peers};
use crate::process::Server;
use crate::rows::{Figures, Rows, Sample, Side};
use anyhow::Result;
use std::future::Future;

pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) rows: Rows,
    pub(crate) peers: Peers,
    pub(crate) round: usize,
    pub(crate) suite: Suite,
    /// Suites that ended early, and why.
    pub(crate) failures: Vec<String>,
}

impl Bench {
    pub(crate) fn new(plan: Plan, peers: Peers) -> Self {
        Self {
            plan,
            rows: Rows::default(),
            peers,
            round: 1,
            suite: Suite::Message,
            failures: Vec::new(),
        }
    }

    /// Probes the disk, does the work and adds its figures. What fails becomes a note of the row, and
    /// the run goes on.
    pub(crate) async fn row(
        &mut self,
        side: Side,
        id: &'static str,
        title: &str,
        work: impl Future<Output = Result<Figures>>,
    ) -> bool {
        // Rows block this task; between two of them it may be told to stop.
        tokio::task::yield_now().await;
        let probe = tokio::task::block_in_place(flush::probe);
        let measured = match probe {
            Ok(flush_us) => work.await.map(|figures| (flush_us, figures)),
            Err(error) => Err(error),
        };
        let round = self.round;
        let row = self.rows.row(self.suite, side, id, title);
        match measured {
            Ok((flush_us, figures)) => {
                eprintln!("  {title}: {}", crate::report::short(&figures));
                row.samples.push(Sample {
                    round,
                    figures,
                    flush_us,
                });
                true
            }
            Err(error) => {
                eprintln!("  {title}: {error:#}");
                self.note(id, format!("{error:#}"));
                false
            }
        }
    }

    /// Adds what a reader of this row has to know, once.
    pub(crate) fn note(&mut self, id: &str, note: String) {
        let row = self.rows.0.iter_mut().find(|row| row.id == id);
        if let Some(row) = row.filter(|row| !row.notes.contains(&note)) {
            row.notes.push(note);
        }
    }

    /// Takes the figures of a row back: the measurement turned out not to be what it says.
    pub(crate) fn invalid(&mut self, id: &str) {
        if let Some(row) = self.rows.0.iter_mut().find(|row| row.id == id) {
            row.samples.clear();
        }
    }

    /// Starts a peer. Without `--peers` there is none; when it cannot be had a row says why.
    pub(crate) async fn start(&mut self, peer: Peer) -> Option<Server> {
        if !self.plan.peers {
            return None;
        }
        match self.peers.start(peer).await {
            Ok(server) => Some(server),
            Err(error) => {
                self.missing(peer, &error);
                None
            }
        }
    }

    /// Says in a row of its own why there are no figures of a peer.
    pub(crate) fn missing(&mut self, peer: Peer, error: &anyhow::Error) {
        eprintln!("  {}: {error:#}", peer.name());
        let id = peer.missing(self.suite);
        let row = self.rows.row(self.suite, Side::Peer, id, peer.name());
        let note = format!("not measured: {error:#}");
        if !row.notes.contains(&note) {
            row.notes.push(note);
        }
    }
}
