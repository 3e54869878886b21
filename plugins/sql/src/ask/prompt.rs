//! What the model is told when it writes a statement: how, examples over a clinic that is nobody's, then the tables that bear
//! on the question. What does not change comes first, so that it is evaluated once.
//!
//! The examples are the usual patterns of questions to a database, one each: count, rank, group, share, none of, per month, best of
//! each, average of counts, days between. Their days are in 2030.

use super::hints;
use super::question::Question;
use super::scope::{Cells, Table};
use crate::bindings::pawl::host::llm::{Message, Role};
use crate::relate::Mention;
use crate::statement::literal;

const WRITE: &str = "Answer the question with one SQLite SELECT statement over the tables given. Write every column as table.column. \
Select just what is asked for, and set no condition that is not asked for.";

const CLINIC: &str = "patients(id, name, city: 'Bergen' | 'Oslo' | 'Tromso', born_on)
wards(id, name: 'Children' | 'Eyes' | 'Surgery')
doctors(id, name, ward_id -> wards, hired_on, left_on)
visits(id, patient_id -> patients, doctor_id -> doctors, booked_on, seen_on: '2029-01-03' to '2031-03-02', state: 'done' | 'missed' | 'planned', fee (EUR))
treatments(id, name, kind: 'drug' | 'therapy', price)
given(id, visit_id -> visits, treatment_id -> treatments, times, amount) -- treatments given in a visit";

/// Questions, what code says of their dates, and the statements that are right.
pub const EXAMPLES: [(&str, &str, &str); 19] = [
    (
        "How many patients live in Oslo?",
        "",
        "SELECT COUNT(*) AS patients FROM patients WHERE patients.city = 'Oslo'",
    ),
    (
        "Fees per ward in March 2030, highest first",
        "\"March 2030\" = 2030-03-01 to 2030-03-31.",
        "SELECT wards.name, SUM(visits.fee) AS fees FROM visits JOIN doctors ON doctors.id = visits.doctor_id JOIN wards ON wards.id = doctors.ward_id WHERE visits.seen_on BETWEEN '2030-03-01' AND '2030-03-31' GROUP BY wards.id ORDER BY fees DESC",
    ),
    (
        "Which doctors of the Eyes ward have seen more than 40 different patients, and how many?",
        "",
        "SELECT doctors.name, COUNT(DISTINCT visits.patient_id) AS patients FROM visits JOIN doctors ON doctors.id = visits.doctor_id JOIN wards ON wards.id = doctors.ward_id WHERE wards.name = 'Eyes' GROUP BY doctors.id HAVING patients > 40",
    ),
    (
        "What are the two dearest therapies?",
        "",
        "SELECT treatments.name, treatments.price FROM treatments WHERE treatments.kind = 'therapy' ORDER BY treatments.price DESC LIMIT 2",
    ),
    (
        "Patients from Bergen who had no visit in 2030",
        "\"2030\" = 2030-01-01 to 2030-12-31.",
        "SELECT patients.name FROM patients WHERE patients.city = 'Bergen' AND patients.id NOT IN (SELECT visits.patient_id FROM visits WHERE visits.seen_on BETWEEN '2030-01-01' AND '2030-12-31')",
    ),
    (
        "What percentage of the visits is missed?",
        "",
        "SELECT 100.0 * SUM(visits.state = 'missed') / COUNT(*) AS percent FROM visits",
    ),
    (
        "How did the number of visits develop by month in 2030? Missed ones do not count.",
        "\"2030\" = 2030-01-01 to 2030-12-31.",
        "SELECT strftime('%Y-%m', visits.seen_on) AS month, COUNT(*) AS visits FROM visits WHERE visits.state <> 'missed' AND visits.seen_on BETWEEN '2030-01-01' AND '2030-12-31' GROUP BY month ORDER BY month",
    ),
    (
        "Who earned the most of each ward in 2030?",
        "\"2030\" = 2030-01-01 to 2030-12-31.",
        "SELECT t.ward, t.doctor FROM (SELECT wards.name AS ward, doctors.name AS doctor, RANK() OVER (PARTITION BY wards.id ORDER BY SUM(visits.fee) DESC) AS place FROM visits JOIN doctors ON doctors.id = visits.doctor_id JOIN wards ON wards.id = doctors.ward_id WHERE visits.seen_on BETWEEN '2030-01-01' AND '2030-12-31' GROUP BY wards.id, doctors.id) AS t WHERE t.place = 1",
    ),
    (
        "Kinds of treatment that we have charged over 9,000 for in all",
        "",
        "SELECT treatments.kind FROM given JOIN treatments ON treatments.id = given.treatment_id GROUP BY treatments.kind HAVING SUM(given.amount) > 9000",
    ),
    (
        "How many doctors work here now?",
        "",
        "SELECT COUNT(*) AS doctors FROM doctors WHERE doctors.left_on IS NULL",
    ),
    (
        "How many treatments are given in a visit on average?",
        "",
        "SELECT AVG(t.n) AS average FROM (SELECT COUNT(*) AS n FROM given GROUP BY given.visit_id) AS t",
    ),
    (
        "平均每次完成的就诊用了几种药？",
        "",
        "SELECT AVG(t.n) AS average FROM (SELECT COUNT(DISTINCT given.treatment_id) AS n FROM given JOIN treatments ON treatments.id = given.treatment_id JOIN visits ON visits.id = given.visit_id WHERE treatments.kind = 'drug' AND visits.state = 'done' GROUP BY given.visit_id) AS t",
    ),
    (
        "每位医生2030年的平均诊费是多少？",
        "\"2030年\" = 2030-01-01 to 2030-12-31.",
        "SELECT doctors.name, AVG(visits.fee) AS average FROM visits JOIN doctors ON doctors.id = visits.doctor_id WHERE visits.seen_on BETWEEN '2030-01-01' AND '2030-12-31' GROUP BY doctors.id",
    ),
    (
        "How many percent of the 2030 fees came from Surgery?",
        "\"2030\" = 2030-01-01 to 2030-12-31.",
        "SELECT 100.0 * SUM(CASE WHEN wards.name = 'Surgery' THEN visits.fee ELSE 0 END) / SUM(visits.fee) AS percent FROM visits JOIN doctors ON doctors.id = visits.doctor_id JOIN wards ON wards.id = doctors.ward_id WHERE visits.seen_on BETWEEN '2030-01-01' AND '2030-12-31'",
    ),
    (
        "How many days do patients wait for a visit on average, from booking to being seen?",
        "",
        "SELECT AVG(julianday(visits.seen_on) - julianday(visits.booked_on)) AS days FROM visits",
    ),
    (
        "In how many visits were at least three different drugs given?",
        "",
        "SELECT COUNT(*) AS visits FROM (SELECT given.visit_id AS visit FROM given JOIN treatments ON treatments.id = given.treatment_id WHERE treatments.kind = 'drug' GROUP BY given.visit_id HAVING COUNT(DISTINCT given.treatment_id) >= 3) AS t",
    ),
    (
        "In which year did we take the most fees?",
        "",
        "SELECT strftime('%Y', visits.seen_on) AS year FROM visits GROUP BY year ORDER BY SUM(visits.fee) DESC LIMIT 1",
    ),
    (
        "Doctors hired in each quarter",
        "",
        "SELECT quarter(doctors.hired_on) AS quarter, COUNT(*) AS doctors FROM doctors GROUP BY quarter ORDER BY quarter",
    ),
    (
        "Planned visits: number and fees together",
        "",
        "SELECT COUNT(*) AS visits, SUM(visits.fee) AS fees FROM visits WHERE visits.state = 'planned'",
    ),
];

const PICK: &str = "Which tables are needed to answer the question? Give them in the order of their importance, as few as possible.";

const HOUSE: &str = "patients: people who are treated (name, city, born_on)
wards: departments of the clinic (name)
doctors (name, hired_on, left_on)
visits: a patient sees a doctor (booked_on, seen_on, state, fee)
treatments: drugs and therapies (name, kind, price)
given: treatments given in a visit (times, amount)
rooms: rooms of each ward (number, beds)
nights: who was on duty (night, hours)";

const PICKED: [(&str, &str); 4] = [
    ("What do the patients of Oslo pay for their visits?", "visits, patients"),
    ("Hours on duty by ward", "nights, doctors, wards"),
    ("哪种药在儿科开得最多？", "given, treatments, wards"),
    ("How many beds are there?", "rooms"),
];

/// At most so many values of the question are pointed out.
const MAX_VALUES: usize = 8;

fn message(role: Role, content: String) -> Message {
    Message { role, content }
}

fn told(tables: &str, question: &str) -> String {
    format!("Tables:\n{tables}\n\nQuestion: {question}")
}

/// The messages that ask which tables a question is about; `all` is a line for each.
#[must_use]
pub fn pick(all: &[String], question: &Question) -> Vec<Message> {
    let mut messages = vec![message(Role::System, PICK.to_owned())];
    for (index, (asked, tables)) in PICKED.iter().enumerate() {
        let asked = if index == 0 { told(HOUSE, asked) } else { format!("Question: {asked}") };
        messages.push(message(Role::User, asked));
        messages.push(message(Role::Assistant, (*tables).to_owned()));
    }
    messages
        .push(message(Role::User, format!("Another database. {}", told(&all.join("\n"), &question.text))));
    messages
}

/// The messages that ask for the statement.
#[must_use]
pub fn write(tables: &[Table<'_>], mentions: &[Mention], question: &Question) -> Vec<Message> {
    let mut messages = vec![message(Role::System, WRITE.to_owned())];
    for (index, (asked, note, sql)) in EXAMPLES.iter().enumerate() {
        let asked = noted(asked, note);
        let asked = if index == 0 { told(CLINIC, &asked) } else { format!("Question: {asked}") };
        messages.push(message(Role::User, asked));
        messages.push(message(Role::Assistant, (*sql).to_owned()));
    }
    let lines: Vec<String> = tables.iter().map(line).collect();
    let name = |place: usize| tables.iter().find(|table| table.place == place).map(|table| table.name);
    let values = mentions.iter().filter_map(|one| {
        Some(format!("{}.{} has {}.\n", name(one.table)?, one.column, literal(&one.value)))
    });
    let values: String = values.take(MAX_VALUES).chain(hints::hints(tables, question)).collect();
    let asked = noted(&question.text, &question.note());
    let content = format!("Another database. Tables:\n{}\n\n{values}Question: {asked}", lines.join("\n"));
    messages.push(message(Role::User, content));
    messages
}

/// What is added when a statement failed: the statement, and what is wrong of it.
pub fn again(messages: &mut Vec<Message>, sql: &str, error: &str) {
    messages.push(message(Role::Assistant, sql.to_owned()));
    messages.push(message(
        Role::User,
        format!("The database says: {error}\nWrite another statement for the question."),
    ));
}

/// What is added when a statement did not end.
pub fn shorter(messages: &mut Vec<Message>) {
    let text = "Write one short statement, with no condition that is not asked for.";
    messages.push(message(Role::Assistant, "SELECT".to_owned()));
    messages.push(message(Role::User, text.to_owned()));
}

fn noted(question: &str, note: &str) -> String {
    if note.is_empty() { question.to_owned() } else { format!("{question}\n[{note}]") }
}

/// A table in a line.
fn line(table: &Table<'_>) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|seen| {
            let mut text = seen.column.name.clone();
            if let Some(parent) = seen.column.parent() {
                text.push_str(&format!(" -> {parent}"));
            }
            match &seen.cells {
                Cells::Day { ends: (first, last), .. } => text.push_str(&format!(": '{first}' to '{last}'")),
                Cells::Text(all) if seen.whole => {
                    let all: Vec<String> = all.iter().map(|value| literal(value)).collect();
                    text.push_str(&format!(": {}", all.join(" | ")));
                }
                _ => {}
            }
            if !seen.column.comment.is_empty() {
                text.push_str(&format!(" ({})", seen.column.comment));
            }
            text
        })
        .collect();
    let comment = if table.comment.is_empty() { String::new() } else { format!(" -- {}", table.comment) };
    format!("{}({}){comment}", table.name, columns.join(", "))
}
