//! Where a thread is in its script: the number of the next step, behind those of the parallel steps and branches around it.
//!
//! Each branch of a parallel step may run on a thread of its own, so the place is the thread's.

use std::cell::RefCell;

use crate::journal::StepId;

thread_local! {
    static PLACE: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` from a place, and goes back to where the thread was.
pub(super) fn from<T>(place: Vec<u32>, work: impl FnOnce() -> T) -> T {
    /// Goes back also where the work panics.
    struct Back(Vec<u32>);
    impl Drop for Back {
        fn drop(&mut self) {
            PLACE.set(std::mem::take(&mut self.0));
        }
    }
    let _back = Back(PLACE.replace(place));
    work()
}

/// The place of the next step, which is counted.
pub(super) fn next() -> Vec<u32> {
    PLACE.with_borrow_mut(|place| {
        let here = place.clone();
        if let Some(number) = place.last_mut() {
            *number += 1;
        }
        here
    })
}

/// The next step's.
pub(super) fn next_step() -> StepId {
    StepId::new(&next())
}
