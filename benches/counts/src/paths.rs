//! The hot paths, each a walk that is counted.

mod call;
mod route;
mod wire;

use crate::Result;
use std::hint::black_box;

/// How often each path is walked while it is counted.
pub const TIMES: u64 = 20;

/// What the name of the function within which is counted holds.
pub const WITHIN: &str = "brubeck_counts::paths::counted";

/// A name, and what is counted under it.
pub type Path = (&'static str, fn() -> Result);

/// Every path, by the name that the baseline knows it by.
pub const PATHS: &[Path] = &[
    ("v2-decode", wire::v2_decode),
    ("v2-encode", wire::v2_encode),
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

/// Walks a path so many times, after once so that what is made at first use is there. Whatever `next` makes is not
/// counted, nor is what becomes of it.
fn walk<T, R>(mut next: impl FnMut() -> T, mut path: impl FnMut(T) -> R) {
    drop(path(next()));
    let input: Vec<T> = (0..TIMES).map(|_| next()).collect();
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
