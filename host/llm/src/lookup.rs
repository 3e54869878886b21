//! What may come next, looked up in what was there: structured answers copy from their prompt.
//!
//! No second model: where the last tokens occurred before, what followed them then is proposed now. A proposal costs a few
//! more tokens in a step that reads all weights anyway; the model's own choice is what counts (`answer.rs`).

use toktrie::TokenId;

/// Tokens of the end that are compared at most.
const MOST: usize = 8;
/// Where fewer occurred before, and were followed by different tokens, nothing is proposed.
const SURE: usize = 3;

/// What followed the end of `tokens` where the longest part of it occurred before, the last time. Empty where it did not, or
/// where that says little. Tokens are compared by what `word` makes of them.
pub(crate) fn proposal(tokens: &[TokenId], word: impl Fn(TokenId) -> TokenId) -> &[TokenId] {
    let Some((last, before)) = tokens.split_last() else { return &[] };
    let same = |a: TokenId, b: TokenId| a == b || word(a) == word(b);
    let last_word = word(*last);
    let (mut longest, mut follows, mut agreed) = (0, &tokens[..0], true);
    for (at, token) in before.iter().enumerate().rev() {
        if *token != *last && word(*token) != last_word {
            continue;
        }
        let pairs = before[..at].iter().rev().zip(before.iter().rev()).take(MOST - 1);
        let length = 1 + pairs.take_while(|(a, b)| same(**a, **b)).count();
        if length > longest {
            (longest, follows, agreed) = (length, &tokens[at + 1..], true);
        } else if length == longest {
            agreed &= same(tokens[at + 1], follows[0]);
        }
    }
    if longest < SURE && !agreed { &[] } else { follows }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(tokens: &[TokenId]) -> &[TokenId] {
        // Above 100 are the words with a space before them.
        super::proposal(tokens, |token| token % 100)
    }

    #[test]
    fn the_longest_and_latest_occurrence_counts() {
        assert_eq!(proposal(&[1, 2, 3, 4, 9, 1, 2, 3, 5, 9, 1, 2, 3]), [5, 9, 1, 2, 3]);
        assert_eq!(proposal(&[5, 1, 2, 3, 9, 1, 2, 4, 9, 5, 1, 2]), [3, 9, 1, 2, 4, 9, 5, 1, 2]);
        assert!(proposal(&[1, 2, 3]).is_empty());
        assert!(proposal(&[1]).is_empty() && proposal(&[]).is_empty());
        // What overlaps itself goes on as it did.
        assert_eq!(proposal(&[7, 7, 7]), [7]);
    }

    #[test]
    fn a_few_tokens_count_where_they_were_always_followed_by_the_same() {
        assert_eq!(proposal(&[8, 1, 2, 9, 1]), [2, 9, 1]);
        assert_eq!(proposal(&[8, 1, 2, 9, 1, 2, 7, 1]), [2, 7, 1]);
        assert!(proposal(&[8, 1, 2, 9, 1, 3, 7, 1]).is_empty());
    }

    #[test]
    fn a_word_is_the_same_with_a_space_before_it() {
        assert_eq!(proposal(&[8, 101, 2, 9, 50, 1]), [2, 9, 50, 1]);
    }
}
