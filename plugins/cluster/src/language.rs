//! Languages of an explanation: how the model is asked in each, and whether what it wrote is in it.
//!
//! Invariant: a text is only called German, Chinese or whatever else was asked for when its letters, or its commonest
//! words, say so; a language that is not in the table is asked for in English and said not to have been checked.
//! Words are the commonest function words of each language; letters are ranges of the Unicode blocks.

/// How a language is told from others.
#[derive(Debug, Clone, Copy)]
enum Sign {
    /// By words that are common in it, in lower case.
    Words(&'static [&'static str]),
    /// By its letters.
    Letters(fn(char) -> bool),
}

/// One language that the model is asked for in its own words.
#[derive(Debug)]
pub struct Language {
    /// Its English name.
    pub english: &'static str,
    /// Other names and its ISO 639-1 code, in lower case.
    names: &'static [&'static str],
    sign: Sign,
    /// What the model is to do, in the language.
    pub task: &'static str,
    /// The last words of the request, in the language.
    pub now: &'static str,
    /// The request for a translation, in the language.
    pub again: &'static str,
    /// The keys of the answer: problem, quotation, cause, steps.
    pub keys: [&'static str; 4],
}

const fn han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}
const fn kana(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}')
}
const fn hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{11ff}')
}
const fn cyrillic(c: char) -> bool {
    matches!(c, '\u{400}'..='\u{52f}')
}

/// Languages that are asked for in their own words.
pub static LANGUAGES: [Language; 10] = [
    Language {
        english: "English",
        names: &["en"],
        sign: Sign::Words(&[
            "a", "an", "has", "have", "no", "in", "on", "by", "or", "does", "which", "the", "and", "is",
            "it", "that", "with", "for", "not", "was", "are", "this", "to", "be", "why", "what", "of", "its",
            "cannot", "see",
        ]),
        task: "You explain problems of a Kubernetes cluster to the person who runs it, in English, in short plain sentences.",
        now: "Explain this in English.",
        again: "Write these sentences in plain English:",
        keys: ["problem", "quotation", "cause", "steps"],
    },
    Language {
        english: "German",
        names: &["deutsch", "de", "allemand", "aleman"],
        sign: Sign::Words(&[
            "der",
            "die",
            "das",
            "und",
            "ist",
            "nicht",
            "ein",
            "eine",
            "den",
            "dem",
            "mit",
            "wird",
            "sich",
            "auf",
            "von",
            "zu",
            "kann",
            "werden",
            "wurde",
            "für",
            "im",
            "des",
            "dass",
            "oder",
            "bei",
            "keine",
            "einen",
            "einem",
            "einer",
            "um",
            "sind",
            "hat",
            "überprüfen",
            "prüfen",
            "anzeigen",
        ]),
        task: "Du erklärst der Person, die einen Kubernetes-Cluster betreibt, dessen Probleme. Schreibe auf Deutsch, in kurzen, einfachen Sätzen.",
        now: "Erkläre das auf Deutsch.",
        again: "Übersetze diese Sätze ins Deutsche:",
        keys: ["Problem", "Zitat", "Ursache", "Schritte"],
    },
    Language {
        english: "Chinese",
        names: &[
            "中文",
            "汉语",
            "普通话",
            "简体中文",
            "mandarin",
            "zh",
            "simplified chinese",
            "chinesisch",
            "chino",
        ],
        sign: Sign::Letters(han),
        task: "你向 Kubernetes 集群的管理员解释集群的问题。请用中文写，句子简短易懂。",
        now: "请用中文解释。",
        again: "请把这些句子翻译成中文：",
        keys: ["问题", "引文", "原因", "步骤"],
    },
    Language {
        english: "Spanish",
        names: &["español", "espanol", "castellano", "es", "spanisch"],
        sign: Sign::Words(&[
            "el",
            "la",
            "los",
            "las",
            "y",
            "es",
            "que",
            "de",
            "en",
            "un",
            "una",
            "no",
            "se",
            "con",
            "para",
            "por",
            "del",
            "está",
            "ha",
            "su",
            "al",
            "más",
            "puede",
            "verificar",
            "ver",
        ]),
        task: "Explicas los problemas de un clúster de Kubernetes a la persona que lo administra. Escribe en español, con frases cortas y sencillas.",
        now: "Explícalo en español.",
        again: "Traduce estas frases al español:",
        keys: ["problema", "cita", "causa", "pasos"],
    },
    Language {
        english: "French",
        names: &["français", "francais", "fr", "französisch"],
        sign: Sign::Words(&[
            "le", "la", "les", "et", "est", "des", "une", "un", "pas", "dans", "pour", "du", "ne", "que",
            "qui", "sur", "avec", "au", "de", "en", "il", "à", "peut", "été",
        ]),
        task: "Tu expliques les problèmes d'un cluster Kubernetes à la personne qui l'exploite. Écris en français, en phrases courtes et simples.",
        now: "Explique cela en français.",
        again: "Traduis ces phrases en français :",
        keys: ["problème", "citation", "cause", "étapes"],
    },
    Language {
        english: "Portuguese",
        names: &["português", "portugues", "pt", "portugiesisch"],
        sign: Sign::Words(&[
            "o", "os", "as", "e", "é", "que", "de", "em", "um", "uma", "não", "se", "com", "para", "por",
            "do", "da", "no", "na", "está", "foi", "ao", "pode",
        ]),
        task: "Você explica os problemas de um cluster Kubernetes à pessoa que o administra. Escreva em português, em frases curtas e simples.",
        now: "Explique isto em português.",
        again: "Traduza estas frases para o português:",
        keys: ["problema", "citação", "causa", "passos"],
    },
    Language {
        english: "Italian",
        names: &["italiano", "it", "italienisch"],
        sign: Sign::Words(&[
            "il", "lo", "gli", "e", "è", "che", "di", "in", "un", "una", "non", "si", "con", "per", "del",
            "della", "nel", "al", "sono", "stato", "da", "può", "la",
        ]),
        task: "Spieghi i problemi di un cluster Kubernetes a chi lo gestisce. Scrivi in italiano, con frasi brevi e semplici.",
        now: "Spiegalo in italiano.",
        again: "Traduci queste frasi in italiano:",
        keys: ["problema", "citazione", "causa", "passi"],
    },
    Language {
        english: "Japanese",
        names: &["日本語", "ja", "japanisch"],
        sign: Sign::Letters(kana),
        task: "あなたは Kubernetes クラスターの問題を管理者に説明します。日本語で、短くわかりやすい文で書いてください。",
        now: "日本語で説明してください。",
        again: "次の文を日本語に翻訳してください：",
        keys: ["問題", "引用", "原因", "手順"],
    },
    Language {
        english: "Korean",
        names: &["한국어", "ko", "koreanisch"],
        sign: Sign::Letters(hangul),
        task: "당신은 Kubernetes 클러스터의 문제를 관리자에게 설명합니다. 한국어로 짧고 쉬운 문장으로 쓰세요.",
        now: "한국어로 설명하세요.",
        again: "다음 문장을 한국어로 번역하세요:",
        keys: ["문제", "인용", "원인", "단계"],
    },
    Language {
        english: "Russian",
        names: &["русский", "ru", "russisch"],
        sign: Sign::Letters(cyrillic),
        task: "Ты объясняешь проблемы кластера Kubernetes тому, кто за него отвечает. Пиши по-русски, короткими простыми предложениями.",
        now: "Объясни это по-русски.",
        again: "Переведи эти предложения на русский:",
        keys: ["проблема", "цитата", "причина", "шаги"],
    },
];

/// The language of this name in English, in itself, or by its code.
#[must_use]
pub fn named(name: &str) -> Option<&'static Language> {
    let name = name.to_lowercase();
    LANGUAGES.iter().find(|l| l.english.to_lowercase() == name || l.names.contains(&name.as_str()))
}

impl Language {
    /// Whether a sentence is in this language. `known` are names and quotations, which have none.
    #[must_use]
    pub fn is_of(&self, sentence: &str, known: &str) -> bool {
        let words: Vec<String> = sentence
            .split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '/' | '.' | ':'))
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
            .filter(|word| !word.is_empty())
            .collect();
        match self.sign {
            Sign::Letters(own) => {
                let letters = sentence.chars().filter(|c| own(*c)).count();
                // Names of things stay in Latin letters; whole sentences do not. A Chinese text has no kana.
                let foreign = words
                    .iter()
                    .filter(|word| {
                        word.chars().all(|c| c.is_ascii_alphabetic()) && !known.contains(word.as_str())
                    })
                    .count();
                let other = self.english == "Chinese" && sentence.chars().any(kana);
                letters >= 2 && letters >= 2 * foreign && !other
            }
            Sign::Words(own) => {
                let hits = |list: &[&str]| words.iter().filter(|word| list.contains(&word.as_str())).count();
                let others = LANGUAGES.iter().filter(|other| other.english != self.english);
                let most = others.filter_map(|other| match other.sign {
                    Sign::Words(list) => Some(hits(list)),
                    Sign::Letters(_) => None,
                });
                let own = hits(own);
                let strange = sentence.chars().any(|c| han(c) || kana(c) || hangul(c) || cyrillic(c));
                !strange && own > 0 && own >= most.max().unwrap_or(0)
            }
        }
    }
}
