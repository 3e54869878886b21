//! The custom sections `pawl:wit`: a plugin's WIT text inside its component, one file a section, because `///` docs do not
//! survive in component types.
//!
//! Format (component model, Binary.md; core spec 5.5.3): section id 0, its size, then the name (size and bytes) and the content;
//! sizes are unsigned LEB128. A custom section may stand at the end of a component, so it is appended; nothing else changes.
//! Invariant: what comes out is what came in, plus the sections of that name.

use anyhow::{Result, bail};

/// Name of the section.
pub(crate) const WIT: &str = "pawl:wit";

/// The component with a section `name` for each of `contents` at its end. Those of that name that are there already go.
pub(crate) fn with_sections(component: &[u8], name: &str, contents: &[impl AsRef<[u8]>]) -> Result<Vec<u8>> {
    if component.get(..4) != Some(b"\0asm") || component.get(4..8) != Some(&[0x0d, 0, 1, 0]) {
        bail!("not a component: it does not begin with \\0asm and the component layer's version");
    }
    let mut result = component[..8].to_vec();
    let mut rest = &component[8..];
    while let [id, after @ ..] = rest {
        let (size, body) = leb128(after)?;
        let Some((body, next)) = body.split_at_checked(size) else {
            bail!("a section of {size} bytes is cut off: the component is damaged, build it again");
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

fn section_name(body: &[u8]) -> Option<&[u8]> {
    let (size, rest) = leb128(body).ok()?;
    rest.get(..size)
}

/// An unsigned LEB128 number of at most 32 bits, and what follows it.
fn leb128(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((usize::try_from(value)?, &bytes[index + 1..]));
        }
    }
    bail!("a size is not LEB128 of 32 bits: the component is damaged, build it again");
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
    fn section_is_encoded_as_the_specification_says() -> Result<()> {
        let component = with_sections(EMPTY, "ab", &["xyz", ""])?;
        assert_eq!(&component[8..], b"\x00\x06\x02abxyz\x00\x03\x02ab");
        Ok(())
    }

    #[test]
    fn sizes_of_several_bytes_are_leb128() -> Result<()> {
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
    fn a_section_of_that_name_is_replaced_and_others_stay() -> Result<()> {
        let other = with_sections(EMPTY, "other", &["kept"])?;
        let first = with_sections(&other, WIT, &["old"])?;
        let second = with_sections(&first, WIT, &["new"])?;
        assert_eq!(second, with_sections(&other, WIT, &["new"])?);
        assert!(second.starts_with(&other));
        Ok(())
    }

    #[test]
    fn what_is_not_a_whole_component_is_refused() {
        assert!(with_sections(b"", WIT, &[""]).is_err());
        assert!(with_sections(b"\0asm\x01\0\0\0", WIT, &[""]).is_err());
        assert!(with_sections(b"\0asm\x0d\0\x01\0\x01\x09abc", WIT, &[""]).is_err());
    }
}
