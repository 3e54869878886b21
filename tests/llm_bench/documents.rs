//! Made-up applications, the schema to extract from them, and twenty tools. No person in them is real.

use serde_json::{Value, json};

const NAMES: [&str; 8] = [
    "Agnes Sorel",
    "Bruno Tavares",
    "Carla Nyström",
    "Dmitri Vance",
    "Elena Korhonen",
    "Farid Haddad",
    "Greta Lindqvist",
    "Hugo Almeida",
];
const CITIES: [&str; 8] = ["Lyon", "Porto", "Malmö", "Tartu", "Ghent", "Graz", "Turin", "Leiden"];
const FIRMS: [&str; 8] = [
    "Kornblum Bakery Group",
    "Halvorsen Marine",
    "Quill and Sons",
    "Northgate Analytics",
    "Basalt Foods",
    "Tessera Glass",
    "Orchard Mobility",
    "Vantage Rail",
];
const SKILLS: [&str; 8] =
    ["Rust", "SQL", "Kubernetes", "Spanish", "bookkeeping", "welding", "forecasting", "negotiation"];
const ROLES: [&str; 5] =
    ["shift lead", "data engineer", "purchasing agent", "project manager", "night auditor"];

/// An application of about `words` words, another one for every seed.
pub(crate) fn document(seed: u64, words: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let pick = |random: &mut fastrand::Rng, list: &[&'static str]| list[random.usize(..list.len())];
    let name = pick(&mut random, &NAMES);
    let first = name.split(' ').next().unwrap_or_default().to_lowercase();
    let mut text = format!(
        "Application of {name}, reference {}. {name} lives in {} and can be reached at {first}{}@post.example or {}.",
        random.u32(100_000..1_000_000),
        pick(&mut random, &CITIES),
        random.u32(..100),
        random.u64(100_000_000..1_000_000_000),
    );
    while text.split(' ').count() < words {
        let firm = pick(&mut random, &FIRMS);
        let year = random.u32(1995..2020);
        text.push(' ');
        text.push_str(&match random.u32(..4) {
            0 => format!(
                "From {year} to {} the applicant worked for {firm} in {} as a {} and was responsible for a team of {} people.",
                year + random.u32(1..6),
                pick(&mut random, &CITIES),
                pick(&mut random, &ROLES),
                random.u32(3..30)
            ),
            1 => format!(
                "A letter of recommendation by {} of {firm} praises exact records and mentions {} and {}.",
                pick(&mut random, &NAMES),
                pick(&mut random, &SKILLS),
                pick(&mut random, &SKILLS)
            ),
            2 => format!(
                "In {year} a course in {} was completed in {} with a grade of {} of 100.",
                pick(&mut random, &SKILLS),
                pick(&mut random, &CITIES),
                random.u32(60..100)
            ),
            _ => format!(
                "The salary asked for is {},{} euros a year, and the earliest start is the {} of May 2027.",
                random.u32(38..95),
                random.u32(100..1000),
                random.u32(1..28)
            ),
        });
    }
    text
}

/// What is extracted: ten fields.
fn fields() -> Value {
    let text = |length: u32| json!({"type": "string", "maxLength": length});
    let properties = json!({
        "full_name": text(60), "city": text(40), "email": text(60), "phone": text(20),
        "reference": {"type": "integer"}, "last_employer": text(60), "last_role": text(60),
        "salary_asked": text(30), "earliest_start": text(30),
        "skills": {"type": "array", "items": text(30), "minItems": 2, "maxItems": 3}});
    let required: Vec<&String> = properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
}

/// Extraction of ten fields from a document of about 1,000 tokens.
pub(crate) fn extraction(seed: u64) -> Value {
    let text = format!("{}\n\nExtract the fields of the application as JSON.", document(seed, 620));
    json!({"temperature": 0, "max_tokens": 400,
        "messages": [{"role": "system", "content": "You extract data from documents. Answer with JSON only."},
            {"role": "user", "content": text}],
        "response_format": {"type": "json_schema",
            "json_schema": {"name": "application", "strict": true, "schema": fields()}}})
}

/// The schema of an extraction.
pub(crate) fn extraction_schema() -> Value {
    fields()
}

const VERBS: [&str; 5] = ["create", "find", "cancel", "move", "list"];
const THINGS: [&str; 4] = ["meeting", "invoice", "ticket", "shipment"];

/// Twenty tools.
fn tools() -> Vec<Value> {
    let tool = |verb: &str, thing: &str| {
        let parameters = json!({"type": "object", "additionalProperties": false, "required": ["customer", "note"],
            "properties": {"customer": {"type": "string", "maxLength": 60, "description": format!("whose {thing}")},
                "note": {"type": "string", "maxLength": 120},
                "day": {"type": "string", "enum": ["monday", "tuesday", "wednesday", "thursday", "friday"]},
                "priority": {"type": "integer", "minimum": 1, "maximum": 5}}});
        json!({"type": "function", "function": {"name": format!("{verb}_{thing}"),
            "description": format!("To {verb} a {thing} for the customer."), "parameters": parameters}})
    };
    VERBS.iter().flat_map(|verb| THINGS.iter().map(move |thing| tool(verb, thing))).collect()
}

/// What one of the tools is to be called for.
fn wish(seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    format!(
        "Please {} the {} for {} of {} on {}, and note that the driver must call first.",
        VERBS[random.usize(..5)],
        THINGS[random.usize(..4)],
        NAMES[random.usize(..8)],
        FIRMS[random.usize(..8)],
        ["Monday", "Tuesday", "Friday"][random.usize(..3)]
    )
}

/// A call of one of twenty tools.
pub(crate) fn tool_call(seed: u64) -> Value {
    json!({"temperature": 0, "max_tokens": 200, "tools": tools(), "tool_choice": "required",
        "messages": [{"role": "user", "content": wish(seed)}]})
}

/// The same as an answer of JSON: messages and schema are alike for every server, whatever its chat template makes of tools. Pawl
/// tells the model the schema's type besides.
pub(crate) fn call_as_json(seed: u64) -> Value {
    let tools = tools();
    let lines: Vec<String> = tools
        .iter()
        .map(|tool| &tool["function"])
        .map(|function| format!("- {}: {}", function["name"], function["description"]))
        .collect();
    let cases: Vec<Value> = tools
        .iter()
        .map(|tool| &tool["function"])
        .map(|function| {
            json!({"type": "object", "additionalProperties": false, "required": ["name", "arguments"],
                "properties": {"name": {"const": function["name"]}, "arguments": function["parameters"]}})
        })
        .collect();
    let rules = format!(
        "Answer with JSON only, the call of one tool: {{\"name\": …, \"arguments\": {{\"customer\": …, \"note\": …, \"day\": …}}}}. \
         The tools:\n{}",
        lines.join("\n")
    );
    json!({"temperature": 0, "max_tokens": 200,
        "messages": [{"role": "system", "content": rules}, {"role": "user", "content": wish(seed)}],
        "response_format": {"type": "json_schema",
            "json_schema": {"name": "call", "strict": true, "schema": {"anyOf": cases}}}})
}

/// A long prompt and free text.
pub(crate) fn free(seed: u64, words: usize, max_tokens: u32) -> Value {
    let text = format!("{}\n\nSummarize that at length.", document(seed, words));
    json!({"temperature": 0, "max_tokens": max_tokens, "messages": [{"role": "user", "content": text}]})
}

/// A question after a long system prompt, which is the same for the same seed.
pub(crate) fn after_prefix(seed: u64, question: &str) -> Value {
    json!({"temperature": 0, "max_tokens": 1,
        "messages": [{"role": "system", "content": document(seed, 980)}, {"role": "user", "content": question}]})
}
