//! What the calls of a handler inherit while it runs, after it has responded, and after its caller has left: the same for web requests and
//! for service calls.

use brubeck::prelude::*;
use brubeck::{Client, Deadline, Message, Method, Service, ServiceAddress, TestSite, Trace};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

const SECRET: &str = "my_shared_secret";
const JOBS: &str = "ipc://run/jobs";
const OTHER: &str = "ipc://run/other";
/// Of the request, and of the calls that its handler makes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of a handler, its trace, and a signal for the end of the handler.
struct Job {
    client: Client,
    trace: String,
    ended: oneshot::Receiver<()>,
}

type Jobs = mpsc::UnboundedSender<Job>;

async fn run_job(mode: &str, services: Services, trace: Trace, jobs: State<Jobs>) -> Result<(), CallError> {
    let (_running, ended) = oneshot::channel();
    let job = Job {
        client: services.register(OTHER, SECRET)?,
        trace: trace_id(&trace),
        ended,
    };
    jobs.0.send(job).expect("a test that waits for the job");
    if mode == "wait" {
        std::future::pending().await
    }
    Ok(())
}

/// The trace without the part that differs between its members.
fn trace_id(trace: &Trace) -> String {
    trace.traceparent().to_string().chars().take(35).collect()
}

#[get("^/job/(?<mode>[a-z]+)$")]
async fn web_job(
    mode: String,
    services: Services,
    trace: Trace,
    jobs: State<Jobs>,
) -> Result<&'static str, CallError> {
    run_job(&mode, services, trace, jobs).await.map(|()| "accepted")
}

#[service_handler("^/job$")]
async fn service_job(
    mode: Arg<String>,
    services: Services,
    trace: Trace,
    jobs: State<Jobs>,
) -> Result<&'static str, CallError> {
    run_job(&mode.0, services, trace, jobs).await.map(|()| "accepted")
}

#[service_handler("^/inherited$")]
async fn inherited(deadline: Deadline, trace: Trace) -> Json<(u64, String)> {
    let remaining = deadline.remaining().map_or(0, |remaining| remaining.as_secs());
    Json((remaining, trace_id(&trace)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Running,
    Answered,
    Lost,
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_with_its_request_and_the_trace_goes_on() {
    let (jobs, mut started) = mpsc::unbounded_channel();
    let site = TestSite::of(App::new(routes![web_job], jobs.clone()).timeout(REQUEST_TIMEOUT))
        .service(Service::bind(JOBS, SECRET), App::new(routes![service_job], jobs))
        .service(Service::bind(OTHER, SECRET), App::new(routes![inherited], ()))
        .start()
        .await
        .unwrap();
    let site = std::sync::Arc::new(site);
    for front in ["web", "service"] {
        for moment in [Moment::Running, Moment::Answered, Moment::Lost] {
            let mode = if moment == Moment::Answered {
                "answer"
            } else {
                "wait"
            };
            let asked = site.clone();
            let request = tokio::spawn(async move {
                if front == "web" {
                    let path = format!("/job/{mode}");
                    let response = asked.ask(Message::web(Method::Get, &path)).await;
                    assert_eq!(response.status().code(), 200);
                } else {
                    let service = asked.client(&ServiceAddress::new(JOBS, SECRET)).unwrap();
                    let call = service.request("/job").argument("mode", mode);
                    call.timeout(REQUEST_TIMEOUT).await.unwrap();
                }
            });
            let job = started.recv().await.unwrap();
            if moment == Moment::Lost {
                request.abort();
            }
            if moment != Moment::Running {
                // The sender is dropped with the handler.
                job.ended.await.unwrap_err();
            }
            if moment == Moment::Answered {
                request.await.unwrap();
            }
            let call = job.client.request("/inherited").timeout(CALL_TIMEOUT);
            let response = call.await.unwrap();
            let (remaining, trace): (u64, String) = serde_json::from_str(&response.body.to_string()).unwrap();
            let limit = if moment == Moment::Running {
                REQUEST_TIMEOUT
            } else {
                CALL_TIMEOUT
            };
            let expected = limit.as_secs() - 1..=limit.as_secs();
            assert!(
                expected.contains(&remaining),
                "{front} {moment:?}: {remaining} s are left"
            );
            assert_eq!(trace, job.trace, "{front} {moment:?}");
        }
    }
}
