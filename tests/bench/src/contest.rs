//! Informers in turns against one server, each run in a process of its own: the lines and the table of all comparisons.
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::connect::{Encoding, Server, Strategy};
use crate::informer::Record;
use crate::objects::ObjectKind;
use crate::peers::{Peer, Programs};
use crate::process::cpu_seconds;
use crate::table;

/// Who takes part, where a choice makes two of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// This library.
    Kubewright,
    /// kube-rs, which speaks JSON alone.
    KubeRs,
    /// client-go, over one of its encodings.
    ClientGo(Encoding),
}

impl Contender {
    fn peer(self) -> Peer {
        match self {
            Self::Kubewright => Peer::Kubewright,
            Self::KubeRs => Peer::KubeRs,
            Self::ClientGo(_) => Peer::ClientGo,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ClientGo(Encoding::Json) => "client-go, JSON",
            Self::ClientGo(Encoding::Protobuf) => "client-go, protobuf",
            Self::Kubewright | Self::KubeRs => self.peer().name(),
        }
    }
}

/// Which sort of server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answering {
    /// Ours, with objects rendered in advance.
    #[default]
    Prepared,
    /// An API server.
    Real,
}

/// One run of one of them. What is missing in lines of earlier days is what it was then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Whose.
    pub peer: Peer,
    /// Against what.
    #[serde(default)]
    pub server: Answering,
    /// Of what.
    pub kind: ObjectKind,
    /// How the initial state was asked for.
    pub strategy: Strategy,
    /// Handlers that every event was delivered to.
    #[serde(default = "one")]
    pub handlers: usize,
    /// What the objects were made of.
    pub seed: u64,
    /// What was measured.
    #[serde(flatten)]
    pub record: Record,
    /// Processor time of the server from the start of the run to its end.
    #[serde(default)]
    pub server_cpu_seconds: f64,
}

fn one() -> usize {
    1
}

impl Line {
    fn contender(&self) -> Contender {
        match self.peer {
            Peer::Kubewright => Contender::Kubewright,
            Peer::KubeRs => Contender::KubeRs,
            Peer::ClientGo | Peer::ControllerRuntime => Contender::ClientGo(self.record.encoding),
        }
    }
}

/// Informers against one server.
#[derive(Clone, Copy, Debug)]
pub struct Contest<'a> {
    /// The programs.
    pub programs: &'a Programs,
    /// The server.
    pub server: &'a Server,
    /// The server's process, whose processor time is told as well; none if it is not of this machine.
    pub server_process: Option<u32>,
    /// Who takes part. Those that can not be run are left out.
    pub contenders: &'a [Contender],
    /// The ways to ask for the initial state, each measured.
    pub strategies: &'a [Strategy],
    /// What is cached.
    pub kind: ObjectKind,
    /// Events after the sync.
    pub events: usize,
    /// Handlers that they are delivered to.
    pub handlers: usize,
    /// What the objects were made of, for the lines.
    pub seed: u64,
}

impl Contest<'_> {
    /// Runs everyone so many times in turns, and prints the line of each run when it ends.
    ///
    /// # Errors
    /// When one of them fails.
    pub async fn rounds(&self, rounds: usize) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for _ in 0..rounds {
            for (contender, strategy) in self.turns() {
                let line = self.run(contender, strategy).await?;
                crate::cli::print(&line)?;
                lines.push(line);
            }
        }
        Ok(lines)
    }

    /// Runs everyone once and tells nobody, so that the server has done what it does only once.
    ///
    /// # Errors
    /// When one of them fails.
    pub async fn warm_up(&self) -> Result<()> {
        for (contender, strategy) in self.turns() {
            self.run(contender, strategy).await?;
        }
        Ok(())
    }

    fn turns(&self) -> impl Iterator<Item = (Contender, Strategy)> {
        let able = self.contenders.iter().filter(|contender| self.programs.has(contender.peer()));
        able.flat_map(|contender| self.strategies.iter().map(|strategy| (*contender, *strategy)))
    }

    async fn run(&self, contender: Contender, strategy: Strategy) -> Result<Line> {
        let (kind, strategy_name) = (self.kind.plural(), strategy.name());
        let (events, handlers) = (self.events.to_string(), self.handlers.to_string());
        let place = self.server.place()?;
        let arguments: Vec<&str> = match contender {
            Contender::Kubewright => {
                let what = ["informer", self.server.option(), place, "--kind", kind, "--strategy", strategy_name];
                [what.as_slice(), &["--events", &events, "--handlers", &handlers]].concat()
            }
            Contender::KubeRs => vec!["informer", place, kind, strategy_name, &events],
            Contender::ClientGo(encoding) => {
                vec!["informer", place, kind, strategy_name, &events, encoding.name(), &handlers]
            }
        };
        let server_seconds = || self.server_process.map_or(0.0, cpu_seconds);
        let before = server_seconds();
        let mut record: Record = self.programs.run(contender.peer(), &arguments).await?;
        if let Contender::ClientGo(encoding) = contender {
            // It says nothing of it, and speaks what it is told to.
            record.encoding = encoding;
        }
        Ok(Line {
            peer: contender.peer(),
            server: if self.server.has_trigger() { Answering::Prepared } else { Answering::Real },
            kind: self.kind,
            strategy,
            handlers: self.handlers,
            seed: self.seed,
            record,
            server_cpu_seconds: server_seconds() - before,
        })
    }
}

/// What is compared.
struct Figure {
    name: &'static str,
    of: fn(&Line) -> f64,
    better: Better,
}

#[derive(Clone, Copy)]
enum Better {
    Less,
    More,
}

const FIGURES: [Figure; 7] = [
    Figure { name: "sync s", of: |line| line.record.sync_seconds, better: Better::Less },
    Figure { name: "CPU s", of: |line| line.record.cpu_seconds, better: Better::Less },
    Figure { name: "CPU s, server", of: |line| line.server_cpu_seconds, better: Better::Less },
    Figure { name: "MiB after sync", of: |line| mebibytes(line.record.rss_bytes_after_sync), better: Better::Less },
    Figure { name: "MiB settled", of: |line| mebibytes(line.record.rss_bytes_settled), better: Better::Less },
    Figure { name: "MiB peak of sync", of: |line| mebibytes(line.record.rss_bytes_peak), better: Better::Less },
    Figure { name: "events/s", of: |line| line.record.events_per_second, better: Better::More },
];

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The medians of all runs of one of them by one strategy.
struct Entry {
    contender: Contender,
    strategy: Strategy,
    medians: Vec<f64>,
}

/// Renders the medians of everyone, and how many times better ours are, by each strategy and by the better of both. What
/// nobody measured has no column.
pub fn table(lines: &[Line]) -> String {
    let figures: Vec<&Figure> =
        FIGURES.iter().filter(|figure| lines.iter().any(|line| (figure.of)(line) > 0.0)).collect();
    let entries = entries(lines, &figures);
    let head = ["", "strategy"].into_iter().chain(figures.iter().map(|figure| figure.name));
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for entry in &entries {
        let cells = entry.medians.iter().map(|median| table::number(*median));
        let names = [entry.contender.name(), entry.strategy.name()].map(str::to_owned);
        rows.push(names.into_iter().chain(cells).collect());
    }
    let mut peers: Vec<Contender> = entries.iter().map(|entry| entry.contender).collect();
    peers.dedup();
    peers.retain(|contender| *contender != Contender::Kubewright);
    for peer in peers {
        rows.extend(ratios(&entries, &figures, peer));
    }
    table::render(&rows)
}

fn entries(lines: &[Line], figures: &[&Figure]) -> Vec<Entry> {
    let mut who: Vec<(Contender, Strategy)> = Vec::new();
    for line in lines {
        let own = (line.contender(), line.strategy);
        if !who.contains(&own) {
            who.push(own);
        }
    }
    let entry = |(contender, strategy)| {
        let own = lines.iter().filter(|line| (line.contender(), line.strategy) == (contender, strategy));
        let own: Vec<&Line> = own.collect();
        let median = |figure: &&Figure| table::median(own.iter().map(|line| (figure.of)(line)));
        Entry { contender, strategy, medians: figures.iter().map(median).collect() }
    };
    who.into_iter().map(entry).collect()
}

fn ratios(entries: &[Entry], figures: &[&Figure], peer: Contender) -> Vec<Vec<String>> {
    let of = |contender| entries.iter().filter(move |entry: &&Entry| entry.contender == contender);
    let row = |name: &str, strategy: Option<Strategy>| {
        let best = |contender, at: usize| {
            let medians = of(contender).filter(|entry| strategy.is_none_or(|only| entry.strategy == only));
            let medians = medians.map(|entry| entry.medians[at]);
            match figures[at].better {
                Better::Less => medians.fold(f64::INFINITY, f64::min),
                Better::More => medians.fold(f64::NEG_INFINITY, f64::max),
            }
        };
        let ratios = (0..figures.len()).map(|at| {
            let (ours, theirs) = (best(Contender::Kubewright, at), best(peer, at));
            table::times(match figures[at].better {
                Better::Less => theirs / ours,
                Better::More => ours / theirs,
            })
        });
        [format!("better than {}", peer.name()), name.to_owned()].into_iter().chain(ratios).collect()
    };
    let common = of(peer).map(|entry| entry.strategy);
    let common: Vec<Strategy> =
        common.filter(|strategy| of(Contender::Kubewright).any(|ours| ours.strategy == *strategy)).collect();
    let mut rows: Vec<Vec<String>> = common.iter().map(|strategy| row(strategy.name(), Some(*strategy))).collect();
    if common.len() > 1 {
        rows.push(row("best", None));
    }
    rows
}

#[cfg(test)]
mod tests;
