//! What the model may write in one round: an answer, or exactly one call. The shape is a grammar, so there is nothing
//! to repair afterwards.
//!
//! The text form is one line: `call TOOL {arguments}` or `answer TEXT`. Arguments stand under the tool's own JSON
//! Schema. Parsing here can fail only on output that was cut short.

use serde_json::Value;

/// What a call begins with, up to the tool's name.
pub(crate) const CALL: &str = "call ";
/// What an answer begins with.
pub(crate) const ANSWER: &str = "answer ";

/// A tool as it is offered to the model in this turn.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    /// As the model writes it.
    pub(crate) name: String,
    pub(crate) description: String,
    /// JSON Schema of the arguments, an object: what the decoder enforces.
    pub(crate) parameters: Value,
    /// The arguments as the model is told them; wider where what exists changes from turn to turn.
    pub(crate) shown: Value,
}

impl Offered {
    /// A tool that is told as it is enforced.
    pub(crate) fn new(name: &str, description: &str, parameters: Value) -> Offered {
        let (name, description) = (name.to_owned(), description.to_owned());
        Offered { name, description, shown: parameters.clone(), parameters }
    }
}

/// What the model decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    Answer(String),
    Call { tool: String, arguments: Value },
}

/// What an answer may be, where one is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AnswerShape<'a> {
    Text,
    Json(&'a Value),
}

/// A Lark grammar: one call of one of `tools`, or, where allowed, an answer instead.
pub(crate) fn grammar(tools: &[Offered], answer: Option<AnswerShape<'_>>) -> String {
    let mut lark = String::from(if answer.is_some() { "start: answer | call\n" } else { "start: call\n" });
    let rules: Vec<String> = (0..tools.len()).map(|index| format!("t{index}")).collect();
    lark.push_str(&format!("call: {} ({})\n", literal(CALL), rules.join(" | ")));
    for (index, tool) in tools.iter().enumerate() {
        let json = pawl_llm::json_in_lark(&tool.parameters);
        lark.push_str(&format!(
            "t{index}: {} a{index}\na{index}: {json}\n",
            literal(&format!("{} ", tool.name))
        ));
    }
    match answer {
        None => {}
        Some(AnswerShape::Text) => {
            lark.push_str(&format!("answer: {} TEXT\nTEXT: /[^ \\n](.|\\n)*/\n", literal(ANSWER)));
        }
        Some(AnswerShape::Json(schema)) => {
            let json = pawl_llm::json_in_lark(schema);
            lark.push_str(&format!("answer: {} json\njson: {json}\n", literal(ANSWER)));
        }
    }
    lark
}

/// Reads what was decoded under [`grammar`]. `None`: it was cut short before it was whole.
pub(crate) fn parse(text: &str) -> Option<Decision> {
    if let Some(answer) = text.strip_prefix(ANSWER) {
        return Some(Decision::Answer(answer.to_owned()));
    }
    let (tool, arguments) = text.strip_prefix(CALL)?.split_once(' ')?;
    let arguments = serde_json::from_str(arguments).ok()?;
    Some(Decision::Call { tool: tool.to_owned(), arguments })
}

/// How a decision is written, as in the history that the model is shown.
pub(crate) fn written(decision: &Decision) -> String {
    match decision {
        Decision::Answer(text) => format!("{ANSWER}{text}"),
        Decision::Call { tool, arguments } => format!("{CALL}{tool} {}", pawl_llm::json_text(arguments)),
    }
}

/// Lets the text of an answer through as it arrives, and holds everything else back.
#[derive(Debug, Default)]
pub(crate) struct AnswerFilter {
    seen: String,
    state: FilterState,
}

#[derive(Debug, Default, PartialEq)]
enum FilterState {
    #[default]
    Undecided,
    /// An answer, of which only white space came so far.
    Begun,
    Answer,
    Call,
}

impl AnswerFilter {
    /// For output that is an answer from its first byte.
    pub(crate) fn open() -> AnswerFilter {
        AnswerFilter { seen: String::new(), state: FilterState::Answer }
    }

    /// For output that goes on from an [`ANSWER`] of ours, and may begin with white space once more.
    pub(crate) fn begun() -> AnswerFilter {
        AnswerFilter { seen: String::new(), state: FilterState::Begun }
    }

    /// Takes a piece of output; gives what of it belongs to the answer.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        match self.state {
            FilterState::Begun => {
                let rest = piece.trim_start();
                if !rest.is_empty() {
                    self.state = FilterState::Answer;
                }
                rest.to_owned()
            }
            FilterState::Answer => piece.to_owned(),
            FilterState::Call => String::new(),
            FilterState::Undecided => {
                self.seen.push_str(piece);
                if let Some(rest) = self.seen.strip_prefix(ANSWER) {
                    self.state = FilterState::Answer;
                    return rest.to_owned();
                }
                if !ANSWER.starts_with(self.seen.as_str()) {
                    self.state = FilterState::Call;
                }
                String::new()
            }
        }
    }
}

fn literal(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decisions_read_back_as_they_are_written() {
        let call =
            Decision::Call { tool: "a.b-c".into(), arguments: json!({"text": "x y {\"z\"}", "n": [1, 2]}) };
        let answer = Decision::Answer("call me maybe".into());
        assert_eq!(parse(&written(&call)), Some(call));
        assert_eq!(parse(&written(&answer)), Some(answer));
    }

    #[test]
    fn a_call_cut_short_is_not_a_call() {
        assert_eq!(parse("call a.b {\"text\": \"x"), None);
        assert_eq!(parse("call a.b"), None);
        assert_eq!(parse("ans"), None);
    }

    #[test]
    fn only_the_text_of_an_answer_passes_the_filter() {
        let through = |pieces: &[&str]| {
            let mut filter = AnswerFilter::default();
            pieces.iter().map(|piece| filter.push(piece)).collect::<String>()
        };
        assert_eq!(through(&["ans", "wer", " Hel", "lo"]), "Hello");
        assert_eq!(through(&["answer Hello ", "answer"]), "Hello answer");
        assert_eq!(through(&["ca", "ll a.b {\"x\": \"answer \"}"]), "");
    }
}
