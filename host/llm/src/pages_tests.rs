//! Pages and their tree, without a model.

use super::*;

/// `count` tokens that begin with `first`.
fn tokens(first: u32, count: usize) -> Vec<TokenId> {
    (first..).take(count).collect()
}

fn run(pages: &mut Pages, tokens: &[TokenId]) -> (Sequence, usize) {
    let (mut sequence, _) = pages.open(tokens, tokens.len() - 1);
    let known = sequence.length;
    assert!(pages.reserve(&mut sequence, tokens.len()));
    sequence.length = tokens.len();
    (sequence, known)
}

#[test]
fn a_prompt_that_comes_again_is_known_but_for_its_last_token() {
    let mut pages = Pages::new(100);
    let prompt = tokens(0, 100);
    let (sequence, known) = run(&mut pages, &prompt);
    assert_eq!(known, 0);
    pages.close(sequence, &prompt);
    let (sequence, copy) = pages.open(&prompt, 99);
    assert_eq!(sequence.length, 99);
    let (from, to) = copy.expect("the last page is not full");
    assert!(from != to && sequence.pages.last() == Some(&to));
}

#[test]
fn requests_that_run_at_once_share_full_pages() {
    let mut pages = Pages::new(100);
    let prompt = tokens(0, 3 * PAGE + 5);
    let (mut first, _) = run(&mut pages, &prompt);
    pages.publish(&mut first, &prompt);
    let (second, known) = run(&mut pages, &prompt);
    assert_eq!(known, 3 * PAGE);
    assert_eq!(first.pages[..3], second.pages[..3]);
    assert_ne!(first.pages[3], second.pages[3]);
    // Evaluated side by side all the same: one of the two is given back.
    let other = tokens(1000, 2 * PAGE);
    let ((mut one, _), (mut two, known)) = (run(&mut pages, &other), run(&mut pages, &other));
    assert_eq!(known, 0);
    pages.publish(&mut one, &other);
    let before = pages.free.len();
    pages.publish(&mut two, &other);
    assert_eq!((&one.pages, pages.free.len()), (&two.pages, before + 2));
}

#[test]
fn what_is_shared_is_not_evicted_and_the_oldest_is() {
    let mut pages = Pages::new(6);
    let (a, b, c) = (tokens(0, 2 * PAGE), tokens(1000, 2 * PAGE), tokens(2000, 2 * PAGE));
    for text in [&a, &b, &c] {
        let (sequence, _) = run(&mut pages, text);
        pages.close(sequence, text);
    }
    let (a_again, known) = run(&mut pages, &a);
    assert_eq!(known, 2 * PAGE - 1, "a page and most of the next, copied");
    // The copy took the place of the oldest leaf.
    assert_eq!(pages.open(&b, 2 * PAGE).0.length, PAGE);
    assert!(pages.open(&c, 2 * PAGE).0.length == 2 * PAGE);
    let mut greedy = Sequence::default();
    assert!(!pages.reserve(&mut greedy, 7 * PAGE));
    assert_eq!(a_again.pages.len(), 2);
}

#[test]
fn every_page_is_somewhere_exactly_once() {
    let mut random = fastrand_like(7);
    let mut pages = Pages::new(40);
    let mut live: Vec<(Sequence, Vec<TokenId>)> = Vec::new();
    for _ in 0..3000 {
        match random(5) {
            0 | 1 => {
                let text: Vec<TokenId> = (0..1 + random(200))
                    .map(|at| if at < 90 { at as u32 } else { random(3) as u32 })
                    .collect();
                let (mut sequence, _) = pages.open(&text, text.len() - 1);
                if pages.reserve(&mut sequence, text.len()) {
                    sequence.length = text.len();
                    live.push((sequence, text));
                } else {
                    let length = sequence.length;
                    pages.close(sequence, &text[..length]);
                }
            }
            2 if !live.is_empty() => {
                let at = random(live.len());
                let (sequence, text) = &mut live[at];
                pages.publish(sequence, text);
            }
            3 if !live.is_empty() => {
                let at = random(live.len());
                let (sequence, text) = &mut live[at];
                text.push(1);
                if pages.reserve(sequence, text.len()) {
                    sequence.length = text.len();
                } else {
                    text.pop();
                }
            }
            _ if !live.is_empty() => {
                let (sequence, text) = live.swap_remove(random(live.len()));
                pages.close(sequence, &text);
            }
            _ => {}
        }
        let mut owners = vec![0; pages.made];
        pages.free.iter().for_each(|page| owners[*page] += 1);
        pages.nodes.iter().flatten().skip(1).for_each(|node| owners[node.page] += 1);
        for (sequence, _) in &live {
            sequence.pages[sequence.nodes.len()..].iter().for_each(|page| owners[*page] += 1);
            let shared = sequence.nodes.iter().map(|node| pages.page(*node));
            assert!(shared.eq(sequence.pages[..sequence.nodes.len()].iter().copied()));
        }
        assert!(owners.iter().all(|owners| *owners == 1), "{owners:?}");
    }
}

/// Numbers below what is asked for; the same for the same seed.
fn fastrand_like(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below
    }
}
