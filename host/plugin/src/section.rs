//! The custom sections `pawl:wit`: a plugin's WIT text inside its component, one file a section, because `///` docs do not
//! survive in component types.
//!
//! Format (component model, Binary.md; core spec 5.5.3): section id 0, its size, then the name (size and bytes) and the content;
//! sizes are unsigned LEB128. A custom section may stand at the end of a component, so it is appended; nothing else changes.
//! Invariant: what comes out is what came in, plus the sections of that name. xtask, which builds the plugins of the project
//! before there is a host, compiles this file too, so it uses nothing but the standard library.

use std::fs;
use std::path::{Path, PathBuf};

/// Name of the section.
pub(crate) const WIT: &str = "pawl:wit";

/// The component with a section `name` for each of `contents` at its end. Those of that name that are there already go.
pub(crate) fn with_sections(
    component: &[u8],
    name: &str,
    contents: &[impl AsRef<[u8]>],
) -> Result<Vec<u8>, &'static str> {
    if component.get(..4) != Some(b"\0asm") || component.get(4..8) != Some(&[0x0d, 0, 1, 0]) {
        return Err("not a component: it does not begin with \\0asm and the component layer's version");
    }
    let mut result = component[..8].to_vec();
    let mut rest = &component[8..];
    while let [id, after @ ..] = rest {
        let (size, body) = leb128(after)?;
        let Some((body, next)) = body.split_at_checked(size) else {
            return Err("a section is cut off: the component is damaged, build it again");
        };
        if !(*id == 0 && section_name(body) == Some(name.as_bytes())) {
            result.extend_from_slice(&rest[..rest.len() - next.len()]);
        }
        rest = next;
    }
    for content in contents {
        let mut body = Vec::new();
        push_leb128(&mut body, name.len());
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(content.as_ref());
        result.push(0);
        push_leb128(&mut result, body.len());
        result.extend_from_slice(&body);
    }
    Ok(result)
}

/// A plugin's own WIT files in order of their names, without those that it depends on (`deps/`); none where there is no such
/// folder. The error goes with the path that it is about.
pub(crate) fn wit_texts(folder: &Path) -> Result<Vec<String>, (PathBuf, std::io::Error)> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = |error| (folder.to_path_buf(), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "wit") {
            files.push(path);
        }
    }
    files.sort();
    files.into_iter().map(|file| fs::read_to_string(&file).map_err(|error| (file, error))).collect()
}

fn section_name(body: &[u8]) -> Option<&[u8]> {
    let (size, rest) = leb128(body).ok()?;
    rest.get(..size)
}

/// An unsigned LEB128 number of at most 32 bits, and what follows it.
fn leb128(bytes: &[u8]) -> Result<(usize, &[u8]), &'static str> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = usize::try_from(value).map_err(|_| "a size is beyond this machine's addresses")?;
            return Ok((value, &bytes[index + 1..]));
        }
    }
    Err("a size is not LEB128 of 32 bits: the component is damaged, build it again")
}

fn push_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn section_is_encoded_as_the_specification_says() -> Result<(), &'static str> {
        let component = with_sections(EMPTY, "ab", &["xyz", ""])?;
        assert_eq!(&component[8..], b"\x00\x06\x02abxyz\x00\x03\x02ab");
        Ok(())
    }

    #[test]
    fn sizes_of_several_bytes_are_leb128() -> Result<(), &'static str> {
        for value in [0, 1, 127, 128, 300, 16_384, 624_485] {
            let mut bytes = Vec::new();
            push_leb128(&mut bytes, value);
            assert_eq!(leb128(&bytes)?, (value, &[][..]));
        }
        let mut bytes = Vec::new();
        push_leb128(&mut bytes, 624_485);
        assert_eq!(bytes, [0xe5, 0x8e, 0x26]);
        assert!(leb128(&[0x80, 0x80]).is_err());
        Ok(())
    }

    #[test]
    fn a_section_of_that_name_is_replaced_and_others_stay() -> Result<(), &'static str> {
        let other = with_sections(EMPTY, "other", &["kept"])?;
        let first = with_sections(&other, WIT, &["old"])?;
        let second = with_sections(&first, WIT, &["new"])?;
        assert_eq!(second, with_sections(&other, WIT, &["new"])?);
        assert!(second.starts_with(&other));
        Ok(())
    }

    #[test]
    fn wit_files_are_taken_by_name_without_dependencies() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("deps"))?;
        fs::write(folder.path().join("deps/other.wit"), "no")?;
        fs::write(folder.path().join("b.wit"), "world b {}")?;
        fs::write(folder.path().join("a.wit"), "package a:a;\n")?;
        let texts = wit_texts(folder.path()).map_err(|(_, error)| error)?;
        assert_eq!(texts, ["package a:a;\n", "world b {}"]);
        assert!(wit_texts(&folder.path().join("none")).map_err(|(_, error)| error)?.is_empty());
        fs::write(folder.path().join("c.wit"), b"\xff")?;
        assert_eq!(wit_texts(folder.path()).expect_err("not UTF-8").0, folder.path().join("c.wit"));
        Ok(())
    }

    #[test]
    fn what_is_not_a_whole_component_is_refused() {
        assert!(with_sections(b"", WIT, &[""]).is_err());
        assert!(with_sections(b"\0asm\x01\0\0\0", WIT, &[""]).is_err());
        assert!(with_sections(b"\0asm\x0d\0\x01\0\x01\x09abc", WIT, &[""]).is_err());
    }
}
