//! Streams of a PDF, decoded within a budget: the filters of ISO 32000-1, 7.4, that text needs.
//!
//! Invariant: no more than [`Budget::left`] bytes are ever made, whatever a stream unfolds to. hayro-syntax decodes object
//! and cross-reference streams itself, without a bound; [`preflight`] refuses those that would be large.

use std::io::Read;

use flate2::read::ZlibDecoder;
use hayro_syntax::object::{Array, Name, Object, Stream};

use crate::Error;

/// All that is decoded of one document, in bytes.
const MAX_DECODED: usize = 64 << 20;
/// One stream, in bytes.
const MAX_STREAM: usize = 24 << 20;
/// What an object or cross-reference stream may unfold to, in bytes; all of them together twice that.
const MAX_STRUCTURE: usize = 24 << 20;

/// What may still be decoded.
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { left: MAX_DECODED }
    }

    /// The bytes of a stream; none where it is damaged or a picture.
    pub(super) fn decode(&mut self, stream: &Stream<'_>) -> Result<Vec<u8>, Error> {
        let most = MAX_STREAM.min(self.left);
        let mut data = stream.raw_data().into_owned();
        for filter in filters(stream) {
            data = match filter.as_str() {
                "FlateDecode" | "Fl" => inflate(&data, most)?,
                "ASCII85Decode" | "A85" => ascii85(&data),
                "ASCIIHexDecode" | "AHx" => hex(&data),
                // Up to 2,700 and 64 times as large; the bound on what goes in is one on what comes out.
                "LZWDecode" | "LZW" if data.len() <= 8 << 10 => whole(stream),
                "RunLengthDecode" | "RL" if data.len() <= 256 << 10 => whole(stream),
                "LZWDecode" | "LZW" | "RunLengthDecode" | "RL" => {
                    return Err(Error::Unsupported(
                        "its text is compressed with LZW or RunLength; save it anew as a PDF of today"
                            .to_owned(),
                    ));
                }
                "Crypt" => data,
                // A picture.
                _ => return Ok(Vec::new()),
            };
        }
        self.left = self.left.saturating_sub(data.len());
        if self.left == 0 {
            return Err(too_large(MAX_DECODED));
        }
        Ok(data)
    }
}

/// At most two: nothing honest has more, and each may unfold anew.
fn filters(stream: &Stream<'_>) -> Vec<String> {
    match stream.dict().get::<Object<'_>>("Filter") {
        Some(Object::Name(name)) => vec![name.as_str().to_owned()],
        Some(Object::Array(names)) => {
            Array::iter::<Name<'_>>(&names).take(2).map(|name| name.as_str().to_owned()).collect()
        }
        _ => Vec::new(),
    }
}

/// All filters of a stream at once.
fn whole(stream: &Stream<'_>) -> Vec<u8> {
    if filters(stream).len() > 1 {
        Vec::new()
    } else {
        stream.decoded_data().unwrap_or_default().into_owned()
    }
}

fn too_large(most: usize) -> Error {
    Error::Limit(format!(
        "its streams unfold to more than {} MiB: a decompression bomb, or no résumé",
        most >> 20
    ))
}

/// What can be inflated of damaged data is kept, as readers of PDF do.
fn inflate(data: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    // The error is the end of what is whole.
    drop(ZlibDecoder::new(data).take(most as u64 + 1).read_to_end(&mut out));
    if out.len() > most { Err(too_large(most)) } else { Ok(out) }
}

fn ascii85(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 5 * 4);
    let (mut group, mut count) = (0_u32, 0_usize);
    for byte in data {
        match byte {
            b'z' if count == 0 => out.extend([0; 4]),
            b'!'..=b'u' => {
                group = group.wrapping_mul(85).wrapping_add(u32::from(byte - b'!'));
                count += 1;
                if count == 5 {
                    out.extend(group.to_be_bytes());
                    (group, count) = (0, 0);
                }
            }
            b'~' => break,
            _ => {}
        }
    }
    if count > 1 {
        for _ in count..5 {
            group = group.wrapping_mul(85).wrapping_add(84);
        }
        out.extend(group.to_be_bytes().into_iter().take(count - 1));
    }
    out
}

fn hex(data: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = data
        .iter()
        .take_while(|byte| **byte != b'>')
        .filter_map(|byte| char::from(*byte).to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    if digits.len() % 2 == 1 {
        digits.push(0);
    }
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

/// Refuses a file whose object or cross-reference streams unfold to too much, before anything parses it.
///
/// A stream that evades this look (encrypted, or its dictionary split up) still meets the memory limit of the plugin.
pub(super) fn preflight(file: &[u8]) -> Result<(), Error> {
    let mut left = 2 * MAX_STRUCTURE;
    let mut from = 0;
    while let Some(at) = find(file, b"stream", from) {
        from = at + 6;
        let Some(rest) = file.get(from..) else { break };
        if file.get(..at).is_some_and(|before| before.ends_with(b"end")) {
            continue;
        }
        let head = file.get(at.saturating_sub(2048)..at).unwrap_or_default();
        let start = head.windows(4).rposition(|window| window == b" obj").unwrap_or(0);
        let head = head.get(start..).unwrap_or_default();
        let names = |needle: &[u8]| head.windows(needle.len()).filter(|window| *window == needle).count();
        let structure = names(b"ObjStm") + names(b"/XRef") > 0;
        let data = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")).unwrap_or(rest);
        // Whatever the dictionary says, what looks like zlib is measured where it could be structure.
        let zlib = matches!(data, [cmf, flags, ..] if cmf & 0xf == 8 && (u16::from(*cmf) << 8 | u16::from(*flags)) % 31 == 0);
        let known_else = names(b"/Image") + names(b"/FontFile") + names(b"/Length1") > 0;
        if structure
            && names(b"Decode") - names(b"DecodeParms").min(names(b"Decode"))
                > names(b"/FlateDecode") + names(b"Decode/")
        {
            let lone = names(b"/LZWDecode") + names(b"/RunLengthDecode") > 0;
            if lone {
                return Err(Error::Unsupported(
                    "its objects are compressed in a way that only hostile files use".to_owned(),
                ));
            }
        }
        if zlib && (structure || !known_else) {
            let made = inflated_length(data, left + 1);
            if structure {
                left = left.saturating_sub(made);
            }
            if made > MAX_STRUCTURE || left == 0 {
                return Err(too_large(MAX_STRUCTURE));
            }
            if names(b"/FlateDecode") > 1 && structure {
                return Err(Error::Unsupported(
                    "its objects are compressed twice, as only hostile files do".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

fn inflated_length(data: &[u8], most: usize) -> usize {
    let mut decoder = ZlibDecoder::new(data).take(most as u64);
    let (mut chunk, mut made) = (vec![0; 64 << 10], 0);
    while let Ok(count) = decoder.read(&mut chunk) {
        if count == 0 {
            break;
        }
        made += count;
    }
    made
}

pub(super) fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    haystack.get(from..)?.windows(needle.len()).position(|window| window == needle).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::{ascii85, hex, inflate};
    use crate::Error;
    use std::io::Write;

    #[test]
    fn text_filters() {
        // The example of Adobe's specification of ASCII base-85, and one of odd length.
        assert_eq!(ascii85(b"9jqo^BlbD-BleB1DJ+*+F(f,q~>"), b"Man is distinguished");
        assert_eq!(ascii85(b"9jq o^~>rest"), b"Man ");
        assert_eq!(hex(b"48 65 6C6c 7>ff"), b"Hellp");
    }

    #[test]
    fn a_bomb_is_refused_and_a_broken_end_is_not() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; 3 << 20]).expect("memory");
        let packed = encoder.finish().expect("memory");
        assert!(matches!(inflate(&packed, 1 << 20), Err(Error::Limit(_))));
        let part = inflate(&packed[..packed.len() / 2], 4 << 20).expect("the part before the break");
        assert!(!part.is_empty() && part.len() < 3 << 20);
    }
}
