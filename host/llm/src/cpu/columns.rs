//! A matrix of floats handed out by columns, so that several threads fill it at once.
//!
//! One of the files with `unsafe`: slices by rows cannot say "these columns of every row".

#![expect(unsafe_code, reason = "disjoint columns of one slice")]

use std::{marker::PhantomData, sync::Mutex};

/// Some columns of all rows of a matrix.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    first: *mut f32,
    /// Numbers from one row to the next.
    stride: usize,
    rows: usize,
    width: usize,
    _matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: as good as the `&mut [f32]`s that it hands out: nothing else reaches its columns while it lives.
unsafe impl Send for Columns<'_> {}

impl<'a> Columns<'a> {
    /// Cuts a matrix with rows of `stride` numbers into runs of columns of these widths, from the left.
    pub(crate) fn split(
        matrix: &'a mut [f32],
        stride: usize,
        widths: impl IntoIterator<Item = usize>,
    ) -> Vec<Mutex<Columns<'a>>> {
        let rows = matrix.len().checked_div(stride).unwrap_or(0);
        let start = matrix.as_mut_ptr();
        let mut at = 0;
        let cut = |width: usize| {
            let from = at;
            at += width;
            assert!(at <= stride, "columns up to {at} of {stride}");
            // The runs do not overlap: each begins where the one before ends.
            let first = start.wrapping_add(from);
            Mutex::new(Columns { first, stride, rows, width, _matrix: PhantomData })
        };
        widths.into_iter().map(cut).collect()
    }

    /// These columns of one row.
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: `row` is below the rows of the matrix and the columns are below its stride, so the numbers lie inside the
        // slice that `split` borrowed for 'a; other `Columns` hold other columns, and `&mut self` keeps this one's apart.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.stride), self.width) }
    }
}
