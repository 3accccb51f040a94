#![deny(warnings, clippy::all)]
use brubeck::Cancellation;
use brubeck::prelude::*;

#[service_handler(path = "^/primes$", blocking, concurrency = 2)]
fn primes(below: Arg<u64>, cancelled: Cancellation) -> Result<Json<Vec<u64>>, Problem> {
    let numbers = (2..below.0).take_while(|_| !cancelled.is_cancelled());
    Ok(Json(numbers.filter(|n| (2..*n).all(|d| n % d != 0)).collect()))
}

#[service_handler(path = r"^/nap/(?<seconds>\d+)$", method = "get", concurrency = 1)]
async fn nap(seconds: u64) {
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
}

#[service_handler("^/still$", blocking)]
fn still() {}

#[service_client]
pub trait Sums {
    /// Adds.
    #[call("/sum", idempotent, timeout = "5s")]
    async fn sum(&self, a: u32, b: u32) -> Result<u32, Problem>;
}

#[service_handler(sums::sum, blocking, concurrency = 3)]
fn sum(Args(args): Args<sums::sum>) -> Result<u32, Problem> {
    args.a.checked_add(args.b).ok_or_else(|| Problem::new(422, "too much"))
}

const ROUTES: Routes<()> = routes![primes, nap, still, sum];
serves!(ROUTES => sums);

fn main() {
    let facts = ROUTES.specs().map(|spec| (spec.blocking, spec.concurrency));
    let expected = [(true, Some(2)), (false, Some(1)), (true, None), (true, Some(3))];
    assert_eq!(facts.collect::<Vec<_>>(), expected);

    use brubeck::__private::Operation;
    assert!(sums::sum { a: 1, b: 2 }.into_request().is_idempotent());
    assert_eq!(sum(Args(sums::sum { a: 1, b: 2 })).unwrap_or_default(), 3);
}
