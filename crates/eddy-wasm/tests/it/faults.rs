//! Everything a guest can do wrong gives its own fault and harms no other instance.

use crate::support::{TestHost, code, counter, fault, function, instance, ok, turn};
use bytes::Bytes;
use eddy_types::{EddyError, ErrorCode};
use eddy_wasm::{CancelReason, CancelToken, Fault, InstanceLimits, TrapKind};
use std::time::Duration;

fn kind(fault: &Fault) -> TrapKind {
    match fault {
        Fault::Trap { kind, .. } => *kind,
        other => panic!("not a trap: {other:?}"),
    }
}

#[tokio::test]
async fn a_trap_says_what_and_where() {
    let fault = fault(&function("trap")).await;
    assert_eq!(kind(&fault), TrapKind::Unreachable);
    let error = EddyError::from(fault);
    assert_eq!(error.code, ErrorCode::GuestTrap);
    assert!(
        error.detail.contains("\nat bench_guest::support::trap"),
        "{}",
        error.detail
    );
}

#[tokio::test]
async fn a_panic_is_a_trap_and_its_message_is_in_the_log() {
    let (mut instance, host) = (instance().await, TestHost::default());
    let fault = turn(&mut instance, &function("panic"), "null", &host)
        .await
        .expect_err("a trap");
    assert_eq!(kind(&fault), TrapKind::Unreachable);
    let log = host.log_lines();
    assert!(
        log.iter().any(|(_, line)| line.contains("on purpose")),
        "{log:?}"
    );
}

#[tokio::test]
async fn an_exit_is_a_trap() {
    let fault = fault(&function("exit")).await;
    assert_eq!(kind(&fault), TrapKind::Exit);
}

#[tokio::test]
async fn endless_recursion_ends_in_a_stack_overflow() {
    let fault = fault(&function("stack")).await;
    assert_eq!(kind(&fault), TrapKind::StackOverflow);
}

#[tokio::test]
async fn a_memory_hog_meets_its_limit() {
    let limits = InstanceLimits {
        memory: 8 << 20,
        ..InstanceLimits::default()
    };
    let token = CancelToken::new();
    let mut instance = code()
        .instantiate(&limits, None, &token)
        .await
        .expect("it starts");
    let fault = turn(
        &mut instance,
        &function("hog"),
        "null",
        &TestHost::default(),
    )
    .await
    .expect_err("a fault");
    assert_eq!(fault, Fault::MemoryLimit { limit: 8 << 20 });
    assert!(instance.memory_bytes() <= 8 << 20);
    let error = EddyError::from(fault);
    assert_eq!(error.code, ErrorCode::MemoryLimit);
    assert_eq!(
        error.detail,
        "the guest needs more than its 8 MiB of memory"
    );
}

#[tokio::test]
async fn a_guest_too_large_to_start_meets_its_limit() {
    let limits = InstanceLimits {
        memory: 1 << 16,
        ..InstanceLimits::default()
    };
    let started = code().instantiate(&limits, None, &CancelToken::new()).await;
    assert_eq!(started.err(), Some(Fault::MemoryLimit { limit: 1 << 16 }));
}

#[tokio::test]
async fn a_result_that_is_not_json_is_refused() {
    let fault = fault(&function("garbage")).await;
    assert!(matches!(fault, Fault::InvalidResult { .. }), "{fault:?}");
    assert_eq!(EddyError::from(fault).code, ErrorCode::InvalidResult);
}

#[tokio::test]
async fn an_instance_runs_nothing_after_a_fault() {
    let mut instance = instance().await;
    let host = TestHost::default();
    turn(&mut instance, &function("trap"), "null", &host)
        .await
        .expect_err("a trap");
    let fault = turn(&mut instance, &function("hello"), "null", &host)
        .await
        .expect_err("unusable");
    assert!(fault.to_string().contains("used after a fault"), "{fault}");
}

// One thread: the loop must give way by itself for the other instance to run at all.
#[tokio::test(flavor = "current_thread")]
async fn an_endless_loop_runs_beside_others_until_it_is_stopped() {
    let (mut looping, mut working) = (instance().await, instance().await);
    let token = CancelToken::new();
    let spin = function("spin");
    let spinning = looping.handle(
        &spin,
        Bytes::from("null"),
        Box::new(TestHost::default()),
        &token,
    );
    let beside = async {
        for _ in 0..50 {
            assert_eq!(
                ok(&mut working, &function("hello"), "null").await,
                "\"hello\""
            );
            tokio::task::yield_now().await;
        }
        token.cancel(CancelReason::Timeout);
    };
    let (stopped, ()) = tokio::join!(spinning, beside);
    let Err(Fault::Timeout { backtrace }) = stopped else {
        panic!("{stopped:?}")
    };
    assert!(
        backtrace.contains("bench_guest::support::spin"),
        "{backtrace}"
    );
    let error = EddyError::from(Fault::Timeout { backtrace });
    assert_eq!(error.code, ErrorCode::DeadlineExceeded);
    assert_eq!(
        ok(&mut working, &function("hello"), "null").await,
        "\"hello\""
    );
}

#[tokio::test]
async fn a_waiting_turn_is_stopped_at_once_and_its_effects_end() {
    let (mut instance, host, token) = (instance().await, TestHost::default(), CancelToken::new());
    let sleep = function("sleep_ms");
    let sleeping = instance.handle(
        &sleep,
        Bytes::from("600000"),
        Box::new(host.clone()),
        &token,
    );
    let stop = async {
        while host.count_under_way() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        token.cancel(CancelReason::Abort);
    };
    let (stopped, ()) = tokio::join!(sleeping, stop);
    let fault = stopped.expect_err("stopped");
    assert_eq!(fault, Fault::Aborted);
    assert_eq!(EddyError::from(fault).code, ErrorCode::TurnAborted);
    assert_eq!(host.count_under_way(), 0);
}

#[tokio::test]
async fn a_dropped_turn_leaves_the_instance_unusable() {
    let (mut instance, host) = (instance().await, TestHost::default());
    let sleep = function("sleep_ms");
    let token = CancelToken::new();
    let sleeping = instance.handle(
        &sleep,
        Bytes::from("600000"),
        Box::new(host.clone()),
        &token,
    );
    assert!(
        tokio::time::timeout(Duration::from_millis(5), sleeping)
            .await
            .is_err()
    );
    let fault = turn(&mut instance, &function("hello"), "null", &host).await;
    assert!(fault.is_err());
    drop(instance);
    assert_eq!(host.count_under_way(), 0);
}

#[tokio::test]
async fn faults_after_writes_are_faults_too() {
    let fault = fault(&counter("trap_after_write")).await;
    assert_eq!(kind(&fault), TrapKind::Unreachable);
}
