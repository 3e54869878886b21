//! The answer as it is told while it is made: its text, and the tokens that it is of.
//!
//! Invariant: a token is told of with the text in which it ends, so that what no text shows (what an answer begins with, a
//! stop string) is told of by no token either.

use std::collections::VecDeque;

use pawl_llm::TokenLogprob;

use super::decision::AnswerFilter;

/// What of one round's output belongs to the answer.
pub(super) struct Telling {
    filter: AnswerFilter,
    /// The answer so far.
    pub(super) text: String,
    /// Bytes of all output so far.
    output: usize,
    /// Of these, cut off the tokens because they are before the answer.
    hidden: usize,
    /// Bytes of text that are shown and that no told token has.
    uncovered: usize,
    waiting: VecDeque<TokenLogprob>,
}

impl Telling {
    pub(super) fn new(filter: AnswerFilter) -> Telling {
        let (output, hidden, uncovered) = (0, 0, 0);
        Telling { filter, text: String::new(), output, hidden, uncovered, waiting: VecDeque::new() }
    }

    /// Takes a token; its text comes later.
    pub(super) fn token(&mut self, token: TokenLogprob) {
        if !token.bytes.is_empty() {
            self.waiting.push_back(token);
        }
    }

    /// Takes a piece of output; gives what of it is the answer's, and the tokens that end in it.
    pub(super) fn piece(&mut self, piece: &str) -> (String, Vec<TokenLogprob>) {
        self.output += piece.len();
        let shown = self.filter.push(piece);
        if shown.is_empty() {
            return (shown, Vec::new());
        }
        self.text.push_str(&shown);
        self.uncovered += shown.len();
        self.hide(self.output - self.text.len() - self.hidden);
        let mut tokens = Vec::new();
        while let Some(token) = self.waiting.pop_front_if(|token| token.bytes.len() <= self.uncovered) {
            self.uncovered -= token.bytes.len();
            tokens.push(token);
        }
        (shown, tokens)
    }

    /// The part of a token that the text ends with, where it goes on without being shown.
    pub(super) fn last(&mut self) -> Option<TokenLogprob> {
        let mut token = self.waiting.pop_front().filter(|_| self.uncovered > 0)?;
        token.bytes.truncate(self.uncovered);
        Some(token)
    }

    fn hide(&mut self, mut count: usize) {
        self.hidden += count;
        while count > 0 {
            let Some(first) = self.waiting.front_mut() else { return };
            let cut = count.min(first.bytes.len());
            count -= cut;
            if cut == first.bytes.len() {
                self.waiting.pop_front();
                continue;
            }
            for (other, _) in first.top.iter_mut().filter(|(other, _)| *other == first.bytes) {
                other.drain(..cut);
            }
            first.bytes.drain(..cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(bytes: &str) -> TokenLogprob {
        TokenLogprob {
            bytes: bytes.into(),
            logprob: -0.5,
            top: vec![(bytes.into(), -0.5), (b"other".to_vec(), -1.0)],
        }
    }

    fn texts(tokens: Vec<TokenLogprob>) -> Vec<String> {
        tokens.into_iter().map(|token| String::from_utf8_lossy(&token.bytes).into_owned()).collect()
    }

    #[test]
    fn what_is_before_the_answer_is_told_by_no_token() {
        let mut telling = Telling::new(AnswerFilter::default());
        telling.token(token("ans"));
        assert_eq!(telling.piece("ans"), (String::new(), Vec::new()));
        telling.token(token("wer Yes"));
        let (shown, tokens) = telling.piece("wer Yes");
        assert_eq!((shown.as_str(), tokens[0].top[0].0.as_slice()), ("Yes", b"Yes".as_slice()));
        assert_eq!(texts(tokens), ["Yes"]);
        telling.token(token(" it is"));
        assert_eq!(texts(telling.piece(" it is").1), [" it is"]);
        assert_eq!(telling.last(), None);
        assert_eq!(telling.text, "Yes it is");
    }

    #[test]
    fn a_token_is_told_of_with_the_text_in_which_it_ends() {
        let mut telling = Telling::new(AnswerFilter::open());
        telling.token(token("one E"));
        assert_eq!(telling.piece("one "), ("one ".to_owned(), Vec::new()));
        telling.token(token("ND two"));
        // A stop string "END" was found: no more text comes.
        assert_eq!(telling.last().map(|token| token.bytes), Some(b"one ".to_vec()));
    }

    #[test]
    fn a_call_tells_of_nothing() {
        let mut telling = Telling::new(AnswerFilter::default());
        telling.token(token("call a.b {}"));
        assert_eq!(telling.piece("call a.b {}"), (String::new(), Vec::new()));
        assert_eq!(telling.last(), None);
        assert_eq!(telling.text, "");
    }

    #[test]
    fn white_space_behind_an_opening_of_ours_is_no_part_of_the_answer() {
        let mut telling = Telling::new(AnswerFilter::begun());
        telling.token(token(" "));
        assert_eq!(telling.piece(" "), (String::new(), Vec::new()));
        telling.token(token("\n Yes"));
        assert_eq!(texts(telling.piece("\n Yes").1), ["Yes"]);
        telling.token(token(" \n"));
        assert_eq!(texts(telling.piece(" \n").1), [" \n"]);
        assert_eq!(telling.text, "Yes \n");
    }
}
