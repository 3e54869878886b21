//! Tables of phrases; now is Monday, 23 November 2026, 14:00, unless a test says otherwise.

use super::*;

fn now() -> DateTime {
    jiff::civil::date(2026, 11, 23).at(14, 0, 0, 0)
}

/// The mentions as "phrase = meaning", joined with "; ".
fn found_at(text: &str, now: DateTime) -> String {
    let lines: Vec<String> =
        find(text, now).iter().map(|m| format!("{} = {}", m.phrase, m.resolved)).collect();
    lines.join("; ")
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(text, expected)| {
            let got = found_at(text, now());
            (got != *expected).then(|| format!("{text}\n  expected {expected}\n  got      {got}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

#[test]
fn days_by_name() {
    check(&[
        ("What is on today?", "today = 2026-11-23"),
        ("What is on Tomorrow?", "Tomorrow = 2026-11-24"),
        ("the day after tomorrow", "the day after tomorrow = 2026-11-25"),
        ("the day before yesterday", "the day before yesterday = 2026-11-21"),
        ("orders of yesterday", "yesterday = 2026-11-22"),
        ("today's orders", "today = 2026-11-23"),
        ("what's up tonight", "tonight = 2026-11-23"),
        ("tomorrow morning please", "tomorrow morning = 2026-11-24"),
        ("tomorrow in the afternoon", "tomorrow in the afternoon = 2026-11-24"),
        ("Good morning, how are you?", ""),
        ("todays tomorrows", ""),
    ]);
}

#[test]
fn weekdays() {
    check(&[
        ("a review on Friday", "Friday = 2026-11-27"),
        ("this Friday", "this Friday = 2026-11-27"),
        ("coming thursday", "coming thursday = 2026-11-26"),
        ("next Friday", "next Friday = 2026-12-04"),
        ("last Friday", "last Friday = 2026-11-20"),
        ("next Monday", "next Monday = 2026-11-30"),
        ("this Monday", "this Monday = 2026-11-23"),
        ("this coming Monday", "this coming Monday = 2026-11-30"),
        ("last Monday", "last Monday = 2026-11-16"),
        ("on Monday", ""),
        ("Wednesday next week", "Wednesday next week = 2026-12-02"),
        ("Wednesday of next week", "Wednesday of next week = 2026-12-02"),
        ("next week Wednesday", "next week Wednesday = 2026-12-02"),
        ("next week on Tuesday", "next week on Tuesday = 2026-12-01"),
        ("Thursday last week", "Thursday last week = 2026-11-19"),
        ("How many orders came in on Friday?", "Friday = 2026-11-20"),
        ("which orders ship on Friday", ""),
        ("every Friday", ""),
        ("on Fridays", ""),
        ("What did we sell on Black Friday?", ""),
        ("next Tuesday and Wednesday", "next Tuesday = 2026-12-01"),
        ("Thursday or Friday afternoon", "Thursday = 2026-11-26; Friday afternoon = 2026-11-27"),
        ("Friday after next", ""),
        ("Friday week", ""),
        ("a week from Friday", ""),
        ("the cat sat in the sun", ""),
        ("on Tue", "Tue = 2026-11-24"),
        ("Thursday, 26 November", "Thursday, 26 November = 2026-11-26"),
        ("Friday, 26 November", ""),
        ("Friday 26 November 2027", "Friday 26 November 2027 = 2027-11-26"),
        ("book the first Monday of December", "the first Monday of December = 2026-12-07"),
        ("last Friday of next month", "last Friday of next month = 2026-12-25"),
        ("between Tuesday and Thursday", "between Tuesday and Thursday = 2026-11-24..2026-11-26"),
        ("from Wednesday to Friday", "Wednesday to Friday = 2026-11-25..2026-11-27"),
        ("Friday to Tuesday", "Friday to Tuesday = 2026-11-27..2026-12-01"),
    ]);
}

#[test]
fn next_weekday_is_of_next_week_on_every_day_of_the_week() {
    for (day, expected) in
        [(23, "2026-12-04"), (27, "2026-12-04"), (28, "2026-12-04"), (29, "2026-12-04"), (30, "2026-12-11")]
    {
        let now = jiff::civil::date(2026, 11, day).at(9, 0, 0, 0);
        assert_eq!(found_at("next Friday", now), format!("next Friday = {expected}"), "on {day} November");
    }
}

#[test]
fn times_with_days() {
    check(&[
        ("tomorrow at 10:30", "tomorrow at 10:30 = 2026-11-24T10:30"),
        ("at 10:30 tomorrow", "10:30 tomorrow = 2026-11-24T10:30"),
        ("tomorrow, 3 pm", "tomorrow, 3 pm = 2026-11-24T15:00"),
        ("tomorrow at 3pm.", "tomorrow at 3pm = 2026-11-24T15:00"),
        ("tomorrow at 3 p.m. with Tom", "tomorrow at 3 p.m. = 2026-11-24T15:00"),
        ("next Friday 3 pm", "next Friday 3 pm = 2026-12-04T15:00"),
        ("on Thursday at 2pm with Priya", "Thursday at 2pm = 2026-11-26T14:00"),
        ("today at 15:00", "today at 15:00 = 2026-11-23T15:00"),
        ("tomorrow at noon", "tomorrow at noon = 2026-11-24T12:00"),
        ("tomorrow at half past nine", "tomorrow at half past nine = 2026-11-24T09:30"),
        ("tomorrow at quarter to three", "tomorrow at quarter to three = 2026-11-24T14:45"),
        ("tomorrow at 12 am", "tomorrow at 12 am = 2026-11-24T00:00"),
        ("tomorrow at 12 pm", "tomorrow at 12 pm = 2026-11-24T12:00"),
        ("tomorrow at 9", "tomorrow at 9 = 2026-11-24T09:00"),
        ("tomorrow at 3 with Mara", "tomorrow at 3 = 2026-11-24T15:00"),
        ("at 9 on Friday", "at 9 on Friday = 2026-11-27T09:00"),
        ("tomorrow at nine thirty", "tomorrow at nine thirty = 2026-11-24T09:30"),
        ("tomorrow at 7", "tomorrow = 2026-11-24"),
        ("tomorrow morning at 7", "tomorrow morning at 7 = 2026-11-24T07:00"),
        ("tomorrow at 8 in the evening", "tomorrow at 8 in the evening = 2026-11-24T20:00"),
        ("tonight at 8", "tonight at 8 = 2026-11-23T20:00"),
        ("this afternoon at 4", "this afternoon at 4 = 2026-11-23T16:00"),
        ("tomorrow at 03:30", "tomorrow at 03:30 = 2026-11-24T03:30"),
        ("tomorrow at 3:30", "tomorrow at 3:30 = 2026-11-24T15:30"),
        ("tomorrow at 3 o'clock", "tomorrow at 3 o'clock = 2026-11-24T15:00"),
        ("tomorrow at 9 locations", "tomorrow = 2026-11-24"),
        ("3 December at 9 am", "3 December at 9 am = 2026-12-03T09:00"),
        ("2026-11-24 10:30", "2026-11-24 10:30 = 2026-11-24T10:30"),
        ("2026-11-24T10:30:00", "2026-11-24T10:30:00 = 2026-11-24T10:30"),
        ("2026-11-24T10:30:00Z", ""),
        ("24.11.2026, 10:30", "24.11.2026, 10:30 = 2026-11-24T10:30"),
        ("Thursday with Priya at 2pm", "Thursday = 2026-11-26; 2pm = 2026-11-26T14:00"),
        ("tomorrow at 3pm EST", "tomorrow = 2026-11-24"),
        ("tomorrow at 15:00 (UTC)", "tomorrow = 2026-11-24"),
        ("orders priced from 5 to 10 today", "today = 2026-11-23"),
        ("at 4pm", "4pm = 16:00"),
        ("at 4", ""),
        ("Yesterday we spoke, now book 3pm", "Yesterday = 2026-11-22; 3pm = 15:00"),
        ("Frankfurt 60 am Main", ""),
        ("a ratio of 3:1", ""),
        ("24/7", ""),
    ]);
}

#[test]
fn ranges_of_time() {
    check(&[
        ("Thursday 3-4pm", "Thursday 3-4pm = 2026-11-26T15:00..2026-11-26T16:00"),
        (
            "tomorrow morning 8:30 - 10:00",
            "tomorrow morning 8:30 - 10:00 = 2026-11-24T08:30..2026-11-24T10:00",
        ),
        (
            "Wednesday next week, 12:30 to 1:30 pm",
            "Wednesday next week, 12:30 to 1:30 pm = 2026-12-02T12:30..2026-12-02T13:30",
        ),
        ("tomorrow from 9 to 11", "tomorrow from 9 to 11 = 2026-11-24T09:00..2026-11-24T11:00"),
        ("tomorrow between 2 and 4 pm", "tomorrow between 2 and 4 pm = 2026-11-24T14:00..2026-11-24T16:00"),
        ("from 11 to 1 pm tomorrow", "from 11 to 1 pm tomorrow = 2026-11-24T11:00..2026-11-24T13:00"),
        ("11 am to 1 on Friday", "11 am to 1 on Friday = 2026-11-27T11:00..2026-11-27T13:00"),
        ("tomorrow 10:00-11:30", "tomorrow 10:00-11:30 = 2026-11-24T10:00..2026-11-24T11:30"),
        ("3 pm tomorrow until 4", "3 pm tomorrow = 2026-11-24T15:00"),
        ("3 pm tomorrow until 4:30", "3 pm tomorrow until 4:30 = 2026-11-24T15:00..2026-11-24T16:30"),
        ("3-4 people", ""),
        ("tomorrow 3-4 people", "tomorrow = 2026-11-24"),
    ]);
}

#[test]
fn days_of_months() {
    check(&[
        ("24 November", "24 November = 2026-11-24"),
        ("the 24th of November", "the 24th of November = 2026-11-24"),
        ("the first of December 2026", "the first of December 2026 = 2026-12-01"),
        ("Nov 24th, 2026", "Nov 24th, 2026 = 2026-11-24"),
        ("November 24, 2026", "November 24, 2026 = 2026-11-24"),
        ("on 24 Nov. 2025", "24 Nov. 2025 = 2025-11-24"),
        ("book 5 January", "5 January = 2027-01-05"),
        ("how many orders did we get on 5 January", "5 January = 2026-01-05"),
        ("5 June", ""),
        ("book 5 June", "5 June = 2027-06-05"),
        ("31 February", ""),
        ("29 February 2028", "29 February 2028 = 2028-02-29"),
        ("2026-11-24", "2026-11-24 = 2026-11-24"),
        ("2026/11/24", "2026/11/24 = 2026-11-24"),
        ("2026-13-24", ""),
        ("11/24/2026", "11/24/2026 = 2026-11-24"),
        ("24/11/2026", "24/11/2026 = 2026-11-24"),
        ("03/04/2026", ""),
        ("24.11.2026", "24.11.2026 = 2026-11-24"),
        ("version 1.2.2026", "1.2.2026 = 2026-02-01"),
        ("7 to 11 December", "7 to 11 December = 2026-12-07..2026-12-11"),
        ("between 7 and 11 December", "between 7 and 11 December = 2026-12-07..2026-12-11"),
        (
            "between the 1st and the 14th of December",
            "between the 1st and the 14th of December = 2026-12-01..2026-12-14",
        ),
        ("December 7-11", "December 7-11 = 2026-12-07..2026-12-11"),
        ("from 24 November to 3 December", "24 November to 3 December = 2026-11-24..2026-12-03"),
        ("from 24 December to 3 January", "24 December to 3 January = 2026-12-24..2027-01-03"),
        (
            "between 24 November and 3 December 2025",
            "between 24 November and 3 December 2025 = 2025-11-24..2025-12-03",
        ),
        ("2026-10-01 to 2026-10-31", "2026-10-01 to 2026-10-31 = 2026-10-01..2026-10-31"),
        ("book it on the 27th", "the 27th = 2026-11-27"),
        ("book it on the 3rd at noon", "the 3rd at noon = 2026-12-03T12:00"),
        ("on the 3rd floor", ""),
        ("the 3rd of next month", "the 3rd of next month = 2026-12-03"),
        ("you may 5 times", ""),
        ("top 10 may be", ""),
        ("sold in December 10 times", "December = 2025-12-01..2025-12-31"),
    ]);
}

#[test]
fn months_quarters_and_years() {
    check(&[
        ("March 2026", "March 2026 = 2026-03-01..2026-03-31"),
        ("in February 2028", "February 2028 = 2028-02-01..2028-02-29"),
        ("2026-02", "2026-02 = 2026-02-01..2026-02-28"),
        ("revenue in March", "March = 2026-03-01..2026-03-31"),
        ("revenue in December", "December = 2025-12-01..2025-12-31"),
        ("what did we sell in November", "November = 2026-11-01..2026-11-30"),
        ("plan a workshop in March", "March = 2027-03-01..2027-03-31"),
        ("And in October?", "October = 2026-10-01..2026-10-31"),
        ("And in December?", ""),
        ("in may", ""),
        ("sales in May", "May = 2026-05-01..2026-05-31"),
        ("with April", ""),
        ("sales of March of last year", "March of last year = 2025-03-01..2025-03-31"),
        ("last December", "last December = 2025-12-01..2025-12-31"),
        ("last October", ""),
        ("next March", "next March = 2027-03-01..2027-03-31"),
        ("Q3 2025", "Q3 2025 = 2025-07-01..2025-09-30"),
        ("Q3/2025", "Q3/2025 = 2025-07-01..2025-09-30"),
        ("2025 Q3", "2025 Q3 = 2025-07-01..2025-09-30"),
        ("revenue in Q1", "Q1 = 2026-01-01..2026-03-31"),
        ("revenue of Q4 last year", "Q4 last year = 2025-10-01..2025-12-31"),
        ("the third quarter of 2026", "the third quarter of 2026 = 2026-07-01..2026-09-30"),
        ("the last quarter of 2025", "the last quarter of 2025 = 2025-10-01..2025-12-31"),
        ("in the first quarter", "the first quarter = 2026-01-01..2026-03-31"),
        ("first half of 2026", "first half of 2026 = 2026-01-01..2026-06-30"),
        ("the first half of the year", "the first half of the year = 2026-01-01..2026-06-30"),
        ("H2 2025", "H2 2025 = 2025-07-01..2025-12-31"),
        ("Who spent the most in 2025?", "2025 = 2025-01-01..2025-12-31"),
        ("How did 2025 revenue split", "2025 = 2025-01-01..2025-12-31"),
        ("sell 2025 units", ""),
        (
            "compare October and November 2025",
            "October = 2025-10-01..2025-10-31; November 2025 = 2025-11-01..2025-11-30",
        ),
        ("January to March 2025", "January to March 2025 = 2025-01-01..2025-03-31"),
        ("sales of January, February and March 2025", ""),
        ("between January and March 2025", "between January and March 2025 = 2025-01-01..2025-03-31"),
        ("from October to December 2025", "October to December 2025 = 2025-10-01..2025-12-31"),
        ("Q1 to Q3 2025", "Q1 to Q3 2025 = 2025-01-01..2025-09-30"),
        ("Q1 and Q2 2025", "Q1 = 2025-01-01..2025-03-31; Q2 2025 = 2025-04-01..2025-06-30"),
        ("year to date", "year to date = 2026-01-01..2026-11-23"),
        ("by the end of the month", "the end of the month = 2026-11-30"),
        ("end of next month", "end of next month = 2026-12-31"),
        ("the end of the year", "the end of the year = 2026-12-31"),
        ("since the beginning of the year", "the beginning of the year = 2026-01-01"),
        ("end of March 2026", "end of March 2026 = 2026-03-31"),
        ("end of the week", ""),
        ("mid-December", ""),
    ]);
}

#[test]
fn relative_to_now() {
    check(&[
        ("this week", "this week = 2026-11-23..2026-11-29"),
        ("next week", "next week = 2026-11-30..2026-12-06"),
        ("last week's orders", "last week = 2026-11-16..2026-11-22"),
        ("this month", "this month = 2026-11-01..2026-11-30"),
        ("last month", "last month = 2026-10-01..2026-10-31"),
        ("next month", "next month = 2026-12-01..2026-12-31"),
        ("this quarter", "this quarter = 2026-10-01..2026-12-31"),
        ("last quarter", "last quarter = 2026-07-01..2026-09-30"),
        ("last year", "last year = 2025-01-01..2025-12-31"),
        ("this year", "this year = 2026-01-01..2026-12-31"),
        ("past month", ""),
        ("week after next", ""),
        ("the last week of November", ""),
        ("this weekend", "this weekend = 2026-11-28..2026-11-29"),
        ("next weekend", ""),
        ("the last 30 days", "the last 30 days = 2026-10-24..2026-11-23"),
        ("past two weeks", "past two weeks = 2026-11-09..2026-11-23"),
        ("last 6 months", "last 6 months = 2026-05-23..2026-11-23"),
        ("next 7 days", "next 7 days = 2026-11-23..2026-11-30"),
        ("last 4 quarters", ""),
        ("in 20 minutes", "in 20 minutes = 2026-11-23T14:20"),
        ("in an hour", "in an hour = 2026-11-23T15:00"),
        ("in half an hour", "in half an hour = 2026-11-23T14:30"),
        ("in an hour and a half", "in an hour and a half = 2026-11-23T15:30"),
        ("in 3 days", "in 3 days = 2026-11-26"),
        ("in two weeks at 10:00", "in two weeks at 10:00 = 2026-12-07T10:00"),
        ("in 2 months", "in 2 months = 2027-01-23"),
        ("two weeks from now", "two weeks from now = 2026-12-07"),
        ("3 days ago", "3 days ago = 2026-11-20"),
        ("a month ago", "a month ago = 2026-10-23"),
        ("2 hours ago", "2 hours ago = 2026-11-23T12:00"),
        ("how much did we earn in 3 days", ""),
        ("a 30 minute call", ""),
        ("for half an hour", ""),
        ("in 999 years", "in 999 years = 3025-11-23"),
    ]);
}

#[test]
fn chinese_days() {
    check(&[
        ("今天有什么会议", "今天 = 2026-11-23"),
        ("明天", "明天 = 2026-11-24"),
        ("后天", "后天 = 2026-11-25"),
        ("大后天", "大后天 = 2026-11-26"),
        ("昨天的订单", "昨天 = 2026-11-22"),
        ("前天", "前天 = 2026-11-21"),
        ("下周三", "下周三 = 2026-12-02"),
        ("下个星期三", "下个星期三 = 2026-12-02"),
        ("本周五", "本周五 = 2026-11-27"),
        ("上周五", "上周五 = 2026-11-20"),
        ("下下周一", "下下周一 = 2026-12-07"),
        ("我下周有哪些会议？", "下周 = 2026-11-30..2026-12-06"),
        ("这周末", "这周末 = 2026-11-28..2026-11-29"),
        ("周五开会", "周五 = 2026-11-27"),
        ("星期天开会", "星期天 = 2026-11-29"),
        ("每周五", ""),
        ("一周一次", ""),
        ("下个月", "下个月 = 2026-12-01..2026-12-31"),
        ("上个月", "上个月 = 2026-10-01..2026-10-31"),
        ("上个月的订单数", "上个月 = 2026-10-01..2026-10-31"),
        ("本月", "本月 = 2026-11-01..2026-11-30"),
        ("下个月5号", "下个月5号 = 2026-12-05"),
        ("月底", "月底 = 2026-11-30"),
        ("下月底", "下月底 = 2026-12-31"),
        ("去年", "去年 = 2025-01-01..2025-12-31"),
        ("今年", "今年 = 2026-01-01..2026-12-31"),
        ("2025年", "2025年 = 2025-01-01..2025-12-31"),
        ("今年第三季度的销售额", "今年第三季度 = 2026-07-01..2026-09-30"),
        ("第三季度的销售额", "第三季度 = 2026-07-01..2026-09-30"),
        ("2025年第四季度", "2025年第四季度 = 2025-10-01..2025-12-31"),
        ("上季度", "上季度 = 2026-07-01..2026-09-30"),
        ("上个季度", "上个季度 = 2026-07-01..2026-09-30"),
        ("2026年上半年", "2026年上半年 = 2026-01-01..2026-06-30"),
        ("11月24日", "11月24日 = 2026-11-24"),
        ("2025年11月24日", "2025年11月24日 = 2025-11-24"),
        ("十一月二十四号", "十一月二十四号 = 2026-11-24"),
        ("安排1月5日", "1月5日 = 2027-01-05"),
        ("十二月的销售额", "十二月 = 2025-12-01..2025-12-31"),
        ("12月7日到11日", "12月7日到11日 = 2026-12-07..2026-12-11"),
        ("11月24日到12月3日", "11月24日到12月3日 = 2026-11-24..2026-12-03"),
        ("周三到周五", "周三到周五 = 2026-11-25..2026-11-27"),
        ("3个月", ""),
        ("过去30天", "过去30天 = 2026-10-24..2026-11-23"),
        ("最近三个月", "最近三个月 = 2026-08-23..2026-11-23"),
        ("未来两周", "未来两周 = 2026-11-23..2026-12-07"),
        ("三天后", "三天后 = 2026-11-26"),
        ("两周前", "两周前 = 2026-11-09"),
        ("半小时后", "半小时后 = 2026-11-23T14:30"),
        ("13月", ""),
    ]);
}

#[test]
fn chinese_times() {
    check(&[
        ("明天上午10点", "明天上午10点 = 2026-11-24T10:00"),
        ("明天下午三点和李娜开会", "明天下午三点 = 2026-11-24T15:00"),
        ("明天下午三点半", "明天下午三点半 = 2026-11-24T15:30"),
        ("下周三15:30", "下周三15:30 = 2026-12-02T15:30"),
        ("下周三晚上8点", "下周三晚上8点 = 2026-12-02T20:00"),
        ("明天3点一刻", "明天3点一刻 = 2026-11-24T15:15"),
        ("明天上午十点二十分", "明天上午十点二十分 = 2026-11-24T10:20"),
        ("明天中午12点", "明天中午12点 = 2026-11-24T12:00"),
        ("明晚7点", "明晚7点 = 2026-11-24T19:00"),
        ("11月24日上午9:30", "11月24日上午9:30 = 2026-11-24T09:30"),
        ("明天的下午3点", "明天的下午3点 = 2026-11-24T15:00"),
        ("明天下午3点到4点", "明天下午3点到4点 = 2026-11-24T15:00..2026-11-24T16:00"),
        ("明天上午9点至11点半", "明天上午9点至11点半 = 2026-11-24T09:00..2026-11-24T11:30"),
        ("快一点", ""),
        ("我有三点建议", ""),
        ("开会一个小时", ""),
        ("下午四点", "下午四点 = 16:00"),
    ]);
}

#[test]
fn at_most_so_many_mentions_and_bytes() {
    let many = "tomorrow and ".repeat(10_000);
    assert_eq!(find(&many, now()).len(), MENTIONS);
    let long = format!("{}今天", "天".repeat(20_000));
    assert!(find(&long, now()).is_empty());
}

#[test]
fn the_ends_of_the_calendar_are_no_panic() {
    for now in [DateTime::MIN, DateTime::MAX] {
        for text in [
            "next year",
            "last year",
            "tomorrow",
            "3 days ago",
            "in 5 hours",
            "in March",
            "上周五",
            "去年",
            "last 9 years",
            "Q1",
        ] {
            let _ = find(text, now);
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_and_spans_are_its_own(text in ".{0,200}") {
        sound(&text);
    }

    #[test]
    fn any_run_of_date_words_is_read(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..12), spaced: bool) {
        sound(&words.join(if spaced { " " } else { "" }));
    }
}

const WORDS: &[&str] = &[
    "tomorrow",
    "at",
    "10:30",
    "3",
    "pm",
    "next",
    "last",
    "Friday",
    "week",
    "to",
    "-",
    "and",
    "between",
    "December",
    "2025",
    "31",
    "February",
    "Q4",
    "of",
    "the",
    "1st",
    "half",
    "past",
    "999",
    "months",
    "ago",
    "in",
    "an hour",
    "明天",
    "下午",
    "三点",
    "到",
    "四点",
    "去年",
    "第三季度",
    "月底",
    "十二月",
    "三十一号",
    "周五",
    "0",
    "24",
    "年",
    "月",
    "日",
    "99:99",
    "00/00/0000",
    "ſ",
    "K",
    "é",
    "\u{200b}",
    "\n",
];

fn sound(text: &str) {
    let mentions = find(text, now());
    let mut end = 0;
    for mention in &mentions {
        assert_eq!(&text[mention.span.clone()], mention.phrase);
        assert!(mention.span.start >= end, "mentions overlap in {text:?}");
        end = mention.span.end;
        if let Resolved::Range(from, to) = mention.resolved {
            assert!(from <= to);
        }
        if let Resolved::DateTimeRange(from, to) = mention.resolved {
            assert!(from < to);
        }
    }
}
