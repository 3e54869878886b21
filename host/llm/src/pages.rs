//! Whose the pages of the KV cache are: live sequences', and those kept of earlier ones for prompts that begin alike.
//!
//! A tree: a node is a page with the tokens it holds, its path from the root the tokens before. A live sequence shares the
//! nodes that its prompt begins with and owns the pages behind; as its pages fill they become nodes, so that requests that
//! run at the same time share them too.
//!
//! Invariants: a page is free, owned by one sequence, or a node's; a node that a live sequence shares is full and never
//! written again; what is evicted is a leaf that nobody shares, the one not used for the longest time.

use toktrie::TokenId;

use crate::cpu::paged::PAGE;

/// The pages and their tree.
#[derive(Debug)]
pub(crate) struct Pages {
    /// The root is node 0.
    nodes: Vec<Option<Node>>,
    free: Vec<usize>,
    /// Pages that exist.
    made: usize,
    /// Pages that may exist.
    most: usize,
    clock: u64,
}

#[derive(Debug)]
struct Node {
    parent: usize,
    children: Vec<usize>,
    /// A page full, or fewer in a leaf.
    tokens: Vec<TokenId>,
    page: usize,
    /// Live sequences that share it.
    users: usize,
    used: u64,
}

/// A live sequence.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    pub(crate) pages: Vec<usize>,
    /// The nodes of its first pages.
    nodes: Vec<usize>,
    /// Tokens whose keys and values its pages hold.
    pub(crate) length: usize,
}

/// How many tokens two sequences begin with alike.
pub(crate) fn common(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Pages {
    /// No page yet; `most` at most.
    pub(crate) fn new(most: usize) -> Pages {
        let root =
            Node { parent: 0, children: Vec::new(), tokens: Vec::new(), page: usize::MAX, users: 1, used: 0 };
        Pages { nodes: vec![Some(root)], free: Vec::new(), made: 0, most, clock: 0 }
    }

    /// Pages that exist.
    pub(crate) fn made(&self) -> usize {
        self.made
    }

    /// A sequence that shares what is known of the beginning of `prompt`, at most `most` tokens. Where that ends inside a
    /// page, the page is to be copied: (from, to).
    pub(crate) fn open(&mut self, prompt: &[TokenId], most: usize) -> (Sequence, Option<(usize, usize)>) {
        let prompt = &prompt[..most.min(prompt.len())];
        let mut sequence = Sequence::default();
        self.clock += 1;
        let mut at = 0;
        loop {
            let Some((length, child)) = self.longest(at, &prompt[sequence.length..]) else {
                return (sequence, None);
            };
            self.touch(child);
            if length == PAGE {
                self.share(&mut sequence, child);
                at = child;
                continue;
            }
            let from = self.page(child);
            // Not evicted to make room for its own copy.
            self.hold(child, 1);
            let to = self.take();
            self.hold(child, -1);
            let Some(to) = to else { return (sequence, None) };
            sequence.pages.push(to);
            sequence.length += length;
            return (sequence, Some((from, to)));
        }
    }

    /// How many tokens a sequence would share that is begun with `prompt`.
    pub(crate) fn known(&self, prompt: &[TokenId]) -> usize {
        self.leading(prompt).map(|(length, _)| length).sum()
    }

    /// The nodes that hold the beginning of these tokens, and how many each; all but the last are full.
    fn leading<'a>(&'a self, tokens: &'a [TokenId]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let (mut done, mut at) = (0, Some(0));
        std::iter::from_fn(move || {
            let (length, child) = self.longest(at?, &tokens[done..])?;
            done += length;
            at = (length == PAGE).then_some(child);
            Some((length, child))
        })
    }

    /// The child of a node that has the most of these tokens, if it has any of them, and how many.
    fn longest(&self, node: usize, tokens: &[TokenId]) -> Option<(usize, usize)> {
        let longest = self.children(node).map(|child| (common(self.tokens(child), tokens), child)).max();
        longest.filter(|(length, _)| *length > 0)
    }

    /// Whether there is room for a sequence of `prompt` and a token more. What it shares with those that live takes none.
    pub(crate) fn fits(&self, prompt: &[TokenId], reuse: bool) -> bool {
        let is_live = |(length, node): &(usize, usize)| {
            *length == PAGE && self.nodes[*node].as_ref().is_some_and(|node| node.users > 0)
        };
        let most = if reuse { prompt.len().saturating_sub(1) } else { 0 };
        let shared = self.leading(&prompt[..most]).take_while(is_live).count();
        (self.available() + shared) * PAGE > prompt.len()
    }

    /// Pages that nobody uses: free, not made yet, or kept of earlier sequences.
    pub(crate) fn available(&self) -> usize {
        let kept = self.nodes.iter().flatten().filter(|node| node.users == 0).count();
        self.free.len() + (self.most - self.made) + kept
    }

    /// Gives the sequence pages for `length` tokens; false, and nothing is forgotten for it, when there are too few.
    pub(crate) fn reserve(&mut self, sequence: &mut Sequence, length: usize) -> bool {
        if length.div_ceil(PAGE).saturating_sub(sequence.pages.len()) > self.available() {
            return false;
        }
        while sequence.pages.len() * PAGE < length {
            let Some(page) = self.take() else { return false };
            sequence.pages.push(page);
        }
        true
    }

    /// Lets others share the sequence's full pages.
    pub(crate) fn publish(&mut self, sequence: &mut Sequence, tokens: &[TokenId]) {
        while (sequence.nodes.len() + 1) * PAGE <= sequence.length {
            let index = sequence.nodes.len();
            let part = &tokens[index * PAGE..(index + 1) * PAGE];
            let parent = sequence.nodes.last().copied().unwrap_or(0);
            let same = self.children(parent).find(|child| self.tokens(*child) == part);
            let node = match same {
                // Somebody was first: the same tokens have the same keys and values.
                Some(node) => {
                    self.free.push(sequence.pages[index]);
                    sequence.pages[index] = self.page(node);
                    node
                }
                None => self.add(parent, part, sequence.pages[index]),
            };
            self.touch(node);
            self.hold(node, 1);
            sequence.nodes.push(node);
        }
    }

    /// Forgets all tokens from `length` on; pages behind stay for those to come. Published tokens are not forgotten.
    pub(crate) fn truncate(&mut self, sequence: &mut Sequence, length: usize) {
        debug_assert!(length >= sequence.nodes.len() * PAGE, "{length} is published");
        sequence.length = sequence.length.min(length.max(sequence.nodes.len() * PAGE));
    }

    /// Ends a sequence; what it holds is kept as long as nothing else needs the room.
    pub(crate) fn close(&mut self, mut sequence: Sequence, tokens: &[TokenId]) {
        self.clock += 1;
        self.publish(&mut sequence, tokens);
        let parent = sequence.nodes.last().copied().unwrap_or(0);
        let mut pages = sequence.pages.split_off(sequence.nodes.len()).into_iter();
        let rest = &tokens[sequence.nodes.len() * PAGE..sequence.length];
        if let Some(page) = (!rest.is_empty()).then(|| pages.next()).flatten() {
            let longer = self.children(parent).any(|child| self.tokens(child).starts_with(rest));
            if longer {
                self.free.push(page);
            } else {
                // What only begins as this does is of no more use.
                let shorter: Vec<usize> = self
                    .children(parent)
                    .filter(|child| rest.starts_with(self.tokens(*child)) && self.unused(*child))
                    .collect();
                shorter.into_iter().for_each(|child| self.remove(child));
                let node = self.add(parent, rest, page);
                self.touch(node);
            }
        }
        self.free.extend(pages);
        for node in sequence.nodes {
            self.touch(node);
            self.hold(node, -1);
        }
    }

    /// Forgets what is kept, and whose pages are whose.
    pub(crate) fn clear(&mut self) {
        let (made, most) = (self.made, self.most);
        *self = Pages { made, free: (0..made).rev().collect(), ..Pages::new(most) };
    }

    fn share(&mut self, sequence: &mut Sequence, node: usize) {
        self.hold(node, 1);
        sequence.pages.push(self.page(node));
        sequence.nodes.push(node);
        sequence.length += PAGE;
    }

    /// A free page, if need be by forgetting what was kept.
    fn take(&mut self) -> Option<usize> {
        if let Some(page) = self.free.pop() {
            return Some(page);
        }
        if self.made < self.most {
            self.made += 1;
            return Some(self.made - 1);
        }
        let unused = (1..self.nodes.len()).filter(|node| self.unused(*node));
        let oldest = unused.min_by_key(|node| self.nodes[*node].as_ref().map(|node| node.used))?;
        self.remove(oldest);
        self.free.pop()
    }

    /// Whether a node is a leaf that nobody shares.
    fn unused(&self, node: usize) -> bool {
        self.nodes[node].as_ref().is_some_and(|node| node.users == 0 && node.children.is_empty())
    }

    fn add(&mut self, parent: usize, tokens: &[TokenId], page: usize) -> usize {
        let node =
            Node { parent, children: Vec::new(), tokens: tokens.to_vec(), page, users: 0, used: self.clock };
        let place = self.nodes.iter().position(Option::is_none).unwrap_or(self.nodes.len());
        if place == self.nodes.len() {
            self.nodes.push(Some(node));
        } else {
            self.nodes[place] = Some(node);
        }
        if let Some(parent) = &mut self.nodes[parent] {
            parent.children.push(place);
        }
        place
    }

    fn remove(&mut self, node: usize) {
        let Some(gone) = self.nodes[node].take() else { return };
        self.free.push(gone.page);
        if let Some(parent) = &mut self.nodes[gone.parent] {
            parent.children.retain(|child| *child != node);
        }
    }

    fn children(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.nodes[node].iter().flat_map(|node| node.children.iter().copied())
    }

    fn tokens(&self, node: usize) -> &[TokenId] {
        self.nodes[node].as_ref().map_or(&[], |node| &node.tokens)
    }

    fn page(&self, node: usize) -> usize {
        self.nodes[node].as_ref().map_or(usize::MAX, |node| node.page)
    }

    fn touch(&mut self, node: usize) {
        if let Some(node) = &mut self.nodes[node] {
            node.used = self.clock;
        }
    }

    fn hold(&mut self, node: usize, by: isize) {
        if let Some(node) = &mut self.nodes[node] {
            node.users = node.users.saturating_add_signed(by);
        }
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
