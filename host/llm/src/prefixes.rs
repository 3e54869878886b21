//! What the KV cache held for earlier prompts, kept aside for requests that go back to one of them: a turn of a chat asks the
//! model with its own prompt, a plugin asks with another, and then the turn goes on.
//!
//! Invariants: an entry holds the keys and values of exactly its tokens; all entries together take at most the budget;
//! the one that was not used for the longest time goes first.

use toktrie::TokenId;

use crate::{
    Error,
    runtime::{Graph, Snapshot},
};

/// Fewer positions than this are evaluated again sooner than they are kept.
const WORTH: usize = 64;

/// The kept prefixes, the one used last at the end.
pub(crate) struct Prefixes {
    entries: Vec<Prefix>,
    /// Bytes of keys and values.
    budget: usize,
}

struct Prefix {
    tokens: Vec<TokenId>,
    snapshot: Snapshot,
}

/// How many tokens two sequences begin with alike.
pub(crate) fn common(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Prefixes {
    pub(crate) fn new(budget: usize) -> Prefixes {
        Prefixes { entries: Vec::new(), budget }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Makes the cache of `graph`, which holds `held`, begin as `prompt` does, as far as that is known: `held` is put aside
    /// where `prompt` leaves most of it, and what is kept of a longer common beginning is put in its place. At most `most`
    /// positions; returns how many.
    pub(crate) fn change(
        &mut self,
        graph: &mut Graph,
        held: &[TokenId],
        prompt: &[TokenId],
        most: usize,
    ) -> Result<usize, Error> {
        let here = common(held, prompt).min(most);
        if held.len() >= WORTH && here * 2 < held.len() {
            self.keep(graph, held)?;
        }
        let kept = self.entries.iter().map(|entry| common(&entry.tokens, prompt).min(most));
        let best = kept.enumerate().max_by_key(|(_, length)| *length);
        let Some((index, length)) = best.filter(|(_, length)| *length >= here + WORTH) else {
            graph.truncate(here)?;
            return Ok(here);
        };
        let entry = self.entries.remove(index);
        graph.restore(&entry.snapshot, length)?;
        self.entries.push(entry);
        Ok(length)
    }

    /// Puts what the cache holds aside, in place of entries that are nearly the same.
    fn keep(&mut self, graph: &Graph, held: &[TokenId]) -> Result<(), Error> {
        let each = graph.bytes_per_position().max(1);
        let length = held.len().min(self.budget / each);
        if length < WORTH {
            return Ok(());
        }
        let held = &held[..length];
        self.entries.retain(|entry| common(&entry.tokens, held) * 4 < entry.tokens.len() * 3);
        let mut left = self.budget / each - length;
        let mut recent = self.entries.len();
        while recent > 0 && self.entries[recent - 1].tokens.len() <= left {
            recent -= 1;
            left -= self.entries[recent].tokens.len();
        }
        self.entries.drain(..recent);
        self.entries.push(Prefix { tokens: held.to_vec(), snapshot: graph.snapshot(length)? });
        Ok(())
    }
}
