//! Keys and values of one layer, in pages of [`PAGE`] positions that any sequence may name.
//!
//! Half precision. A page of keys is `[kv heads, head size, PAGE]`, so that one vector holds the same number of
//! neighbouring positions; a page of values is `[kv heads, PAGE, head size]`. Whose a page is, is not known here.

/// Positions of a page.
pub(crate) const PAGE: usize = 32;

/// The pages of a layer, by number.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pages: Vec<Page>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) keys: Box<[u16]>,
    pub(crate) values: Box<[u16]>,
}

impl Layer {
    /// Makes all pages below `count` exist, each with room for `width` numbers a position.
    pub(crate) fn reserve(&mut self, count: usize, width: usize) {
        let empty = || vec![0; PAGE * width].into_boxed_slice();
        while self.pages.len() < count {
            self.pages.push(Page { keys: empty(), values: empty() });
        }
    }

    pub(crate) fn page(&self, number: usize) -> &Page {
        &self.pages[number]
    }

    pub(crate) fn page_mut(&mut self, number: usize) -> &mut Page {
        &mut self.pages[number]
    }

    /// Makes a page hold what another does.
    pub(crate) fn copy(&mut self, from: usize, to: usize) {
        if let Ok([from, to]) = self.pages.get_disjoint_mut([from, to]) {
            to.keys.copy_from_slice(&from.keys);
            to.values.copy_from_slice(&from.values);
        }
    }
}
