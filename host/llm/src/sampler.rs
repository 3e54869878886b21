//! Logits and a mask to one token.
//!
//! Invariant: the token returned is allowed and its logit is a number; there is none when no such token exists.
//! Same seed, same logits, same masks: same tokens (ChaCha8, independent of platform and thread count).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toktrie::SimpleVob;

use crate::Error;

/// How a token is chosen among the allowed ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the most likely token; at most 100.
    pub temperature: f32,
    /// The smallest set of tokens whose probabilities reach this sum is kept, in (0, 1]; 1 keeps all.
    pub top_p: f32,
    /// Same seed, same prompt: same answer.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Sampling { temperature: 0.0, top_p: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// Refuses what is out of range, naming the value and the range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(0.0..=100.0).contains(&self.temperature) {
            return Err(Error::Request(format!("temperature {} is not between 0 and 100", self.temperature)));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::Request(format!("top_p {} is not above 0 and at most 1", self.top_p)));
        }
        Ok(())
    }
}

/// Log-probabilities this far below the best, in units of temperature, are left out: e^-20 is 2 in a billion.
const NEGLIGIBLE: f32 = 20.0;

/// The state of one generation's choices.
pub(crate) struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling) -> Sampler {
        Sampler { sampling, random: ChaCha8Rng::seed_from_u64(sampling.seed) }
    }

    /// A token whose bit is set in `mask`; without a mask any token. Ties go to the lower id.
    pub(crate) fn sample(&mut self, logits: &[f32], mask: Option<&SimpleVob>) -> Option<u32> {
        let best = best(logits, mask)?;
        if self.sampling.temperature == 0.0 {
            return Some(best);
        }
        let top = logits[best as usize];
        let threshold = top - NEGLIGIBLE * self.sampling.temperature;
        let mut candidates: Vec<(u32, f64)> = Vec::new();
        each_allowed(logits, mask, |token, logit| {
            if logit >= threshold {
                let scaled = f64::from(logit - top) / f64::from(self.sampling.temperature);
                // An infinite best logit leaves only its equals.
                candidates.push((token, if logit == top { 1.0 } else { scaled.exp() }));
            }
        });
        self.draw(candidates)
    }

    /// Draws among weighted tokens after the top-p cut.
    fn draw(&mut self, mut candidates: Vec<(u32, f64)>) -> Option<u32> {
        let mut total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        if self.sampling.top_p < 1.0 {
            candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let wanted = total * f64::from(self.sampling.top_p);
            let mut sum = 0.0;
            let mut kept = 0;
            while kept < candidates.len() && sum < wanted {
                sum += candidates[kept].1;
                kept += 1;
            }
            candidates.truncate(kept.max(1));
            total = candidates.iter().map(|(_, weight)| weight).sum();
        }
        let mut left = self.random.random::<f64>() * total;
        for &(token, weight) in &candidates {
            left -= weight;
            if left < 0.0 {
                return Some(token);
            }
        }
        candidates.last().map(|&(token, _)| token)
    }
}

fn best(logits: &[f32], mask: Option<&SimpleVob>) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    each_allowed(logits, mask, |token, logit| {
        if best.is_none_or(|(_, top)| logit > top) {
            best = Some((token, logit));
        }
    });
    best.map(|(token, _)| token)
}

/// Calls `visit` for every allowed token whose logit is a number, in the order of ids.
fn each_allowed(logits: &[f32], mask: Option<&SimpleVob>, mut visit: impl FnMut(u32, f32)) {
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
        Sampler::new(Sampling { temperature, top_p, seed })
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
    fn frequencies_follow_the_probabilities() {
        let logits = [2.0_f32.ln(), 0.0];
        let mut sampler = sampler(1.0, 1.0, 11);
        let first = (0..3000).filter(|_| sampler.sample(&logits, None) == Some(0)).count();
        assert!((1900..2100).contains(&first), "{first} of 3000, two thirds expected");
    }

    #[test]
    fn out_of_range_is_refused() {
        for (temperature, top_p) in [(-1.0, 1.0), (f32::NAN, 1.0), (1.0, 0.0), (1.0, 1.5), (1.0, f32::NAN)] {
            assert!(Sampling { temperature, top_p, seed: 0 }.check().is_err());
        }
    }
}
