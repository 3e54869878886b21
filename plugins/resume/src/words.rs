//! Words of a criterion and of a résumé made comparable: lower case, stems, synonyms; pairs of characters in Chinese.
//!
//! Invariant: a word has the same stem wherever it stands. Stems are for finding lines, never shown.

/// Words that say how a requirement is meant, not what it is about; in English, German and Chinese.
const STOP: &str = " a an and any are as at be but by can do each for from good had has have he her his i in into is it its may more most must my need needed needs no nor not of on one or other our own per she should so some such than that the their them then they this to too very was we were what when where which while who will with would you your ability able applicant candidate demonstrated desirable essential excellent experience experienced experiences familiar familiarity hands hand ideally knowledge know knows least mandatory minimum nice plus preferably preferred proficiency proficient proven required requirement skill skills solid strong understanding using use used well work worked working year years yrs employment professional job jobs career relevant total overall background und oder mit in der die das den ein eine von für als auf bei muss kenntnisse erfahrung jahre jahr sehr gute ";
/// Chinese words of the same kind.
const STOP_CHINESE: [&str; 16] = [
    "必须", "需要", "要求", "至少", "以上", "经验", "工作", "熟悉", "掌握", "具备", "具有", "能力", "良好",
    "优先", "年", "的",
];

/// Words that stand for one another. One group a line.
const GROUPS: &str = "\
lead led head supervise supervisor manage manager direct managed team-lead 管理 带领 负责
kubernetes k8s
postgresql postgres
javascript js
typescript ts
excel spreadsheet
degree bachelor bsc ba master msc ma diploma phd doctorate graduate studied 学士 硕士 博士
license licence licensed 执照
certificate certified certification 证书
cost budget saving expense 成本
logistics warehouse shipping freight supply dispatch 物流 仓库
develop developer programming programmer engineer coding software 软件 开发 工程师
analysis analyst analytics analyse analyze 分析
data 数据
project 项目
team group crew 团队
customer client 客户
german deutsch 德语
english englisch 英语
french französisch français 法语
spanish spanisch español 西班牙语
chinese mandarin chinesisch 中文 汉语 普通话
cloud aws azure gcp
monitoring observability alerting
incident outage on-call
train teach taught mentor coach instruct 培训
write wrote written
run ran
drive drove driven driver
build built
buy bought
speak spoke spoken
colleague junior peer coworker
test testing qa quality 测试
automate automation scripted 自动化
database sql databases 数据库
purchase procurement buying buyer bought sourcing order ordered 采购
sell sales selling sold 销售
safety safe hazard 安全
schedule scheduling planning plan roster 计划";

/// Endings that leave a stem of at least three letters.
const ENDINGS: [&str; 24] = [
    "ements", "ement", "ments", "ment", "ations", "ation", "ships", "ship", "ings", "ing", "ions", "ion",
    "ives", "ive", "ers", "er", "ors", "or", "ies", "ed", "es", "s", "e", "y",
];

/// The stem of a word in lower case.
fn stem(word: &str) -> String {
    let mut stem = word.to_owned();
    if !word.is_ascii() {
        return stem;
    }
    loop {
        let cut = ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending).filter(|rest| rest.len() >= 3));
        let Some(rest) = cut.map(str::to_owned) else { break };
        stem = rest;
    }
    // "planning" and "plan".
    let mut last = stem.chars().rev();
    if let (Some(a), Some(b)) = (last.next(), last.next())
        && a == b
        && stem.len() > 3
    {
        stem.pop();
    }
    stem
}

fn is_han(c: char) -> bool {
    ('\u{3400}'..='\u{9fff}').contains(&c)
}

/// The words of a text in lower case, Chinese runs as they are.
fn words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.to_lowercase().chars().chain([' ']) {
        let joins =
            c.is_alphanumeric() || matches!(c, '+' | '#') || (matches!(c, '.' | '-') && !word.is_empty());
        let turns = word.chars().next_back().is_some_and(|last| is_han(last) != is_han(c));
        if !joins || turns {
            let done = std::mem::take(&mut word);
            let done = done.trim_end_matches(['.', '-']);
            if !done.is_empty() {
                out.push(done.to_owned());
            }
        }
        if joins {
            word.push(c);
        }
    }
    out
}

/// The terms of a text: stems, and pairs of characters of Chinese runs.
#[must_use]
pub fn terms(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for word in words(text) {
        if word.chars().all(is_han) && word.chars().count() > 2 {
            let all: Vec<char> = word.chars().collect();
            out.extend(all.windows(2).map(|pair| pair.iter().collect::<String>()));
        } else {
            // "hands-on" is found as itself and as its parts.
            if word.contains('-') {
                out.extend(word.split('-').filter(|part| part.len() > 2).map(stem));
            }
            out.push(stem(&word));
        }
    }
    out
}

/// One thing that a criterion asks for, by all its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The word as it was written.
    pub word: String,
    /// Its term, and those of the synonyms that the rubric gives.
    pub own: Vec<String>,
    /// Terms that are near to it: good for finding lines, not for deciding.
    pub near: Vec<String>,
}

impl Asked {
    /// Whether some terms name it.
    #[must_use]
    pub fn named(&self, terms: &[String]) -> bool {
        self.own.iter().any(|own| terms.contains(own))
    }

    /// Whether some terms bear on it.
    #[must_use]
    pub fn touched(&self, terms: &[String]) -> bool {
        self.named(terms) || self.near.iter().any(|near| terms.contains(near))
    }
}

/// What a criterion is about: its words without those that only say how it is meant.
#[must_use]
pub fn asked(text: &str, synonyms: &[String]) -> Vec<Asked> {
    let mut plain = text.to_owned();
    for stop in STOP_CHINESE {
        plain = plain.replace(stop, " ");
    }
    let content = words(&plain).into_iter().filter(|word| {
        !STOP.contains(&format!(" {word} "))
            && word.chars().any(char::is_alphabetic)
            && (word.chars().count() > 1 || word == "c" || word == "r")
    });
    let mut out: Vec<Asked> = Vec::new();
    for word in content {
        for term in terms(&word) {
            if out.iter().any(|one| one.own.first() == Some(&term)) {
                continue;
            }
            let mut near = Vec::new();
            for group in GROUPS.lines().map(|line| line.split(' ').flat_map(terms).collect::<Vec<_>>()) {
                if group.contains(&term) {
                    near.extend(group.into_iter().filter(|other| *other != term));
                }
            }
            out.push(Asked { word: word.clone(), own: vec![term], near });
        }
    }
    if let Some(first) = out.first_mut() {
        first.own.extend(synonyms.iter().flat_map(|word| terms(word)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{asked, terms};

    #[test]
    fn forms_of_a_word_are_one_term() {
        for forms in [
            "engineer engineering engineers",
            "manage managed manager management",
            "planning planned plan",
            "lead leading leadership",
            "bakery baking baker",
        ] {
            let all = terms(forms);
            assert!(all.iter().all(|term| Some(term) == all.first()), "{all:?}");
        }
        assert_eq!(terms("C++, node.js (2 GmbH)."), ["c++", "node.j", "2", "gmbh"]);
        assert_eq!(terms("数据分析 Rust语言"), ["数据", "据分", "分析", "rust", "语言"]);
    }

    #[test]
    fn a_criterion_is_about_its_content() {
        let words = |text: &str| asked(text, &[]).into_iter().map(|one| one.word).collect::<Vec<_>>();
        assert_eq!(words("Must have at least 5 years of experience with k8s"), ["k8s"]);
        assert_eq!(words("必须熟悉数据分析"), ["数据分析", "数据分析", "数据分析"]);
        assert!(asked("k8s", &[])[0].touched(&terms("kubernetes")));
        assert!(asked("bees", &["apiary".to_owned()])[0].named(&terms("apiary")));
    }
}
