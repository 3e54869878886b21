//! A hundred made-up résumés of four formats, five of which meet all that is asked. Names, employers and schools are invented.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use anyhow::Result;

/// What is asked, one a line.
pub(crate) const REQUIREMENTS: &str = "\
Must have 5 years of Kubernetes
Must speak fluent German
Terraform
PostgreSQL
Degree in computer science
Has led a team of engineers
";

/// Files of the five that meet all of it.
pub(crate) const BEST: [usize; 5] = [7, 23, 48, 61, 90];

const FIRST: [&str; 20] = [
    "Aldra", "Benko", "Carwen", "Dorvin", "Elspa", "Fennic", "Garlo", "Hestra", "Ivanka", "Jorun", "Kelda",
    "Lorcan", "Mirel", "Nadja", "Orlo", "Perrin", "Quilla", "Rasmo", "Sunniva", "Tarek",
];
const LAST: [&str; 20] = [
    "Quellmann",
    "Ashvale",
    "Brenning",
    "Corvalis",
    "Dunmoor",
    "Eskeby",
    "Farrowden",
    "Gildermark",
    "Harrowgate",
    "Ingelund",
    "Jasperley",
    "Kestrich",
    "Lindquarry",
    "Morvane",
    "Norrowby",
    "Ostermark",
    "Penhallick",
    "Quarrington",
    "Ravensholt",
    "Selwood",
];
const EMPLOYERS: [&str; 12] = [
    "Harbour & Finch Ltd",
    "Tidewater Systems",
    "Lumen Freight GmbH",
    "Oakline Insurance",
    "Brightmoor Media",
    "Vesper Robotics",
    "Calder Mills AG",
    "Northgate Energy",
    "Sable Logistics",
    "Quartz Health",
    "Pinewood Bank",
    "Arbour Foods",
];
const CITIES: [&str; 6] = ["Bremen", "Leeds", "Gdansk", "Ghent", "Malmo", "Graz"];
/// What other people do: none of it is asked for.
const TITLES: [&str; 8] = [
    "System Administrator",
    "Web Developer",
    "Data Analyst",
    "Network Technician",
    "Support Engineer",
    "Test Engineer",
    "Database Assistant",
    "Embedded Developer",
];
const DUTIES: [&str; 16] = [
    "Kept forty Windows servers patched and documented.",
    "Wrote a booking page in PHP and moved it to a new host.",
    "Answered about sixty tickets a week and wrote the answers down.",
    "Built dashboards for the sales department in a spreadsheet.",
    "Replaced the cabling of two office floors.",
    "Wrote firmware in C for a line of thermostats.",
    "Tested releases by hand and kept the list of faults.",
    "Took backups and restored them every quarter.",
    "Set up mailboxes and printers for new colleagues.",
    "Translated the manuals of three products.",
    "Counted stock twice a year and corrected the lists.",
    "Moved the company's web site to another system.",
    "Measured the Wi-Fi in the warehouse and moved access points.",
    "Prepared monthly reports on energy use.",
    "Trained users in the new ticket system.",
    "Wrote small scripts that rename and sort files.",
];
const SKILLS: [&str; 14] = [
    "Excel",
    "PHP",
    "jQuery",
    "Windows Server",
    "VMware",
    "C",
    "C++",
    "Bash",
    "MySQL",
    "Oracle",
    "Jira",
    "LaTeX",
    "Photoshop",
    "SAP",
];
const SUBJECTS: [&str; 5] =
    ["History", "Physics", "Business Administration", "Mechanical Engineering", "Geography"];

/// Writes the folder; gives the names of the best five.
pub(crate) fn write(folder: &Path, count: usize) -> Result<Vec<String>> {
    let mut random = fastrand::Rng::with_seed(20_261_129);
    let mut best = Vec::new();
    for n in 0..count {
        let lines = match n {
            n if BEST.contains(&n) => strong(&mut random, n),
            n if n % 8 == 4 => near(&mut random, n),
            n => ordinary(&mut random, n),
        };
        let ending = ["pdf", "docx", "html", "txt"][n % 4];
        let name = format!("cv-{n:03}.{ending}");
        let bytes = match ending {
            "pdf" => pdf(&lines),
            "docx" => docx(&lines)?,
            "html" => html(&lines).into_bytes(),
            _ => (lines.join("\n") + "\n").into_bytes(),
        };
        fs::write(folder.join(&name), bytes)?;
        if BEST.contains(&n) {
            best.push(name);
        }
    }
    Ok(best)
}

fn one<'a>(random: &mut fastrand::Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(..of.len())]
}

fn some<'a>(random: &mut fastrand::Rng, of: &[&'a str], count: usize) -> Vec<&'a str> {
    let mut of = of.to_vec();
    random.shuffle(&mut of);
    of.truncate(count);
    of
}

fn head(random: &mut fastrand::Rng, n: usize) -> Vec<String> {
    let name = format!("{} {}", FIRST[n % FIRST.len()], LAST[(n / FIRST.len() + n * 3) % LAST.len()]);
    let mail = name.to_lowercase().replace(' ', ".");
    vec![
        name,
        format!("{mail}@example.com"),
        format!("+49 30 555 {:04}", 1_000 + n),
        one(random, &CITIES).to_owned(),
    ]
}

/// Meets all of it, each in words of its own.
fn strong(random: &mut fastrand::Rng, n: usize) -> Vec<String> {
    let mut lines = head(random, n);
    let (late, early) = (one(random, &EMPLOYERS), one(random, &EMPLOYERS));
    let team = random.usize(4..12);
    lines.extend([
        "Experience".to_owned(),
        "Lead Platform Engineer".into(),
        late.into(),
        format!("{} 2020 - October 2026", one(random, &["January", "February", "March"])),
        format!("Led a team of {team} engineers and held their yearly reviews."),
        "Ran Kubernetes clusters in three regions and upgraded them without an outage.".into(),
        "Described all infrastructure in Terraform.".into(),
        "Site Reliability Engineer".into(),
        early.into(),
        "April 2016 - December 2019".into(),
        "Moved forty services to Kubernetes.".into(),
        "Operated PostgreSQL with replication and tested backups.".into(),
        "Education".into(),
        format!("{} Computer Science, University of {}", one(random, &["BSc", "MSc"]), one(random, &CITIES)),
        "Skills".into(),
        format!("Kubernetes, Terraform, PostgreSQL, {}", some(random, &SKILLS, 3).join(", ")),
        "Languages".into(),
        format!("German ({}), English (C1)", one(random, &["native", "C2"])),
    ]);
    lines
}

/// Meets both musts and lacks one or two of the others, among them that of a team.
fn near(random: &mut fastrand::Rng, n: usize) -> Vec<String> {
    let lacking = n / 8 % 3;
    let lines = strong(random, n).into_iter().filter_map(|line| match line {
        line if line.starts_with("Led a team") => Some("Was on call every third week.".to_owned()),
        line if line.starts_with("Lead Platform") => Some("Platform Engineer".to_owned()),
        line if lacking == 0 && line.contains("infrastructure in Terraform") => None,
        line if lacking == 1 && line.contains("PostgreSQL with") => None,
        line if lacking == 2 && line.contains("Computer Science") => {
            Some(format!("BA {}, University of {}", SUBJECTS[n % SUBJECTS.len()], CITIES[n % CITIES.len()]))
        }
        line if line.starts_with("Kubernetes, Terraform") => {
            let lacks = ["Terraform, ", "PostgreSQL, ", ""][lacking];
            Some(if lacks.is_empty() { line } else { line.replace(lacks, "") })
        }
        line => Some(line),
    });
    lines.collect()
}

/// Meets less: up to two of the six, never both musts.
fn ordinary(random: &mut fastrand::Rng, n: usize) -> Vec<String> {
    let mut lines = head(random, n);
    let count = random.usize(0..3);
    let meets = some(random, &["kubernetes", "german", "terraform", "postgres", "degree"], count);
    let has = |what: &str| meets.contains(&what) && !(what == "german" && meets.contains(&"kubernetes"));
    lines.push("Experience".into());
    for (from, to) in [("March 2021", "October 2026"), ("June 2017", "January 2021")] {
        let title = if has("kubernetes") { "Platform Engineer" } else { one(random, &TITLES) };
        lines.extend([title.to_owned(), one(random, &EMPLOYERS).into(), format!("{from} - {to}")]);
        lines.extend(some(random, &DUTIES, 3).into_iter().map(str::to_owned));
        if has("kubernetes") {
            lines.push("Ran Kubernetes for the web team.".into());
        } else if random.u8(0..3) == 0 {
            lines.push("Read the documentation of containers during a course of two days.".into());
        }
    }
    lines.push("Education".into());
    let subject = if has("degree") { "Computer Science" } else { one(random, &SUBJECTS) };
    lines.push(format!("BA {subject}, University of {}", one(random, &CITIES)));
    let mut skills = some(random, &SKILLS, 5);
    skills.extend(has("terraform").then_some("Terraform"));
    skills.extend(has("postgres").then_some("PostgreSQL"));
    lines.extend(["Skills".to_owned(), skills.join(", "), "Languages".into()]);
    lines.push(if has("german") {
        "German (native), English (B2)".into()
    } else {
        one(random, &["English (C1)", "English (native), German (A2)", "Polish (native), English (B2)"])
            .to_owned()
    });
    lines
}

fn html(lines: &[String]) -> String {
    let escaped = lines.iter().map(|line| line.replace('&', "&amp;").replace('<', "&lt;"));
    let body: String = escaped.map(|line| format!("<p>{line}</p>\n")).collect();
    format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><title>CV</title></head><body>\n{body}</body></html>\n"
    )
}

fn docx(lines: &[String]) -> Result<Vec<u8>> {
    let escaped = lines.iter().map(|line| line.replace('&', "&amp;").replace('<', "&lt;"));
    let body: String = escaped
        .map(|line| format!("<w:p><w:r><w:t xml:space=\"preserve\">{line}</w:t></w:r></w:p>"))
        .collect();
    let mut file = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in [
        ("[Content_Types].xml", "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml\"/></Types>".to_owned()),
        ("_rels/.rels", "<?xml version=\"1.0\"?><Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"word/document.xml\"/></Relationships>".to_owned()),
        ("word/document.xml", format!("<?xml version=\"1.0\"?><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body>{body}</w:body></w:document>")),
    ] {
        file.start_file(name, options)?;
        file.write_all(text.as_bytes())?;
    }
    Ok(file.finish()?.into_inner())
}

/// One page of Helvetica.
fn pdf(lines: &[String]) -> Vec<u8> {
    let shown: String = lines
        .iter()
        .map(|line| {
            format!("({}) Tj T*\n", line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)"))
        })
        .collect();
    let content = format!("BT /F1 11 Tf 14 TL 60 780 Td\n{shown}ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".into(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".into(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".into(),
    ];
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut starts = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        starts.push(file.len());
        file.extend(format!("{} 0 obj\n{object}\nendobj\n", number + 1).bytes());
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    starts.iter().for_each(|start| file.extend(format!("{start:010} 00000 n \n").bytes()));
    file.extend(
        format!("trailer << /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1).bytes(),
    );
    file
}
