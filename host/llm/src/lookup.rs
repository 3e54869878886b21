//! What may come next, looked up in what was there: structured answers copy from their prompt.
//!
//! No second model: where the last tokens occurred before, what followed them then is proposed now. A proposal costs a few
//! more tokens in a step that reads all weights anyway; the model's own choice is what counts (`answer.rs`).

use toktrie::TokenId;

/// Tokens that must have occurred before, at least and at most.
const LEAST: usize = 2;
const MOST: usize = 4;

/// What followed the last occurrence of the end of `tokens`; the longest end counts. Empty where there is none.
pub(crate) fn proposal(tokens: &[TokenId]) -> &[TokenId] {
    for length in (LEAST..=MOST).rev() {
        let Some(start) = tokens.len().checked_sub(length) else { continue };
        let end = &tokens[start..];
        if let Some(at) = (0..start).rev().find(|at| tokens[*at..].starts_with(end)) {
            return &tokens[at + length..];
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_latest_occurrence_counts() {
        assert_eq!(proposal(&[1, 2, 3, 9, 1, 2, 4, 9, 1, 2]), [4, 9, 1, 2]);
        assert_eq!(proposal(&[5, 1, 2, 3, 9, 1, 2, 4, 9, 5, 1, 2]), [3, 9, 1, 2, 4, 9, 5, 1, 2]);
        assert!(proposal(&[1, 2, 3]).is_empty());
        assert!(proposal(&[1]).is_empty());
        // What overlaps itself goes on as it did.
        assert_eq!(proposal(&[7, 7, 7]), [7]);
    }
}
