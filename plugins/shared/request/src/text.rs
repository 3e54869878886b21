//! The words of a request, and which of them were understood.
//!
//! Invariant: a word is understood once. Han characters are words of their own, so that Chinese needs no spaces.

/// A request in words.
#[derive(Debug)]
pub struct Text {
    words: Vec<String>,
    used: Vec<bool>,
}

/// Words of a request that are read; the rest of a longer one is not.
const MAX_WORDS: usize = 200;
const STOP: [&str; 58] = [
    "a", "an", "the", "of", "in", "on", "for", "to", "from", "and", "or", "by", "per", "each", "every", "is",
    "are", "was", "were", "did", "do", "does", "have", "has", "had", "we", "our", "us", "i", "me", "my",
    "you", "what", "which", "who", "how", "many", "much", "show", "give", "tell", "list", "please", "with",
    "at", "it", "that", "there", "as", "make", "get", "year", "month", "all", "can", "be", "total", "s",
];

/// Words that may stand within a phrase of several: "orders that were cancelled" is `orders cancelled`.
const BETWEEN: [&str; 16] = [
    "the",
    "a",
    "of",
    "all",
    "different",
    "is",
    "are",
    "was",
    "were",
    "been",
    "has",
    "have",
    "had",
    "that",
    "who",
    "did",
];

const NUMBERS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// A name, a synonym or a value in words.
#[must_use]
pub fn phrase(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    let chars: Vec<char> = text.to_lowercase().chars().collect();
    for (place, one) in chars.iter().enumerate() {
        let digit = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
        let dash = *one == '-' && digit(place.checked_sub(1)) && digit(Some(place + 1));
        let within = matches!(*one, '.' | ',') && digit(place.checked_sub(1)) && digit(Some(place + 1));
        let han = ('\u{3400}'..='\u{9fff}').contains(one);
        if han {
            words.push(one.to_string());
            open = false;
        } else if within && *one == ',' {
            // 60,000
        } else if one.is_alphanumeric() || dash || within {
            match words.last_mut().filter(|_| open) {
                Some(word) => word.push(*one),
                None => words.push(one.to_string()),
            }
            open = true;
        } else {
            open = false;
        }
    }
    words
}

/// Without a plural's ending.
#[must_use]
pub fn singular(word: &str) -> String {
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.strip_suffix('s').filter(|stem| !stem.ends_with('s')).unwrap_or(word).to_owned(),
    }
}

/// A word of a request is a word of the layer, or its plural. The other way round `order` would be `orders`.
fn same(said: &str, name: &str) -> bool {
    said == name || (said.len() > 3 && singular(said) == name)
}

/// Whether a request's words for this could mean one of these as well.
#[must_use]
pub fn also(phrase: &[String], others: &[Vec<String>]) -> bool {
    others.iter().any(|other| {
        other.len() == phrase.len() && phrase.iter().zip(other).all(|(said, name)| same(said, name))
    })
}

impl Text {
    /// Splits a request into its words.
    #[must_use]
    pub fn new(request: &str) -> Text {
        let mut words = phrase(request);
        words.truncate(MAX_WORDS);
        let used = vec![false; words.len()];
        Text { words, used }
    }

    /// All words, in lower case.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    /// How many words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The word at a place; empty beyond the ends.
    #[must_use]
    pub fn at(&self, place: usize) -> &str {
        self.words.get(place).map_or("", String::as_str)
    }

    /// The word so many places before.
    #[must_use]
    pub fn before(&self, place: usize, back: usize) -> &str {
        place.checked_sub(back).map_or("", |place| self.at(place))
    }

    /// The first place where these words stand, not yet understood, and how many words that takes.
    pub fn find(&self, phrase: &[String], fits: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        (0..self.words.len()).find_map(|at| Some((at, self.stands(phrase, at)?)).filter(|_| fits(at)))
    }

    /// How many words a phrase takes where it stands here.
    fn stands(&self, phrase: &[String], at: usize) -> Option<usize> {
        let (first, rest) = phrase.split_first()?;
        let free = |place: usize| self.used.get(place) == Some(&false);
        let is = |place: usize, name: &str| free(place) && same(self.at(place), name);
        let mut place = Some(at).filter(|at| is(*at, first))? + 1;
        for name in rest {
            let gap = (0..=2).take_while(|gap| {
                (0..*gap).all(|passed| free(place + passed) && BETWEEN.contains(&self.at(place + passed)))
            });
            place += gap.into_iter().find(|gap| is(place + gap, name))? + 1;
        }
        Some(place - at)
    }

    /// Says that these words were understood.
    pub fn mark(&mut self, at: usize, len: usize) {
        for used in self.used.iter_mut().skip(at).take(len) {
            *used = true;
        }
    }

    /// Whether these words stand there and were not understood before; now they are.
    pub fn take(&mut self, words: &str) -> bool {
        let phrase = phrase(words);
        let found = self.find(&phrase, |_| true);
        if let Some((at, len)) = found {
            self.mark(at, len);
        }
        found.is_some()
    }

    /// Whether a word stands anywhere, understood or not.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }

    /// Whether a word is there and was not understood.
    #[must_use]
    pub fn free(&self, place: usize) -> bool {
        self.used.get(place) == Some(&false)
    }

    /// What was not understood, without words that say little.
    #[must_use]
    pub fn left(&self) -> String {
        let left = self
            .words
            .iter()
            .zip(&self.used)
            .filter(|(word, used)| !**used && !STOP.contains(&word.as_str()));
        left.map(|(word, _)| word.as_str()).take(8).collect::<Vec<_>>().join(" ")
    }
}

/// A small whole number, in figures or as a word.
#[must_use]
pub fn count(word: &str) -> Option<u32> {
    let number = word.parse().ok().filter(|number| (1..=500).contains(number));
    let place = || NUMBERS.iter().position(|number| *number == word);
    number.or_else(|| u32::try_from(place()? + 1).ok())
}
