//! Hands `Bytes` over through serde, which has slices of bytes only.
//!
//! One side offers its `Bytes` while it passes the slice of them to serde, on the same thread. If the other side gets that slice, it takes
//! the `Bytes`, so that nothing is copied. Code between them that passes on another slice gets a copy of it.

use bytes::Bytes;
use std::cell::RefCell;
use std::ptr;

thread_local! {
    static OFFER: RefCell<Option<Bytes>> = const { RefCell::new(None) };
}

/// Offers `bytes` while `pass` runs, which passes their slice on.
pub(crate) fn offer<T>(bytes: &Bytes, pass: impl FnOnce() -> T) -> T {
    /// Withdraws the offer, also if `pass` panics.
    struct Withdraw;

    impl Drop for Withdraw {
        fn drop(&mut self) {
            OFFER.with_borrow_mut(|offer| *offer = None);
        }
    }

    OFFER.with_borrow_mut(|offer| *offer = Some(bytes.clone()));
    let _withdraw = Withdraw;
    pass()
}

/// Returns the `Bytes` of this slice: those that are offered, or a copy.
pub(crate) fn take(slice: &[u8]) -> Bytes {
    let offered = OFFER.with_borrow_mut(|offer| offer.take());
    match offered.filter(|offered| ptr::eq(&offered[..], slice)) {
        Some(offered) => offered,
        None => Bytes::copy_from_slice(slice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_offered_slice_is_taken_and_only_while_it_is_offered() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let other = [1, 2, 3];
        let taken = offer(&bytes, || take(&bytes));
        assert_eq!(taken.as_ptr(), bytes.as_ptr());
        let part = offer(&bytes, || take(&bytes[..2]));
        assert_ne!(part.as_ptr(), bytes.as_ptr());
        let copied = offer(&bytes, || take(&other));
        assert_ne!(copied.as_ptr(), bytes.as_ptr());
        offer(&bytes, || ());
        assert_ne!(take(&bytes).as_ptr(), bytes.as_ptr());
        assert_eq!([taken, copied, take(&bytes)], [&other[..]; 3]);
    }
}
