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
    /// What is still to come of the lead, in which no stop string is looked for.
    lead: Vec<u8>,
    held: Vec<u8>,
    stopped: bool,
}

impl TextBuffer {
    /// Empty stop strings stop nothing; none does anything in a text that does not begin with `lead`.
    pub(crate) fn new(stop: &[String], lead: &str) -> TextBuffer {
        let stop = stop.iter().filter(|s| !s.is_empty()).cloned().collect();
        TextBuffer { stop, lead: lead.as_bytes().to_vec(), held: Vec::new(), stopped: false }
    }

    /// Whether a token of these bytes is within the lead.
    pub(crate) fn leads(&self, bytes: &[u8]) -> bool {
        !bytes.is_empty() && self.lead.starts_with(bytes)
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
        let from = if self.lead.is_empty() { 0 } else { self.held.len() + self.pass(bytes) };
        self.held.extend_from_slice(bytes);
        let open = &self.held[from..];
        if let Some(at) = self.stop.iter().filter_map(|stop| find(open, stop.as_bytes())).min() {
            self.stopped = true;
            self.held.truncate(from + at);
            return self.take(self.held.len());
        }
        let hold = self.stop.iter().map(|stop| overlap(open, stop.as_bytes())).max().unwrap_or(0);
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

    /// How many of the bytes belong to the lead.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let shared = self.lead.iter().zip(bytes).take_while(|(lead, byte)| lead == byte).count();
        self.lead.drain(..shared);
        if shared < bytes.len() && !self.lead.is_empty() {
            self.lead.clear();
            self.stop.clear();
        }
        shared
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
        led("", stop)
    }

    fn led(lead: &str, stop: &[&str]) -> TextBuffer {
        TextBuffer::new(&stop.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), lead)
    }

    #[test]
    fn stop_strings_are_looked_for_behind_the_lead_only() {
        let mut text = led("answer ", &["we", " ", "er B"]);
        assert!(text.leads(b"answ") && !text.leads(b"call"));
        assert_eq!(text.push(b"answ"), "answ");
        assert!(!text.leads(b"er By") && text.leads(b"er"));
        assert_eq!(text.push(b"er By"), "er By");
        assert!(!text.leads(b"e"));
        assert_eq!(text.push(b"e now"), "e");
        assert!(text.stopped());
    }

    #[test]
    fn a_text_that_begins_otherwise_has_no_stop_string() {
        let mut text = led("answer ", &["."]);
        assert_eq!(text.push(b"an"), "an");
        assert_eq!(text.push(b"d so on. And"), "d so on. And");
        assert_eq!(text.push(b"."), ".");
        assert!(!text.stopped());
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
