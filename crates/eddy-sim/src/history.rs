//! Whether what clients of one agent saw could have happened one after another (linearizability).

use crate::answers::versions_of;
use crate::cast::Op;
use crate::clients::{ClientOp, Known};
use crate::plan::Target;
use std::collections::HashSet;

/// What an operation did, as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It counted up and answered with the new count.
    Counted(i64),
    /// It read the count.
    Read(i64),
    /// It may have counted up.
    MayCount,
    /// It deleted the agent, and said whether there was one.
    Deleted(bool),
    /// It may have deleted the agent.
    MayDelete,
    /// It gave the agent this count, and said whether there was one before.
    Imported(i64, bool),
    /// It may have given the agent this count.
    MayImport(i64),
}

#[derive(Clone, Copy, Debug)]
struct Event {
    start: u32,
    end: u32,
    seen: Seen,
}

/// Whether it counts up, perhaps by more than one.
fn counts(op: &ClientOp) -> bool {
    op.script
        .iter()
        .any(|op| matches!(op, Op::Inc { .. } | Op::Move { .. }))
}

fn event(op: &ClientOp) -> Option<Event> {
    let count = op
        .result
        .as_ref()
        .and_then(versions_of)
        .and_then(|(n, _)| n);
    let seen = match (op.target, op.known) {
        (_, Known::Failed) => return None,
        (Target::Value(_), _) => Seen::Read(count?),
        (Target::Run(_), Known::Answered) if counts(op) => Seen::Counted(count?),
        (Target::Run(_), Known::Answered) => Seen::Read(count?),
        (Target::Delete(_), Known::Answered) => {
            let existed = matches!(&op.result, Some(Ok(bytes)) if bytes.as_ref() == b"true");
            Seen::Deleted(existed)
        }
        (Target::Import(_, imported), Known::Answered) => {
            let existed = matches!(&op.result, Some(Ok(bytes)) if bytes.as_ref() == b"true");
            Seen::Imported(imported.count, existed)
        }
        (Target::Import(_, imported), _) => Seen::MayImport(imported.count),
        (Target::Run(_), _) => Seen::MayCount,
        (Target::Delete(_), _) => Seen::MayDelete,
        (Target::Function | Target::Background, _) => return None,
    };
    let open = matches!(seen, Seen::MayCount | Seen::MayDelete | Seen::MayImport(_));
    Some(Event {
        start: op.started,
        end: if open { u32::MAX } else { op.ended },
        seen,
    })
}

/// A count that only ever goes up, also by others than clients. Its operations have an
/// order by count; it must agree with the order in time.
pub(crate) fn check_counter(ops: &[&ClientOp]) -> Result<(), String> {
    let events: Vec<Event> = ops.iter().filter_map(|op| event(op)).collect();
    for (place, first) in events.iter().enumerate() {
        for second in &events[place + 1..] {
            let (first, second) = if first.end < second.end {
                (first, second)
            } else {
                (second, first)
            };
            check_pair(first, second)?;
        }
    }
    Ok(())
}

fn check_pair(first: &Event, second: &Event) -> Result<(), String> {
    let (Some(a), Some(b)) = (count_of(first), count_of(second)) else {
        return Ok(());
    };
    let counts = |event: &Event| matches!(event.seen, Seen::Counted(_));
    if counts(first) && counts(second) && a == b {
        return Err(format!("both {first:?} and {second:?} count"));
    }
    if first.end < second.start && (b < a || (b == a && counts(second))) {
        return Err(format!("{second:?} comes after {first:?}"));
    }
    Ok(())
}

fn count_of(event: &Event) -> Option<i64> {
    match event.seen {
        Seen::Counted(count) | Seen::Read(count) => Some(count),
        _ => None,
    }
}

/// The state of a register: its count while it exists.
type State = Option<i64>;

/// A count that can be deleted, changed by clients only: a search for an order (Wing and Gong,
/// "Testing and Verifying Concurrent Objects", 1993), remembering where it has been.
pub(crate) fn check_register(ops: &[&ClientOp]) -> Result<(), String> {
    let mut events: Vec<Event> = ops.iter().filter_map(|op| event(op)).collect();
    events.sort_by_key(|event| event.start);
    if events.len() > 128 {
        return Ok(()); // more than the set below holds; runs are far shorter
    }
    let mut been = HashSet::new();
    if search(&events, 0, None, &mut been) {
        return Ok(());
    }
    Err(format!("{events:?}"))
}

fn search(events: &[Event], done: u128, state: State, been: &mut HashSet<(u128, State)>) -> bool {
    let open = |place: usize| done & (1 << place) == 0;
    let unanswered = |event: &Event| event.end == u32::MAX;
    let mut left = events.iter().enumerate().filter(|(place, _)| open(*place));
    if left.all(|(_, event)| unanswered(event)) {
        return true;
    }
    if !been.insert((done, state)) {
        return false;
    }
    let first_end = events
        .iter()
        .enumerate()
        .filter(|(place, _)| open(*place))
        .map(|(_, event)| event.end)
        .min()
        .unwrap_or(u32::MAX);
    events.iter().enumerate().any(|(place, event)| {
        open(place)
            && event.start <= first_end
            && next_state(event.seen, state)
                .is_some_and(|next| search(events, done | (1 << place), next, been))
    })
}

/// The state after an operation; none when it could not have answered so.
fn next_state(seen: Seen, state: State) -> Option<State> {
    let count = state.unwrap_or(0);
    match seen {
        Seen::Counted(answer) => (answer == count + 1).then_some(Some(answer)),
        Seen::Read(answer) => (answer == count).then_some(state),
        Seen::MayCount => Some(Some(count + 1)),
        Seen::Deleted(existed) => (existed == state.is_some()).then_some(None),
        Seen::MayDelete => Some(None),
        Seen::Imported(count, existed) => (existed == state.is_some()).then_some(Some(count)),
        Seen::MayImport(count) => Some(Some(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(start: u32, end: u32, seen: Seen) -> Event {
        Event { start, end, seen }
    }

    fn possible(events: &[Event]) -> bool {
        search(events, 0, None, &mut HashSet::new())
    }

    #[test]
    fn a_stale_read_is_found() {
        let counted = event(1, 2, Seen::Counted(1));
        let stale = event(3, 4, Seen::Read(0));
        assert!(!possible(&[counted, stale]));
        assert!(check_pair(&counted, &stale).is_err());
        let overlapping = event(2, 4, Seen::Read(0));
        assert!(possible(&[counted, overlapping]));
        assert!(check_pair(&counted, &overlapping).is_ok());
    }

    #[test]
    fn a_lost_and_a_doubled_count_are_found() {
        let first = event(1, 2, Seen::Counted(1));
        assert!(!possible(&[first, event(3, 4, Seen::Counted(3))]));
        assert!(!possible(&[first, event(1, 4, Seen::Counted(1))]));
        let maybe = event(1, u32::MAX, Seen::MayCount);
        assert!(possible(&[first, maybe, event(3, 4, Seen::Counted(3))]));
    }

    #[test]
    fn a_deletion_starts_again() {
        let events = [
            event(1, 2, Seen::Counted(1)),
            event(3, 6, Seen::Deleted(true)),
            event(4, 7, Seen::Counted(1)),
            event(8, 9, Seen::Read(1)),
        ];
        assert!(possible(&events));
        assert!(!possible(&[events[0], event(3, 4, Seen::Deleted(false))]));
    }

    #[test]
    fn an_import_sets_the_count() {
        let imported = event(1, 2, Seen::Imported(7, false));
        assert!(possible(&[imported, event(3, 4, Seen::Counted(8))]));
        assert!(!possible(&[imported, event(3, 4, Seen::Counted(1))]));
        assert!(!possible(&[
            imported,
            event(3, 4, Seen::Imported(9, false))
        ]));
        let maybe = event(3, u32::MAX, Seen::MayImport(20));
        assert!(possible(&[imported, maybe, event(5, 6, Seen::Read(20))]));
        assert!(possible(&[imported, maybe, event(5, 6, Seen::Read(7))]));
    }
}
