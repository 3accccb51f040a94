//! The first signal stops a process gracefully, the next one at once.

use super::process::{Process, log_to_stderr};
use crate::support::child;
use brubeck::Running;
use brubeck::prelude::*;
use futures_util::poll;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;

const SCENARIO: &str = "BRUBECK_TEST_SCENARIO";

/// Never returns.
#[get("^/wait$")]
async fn wait() -> &'static str {
    println!("waiting");
    std::future::pending().await
}

/// Blocks its thread for good.
#[get("^/block$")]
async fn block() -> &'static str {
    println!("waiting");
    loop {
        std::thread::park();
    }
}

const ROUTES: Routes<()> = routes![wait, block];

async fn start() -> Running {
    let running = App::new(ROUTES, ())
        .start(Http::bind("127.0.0.1:0"))
        .await
        .unwrap();
    println!("address {}", running.address());
    running
}

/// The child process of a [`Process`].
#[test]
fn child_process() {
    if !child::is_child(child_process) {
        return;
    }
    log_to_stderr();
    let scenario = std::env::var(SCENARIO).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let running = start().await;
        match &*scenario {
            "serve" => {
                let mut served = pin!(running.until_signal());
                assert!(poll!(&mut served).is_pending());
                println!("ready");
                served.await.unwrap();
            }
            "before" => {
                println!("ready");
                std::future::pending().await
            }
            "after" => {
                running.handle().drain();
                running.until_signal().await.unwrap();
                println!("ready");
                std::future::pending().await
            }
            "two" => {
                let other = start().await;
                let (first, second) = tokio::join!(running.until_signal(), other.until_signal());
                first.and(second).unwrap();
            }
            "restart" => {
                running.until_signal().await.unwrap();
                start().await.until_signal().await.unwrap();
            }
            _ => unreachable!(),
        }
    });
}

/// Starts the child process, which says on its standard output when it is ready.
fn start_process(scenario: &str) -> Process {
    Process::start(child::command(child_process).env(SCENARIO, scenario))
}

#[tokio::test]
async fn idle_process_ends_with_success_at_the_first_signal() {
    for signal in ["TERM", "INT"] {
        let mut process = start_process("serve");
        process.read("ready").await;
        process.signal(signal).await;
        assert!(process.exit().await.success(), "{signal}");
    }
}

#[tokio::test]
async fn first_signal_says_what_it_waits_for_and_the_second_ends_the_process() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("INT", "INT", 130),
        ("TERM", "INT", 130),
        ("INT", "TERM", 143),
    ] {
        let mut process = start_process("serve");
        process.request("/wait").await;
        process.signal(first).await;
        let log = process.wait_for_log(&["to stop at once"]).await;
        let expected = format!("SIG{first}: finishing 1 running handler and open responses, for at most 30s");
        assert!(log.contains(&expected), "{log}");
        assert_eq!(process.child.try_wait().unwrap(), None);

        process.signal(second).await;
        process
            .wait_for_log(&[&format!("SIG{second}: stopping at once")])
            .await;
        assert_eq!(process.exit().await.code(), Some(code), "{first} {second}");
    }
}

#[tokio::test]
async fn second_signal_ends_a_process_whose_threads_are_all_blocked() {
    let mut process = start_process("serve");
    process.request("/block").await;
    process.signal("INT").await;
    process.signal("TERM").await;
    let code = process.exit().await.code();
    // Both may arrive before the first is handled, and then in either order.
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
}

#[tokio::test]
async fn signal_before_and_after_until_signal_ends_the_process() {
    // Not SIGINT: a process that a shell starts in the background inherits that it is ignored.
    let mut process = start_process("before");
    process.read("ready").await;
    process.signal("TERM").await;
    assert_eq!(process.exit().await.signal(), Some(15));

    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut process = start_process("after");
        process.read("ready").await;
        process.signal(signal).await;
        assert_eq!(process.exit().await.code(), Some(code), "{signal}");
    }
}

#[tokio::test]
async fn first_signal_stops_all_applications_of_a_process() {
    let mut process = start_process("two");
    process.read("address").await;
    process.request("/wait").await;
    process.signal("TERM").await;
    let both = ["finishing 1 running handler ", "finishing 0 running handlers "];
    process.wait_for_log(&both).await;
    drop(process.request.take());
    assert!(process.exit().await.success());
}

#[tokio::test]
async fn application_that_starts_later_waits_for_a_signal_of_its_own() {
    let mut process = start_process("restart");
    for signal in ["TERM", "INT"] {
        process.request("/wait").await;
        process.signal(signal).await;
        process.wait_for_log(&[&format!("SIG{signal}: finishing")]).await;
        // The client disconnects, which ends the handler.
        drop(process.request.take());
    }
    assert!(process.exit().await.success());
}
