//! Logits and a mask to one token.
//!
//! Invariant: the token returned is allowed and its logit is a number; there is none when no such token exists.
//! Same seed, same logits, same masks: same tokens (ChaCha8, independent of platform and thread count).

use std::{borrow::Cow, cmp::Ordering, collections::HashMap};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toktrie::{SimpleVob, TokenId};

use crate::Error;

/// How a token is chosen among the allowed ones. In this order: penalties, temperature, top-k, top-p, min-p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the most likely token; at most 100.
    pub temperature: f32,
    /// The smallest set of tokens whose probabilities reach this sum is kept, in [0, 1]: 0 the most likely one, 1 all.
    pub top_p: f32,
    /// So many of the most likely tokens are kept; 0 keeps all.
    pub top_k: usize,
    /// Tokens less likely than this part of the most likely one are left out, in [0, 1]; 0 keeps all.
    pub min_p: f32,
    /// What was in the prompt or the answer is this much less likely: a positive logit is divided by it, a negative one
    /// multiplied; in [0.1, 10], 1 changes nothing.
    pub repetition_penalty: f32,
    /// Taken from the logit of what was in the answer, in [-2, 2].
    pub presence_penalty: f32,
    /// Taken from it for each time, in [-2, 2].
    pub frequency_penalty: f32,
    /// Same seed, same prompt: same answer.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Sampling {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: 0,
        }
    }
}

impl Sampling {
    /// Refuses what is out of range, naming the value and the range.
    pub fn check(&self) -> Result<(), Error> {
        for (name, value, least, most) in [
            ("top_p", self.top_p, 0.0, 1.0),
            ("temperature", self.temperature, 0.0, 100.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("repetition_penalty", self.repetition_penalty, 0.1, 10.0),
            ("presence_penalty", self.presence_penalty, -2.0, 2.0),
            ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::Request(format!("{name} {value} is not between {least} and {most}")));
            }
        }
        Ok(())
    }

    fn has_penalty(&self) -> bool {
        self.repetition_penalty != 1.0 || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0
    }
}

/// Log-probabilities this far below the best, in units of temperature, are left out: e^-20 is 2 in a billion.
const NEGLIGIBLE: f32 = 20.0;

/// The state of one generation's choices.
pub(crate) struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
    /// How often each token was in the answer, 0 where it was in the prompt only; kept where there is a penalty.
    seen: HashMap<TokenId, u32>,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling, prompt: &[TokenId]) -> Sampler {
        let prompt = if sampling.has_penalty() { prompt } else { &[] };
        let seen = prompt.iter().map(|token| (*token, 0)).collect();
        Sampler { sampling, random: ChaCha8Rng::seed_from_u64(sampling.seed), seen }
    }

    /// A token became part of the answer.
    pub(crate) fn saw(&mut self, token: TokenId) {
        if self.sampling.has_penalty() {
            *self.seen.entry(token).or_default() += 1;
        }
    }

    /// A token whose bit is set in `mask`; without a mask any token. Ties go to the lower id.
    pub(crate) fn sample(&mut self, logits: &[f32], mask: Option<&SimpleVob>) -> Option<u32> {
        let logits = &*self.penalized(logits);
        let (best, top) = best(logits, mask)?;
        if self.sampling.temperature == 0.0 {
            return Some(best);
        }
        let temperature = self.sampling.temperature;
        let threshold = top - NEGLIGIBLE * temperature;
        let mut candidates: Vec<(u32, f64)> = Vec::new();
        each_allowed(logits, mask, |token, logit| {
            if logit >= threshold {
                // An infinite best logit leaves only its equals.
                let weight = if logit == top { 1.0 } else { ((logit - top) / temperature).exp() };
                candidates.push((token, f64::from(weight)));
            }
        });
        self.draw(candidates)
    }

    /// Draws among weighted tokens, of which the largest weight is 1, after the cuts.
    fn draw(&mut self, mut candidates: Vec<(u32, f64)>) -> Option<u32> {
        let Sampling { top_k, top_p, min_p, .. } = self.sampling;
        if top_k > 0 {
            keep_likeliest(&mut candidates, top_k);
        }
        if top_p < 1.0 {
            keep_share(&mut candidates, f64::from(top_p));
        }
        if min_p > 0.0 {
            candidates.retain(|(_, weight)| *weight >= f64::from(min_p));
        }
        let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.random::<f64>() * total;
        for &(token, weight) in &candidates {
            left -= weight;
            if left < 0.0 {
                return Some(token);
            }
        }
        candidates.last().map(|&(token, _)| token)
    }

    /// The logits less the penalties.
    fn penalized<'a>(&self, logits: &'a [f32]) -> Cow<'a, [f32]> {
        if self.seen.is_empty() {
            return Cow::Borrowed(logits);
        }
        let Sampling { repetition_penalty, presence_penalty, frequency_penalty, .. } = self.sampling;
        let mut logits = logits.to_vec();
        for (token, count) in &self.seen {
            let Some(logit) = logits.get_mut(*token as usize) else { continue };
            *logit = if *logit > 0.0 { *logit / repetition_penalty } else { *logit * repetition_penalty };
            let present = if *count > 0 { presence_penalty } else { 0.0 };
            *logit -= present + frequency_penalty * *count as f32;
        }
        Cow::Owned(logits)
    }
}

/// The likeliest allowed token and its logit; of equal ones the lowest id.
fn best(logits: &[f32], mask: Option<&SimpleVob>) -> Option<(u32, f32)> {
    let mut best: Option<(u32, f32)> = None;
    each_allowed(logits, mask, |token, logit| {
        if best.is_none_or(|(_, top)| logit > top) {
            best = Some((token, logit));
        }
    });
    best
}

/// Larger weights first, then lower ids.
fn likelier(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Leaves the `count` likeliest, sorted.
fn keep_likeliest(candidates: &mut Vec<(u32, f64)>, count: usize) {
    if (1..candidates.len()).contains(&count) {
        candidates.select_nth_unstable_by(count - 1, likelier);
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(likelier);
}

/// Leaves the likeliest that together have this share of all weights, sorted; one at least. Sorts no more than it must: a
/// vocabulary has 150,000 tokens, and a few mostly have nearly all the weight.
fn keep_share(candidates: &mut Vec<(u32, f64)>, share: f64) {
    let wanted = share * candidates.iter().map(|(_, weight)| weight).sum::<f64>();
    let (mut sorted, mut sum) = (0, 0.0);
    while sorted < candidates.len() {
        let rest = &mut candidates[sorted..];
        let next = (sorted * 7).max(64).min(rest.len());
        if next < rest.len() {
            rest.select_nth_unstable_by(next, likelier);
        }
        rest[..next].sort_unstable_by(likelier);
        for at in sorted..sorted + next {
            sum += candidates[at].1;
            if sum >= wanted {
                return candidates.truncate(at + 1);
            }
        }
        sorted += next;
    }
}

/// Calls `visit` for every allowed token whose logit is a number, in the order of ids.
pub(crate) fn each_allowed(logits: &[f32], mask: Option<&SimpleVob>, mut visit: impl FnMut(u32, f32)) {
    let mut one = |token: usize| {
        if let Some(&logit) = logits.get(token)
            && !logit.is_nan()
        {
            visit(token as u32, logit);
        }
    };
    match mask {
        Some(mask) => mask.iter_set_entries(&mut one),
        None => (0..logits.len()).for_each(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(size: usize, allowed: &[u32]) -> SimpleVob {
        let mut mask = SimpleVob::alloc(size);
        allowed.iter().for_each(|&t| mask.allow_token(t));
        mask
    }

    fn sampler(temperature: f32, top_p: f32, seed: u64) -> Sampler {
        Sampler::new(Sampling { temperature, top_p, seed, ..Sampling::default() }, &[])
    }

    #[test]
    fn greedy_takes_the_best_allowed_token() {
        let logits = [1.0, 9.0, 3.0, 3.0];
        assert_eq!(sampler(0.0, 1.0, 0).sample(&logits, None), Some(1));
        assert_eq!(
            sampler(0.0, 1.0, 0).sample(&logits, Some(&mask(4, &[0, 2, 3]))),
            Some(2),
            "ties: lower id"
        );
    }

    #[test]
    fn not_a_number_is_never_chosen() {
        let logits = [f32::NAN, f32::NEG_INFINITY, f32::NAN, f32::INFINITY];
        for temperature in [0.0, 1.0] {
            let mut sampler = sampler(temperature, 0.9, 1);
            assert_eq!(sampler.sample(&logits, None), Some(3));
            assert_eq!(sampler.sample(&logits, Some(&mask(4, &[0, 1]))), Some(1));
            assert_eq!(sampler.sample(&logits, Some(&mask(4, &[0, 2]))), None);
        }
    }

    #[test]
    fn empty_mask_gives_no_token() {
        assert_eq!(sampler(0.0, 1.0, 0).sample(&[1.0], Some(&mask(1, &[]))), None);
    }

    #[test]
    fn mask_wider_than_logits_is_not_an_overrun() {
        assert_eq!(sampler(0.0, 1.0, 0).sample(&[1.0], Some(&mask(64, &[40]))), None);
    }

    #[test]
    fn same_seed_same_choices() {
        let logits: Vec<f32> = (0..100).map(|i| (i % 7) as f32).collect();
        let run = |seed| {
            let mut sampler = sampler(1.0, 0.95, seed);
            (0..50).filter_map(|_| sampler.sample(&logits, None)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn top_p_leaves_out_the_tail() {
        let logits = [5.0, 5.0, 0.0, 0.0];
        let mut sampler = sampler(1.0, 0.9, 3);
        for _ in 0..200 {
            assert!(sampler.sample(&logits, None).is_some_and(|t| t < 2));
        }
    }

    #[test]
    fn top_k_and_min_p_leave_out_the_tail() {
        let logits = [5.0, 4.0, 3.0, 2.0];
        let cut = |sampling: Sampling| {
            let mut sampler = Sampler::new(Sampling { temperature: 3.0, seed: 3, ..sampling }, &[]);
            (0..300).filter_map(|_| sampler.sample(&logits, None)).max()
        };
        assert_eq!(cut(Sampling { top_k: 2, ..Sampling::default() }), Some(1));
        // e^(-2/3) is 0.51, e^(-3/3) 0.37.
        assert_eq!(cut(Sampling { min_p: 0.5, ..Sampling::default() }), Some(2));
        assert_eq!(cut(Sampling::default()), Some(3));
    }

    /// Against sorting all of them.
    #[test]
    fn cuts_keep_the_likeliest_in_their_order() {
        let weight = |at: u32| (f64::from(at * 7919 % 1009) / 1009.0).powi(6);
        let all: Vec<(u32, f64)> = (0..5000).map(|at| (at, weight(at))).collect();
        let mut sorted = all.clone();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for count in [1, 2, 63, 64, 65, 4999, 5000, 9000] {
            let mut kept = all.clone();
            keep_likeliest(&mut kept, count);
            assert_eq!(kept, sorted[..count.min(5000)], "{count}");
        }
        let total: f64 = all.iter().map(|(_, weight)| weight).sum();
        for share in [1e-9, 0.01, 0.1, 0.5, 0.9, 0.999] {
            let mut sum = 0.0;
            let kept_by_sorting = sorted.iter().take_while(|(_, weight)| {
                let more = sum < share * total;
                sum += weight;
                more
            });
            let expected: Vec<_> = kept_by_sorting.copied().collect();
            let mut kept = all.clone();
            keep_share(&mut kept, share);
            assert_eq!(kept, expected, "{share}");
        }
    }

    #[test]
    fn penalties_hold_back_what_was_there() {
        let logits = [2.0, 1.9, -1.0];
        let pick = |sampling: Sampling, answer: &[u32]| {
            let mut sampler = Sampler::new(sampling, &[0]);
            answer.iter().for_each(|token| sampler.saw(*token));
            sampler.sample(&logits, None)
        };
        let greedy = Sampling::default();
        assert_eq!(pick(greedy, &[0, 0]), Some(0));
        assert_eq!(pick(Sampling { repetition_penalty: 1.2, ..greedy }, &[]), Some(1), "it is in the prompt");
        assert_eq!(pick(Sampling { presence_penalty: 0.5, ..greedy }, &[]), Some(0), "only in the prompt");
        assert_eq!(pick(Sampling { presence_penalty: 0.5, ..greedy }, &[0]), Some(1));
        assert_eq!(pick(Sampling { frequency_penalty: 0.06, ..greedy }, &[0]), Some(0));
        assert_eq!(pick(Sampling { frequency_penalty: 0.06, ..greedy }, &[0, 0]), Some(1));
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits = [2.0_f32.ln(), 0.0];
        let mut sampler = sampler(1.0, 1.0, 11);
        let first = (0..3000).filter(|_| sampler.sample(&logits, None) == Some(0)).count();
        assert!((1900..2100).contains(&first), "{first} of 3000, two thirds expected");
    }

    #[test]
    fn out_of_range_is_refused() {
        for (temperature, top_p) in [(-1.0, 1.0), (f32::NAN, 1.0), (1.0, -0.1), (1.0, 1.5), (1.0, f32::NAN)] {
            assert!(Sampling { temperature, top_p, ..Sampling::default() }.check().is_err());
        }
        for change in [
            |s: &mut Sampling| s.min_p = 1.5,
            |s: &mut Sampling| s.repetition_penalty = 0.0,
            |s: &mut Sampling| s.presence_penalty = 3.0,
            |s: &mut Sampling| s.frequency_penalty = f32::NAN,
        ] {
            let mut sampling = Sampling::default();
            change(&mut sampling);
            assert!(sampling.check().is_err(), "{sampling:?}");
        }
    }
}
