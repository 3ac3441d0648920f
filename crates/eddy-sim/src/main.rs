//! Runs seeds by hand: `eddy-sim SEED` prints the log of one, `eddy-sim --from A --count N` looks
//! for one that fails. `--mutation NAME` breaks a rule, `--steps N` makes runs longer.

use eddy_sim::{Mutation, Options, run};
use std::io::Write as _;
use std::process::ExitCode;

struct Wanted {
    from: u64,
    count: Option<u64>,
    options: Options,
}

fn main() -> ExitCode {
    let wanted = match parse(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    let mut counters = std::collections::BTreeMap::new();
    for seed in wanted.from..wanted.from + wanted.count.unwrap_or(1) {
        match run(seed, &wanted.options) {
            Ok(report) => {
                if wanted.count.is_none() {
                    let _ = std::io::stdout().write_all(&report.log);
                }
                for (what, times) in report.counters {
                    *counters.entry(what).or_insert(0) += times;
                }
            }
            Err(violation) if wanted.count.is_none() => {
                let _ = std::io::stdout().write_all(&violation.log);
                println!("step {}: {}", violation.step, violation.what);
                return ExitCode::FAILURE;
            }
            Err(violation) => {
                println!("seed {seed}, step {}: {}", violation.step, violation.what);
                failed += 1;
            }
        }
    }
    println!("{counters:#?}\n{failed} seeds failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        from: 0,
        count: None,
        options: Options::default(),
    };
    while let Some(arg) = args.next() {
        let mut number = || -> Result<u64, String> {
            let text = args.next().ok_or(format!("{arg} needs a number"))?;
            text.parse().map_err(|_| format!("{text} is not a number"))
        };
        match arg.as_str() {
            "--from" => wanted.from = number()?,
            "--count" => wanted.count = Some(number()?),
            "--steps" => {
                wanted.options.steps =
                    u32::try_from(number()?).map_err(|error| error.to_string())?;
            }
            "--mutation" => wanted.options.mutation = Some(mutation(args.next())?),
            seed => wanted.from = seed.parse().map_err(|_| format!("{seed} is not a seed"))?,
        }
    }
    Ok(wanted)
}

fn mutation(name: Option<String>) -> Result<Mutation, String> {
    let name = name.unwrap_or_default();
    let known = eddy_sim::MUTATIONS
        .iter()
        .find(|known| format!("{known:?}") == name);
    known
        .copied()
        .ok_or(format!("one of {:?}, not {name:?}", eddy_sim::MUTATIONS))
}
