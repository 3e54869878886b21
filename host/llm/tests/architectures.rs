//! Every architecture, on small files of noise: the graphs of our own operators and of ONNX Runtime's give the probabilities
//! that llama.cpp gives.

#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "a part of the borrowed file is used")]

#[path = "../src/import/tests/sample.rs"]
mod sample;
mod support;

use pawl_llm::{Operators, Scorer};
use sample::Sample;
use support::{options, runtime};

/// Tokens and the logarithms of their probabilities, the likeliest first.
type Top = [(usize, f64); 6];

/// Architecture, layers, and what `llama-server` of llama-cpp-python 0.3.36 said of the very same file, with keys and values in
/// f32: the likeliest tokens behind [`prompt`], and behind it and the likeliest token eleven times. (Qwen2 is that of the
/// real models; its files have no heads narrower than the width.)
const EXPECTED: [(&str, u32, Top, Top); 4] = [
    (
        "llama",
        2,
        [(28, -2.77201), (31, -4.04671), (52, -4.06338), (76, -4.10585), (99, -4.18461), (36, -4.19238)],
        [(28, -2.93946), (31, -4.11906), (47, -4.18116), (99, -4.18845), (36, -4.19429), (62, -4.21156)],
    ),
    (
        "qwen3",
        2,
        [(28, -2.67445), (31, -4.0163), (36, -4.20952), (76, -4.21048), (62, -4.24395), (7, -4.29955)],
        [(28, -2.74173), (31, -3.95128), (95, -4.21445), (99, -4.25461), (22, -4.26659), (36, -4.28813)],
    ),
    (
        "gemma",
        2,
        [(28, -0.57442), (62, -4.94702), (27, -5.02575), (31, -5.03293), (86, -5.05003), (36, -5.06111)],
        [(28, -0.57723), (62, -4.95376), (27, -5.0165), (31, -5.01802), (36, -5.03695), (86, -5.05698)],
    ),
    (
        "gemma3",
        7,
        [(83, -4.0169), (12, -4.10627), (69, -4.15167), (101, -4.16905), (102, -4.19509), (82, -4.20532)],
        [(83, -3.38994), (102, -4.07169), (54, -4.10354), (29, -4.12457), (13, -4.17796), (94, -4.24262)],
    ),
];
/// llama.cpp computes with tables and in another order; a part that is left out makes ten times as much.
const APART: f64 = 1e-3;
/// Each kind of operators rounds what it multiplies with to codes, in its own way.
const APART_QUANTIZED: f64 = 0.1;

/// A prompt that says nothing, longer than a page and than the window.
fn prompt() -> Vec<u32> {
    (0..70).map(|index| (index * 29 + 7) % 90).collect()
}

fn logprobs(logits: &[f32]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    logits.iter().map(|logit| f64::from(*logit) - sum.ln()).collect()
}

/// The logarithms of probabilities behind the prompt, and behind it and the likeliest token eleven times.
fn behind_prompt(folder: &std::path::Path) -> [Vec<f64>; 2] {
    let mut scorer = Scorer::load(&runtime(), folder, &options(256)).unwrap();
    let first = logprobs(scorer.push(&prompt()).unwrap());
    let likeliest = (0..first.len()).max_by(|a, b| first[*a].total_cmp(&first[*b])).unwrap() as u32;
    let last = (0..11).map(|_| logprobs(scorer.push(&[likeliest]).unwrap())).last().unwrap();
    [first, last]
}

#[test]
fn quantized_weights_with_offsets_give_alike_by_each_kind_of_operators() {
    for (architecture, layers) in [("llama", 2), ("qwen3", 2), ("gemma", 2), ("gemma3", 7)] {
        let folder = tempfile::tempdir().unwrap();
        // Q4_1
        let gguf = Sample::quantized(architecture, layers, 3).write(folder.path()).unwrap();
        let found = |operators: Operators| {
            let target = folder.path().join(operators.name());
            pawl_llm::import_gguf(&gguf, &target, operators, &mut |_| {}).unwrap();
            behind_prompt(&target)
        };
        let own = found(Operators::Own);
        for operators in [Operators::Portable, Operators::Device] {
            // float16 has no room for its sums
            if operators == Operators::Device && architecture.starts_with("gemma") {
                continue;
            }
            for (own, other) in own.iter().zip(&found(operators)) {
                let apart = own.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(apart < APART_QUANTIZED, "{architecture} {operators:?}: {apart}");
            }
        }
    }
}

#[test]
fn probabilities_are_those_of_llama_cpp_by_either_kind_of_operators() {
    for (architecture, layers, first, last) in EXPECTED {
        let folder = tempfile::tempdir().unwrap();
        let gguf = Sample::of(architecture, layers).write(folder.path()).unwrap();
        for operators in [Operators::Own, Operators::Portable] {
            let target = folder.path().join(operators.name());
            pawl_llm::import_gguf(&gguf, &target, operators, &mut |_| {}).unwrap();
            let mut scorer = Scorer::load(&runtime(), &target, &options(256)).unwrap();
            let mut all = vec![logprobs(scorer.push(&prompt()).unwrap())];
            for _ in 0..11 {
                all.push(logprobs(scorer.push(&[first[0].0 as u32]).unwrap()));
            }
            for (expected, found) in [(first, &all[0]), (last, &all[11])] {
                for (token, logprob) in expected {
                    let apart = (found[token] - logprob).abs();
                    assert!(
                        apart < APART,
                        "{architecture} {operators:?}, token {token}: {} for {logprob}",
                        found[token]
                    );
                }
                let best = found.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                assert_eq!(found[expected[0].0], best, "{architecture}: the likeliest");
            }
        }
    }
}
