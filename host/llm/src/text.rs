//! Token bytes to text that can be shown.
//!
//! Invariant: what comes out is valid UTF-8 (a token may end inside a character), and no part of a stop string comes
//! out: bytes that could begin one are held until it is clear.

/// Most stop strings of a request, and most bytes of one.
pub(crate) const MAX_STOPS: usize = 16;
pub(crate) const MAX_STOP_BYTES: usize = 1024;

/// Bytes on their way out.
pub(crate) struct TextBuffer {
    stop: Vec<String>,
    held: Vec<u8>,
    stopped: bool,
}

impl TextBuffer {
    /// Empty stop strings stop nothing.
    pub(crate) fn new(stop: &[String]) -> TextBuffer {
        let stop = stop.iter().filter(|s| !s.is_empty()).cloned().collect();
        TextBuffer { stop, held: Vec::new(), stopped: false }
    }

    /// Whether a stop string was found; nothing is taken after it.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes the bytes of a token; returns what can be shown now, which may be nothing.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.extend_from_slice(bytes);
        if let Some(at) = self.stop.iter().filter_map(|stop| find(&self.held, stop.as_bytes())).min() {
            self.stopped = true;
            self.held.truncate(at);
            return self.take(self.held.len());
        }
        let hold = self.stop.iter().map(|stop| overlap(&self.held, stop.as_bytes())).max().unwrap_or(0);
        let ready = self.held.len() - hold;
        let ready = ready - incomplete(&self.held[..ready]);
        self.take(ready)
    }

    /// The end of the answer: what is held, less an unfinished character.
    pub(crate) fn finish(&mut self) -> String {
        let ready = self.held.len() - incomplete(&self.held);
        let text = self.take(ready);
        self.held.clear();
        text
    }

    fn take(&mut self, count: usize) -> String {
        let bytes: Vec<u8> = self.held.drain(..count).collect();
        String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Length of the longest end of `bytes` that begins `stop`.
fn overlap(bytes: &[u8], stop: &[u8]) -> usize {
    let longest = bytes.len().min(stop.len() - 1);
    (1..=longest).rev().find(|&n| bytes.ends_with(&stop[..n])).unwrap_or(0)
}

/// Bytes at the end that begin a character and do not finish it.
fn incomplete(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if back < length { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(stop: &[&str]) -> TextBuffer {
        TextBuffer::new(&stop.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn characters_cut_by_tokens_are_put_together() {
        let mut text = buffer(&[]);
        let mut out = String::new();
        for byte in "aé日🎉z".bytes() {
            out += &text.push(&[byte]);
        }
        assert_eq!(out + &text.finish(), "aé日🎉z");
    }

    #[test]
    fn invalid_bytes_become_the_replacement_character() {
        let mut text = buffer(&[]);
        assert_eq!(text.push(b"a\xFFb"), "a\u{FFFD}b");
        assert_eq!(text.push(b"\xE6\x97"), "");
        assert_eq!(text.push(b"x"), "\u{FFFD}x");
    }

    #[test]
    fn unfinished_character_at_the_end_is_dropped() {
        let mut text = buffer(&[]);
        assert_eq!(text.push(b"ok\xF0\x9F"), "ok");
        assert_eq!(text.finish(), "");
    }

    #[test]
    fn stop_string_across_tokens_is_not_shown() {
        let mut text = buffer(&["END"]);
        assert_eq!(text.push(b"one E"), "one ");
        assert_eq!(text.push(b"N"), "");
        assert_eq!(text.push(b"D two"), "");
        assert!(text.stopped());
        assert_eq!(text.push(b"more"), "");
        assert_eq!(text.finish(), "");
    }

    #[test]
    fn false_alarm_is_released() {
        let mut text = buffer(&["END"]);
        assert_eq!(text.push(b"EN"), "");
        assert_eq!(text.push(b"EMY"), "ENEMY");
        assert!(!text.stopped());
        assert_eq!(text.push(b"EN"), "");
        assert_eq!(text.finish(), "EN");
    }

    #[test]
    fn earliest_of_several_stop_strings_wins() {
        let mut text = buffer(&["later", "so"]);
        assert_eq!(text.push(b"sooner or later"), "");
        assert!(text.stopped());
    }

    #[test]
    fn stop_string_inside_multibyte_text() {
        let mut text = buffer(&["。"]);
        let mut out = String::new();
        for byte in "日本。語".bytes() {
            out += &text.push(&[byte]);
        }
        assert_eq!(out, "日本");
        assert!(text.stopped());
    }

    #[test]
    fn empty_stop_string_stops_nothing() {
        let mut text = buffer(&[""]);
        assert_eq!(text.push(b"abc"), "abc");
        assert!(!text.stopped());
    }
}
