//! SIGINT and SIGTERM: the first one stops the applications of a process gracefully, the next one ends the process.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A signal that stops a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopSignal {
    Interrupt,
    Terminate,
}

impl StopSignal {
    /// The exit code of a process that the signal ends, as shells report it.
    fn exit_code(self) -> i32 {
        match self {
            StopSignal::Interrupt => 130,
            StopSignal::Terminate => 143,
        }
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopSignal::Interrupt => "SIGINT",
            StopSignal::Terminate => "SIGTERM",
        })
    }
}

/// The time that a process has after the drain limit of its application: to return from `main`, and to drop what it has.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// Ends the process with the exit code 1 after a second, unless it has ended by then.
pub(super) fn end_process_soon() {
    let ended = std::thread::Builder::new()
        .name("brubeck-exit".to_owned())
        .spawn(|| {
            std::thread::sleep(EXIT_GRACE);
            tracing::warn!(
                "a second after the drain limit handlers still block threads of this process; ending it"
            );
            std::process::exit(1);
        });
    if let Err(error) = ended {
        tracing::error!(%error, "cannot start the thread that ends this process");
    }
}

/// Waits for the first signal on behalf of one application, until it is dropped.
///
/// While any application of the process has a listener, the first signal is for the listeners. Every other signal ends the process at once,
/// because tokio has replaced the default action of the signals for good.
pub(super) struct SignalListener(watch::Receiver<SignalState>);

#[derive(Debug, Default)]
struct SignalState {
    listeners: usize,
    /// The first signal since there are listeners.
    first: Option<StopSignal>,
}

impl SignalListener {
    /// Adds a listener. Returns `None` if signals cannot be received: then their default action ends the process.
    pub(super) fn new() -> Option<SignalListener> {
        let state = signal_state()?;
        state.send_modify(|state| {
            if state.listeners == 0 {
                state.first = None;
            }
            state.listeners += 1;
        });
        Some(SignalListener(state.subscribe()))
    }

    /// Returns the first signal since the process has listeners. Cancel safe.
    pub(super) async fn first(&mut self) -> StopSignal {
        match self
            .0
            .wait_for(|state| state.first.is_some())
            .await
            .map(|state| state.first)
        {
            Ok(Some(signal)) => signal,
            // The sender is static, so this does not happen.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for SignalListener {
    fn drop(&mut self) {
        if let Some(state) = signal_state() {
            state.send_modify(|state| state.listeners = state.listeners.saturating_sub(1));
        }
    }
}

/// Returns the state of the signals of this process. The first call starts the thread that receives them.
fn signal_state() -> Option<&'static watch::Sender<SignalState>> {
    static STATE: OnceLock<Option<watch::Sender<SignalState>>> = OnceLock::new();
    STATE
        .get_or_init(|| {
            let state = watch::Sender::default();
            let (ready, is_ready) = std::sync::mpsc::channel();
            let thread = std::thread::Builder::new().name("brubeck-signals".to_owned());
            let receiving = state.clone();
            // A thread of its own, so that a process whose threads are all blocked by handlers can be stopped.
            thread
                .spawn(move || receive(&receiving, || ready.send(()).is_ok()))
                .ok()?;
            // Fails if the thread cannot receive signals.
            is_ready.recv().ok().map(|()| state)
        })
        .as_ref()
}

/// Receives the signals of the process. Returns at once if that is not possible.
fn receive(state: &watch::Sender<SignalState>, ready: impl FnOnce() -> bool) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        return;
    };
    runtime.block_on(async {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        if !ready() {
            return;
        }
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => StopSignal::Interrupt,
                _ = terminate.recv() => StopSignal::Terminate,
            };
            let is_first = state.send_if_modified(|state| {
                let is_first = state.listeners > 0 && state.first.is_none();
                if is_first {
                    state.first = Some(signal);
                }
                is_first
            });
            if !is_first {
                tracing::warn!("{signal}: stopping at once; what is in progress is given up");
                std::process::exit(signal.exit_code());
            }
        }
    });
}
