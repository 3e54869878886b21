//! What words mean to any database of a business: abbreviations in names, words for money, for order and for absence, and the
//! Chinese words for the same.
//!
//! Invariant: nothing here names a table, a column or a value of one database.

/// Short forms in names of tables and columns.
const SHORT: [(&str, &str); 26] = [
    ("po", "purchase order"),
    ("so", "sales order"),
    ("wo", "work order"),
    ("std", "standard"),
    ("qty", "quantity"),
    ("no", "number"),
    ("num", "number"),
    ("nr", "number"),
    ("pct", "percent"),
    ("cust", "customer"),
    ("amt", "amount"),
    ("dept", "department"),
    ("emp", "employee"),
    ("desc", "description"),
    ("addr", "address"),
    ("min", "minutes"),
    ("hrs", "hours"),
    ("op", "operation"),
    ("ops", "operations"),
    ("fx", "exchange"),
    ("uom", "unit"),
    ("kg", "kilogram"),
    ("prod", "product"),
    ("cat", "category"),
    ("acct", "account"),
    ("inv", "invoice"),
];
/// Words for what was earned or paid, whatever its column is called.
pub(super) const MONEY: [&str; 20] = [
    "revenue", "turnover", "sales", "sold", "spent", "spend", "spending", "earned", "earn", "worth", "value",
    "money", "income", "takings", "paid", "bring", "brought", "billed", "cost", "amount",
];
/// Words in the name of a column that holds money, best first.
pub(super) const AMOUNTS: [&str; 7] = ["total", "amount", "revenue", "value", "cost", "price", "sum"];
/// Words for how many pieces.
pub(super) const PIECES: [&str; 5] = ["unit", "piece", "quantity", "item", "copy"];
pub(super) const HIGH: [&str; 17] = [
    "most",
    "highest",
    "largest",
    "biggest",
    "top",
    "best",
    "longest",
    "greatest",
    "dearest",
    "maximum",
    "max",
    "latest",
    "heaviest",
    "costliest",
    "strongest",
    "slowest",
    "descending",
];
pub(super) const LOW: [&str; 13] = [
    "lowest", "least", "fewest", "smallest", "cheapest", "shortest", "bottom", "worst", "minimum", "min",
    "earliest", "oldest", "lightest",
];
pub(super) const MEAN: [&str; 4] = ["average", "mean", "typical", "averaged"];
pub(super) const SHARE: [&str; 6] = ["percentage", "percent", "share", "proportion", "fraction", "rate"];
/// Words that say that something is not to be there.
pub(super) const NONE: [&str; 7] = ["never", "no", "without", "none", "not", "nothing", "lack"];
/// Words that leave out what follows.
pub(super) const LEAVE: [&str; 9] =
    ["without", "excluding", "except", "not", "ignoring", "leaving", "leave", "exclude", "besides"];
pub(super) const EACH: [&str; 6] = ["by", "per", "each", "every", "across", "which"];
/// Words that say how things stand now.
pub(super) const NOW: [&str; 7] = ["still", "currently", "current", "now", "present", "active", "today"];
/// Words that carry nothing once the rest is understood.
pub(super) const SMALL: [&str; 122] = [
    "a",
    "an",
    "the",
    "of",
    "in",
    "on",
    "for",
    "to",
    "from",
    "and",
    "or",
    "is",
    "are",
    "was",
    "were",
    "did",
    "do",
    "does",
    "have",
    "has",
    "had",
    "we",
    "our",
    "us",
    "i",
    "me",
    "my",
    "you",
    "what",
    "which",
    "who",
    "how",
    "many",
    "much",
    "show",
    "give",
    "tell",
    "list",
    "please",
    "with",
    "at",
    "it",
    "that",
    "there",
    "as",
    "make",
    "get",
    "all",
    "can",
    "be",
    "s",
    "their",
    "its",
    "they",
    "them",
    "name",
    "names",
    "each",
    "by",
    "per",
    "every",
    "number",
    "total",
    "sum",
    "count",
    "altogether",
    "together",
    "ever",
    "any",
    "one",
    "first",
    "come",
    "than",
    "need",
    "order",
    "been",
    "this",
    "these",
    "those",
    "where",
    "when",
    "whose",
    "into",
    "up",
    "out",
    "over",
    "so",
    "only",
    "also",
    "about",
    "will",
    "would",
    "could",
    "may",
    "right",
    "far",
    "time",
    "since",
    "until",
    "between",
    "during",
    "only",
    "just",
    "different",
    "distinct",
    "find",
    "placed",
    "put",
    "made",
    "make",
    "having",
    "most",
    "more",
    "whole",
    "separately",
    "day",
    "days",
    "month",
    "months",
    "year",
    "years",
    "large",
];
/// Words of a business in Chinese; the longest come first, so that none is cut in two.
const CHINESE: [(&str, &str); 74] = [
    ("供应商", "suppliers"),
    ("销售额", "revenue"),
    ("营业额", "revenue"),
    ("每个月", "by month"),
    ("上个月", "last month"),
    ("采购单", "purchase orders"),
    ("销售单", "sales orders"),
    ("平均值", "average"),
    ("百分之几", "what percentage"),
    ("多少个", "how many"),
    ("多少家", "how many"),
    ("多少种", "how many"),
    ("多少次", "how many"),
    ("部门", "departments"),
    ("客户", "customers"),
    ("顾客", "customers"),
    ("订单", "orders"),
    ("产品", "products"),
    ("商品", "products"),
    ("员工", "employees"),
    ("库存", "stock"),
    ("仓库", "warehouses"),
    ("机器", "machines"),
    ("设备", "machines"),
    ("发票", "invoices"),
    ("付款", "payments"),
    ("金额", "amount"),
    ("净额", "net amount"),
    ("退货", "returns"),
    ("退款", "credit amount"),
    ("原因", "reason"),
    ("质检", "inspections"),
    ("检验", "inspections"),
    ("结果", "result"),
    ("缺陷", "defects"),
    ("报价", "quotes"),
    ("合同", "contracts"),
    ("工单", "work orders"),
    ("零件", "parts"),
    ("地区", "regions"),
    ("类别", "category"),
    ("数量", "quantity"),
    ("价格", "price"),
    ("状态", "status"),
    ("国家", "country"),
    ("注册", "signed up"),
    ("最高", "highest"),
    ("最多", "most"),
    ("最大", "largest"),
    ("最低", "lowest"),
    ("最少", "fewest"),
    ("最小", "smallest"),
    ("平均", "average"),
    ("总共", "total"),
    ("总额", "total amount"),
    ("合计", "total"),
    ("多少", "how many"),
    ("几种", "how many"),
    ("几个", "how many"),
    ("不算", "excluding"),
    ("不含", "excluding"),
    ("没有", "without"),
    ("从未", "never"),
    ("取消", "cancelled"),
    ("完成", "completed"),
    ("分别", "each"),
    ("每个", "each"),
    ("各种", "each"),
    ("今年", "this year"),
    ("去年", "last year"),
    ("哪些", "which"),
    ("谁", "who"),
    ("按", "by"),
    ("各", "each"),
];
/// Han characters that only hold a sentence together.
const PARTICLES: &str = "的是了在有和与请从到高低排列个家种次因给吗呢？，。、已我们它这那新按为";
const DIGITS: &str = "一二三四五六七八九十";

/// A request with Chinese words of business in English.
pub(super) fn english(request: &str) -> String {
    if !request.chars().any(|one| ('\u{3400}'..='\u{9fff}').contains(&one)) {
        return request.to_owned();
    }
    let mut text = request.replace("从高到低", " largest first ").replace("排名前", "前");
    for (place, digit) in DIGITS.chars().enumerate() {
        text = text.replace(&format!("前{digit}"), &format!(" top {} ", place + 1));
        for counted in ["个", "家", "种", "名"] {
            text = text.replace(&format!("{digit}{counted}"), &format!(" {} ", place + 1));
        }
    }
    for (chinese, english) in CHINESE {
        text = text.replace(chinese, &format!(" {english} "));
    }
    text.chars().map(|one| if PARTICLES.contains(one) { ' ' } else { one }).collect()
}

/// The words of a name, spelled out and stemmed.
pub(super) fn spelled(name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for word in pawl_request::phrase(&name.replace('_', " ")) {
        match SHORT.iter().find(|(short, _)| *short == word) {
            Some((_, long)) => all.extend(long.split(' ').map(stem)),
            None => all.push(stem(&word)),
        }
    }
    all
}

/// As [`crate::relate::stem`], without the doubled consonant that a participle leaves.
pub(super) fn stem(word: &str) -> String {
    let stem = crate::relate::stem(word);
    match stem.as_bytes() {
        [.., a, b] if a == b && b"lnpt".contains(a) && stem != word && stem.len() > 4 => {
            stem[..stem.len() - 1].to_owned()
        }
        _ => stem,
    }
}

/// Whether two stems are the same word: `invoic` of `invoiced` and `invoice`.
pub(super) fn alike(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    a == b || (short.len() >= 5 && long.starts_with(short) && long.len() - short.len() <= 2)
}

/// Whether a word says one of these.
pub(super) fn one_of(word: &str, words: &[&str]) -> bool {
    words.contains(&word) || words.contains(&stem(word).as_str())
}
