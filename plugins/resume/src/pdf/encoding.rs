//! The encodings of simple fonts (ISO 32000-1, annex D) and the glyph names that Latin résumés use.

const MAC_ROMAN: &str = "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø¿¡¬√ƒ≈∆«»… ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ";
const WINDOWS: &str = "€\u{0}‚ƒ„…†‡ˆ‰Š‹Œ\u{0}Ž\u{0}\u{0}‘’“”•–—˜™š›œ\u{0}žŸ";
/// Name and character, by pairs.
const NAMES: &str = "space   exclam ! quotedbl \" numbersign # dollar $ percent % ampersand & quotesingle ' parenleft ( parenright ) asterisk * plus + comma , hyphen - period . slash / \
zero 0 one 1 two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9 colon : semicolon ; less < equal = greater > question ? at @ bracketleft [ backslash \\ bracketright ] asciicircum ^ underscore _ grave ` \
braceleft { bar | braceright } asciitilde ~ quoteleft ‘ quoteright ’ quotedblleft “ quotedblright ” quotesinglbase ‚ quotedblbase „ endash – emdash — bullet • ellipsis … dagger † daggerdbl ‡ \
guillemotleft « guillemotright » guilsinglleft ‹ guilsinglright › fi ﬁ fl ﬂ ff ﬀ ffi ﬃ ffl ﬄ AE Æ ae æ OE Œ oe œ Oslash Ø oslash ø germandbls ß Eth Ð eth ð Thorn Þ thorn þ dotlessi ı Lslash Ł lslash ł \
Agrave À Aacute Á Acircumflex Â Atilde Ã Adieresis Ä Aring Å Ccedilla Ç Egrave È Eacute É Ecircumflex Ê Edieresis Ë Igrave Ì Iacute Í Icircumflex Î Idieresis Ï Ntilde Ñ Ograve Ò Oacute Ó Ocircumflex Ô \
Otilde Õ Odieresis Ö Ugrave Ù Uacute Ú Ucircumflex Û Udieresis Ü Yacute Ý agrave à aacute á acircumflex â atilde ã adieresis ä aring å ccedilla ç egrave è eacute é ecircumflex ê edieresis ë igrave ì iacute í \
icircumflex î idieresis ï ntilde ñ ograve ò oacute ó ocircumflex ô otilde õ odieresis ö ugrave ù uacute ú ucircumflex û udieresis ü yacute ý ydieresis ÿ Scaron Š scaron š Zcaron Ž zcaron ž Ccaron Č ccaron č \
Cacute Ć cacute ć Nacute Ń nacute ń Sacute Ś sacute ś Zacute Ź zacute ź Zdotaccent Ż zdotaccent ż Aogonek Ą aogonek ą Eogonek Ę eogonek ę Rcaron Ř rcaron ř Ecaron Ě ecaron ě Uring Ů uring ů gbreve ğ \
Idotaccent İ scedilla ş Euro € sterling £ section § copyright © registered ® trademark ™ degree ° periodcentered · exclamdown ¡ questiondown ¿ ordfeminine ª ordmasculine º plusminus ± multiply × minus − fraction ⁄ nbspace   arrowright →";

/// A byte of WinAnsiEncoding, which is Windows-1252.
pub fn win_ansi(byte: u8) -> Option<char> {
    match byte {
        0x80..=0x9f => WINDOWS.chars().nth(usize::from(byte - 0x80)).filter(|c| *c != '\0'),
        _ => Some(char::from(byte)),
    }
}

pub(super) fn mac_roman(byte: u8) -> Option<char> {
    if byte < 0x80 { Some(char::from(byte)) } else { MAC_ROMAN.chars().nth(usize::from(byte - 0x80)) }
}

/// StandardEncoding: ASCII but for two quotes, and some of the upper half.
pub(super) fn standard(byte: u8) -> Option<char> {
    Some(match byte {
        0x27 => '’',
        0x60 => '‘',
        0..0x80 => char::from(byte),
        0xa1 => '¡',
        0xa7 => '§',
        0xaa => '“',
        0xab => '«',
        0xae => 'ﬁ',
        0xaf => 'ﬂ',
        0xb1 => '–',
        0xb7 => '•',
        0xba => '”',
        0xbb => '»',
        0xbc => '…',
        0xd0 => '—',
        0xe1 => 'Æ',
        0xe9 => 'Ø',
        0xea => 'Œ',
        0xf1 => 'æ',
        0xf9 => 'ø',
        0xfa => 'œ',
        0xfb => 'ß',
        _ => return None,
    })
}

/// The character of a glyph's name: of the list above, one letter, `uniXXXX` or `uXXXXX`.
pub(super) fn glyph(name: &str) -> Option<char> {
    let base = name.split('.').next().filter(|base| !base.is_empty())?;
    let mut letters = base.chars();
    if let (Some(c), None) = (letters.next(), letters.next()) {
        return Some(c);
    }
    let hex = base
        .strip_prefix("uni")
        .filter(|hex| hex.len() == 4)
        .or_else(|| base.strip_prefix('u').filter(|hex| matches!(hex.len(), 4..=6)));
    if let Some(c) = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32) {
        return Some(c);
    }
    if matches!(base, "space" | "nbspace") {
        return Some(' ');
    }
    let mut words = NAMES.split_whitespace();
    words.find(|word| *word == base).and_then(|_| words.next()).and_then(|value| value.chars().next())
}

#[cfg(test)]
mod tests {
    use super::{glyph, mac_roman, win_ansi};

    #[test]
    fn names_and_bytes() {
        assert_eq!(
            ["A", "eacute", "ffi", "uni4E2D", "u1F600", "fi.alt", "space", "question", "nonsense"].map(glyph),
            [Some('A'), Some('é'), Some('ﬃ'), Some('中'), Some('😀'), Some('ﬁ'), Some(' '), Some('?'), None]
        );
        assert_eq!(
            [0x41, 0x80, 0x81, 0x95, 0x99, 0xe9].map(win_ansi),
            [Some('A'), Some('€'), None, Some('•'), Some('™'), Some('é')]
        );
        // From Apple's ROMAN.TXT.
        assert_eq!(
            [0x80, 0x8e, 0xa5, 0xd0, 0xdb, 0xe5].map(mac_roman),
            [Some('Ä'), Some('é'), Some('•'), Some('–'), Some('€'), Some('Â')]
        );
    }
}
