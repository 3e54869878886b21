//! Questions over a clinic-like database, with a model that says what the test wants.

#![expect(clippy::unwrap_used, reason = "the databases of these tests are their own")]

use std::cell::RefCell;

use super::*;
use crate::testing::Memory;

const LENDING: &str = "CREATE TABLE readers(id INTEGER PRIMARY KEY, name TEXT, town TEXT);
    CREATE TABLE books( -- what we lend
      id INTEGER PRIMARY KEY, title TEXT, shelf TEXT, lost INTEGER);
    CREATE TABLE loans(id INTEGER PRIMARY KEY, reader_id INTEGER REFERENCES readers(id), book_id INTEGER REFERENCES books(id), lent_at TEXT, fee REAL);
    INSERT INTO readers VALUES (1, 'Ines', 'Porto'), (2, 'Omar', 'Lagos');
    INSERT INTO books VALUES (1, 'Tides', 'sea', 0), (2, 'Dunes', 'sand', 1), (3, 'Fog', NULL, 0);
    INSERT INTO loans VALUES (1, 1, 1, '2031-02-28 18:30', 1.5), (2, 2, 1, '2031-03-01 09:00', 2.0), (3, 1, 2, '2031-03-02 10:00', 1.0);";

/// Says its lines in order, and keeps what it was asked.
struct Says {
    lines: RefCell<Vec<&'static str>>,
    asked: RefCell<Vec<(Vec<Message>, String)>>,
}

impl Says {
    fn new(lines: &[&'static str]) -> Says {
        let lines = RefCell::new(lines.iter().rev().copied().collect());
        Says { lines, asked: RefCell::default() }
    }

    fn last(&self) -> (String, String) {
        let asked = self.asked.borrow();
        let (messages, lark) = asked.last().unwrap();
        (messages.last().unwrap().content.clone(), lark.clone())
    }
}

impl Model for Says {
    fn write(&self, messages: &[Message], lark: &str, _: u32) -> Result<String, ModelError> {
        self.asked.borrow_mut().push((messages.to_vec(), lark.to_owned()));
        self.lines.borrow_mut().pop().map(str::to_owned).ok_or(ModelError::Truncated)
    }
}

fn clock() -> Date {
    "2031-03-03".parse().unwrap()
}

fn rule<'a>(lark: &'a str, name: &str) -> &'a str {
    lark.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap_or_default()
}

#[test]
fn a_question_gives_rows_and_the_statement_that_ran() {
    let model = Says::new(&[
        "SELECT readers.name, SUM(loans.fee) AS fees FROM readers GROUP BY readers.id ORDER BY fees DESC LIMIT 1",
    ]);
    let answer = ask(&Memory::new(LENDING), &model, "Who paid the most fees?", clock()).unwrap();
    assert_eq!(answer.rows, [[Some("Ines".to_owned()), Some("2.5".to_owned())]]);
    assert!(answer.sql.contains("JOIN loans ON loans.reader_id = readers.id"), "{}", answer.sql);
    assert!(answer.repaired.is_empty());
    let (told, _) = model.last();
    assert!(
        told.contains(
            "books(id, title: 'Dunes' | 'Fog' | 'Tides', shelf: 'sand' | 'sea', lost) -- what we lend"
        ),
        "{told}"
    );
    assert!(told.ends_with("Question: Who paid the most fees?"), "{told}");
}

#[test]
fn only_values_days_and_numbers_of_database_and_question_can_be_written() {
    let model = Says::new(&["SELECT COUNT(*) FROM loans"]);
    let note = "[Today is Monday 2031-03-03, 09:00. \"last month\" = 2031-02-01 to 2031-02-28.]";
    ask(
        &Memory::new(LENDING),
        &model,
        &format!("Loans of more than 7 sea books last month\n{note}"),
        clock(),
    )
    .unwrap();
    let (told, lark) = model.last();
    assert_eq!(rule(&lark, "BETWEEN"), "BETWEEN: \" BETWEEN '2031-02-01' AND '2031-02-28'\"");
    assert!(rule(&lark, "NUMBER").contains("\"7\"") && !rule(&lark, "NUMBER").contains("\"8\""), "{lark}");
    assert!(
        rule(&lark, "NUMERIC").contains("\"loans.fee\"") && !rule(&lark, "NUMERIC").contains("reader_id"),
        "{lark}"
    );
    assert!(lark.contains("\"'sea'\" ") || lark.contains("\"'sea'\"\n"), "{lark}");
    assert!(lark.contains("\"books.lost\" (EQUAL"), "a flag has its values: {lark}");
    assert_eq!(rule(&lark, "NULLABLE"), "", "nothing is asked to be absent");
    assert!(told.contains("books.shelf has 'sea'."), "{told}");
    assert!(told.ends_with("[\"last month\" = 2031-02-01 to 2031-02-28.]"), "{told}");
    let model = Says::new(&["SELECT books.title FROM books WHERE books.shelf IS NULL"]);
    ask(&Memory::new(LENDING), &model, "Which books have no shelf?", clock()).unwrap();
    let lark = model.last().1;
    assert_eq!(rule(&lark, "NULLABLE"), "NULLABLE: \"books.shelf\"", "of the others no cell is NULL");
    let model = Says::new(&["SELECT COUNT(*) FROM loans"]);
    ask(&Memory::new(LENDING), &model, "How many loans are there?", clock()).unwrap();
    assert_eq!(
        rule(&model.last().1, "when"),
        "when: \"1 = 1\"",
        "no period was said, so none is compared with"
    );
}

#[test]
fn what_is_called_by_its_whole_name_is_pointed_out() {
    let full = LENDING.replace("fee REAL", "fee REAL -- late charge, EUR\n");
    let model = Says::new(&["SELECT SUM(loans.fee) AS fees FROM loans"]);
    ask(&Memory::new(&full), &model, "Late charges in all", clock()).unwrap();
    assert!(model.last().0.contains("\"late charge\" is loans.fee.\n"), "{}", model.last().0);
    let denied = LENDING.replace("lost INTEGER)", "lost INTEGER -- 1: may not be lent\n)");
    let model = Says::new(&["SELECT COUNT(*) FROM loans"]);
    ask(&Memory::new(&denied), &model, "How many books may be lent?", clock()).unwrap();
    let told = model.last().0;
    assert!(told.contains("books.lost = 0: may be lent. books.lost = 1: may not be lent.\n"), "{told}");
    let model = Says::new(&["SELECT COUNT(*) FROM loans"]);
    ask(
        &Memory::new(&LENDING.replace("lost", "times_lost")),
        &model,
        "Books that were lost 2 times; times lost?",
        clock(),
    )
    .unwrap();
    let told = model.last().0;
    assert_eq!(told.matches(" is books.times_lost.\n").count(), 1, "{told}");
    let model = Says::new(&["SELECT COUNT(*) FROM book_loans"]);
    ask(&Memory::new(&LENDING.replace("loans", "book_loans")), &model, "How many book loans?", clock())
        .unwrap();
    let told = model.last().0;
    assert!(told.contains("\"book loans\" are in book_loans.\n"), "{told}");
}

#[test]
fn moments_of_the_last_day_are_in_the_period() {
    let model = Says::new(&[
        "SELECT COUNT(*) AS n FROM loans WHERE loans.lent_at BETWEEN '2031-02-01' AND '2031-02-28'",
    ]);
    let answer = ask(&Memory::new(LENDING), &model, "Loans in February 2031", clock()).unwrap();
    assert_eq!(answer.rows, [[Some("1".to_owned())]]);
}

#[test]
fn a_statement_that_fails_is_written_anew_from_what_the_database_said_twice_at_most() {
    let wrong =
        "SELECT SUM(readers.id) FROM readers JOIN loans ON loans.reader_id = readers.id WHERE loans.fee > 1";
    let model = Says::new(&[wrong, "SELECT COUNT(*) AS n FROM loans"]);
    let answer = ask(&Memory::new(LENDING), &model, "How many loans?", clock()).unwrap();
    assert_eq!(answer.rows, [[Some("3".to_owned())]]);
    assert!(answer.repaired[0].starts_with(wrong), "{:?}", answer.repaired);
    assert!(
        model.last().0.contains("counts each row of readers once for every row of loans"),
        "{}",
        model.last().0
    );
    let model = Says::new(&[wrong, wrong, wrong, wrong]);
    ask(&Memory::new(LENDING), &model, "How many loans?", clock()).unwrap_err();
    assert_eq!(model.asked.borrow().len(), 2, "the same statement again is not run again");
}

#[test]
fn where_nothing_fulfils_the_conditions_they_are_thought_over_once() {
    let none = "SELECT readers.name FROM readers WHERE readers.id > 7";
    let model = Says::new(&[none, "SELECT readers.name FROM readers WHERE readers.town = 'Porto'"]);
    let answer = ask(&Memory::new(LENDING), &model, "Readers of Porto", clock()).unwrap();
    assert_eq!((answer.rows.len(), answer.repaired.len()), (1, 1), "{answer:?}");
    let model = Says::new(&[none, "SELECT readers.name FROM readers WHERE readers.id > 8"]);
    let answer = ask(&Memory::new(LENDING), &model, "Readers of Rome", clock()).unwrap();
    assert_eq!((answer.sql.as_str(), answer.rows.len()), (none, 0), "{answer:?}");
    let model = Says::new(&[
        "SELECT readers.name FROM readers WHERE readers.town = 'Porto' AND readers.id > 7",
        none,
    ]);
    ask(&Memory::new(LENDING), &model, "Readers of Porto", clock()).unwrap();
    assert!(model.last().0.contains("without readers.id > 7 there are rows"), "{}", model.last().0);
    let absent = "SELECT readers.name FROM readers WHERE readers.id NOT IN (SELECT loans.reader_id FROM loans WHERE loans.fee > 0)";
    let model = Says::new(&[absent]);
    let answer = ask(&Memory::new(LENDING), &model, "Who never paid?", clock()).unwrap();
    assert_eq!(
        (answer.rows.len(), answer.repaired.len()),
        (0, 0),
        "that there is none is the answer: {answer:?}"
    );
}

#[test]
fn what_is_asked_for_each_of_something_is_told_apart() {
    let sum = "SELECT SUM(loans.fee) AS fees FROM loans";
    let each = "SELECT readers.town, SUM(loans.fee) AS fees FROM loans JOIN readers ON readers.id = loans.reader_id GROUP BY readers.town";
    for (question, lines, rows, repaired) in [
        ("Fees per town", vec![sum], 2, 1),
        ("Fees for each of our readers", vec![sum], 2, 1),
        ("Fees by town", vec![each], 2, 0),
        (
            "Fees by reader",
            vec!["SELECT loans.reader_id, SUM(loans.fee) AS fees FROM loans GROUP BY loans.reader_id"],
            2,
            0,
        ),
        ("Fees for each of the moons", vec![sum], 1, 0),
        // What was doubted and stands all the same says so.
        ("Who borrows the most of each town?", vec![each, each], 2, 1),
        ("Fees per town, highest first, with at least 1 EUR", vec![each], 2, 0),
        ("Fees that were paid by readers in all", vec![sum], 1, 0),
    ] {
        let model = Says::new(&lines);
        let answer = ask(&Memory::new(LENDING), &model, question, clock()).unwrap();
        assert_eq!((answer.rows.len(), answer.repaired.len()), (rows, repaired), "{question}: {answer:?}");
    }
}

#[test]
fn names_periods_and_comparisons_of_days_that_are_missing_are_added() {
    let lending = LENDING.replace("fee REAL", "fee REAL, due_at TEXT DEFAULT '2031-03-01 08:00'");
    let lending =
        lending.replace("INTO loans VALUES", "INTO loans(id, reader_id, book_id, lent_at, fee) VALUES");
    for (question, line, condition, rows) in [
        (
            "Fees by reader in March 2031",
            "SELECT loans.reader_id, SUM(loans.fee) AS fees, MIN(loans.lent_at) AS first FROM loans GROUP BY loans.reader_id",
            "'2031-04-01'",
            2,
        ),
        (
            "How many were lent after they were due?",
            "SELECT COUNT(*) AS n FROM loans",
            "loans.lent_at > loans.due_at",
            1,
        ),
        (
            "Which loans began later than they were due?",
            "SELECT loans.id FROM loans WHERE loans.lent_at > loans.lent_at",
            "loans.lent_at > loans.due_at",
            2,
        ),
        (
            "Fees in each month of 2031",
            "SELECT strftime('%Y-%m', loans.lent_at) AS month, SUM(loans.fee) AS fees FROM loans GROUP BY month",
            "'2032-01-01'",
            2,
        ),
        ("Fees of readers in Lagos", "SELECT SUM(loans.fee) AS fees FROM loans", "readers.town = 'Lagos'", 1),
        (
            "Fees of readers in Lagos and Porto",
            "SELECT SUM(loans.fee) AS fees FROM loans",
            "readers.town IN ('Porto', 'Lagos')",
            1,
        ),
    ] {
        let answer = ask(&Memory::new(&lending), &Says::new(&[line]), question, clock()).unwrap();
        assert!(answer.sql.contains(condition), "{question}: {}", answer.sql);
        assert_eq!((answer.rows.len(), answer.repaired.len()), (rows, 1), "{question}: {answer:?}");
    }
}

/// The readers joined before they lent.
fn with_days_of_joining() -> String {
    LENDING
        .replace("town TEXT);", "town TEXT, joined_on TEXT DEFAULT '2029-05-05');")
        .replace("INTO readers VALUES", "INTO readers(id, name, town) VALUES")
}

#[test]
fn a_period_is_that_of_what_is_added_up_and_not_of_what_it_belongs_to() {
    let lending = with_days_of_joining();
    let line = "SELECT SUM(loans.fee) AS fees FROM loans WHERE loans.reader_id IN (SELECT readers.id FROM readers WHERE readers.joined_on BETWEEN '2031-02-01' AND '2031-02-28')";
    let answer = ask(&Memory::new(&lending), &Says::new(&[line]), "Fees in February 2031", clock()).unwrap();
    assert!(answer.sql.contains("FROM readers) AND (loans.lent_at >= '2031-02-01'"), "{}", answer.sql);
    assert_eq!((answer.rows.len(), answer.repaired.len()), (1, 1), "{answer:?}");
    let line = "SELECT SUM(loans.fee) AS fees FROM loans WHERE loans.lent_at BETWEEN '2031-02-01' AND '2031-02-28' AND loans.reader_id IN (SELECT readers.id FROM readers WHERE readers.joined_on > '2031-02-01')";
    let answer = ask(&Memory::new(&lending), &Says::new(&[line]), "Fees in February 2031", clock()).unwrap();
    assert!(answer.sql.ends_with("IN (SELECT readers.id FROM readers)"), "{}", answer.sql);
}

#[test]
fn what_figures_are_in_is_no_name_and_no_period_is_moved_that_is_named() {
    let lending = with_days_of_joining().replace(
        "fee REAL);",
        "fee REAL -- EUR\n); CREATE TABLE coins(id INTEGER, code TEXT); INSERT INTO coins VALUES (1, 'EUR');",
    );
    for (question, line) in [
        ("What are all fees in EUR?", "SELECT SUM(loans.fee) AS fees FROM loans"),
        (
            "What did readers pay who came in May 2029?",
            "SELECT SUM(loans.fee) AS fees FROM loans WHERE loans.reader_id IN (SELECT readers.id FROM readers WHERE readers.joined_on BETWEEN '2029-05-01' AND '2029-05-31')",
        ),
        (
            "Fees of those who joined in May 2029",
            "SELECT SUM(loans.fee) AS fees FROM loans WHERE loans.reader_id IN (SELECT readers.id FROM readers WHERE readers.joined_on BETWEEN '2029-05-01' AND '2029-05-31')",
        ),
    ] {
        let answer = ask(&Memory::new(&lending), &Says::new(&[line]), question, clock()).unwrap();
        assert_eq!(
            (answer.sql.as_str(), answer.rows.len(), answer.repaired.len()),
            (line, 1, 0),
            "{answer:?}"
        );
    }
}

#[test]
fn what_the_statement_says_in_another_way_is_not_added() {
    let lending = LENDING
        .replace("fee REAL);", "fee REAL, back_on TEXT DEFAULT '2031-03-09', year INTEGER DEFAULT 2031);")
        .replace("INTO loans VALUES", "INTO loans(id, reader_id, book_id, lent_at, fee) VALUES")
        .replace("'Ines'", "'March'");
    for (question, line) in [
        ("How many loans after 2030?", "SELECT COUNT(*) AS n FROM loans WHERE loans.lent_at > '2030-12-31'"),
        ("Fees of 2031", "SELECT SUM(loans.fee) AS fees FROM loans WHERE loans.year = 2031"),
        (
            "How many were lent before 1 March 2031 and are back now?",
            "SELECT COUNT(*) AS n FROM loans WHERE loans.lent_at < '2031-03-01' AND loans.back_on IS NOT NULL",
        ),
        (
            "How many loans in March 2031?",
            "SELECT COUNT(*) AS n FROM loans WHERE loans.lent_at BETWEEN '2031-03-01' AND '2031-03-31'",
        ),
    ] {
        let answer = ask(&Memory::new(&lending), &Says::new(&[line]), question, clock()).unwrap();
        assert_eq!(answer.repaired, [""; 0], "{question}: {answer:?}");
    }
}

#[test]
fn what_lies_below_a_column_is_less_than_it() {
    let books = LENDING
        .replace("lost INTEGER", "lost INTEGER, copies INTEGER DEFAULT 2, least_copies INTEGER DEFAULT 3");
    let books = books.replace("INTO books VALUES", "INTO books(id, title, shelf, lost) VALUES");
    let line = "SELECT COUNT(*) AS n FROM books WHERE books.least_copies <= books.copies";
    for (question, condition) in [
        ("Books that fell below their least copies", "books.least_copies > books.copies"),
        ("Books with more than the least copies", "books.least_copies <= books.copies"),
        ("Books that are not below their least copies", "books.least_copies <= books.copies"),
        ("Books with least copies", "books.least_copies <= books.copies"),
    ] {
        let answer = ask(&Memory::new(&books), &Says::new(&[line, line]), question, clock()).unwrap();
        assert!(answer.sql.ends_with(condition), "{question}: {answer:?}");
    }
}

#[test]
fn of_a_large_database_the_model_picks_and_only_what_bears_on_the_question_is_told() {
    let many: String = (0..20).map(|i| format!("CREATE TABLE archive_{i}(id INTEGER, word TEXT);")).collect();
    let model = Says::new(&["loans, readers", "SELECT COUNT(*) AS n FROM loans"]);
    ask(&Memory::new(&format!("{LENDING}{many}")), &model, "借了多少次？", clock()).unwrap();
    {
        let asked = model.asked.borrow();
        assert!(asked[0].1.starts_with("start: NAME"), "{}", asked[0].1);
        let told = &asked[1].0.last().unwrap().content;
        assert!(told.contains("loans(") && told.contains("readers(") && !told.contains("archive_"), "{told}");
    }
    // What each of is asked for stands in a table that the model did not pick.
    let model = Says::new(&["loans", "SELECT COUNT(*) AS n FROM loans"]);
    ask(&Memory::new(&format!("{LENDING}{many}")), &model, "Fees paid for each book shelf", clock()).unwrap();
    assert!(model.asked.borrow()[1].0.last().unwrap().content.contains("books("));
    // A word for what a reference is to is no value.
    let roles = LENDING.replace("'Porto'", "'reader'");
    let model = Says::new(&["SELECT COUNT(*) AS n FROM loans"]);
    ask(&Memory::new(&roles), &model, "Which readers lend most?", clock()).unwrap();
    assert!(!model.last().0.contains("has 'reader'"), "{}", model.last().0);
}

#[test]
fn an_average_is_that_of_what_the_question_names_in_whole() {
    let lending = format!("{LENDING} ALTER TABLE readers ADD COLUMN fee REAL DEFAULT 4.5;")
        .replace("fee REAL);", "late_fee REAL);");
    let late = "SELECT readers.town, AVG(loans.late_fee) AS average FROM loans JOIN readers ON readers.id = loans.reader_id GROUP BY readers.town";
    let whole = "SELECT readers.town, AVG(readers.fee) AS average FROM readers GROUP BY readers.town";
    for (question, sql, repaired) in [
        ("What is the average fee of readers per town?", whole, 1),
        ("What is the average late fee of readers per town?", late, 0),
        ("What is the average fee per town?", late, 0),
    ] {
        let answer = ask(&Memory::new(&lending), &Says::new(&[late]), question, clock()).unwrap();
        assert_eq!((answer.sql.as_str(), answer.repaired.len()), (sql, repaired), "{question}: {answer:?}");
    }
}

#[test]
fn odd_questions_and_databases_are_survived() {
    let model = Says::new(&[]);
    for question in ["", " ", "\u{0}", "'; DROP TABLE readers; --", "\"\\\n[Today is", "\u{1f600}\u{202e}"] {
        ask(&Memory::new(LENDING), &model, question, clock()).unwrap_err();
    }
    ask(&Memory::new(""), &model, "What?", clock()).unwrap_err();
    let odd = Memory::new(
        "CREATE TABLE \"a \"\"b\"(\"x.y\" TEXT, \"order\" REAL); INSERT INTO \"a \"\"b\" VALUES ('it''s \\ \"q\"', 1);",
    );
    let model = Says::new(&["SELECT 1"]);
    ask(&odd, &model, "What?", clock()).unwrap();
}
