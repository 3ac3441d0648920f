use super::*;
use eddy_types::{AgentId, MethodName};
use futures::FutureExt as _;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn source(app: &str, target: InvocationTarget, id: u128) -> Arc<LogSource> {
    Arc::new(LogSource::new(name(app), target, MessageId(id)))
}

fn of_agent(agent_type: &str, key: &str) -> Arc<LogSource> {
    let key = Key::new(key).expect("a key");
    let agent = AgentId::new(TenantId::default_tenant(), name(agent_type), key);
    let method = MethodName::new("add").expect("a method");
    source("shop", InvocationTarget::Method(agent, method), 1)
}

fn hub() -> LogHub {
    LogHub::new(CancellationToken::new())
}

fn log(hub: &LogHub) -> Arc<TenantLog> {
    hub.of(&TenantId::default_tenant())
}

fn say(log: &TenantLog, source: &Arc<LogSource>, text: &str) {
    log.push(Timestamp(5), LogLevel::Info, text.to_owned(), source);
}

fn reader(hub: &LogHub, start: LogStart) -> LogReader {
    let closing = hub.closing.clone();
    LogReader::begin(log(hub), LogFilter::default(), start, closing).expect("there is room")
}

/// What a reader hears at once: its lines' texts, or what else there is.
fn heard(reader: &mut LogReader) -> String {
    match reader.next().now_or_never() {
        None => "nothing".to_owned(),
        Some(LogNews::Lines(lines)) => {
            let texts: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
            texts.join(" ")
        }
        Some(news) => format!("{news:?}"),
    }
}

#[test]
fn readers_go_on_where_they_were_and_hear_each_line_once() {
    let (hub, cart) = (hub(), of_agent("cart", "a"));
    let log = log(&hub);
    for text in ["1", "2", "3"] {
        say(&log, &cart, text);
    }
    let mut all = reader(&hub, LogStart::Recent(100));
    let mut two = reader(&hub, LogStart::Recent(2));
    let mut new = reader(&hub, LogStart::Recent(0));
    assert_eq!(heard(&mut all), "1 2 3");
    assert_eq!(
        (heard(&mut two), heard(&mut new)),
        ("2 3".into(), "nothing".into())
    );
    say(&log, &cart, "4");
    for reader in [&mut all, &mut two, &mut new] {
        assert_eq!(
            (heard(reader), heard(reader)),
            ("4".into(), "nothing".into())
        );
    }
    let second = log.older(&LogFilter::default(), u64::MAX, 3)[2].id;
    let mut resumed = reader(&hub, LogStart::After(second));
    assert_eq!(heard(&mut resumed), "3 4");
}

#[test]
fn who_is_too_slow_is_told_how_much_went_by() {
    let (hub, cart) = (hub(), of_agent("cart", "a"));
    let log = log(&hub);
    let mut slow = reader(&hub, LogStart::Recent(0));
    for n in 0..MAX_LOG_LINES_KEPT + 7 {
        say(&log, &cart, &n.to_string());
    }
    assert_eq!(heard(&mut slow), "Missed(Some(7))");
    assert!(heard(&mut slow).starts_with("7 8 9 "));
    let long = "x".repeat(60_000);
    for _ in 0..200 {
        say(&log, &cart, &long);
    }
    let ring = log.ring.lock();
    assert!(
        ring.bytes <= MAX_LOG_BYTES_KEPT && ring.lines.len() > 10,
        "{}",
        ring.bytes
    );
}

#[test]
fn an_id_of_an_earlier_life_starts_with_a_gap() {
    let hub = hub();
    say(&log(&hub), &of_agent("cart", "a"), "new");
    for id in ["1-0", &format!("{:x}-77", hub.epoch)] {
        let mut reader = reader(&hub, LogStart::After(id.parse().expect("an id")));
        assert_eq!(heard(&mut reader), "Missed(None)", "{id}");
        assert_eq!(heard(&mut reader), "new");
    }
    for bad in ["", "1", "x-1", "1-y"] {
        assert!(bad.parse::<LogId>().is_err(), "{bad:?}");
    }
}

#[test]
fn each_part_of_a_filter_narrows_it_down() {
    let hub = hub();
    let log = log(&hub);
    let function = source("chat", InvocationTarget::Function(name("greet")), 2);
    say(&log, &of_agent("cart", "a"), "a");
    say(&log, &of_agent("cart", "b"), "b");
    say(&log, &function, "f");
    log.push(Timestamp(9), LogLevel::Error, "late".into(), &function);
    let found = |filter: LogFilter| {
        let lines = log.older(&filter.fixed(), u64::MAX, 10);
        let texts: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        texts.join(" ")
    };
    let all = LogFilter::default;
    let agent_type = Some(name("cart"));
    assert_eq!(found(all()), "late f b a");
    assert_eq!(
        found(LogFilter {
            app: Some(name("shop")),
            ..all()
        }),
        "b a"
    );
    assert_eq!(
        found(LogFilter {
            function: Some(name("greet")),
            ..all()
        }),
        "late f"
    );
    assert_eq!(
        found(LogFilter {
            agent_type: agent_type.clone(),
            ..all()
        }),
        "b a"
    );
    let key = Some(Key::new("a").expect("a key"));
    assert_eq!(
        found(LogFilter {
            agent_type,
            key,
            ..all()
        }),
        "a"
    );
    assert_eq!(
        found(LogFilter {
            invocation: Some(MessageId(2)),
            ..all()
        }),
        "late f"
    );
    assert_eq!(
        found(LogFilter {
            level: Some(LogLevel::Warn),
            ..all()
        }),
        "late"
    );
    let since = Some(LogSince::At(Timestamp(6)));
    assert_eq!(found(LogFilter { since, ..all() }), "late");
    let since = Some(LogSince::Ago(Duration::from_secs(60)));
    assert_eq!(found(LogFilter { since, ..all() }), "");
}

#[test]
fn tenants_have_logs_of_their_own_and_readers_are_bounded() {
    let hub = hub();
    let other = hub.of(&TenantId::new("other").expect("a tenant"));
    say(&other, &of_agent("cart", "a"), "theirs");
    let mut readers: Vec<_> = (0..MAX_LOG_READERS)
        .map(|_| reader(&hub, LogStart::Recent(10)))
        .collect();
    assert_eq!(heard(&mut readers[0]), "nothing");
    let closing = hub.closing.clone();
    let start = LogStart::Recent(1);
    let one_more = LogReader::begin(log(&hub), LogFilter::default(), start, closing);
    assert_eq!(one_more.err().expect("no room").code, ErrorCode::Overloaded);
    readers.pop();
    drop(reader(&hub, start));
    hub.closing.cancel();
    assert_eq!(heard(&mut readers[0]), "Stopping");
}

#[test]
fn a_failure_marks_its_lines_and_is_one() {
    let hub = hub();
    let who = || {
        let agent = of_agent("cart", "a");
        let source = LogSource::new(agent.app.clone(), agent.target.clone(), agent.invocation);
        (TenantId::default_tenant(), source)
    };
    let mut turn = TurnLog::default();
    turn.line(&hub, LogLevel::Warn, "only 3 left", who);
    let error = EddyError::new(ErrorCode::GuestError, "out of stock");
    let kept = turn.end(&hub, Some(&error), who);
    assert_eq!(kept.len(), 1, "the record has the error itself");
    let lines = log(&hub).older(&LogFilter::default(), u64::MAX, 10);
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.message.as_str(), line.source.failed()))
        .collect();
    let failed = Some(ErrorCode::GuestError);
    let wanted = [
        ("failed: guest-error: out of stock", failed),
        ("only 3 left", failed),
    ];
    assert_eq!(told, wanted);
    assert!(TurnLog::default().end(&hub, None, who).is_empty());
}
