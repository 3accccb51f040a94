//! The hot paths that are counted.

mod call;
mod route;
mod wire;

use crate::Result;
use std::hint::black_box;

/// The number of executions of each path that are counted.
pub const REPETITIONS: u64 = 20;

/// The name of the function whose instructions are counted.
pub const COUNTED_FUNCTION: &str = "brubeck_counts::paths::counted";

/// A path: its name, and the function that executes it.
pub type HotPath = (&'static str, fn() -> Result);

/// Every path, with its name in the baseline.
pub const PATHS: &[HotPath] = &[
    ("v3-decode", wire::v3_decode),
    ("v3-encode", wire::v3_encode),
    ("branch-decode", wire::branch_decode),
    ("branch-encode", wire::branch_encode),
    ("mongrel2-decode", wire::mongrel2_decode),
    ("mongrel2-encode", wire::mongrel2_encode),
    ("route-10", || route::literal(10)),
    ("route-100", || route::literal(100)),
    ("route-10000", || route::literal(10_000)),
    ("extract-captures", route::captures),
    ("extract-json", route::json),
    ("call-begin", call::begin),
    ("call-reply", call::reply),
];

/// Executes a path [`REPETITIONS`] times, after one uncounted time that initializes lazy state. Neither making the
/// input nor dropping the output is counted.
fn measure<T, R>(mut next: impl FnMut() -> T, mut path: impl FnMut(T) -> R) {
    drop(path(next()));
    let input: Vec<T> = (0..REPETITIONS).map(|_| next()).collect();
    let mut output = Vec::with_capacity(input.len());
    for input in input {
        counted(&mut path, input, &mut output);
    }
    black_box(output);
}

#[inline(never)]
fn counted<T, R>(path: &mut impl FnMut(T) -> R, input: T, output: &mut Vec<R>) {
    output.push(black_box(path(black_box(input))));
}
