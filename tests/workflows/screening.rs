//! A folder of résumés, ranked by one command that may be killed; the same by upload.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pawl_tests::server::{Options, Server, binary, pawl, plugins_folder};
use reqwest::multipart::{Form, Part};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::MODEL;

const REQUIREMENTS: &str = "Must speak fluent German\nTerraform\n";

/// What code alone can judge: the tests' model is too small to be asked.
fn resume(name: &str, german: &str, skills: &str) -> String {
    format!("{name}\n{name}@example.com\nSkills\n{skills}\nLanguages\nGerman ({german}), English (B2)\n")
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Result<Desk> {
        let desk = Desk { folder: tempfile::tempdir()? };
        std::fs::create_dir_all(desk.path("cvs/more"))?;
        std::fs::write(desk.path("asked.txt"), REQUIREMENTS)?;
        desk.put("a-second.txt", &resume("ada", "native", "Excel"))?;
        desk.put("more/b-first.txt", &resume("bo", "C1", "Terraform, Excel"))?;
        desk.put("c-last.html", "<p>cy@example.com</p><p>Languages</p><p>English (C2)</p>")?;
        desk.put("d-poison.pdf", "%PDF-1.7\nnothing that a PDF has")?;
        desk.put("e-copy.txt", &resume("ada", "native", "Excel"))?;
        Ok(desk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.path("cvs").join(name), text)?)
    }

    fn screen(&self, more: &[&str]) -> Result<(i32, String, String)> {
        let mut all = vec!["screen", "--model", MODEL, "--resumes", "cvs", "--requirements", "asked.txt"];
        all.extend(more);
        pawl(&all, self.folder.path())
    }

    /// State, name and points of each line of the results.
    fn results(&self, out: &str) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.path(out).join("results.jsonl"))?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

fn named(results: &[Value], state: &str) -> Vec<String> {
    let of = results.iter().filter(|line| line["state"] == state);
    of.filter_map(|line| line["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_folder_is_ranked_and_the_same_command_goes_on_with_what_is_new() -> Result<()> {
    let desk = Desk::new()?;
    let (code, out, said) = desk.screen(&["--out", "out"])?;
    ensure!(code == 0, "{said}");
    let results = desk.results("out")?;
    assert_eq!(named(&results, "ranked"), ["more/b-first.txt", "a-second.txt", "c-last.html"]);
    assert_eq!(
        (named(&results, "same"), named(&results, "failed")),
        (vec!["e-copy.txt".into()], vec!["d-poison.pdf".into()])
    );
    let failed = &results[4];
    ensure!(
        failed["attempts"] == 2 && failed["code"] == "damaged" && !failed.to_string().contains("rhai"),
        "{failed}"
    );
    ensure!(results[0]["points"] == 100.0 && results[2]["lacks_must"] == true, "{results:?}");
    ensure!(results[0]["judgements"][0]["evidence"]["text"] == "German (C1)", "{}", results[0]);
    for has in ["more/b-first.txt", "Must speak fluent German", "failed d-poison.pdf", "1 copied from others"]
    {
        ensure!(out.contains(has), "{has} in {out}");
    }
    let page = std::fs::read_to_string(desk.path("out/report.html"))?;
    for has in ["b-first.txt", "German (C1)", "d-poison.pdf", "e-copy.txt"] {
        ensure!(page.contains(has), "{has}");
    }
    let table = std::fs::read_to_string(desk.path("out/results.csv"))?;
    ensure!(table.lines().count() == 6 && table.starts_with("state,place,name,points"), "{table}");

    // One is new, one has changed, one is gone.
    desk.put("f-new.txt", &resume("fa", "C2", "Terraform"))?;
    desk.put("a-second.txt", &resume("ada", "A1", "Excel"))?;
    std::fs::remove_file(desk.path("cvs/c-last.html"))?;
    let (code, _, said) = desk.screen(&["--out", "out"])?;
    ensure!(code == 0 && said.contains("1 new") && said.contains("changed since"), "{said}");
    ensure!(said.contains("1 résumés are no longer in cvs"), "{said}");
    let results = desk.results("out")?;
    // The copy is one no longer.
    assert_eq!(named(&results, "ranked")[..2], ["f-new.txt", "more/b-first.txt"]);
    assert_eq!(named(&results, "ranked").iter().cloned().collect::<BTreeSet<_>>().len(), 4);
    ensure!(named(&results, "same").is_empty(), "{results:?}");

    // A file that has another name, and files that are somewhere else, are what they were.
    std::fs::rename(desk.path("cvs/f-new.txt"), desk.path("cvs/g-renamed.txt"))?;
    std::fs::rename(desk.path("cvs"), desk.path("elsewhere"))?;
    let runs = || -> Result<i64> {
        let record = Connection::open_with_flags(
            desk.path("out/record/runs/runs.sqlite"),
            OpenFlags::SQLITE_OPEN_READ_ONLY,
        )?;
        Ok(record.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?)
    };
    let before = runs()?;
    let moved =
        ["screen", "--model", MODEL, "--resumes", "elsewhere", "--requirements", "asked.txt", "--out", "out"];
    let (code, _, said) = pawl(&moved, desk.folder.path())?;
    ensure!(code == 0, "{said}");
    let results = desk.results("out")?;
    assert_eq!(named(&results, "ranked")[..2], ["g-renamed.txt", "more/b-first.txt"], "{results:?}");
    assert_eq!(runs()?, before);
    // Another folder with the same names is other résumés.
    std::fs::create_dir(desk.path("cvs"))?;
    desk.put("a-second.txt", &resume("other", "native", "Terraform"))?;
    let (code, _, said) = desk.screen(&["--out", "out"])?;
    ensure!(code == 0 && said.contains("1 changed since"), "{said}");
    let results = desk.results("out")?;
    ensure!(results.len() == 1 && results[0]["points"] == 100.0, "{results:?}");
    std::fs::remove_dir_all(desk.path("cvs"))?;
    std::fs::rename(desk.path("elsewhere"), desk.path("cvs"))?;

    // The criteria as they were understood can be edited, and then are another screening.
    let rubric: Value = serde_json::from_str(&std::fs::read_to_string(desk.path("out/rubric.json"))?)?;
    let mut edited = rubric.clone();
    edited[1]["level"] = json!("must");
    std::fs::write(desk.path("asked.json"), edited.to_string())?;
    let other = |out: &str| {
        pawl(
            &["screen", "--model", MODEL, "--resumes", "cvs", "--requirements", "asked.json", "--out", out],
            desk.folder.path(),
        )
    };
    let (code, _, said) = other("out")?;
    ensure!(code == 1 && said.contains("other requirements") && said.contains("--out"), "{said}");
    let (code, _, said) = other("out2")?;
    ensure!(code == 0, "{said}");
    let lacking: Vec<bool> =
        desk.results("out2")?.iter().filter_map(|line| line["lacks_must"].as_bool()).collect();
    assert_eq!(lacking, [false, false, true, true]);
    Ok(())
}

#[test]
fn a_screening_that_is_killed_is_finished_by_a_second_call() -> Result<()> {
    const MORE: usize = 150;
    let desk = Desk::new()?;
    for n in 0..MORE {
        desk.put(&format!("n{n:03}.txt"), &resume(&format!("n{n}"), "B1", "Excel"))?;
    }
    let mut child = Command::new(binary()?)
        .args([
            "screen",
            "--model",
            MODEL,
            "--resumes",
            "cvs",
            "--requirements",
            "asked.txt",
            "--out",
            "out",
            "--plugins",
        ])
        .arg(plugins_folder()?)
        .current_dir(desk.folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    let done = loop {
        let done = done(&desk.path("out")).unwrap_or(0);
        if done >= 10 {
            child.kill()?;
            child.wait()?;
            break done;
        }
        ensure!(child.try_wait()?.is_none(), "it ended before it was killed");
        ensure!(began.elapsed() < Duration::from_secs(120), "nothing was done");
        std::thread::sleep(Duration::from_millis(5));
    };
    let (code, _, said) = desk.screen(&["--out", "out", "--at-once", "4"])?;
    ensure!(code == 0 && said.contains("done before"), "{done}: {said}");
    let results = desk.results("out")?;
    let names: BTreeSet<&str> = results.iter().filter_map(|line| line["name"].as_str()).collect();
    ensure!(
        names.len() == MORE + 5 && results.len() == names.len(),
        "{} lines, {} names",
        results.len(),
        names.len()
    );
    ensure!(
        named(&results, "ranked").len() == MORE + 3 && results[0]["name"] == "more/b-first.txt",
        "{results:?}"
    );
    // Each was begun once, the poisoned one twice.
    let record = Connection::open_with_flags(
        desk.path("out/record/runs/runs.sqlite"),
        OpenFlags::SQLITE_OPEN_READ_ONLY,
    )?;
    let runs: i64 = record.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
    assert_eq!(runs, i64::try_from(MORE)? + 5);
    Ok(())
}

fn done(out: &Path) -> Result<i64> {
    let record =
        Connection::open_with_flags(out.join("record/runs/runs.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    Ok(record.query_row("SELECT count(*) FROM items WHERE state = 'done'", [], |row| row.get(0))?)
}

#[test]
fn what_cannot_be_screened_is_named_with_the_mend() -> Result<()> {
    let desk = Desk::new()?;
    std::fs::create_dir(desk.path("none"))?;
    std::fs::create_dir(desk.path("photos"))?;
    std::fs::write(desk.path("photos/me.jpg"), "x")?;
    for (name, text) in [
        ("empty.txt", " \n"),
        ("broken.json", "[{"),
        (
            "level.json",
            r#"[{"text": "Terraform", "level": "should", "weight": 1}, {"text": "Go", "level": "would", "weight": 1}]"#,
        ),
        ("weight.toml", "[[criteria]]\ntext = \"Go\"\nlevel = \"must\"\nweight = 50\n"),
        ("list.json", r#"{"name": "x", "criteria": []}"#),
    ] {
        std::fs::write(desk.path(name), text)?;
    }
    let long: String = (0..30).map(|n| format!("Skill {n}\n")).collect();
    std::fs::write(desk.path("long.txt"), long)?;
    for (resumes, requirements, says) in [
        ("cvs", "empty.txt", "empty.txt: it is empty; write one requirement a line"),
        ("cvs", "gone.txt", "gone.txt: No such file"),
        ("cvs", "broken.json", "broken.json: not JSON"),
        ("cvs", "level.json", "would"),
        ("cvs", "weight.toml", "weight 50 of `Go`; give 1 to 10"),
        ("cvs", "list.json", "list.json: no list of criteria"),
        ("cvs", "long.txt", "30 criteria; give 1 to 20"),
        (
            "none",
            "asked.txt",
            "none: no PDF, DOCX, HTML or text file that can be read is in it (no file at all)",
        ),
        ("photos", "asked.txt", "(only me.jpg)"),
        ("nowhere", "asked.txt", "nowhere: No such file or directory"),
    ] {
        let all = [
            "screen",
            "--model",
            MODEL,
            "--resumes",
            resumes,
            "--requirements",
            requirements,
            "--out",
            "out",
        ];
        let (code, out, said) = pawl(&all, desk.folder.path())?;
        ensure!(
            code == 1 && out.is_empty() && said.contains(says),
            "{resumes} {requirements}: {code} {said}"
        );
    }
    ensure!(!desk.path("out/results.jsonl").exists());
    let (code, _, said) = desk.screen(&["--out", "cvs"])?;
    ensure!(code == 1 && said.contains("--out cvs is the folder of the résumés"), "{said}");
    Ok(())
}

fn settings(desk: &Desk) -> String {
    format!(
        "[model]\ncontext = 3072\n[workflows]\nfolder = \"flows\"\n[plugins.resume.grant]\nclocks = true\nllm = true\n\
         documents = {{ resumes = {:?} }}\n",
        desk.path("cvs")
    )
}

fn upload(resumes: &[(&str, String)], more: &[(&'static str, &str)]) -> Form {
    let form = resumes.iter().fold(Form::new(), |form, (name, text)| {
        form.part("resumes", Part::text(text.clone()).file_name((*name).to_owned()))
    });
    more.iter().fold(form, |form, (name, text)| form.text(*name, (*text).to_owned()))
}

async fn sent(server: &Server, path: &str, form: Form, origin: Option<&str>) -> Result<(u16, Value)> {
    let mut request = server.client().post(format!("{}{path}", server.url)).multipart(form);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

async fn ended(server: &Server, id: &str) -> Result<Value> {
    let began = Instant::now();
    loop {
        let (_, job) = server.get(&format!("/v1/jobs/{id}")).await?;
        if job["state"] == "done" {
            return Ok(job);
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "{job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resumes_are_uploaded_ranked_and_added_to() -> Result<()> {
    let desk = Desk::new()?;
    let data = desk.path("data");
    std::fs::create_dir(&data)?;
    let server = Server::start(&Options { model: MODEL, settings: Some(settings(&desk)) }, &data)?;
    let form = |resumes: &[(&str, String)]| {
        upload(resumes, &[("requirements", REQUIREMENTS), ("name", "Engineers"), ("key", "k1")])
    };
    let two = [("x.txt", resume("xa", "B1", "Excel")), ("../y.txt", resume("ya", "C1", "Terraform"))];
    let (status, refused) = sent(&server, "/v1/jobs", form(&two), Some("https://example.org")).await?;
    ensure!(
        status == 403
            && refused["error"]["message"].as_str().is_some_and(|said| said.contains("example.org")),
        "{refused}"
    );
    let (status, job) = sent(&server, "/v1/jobs", form(&two), Some(&server.url)).await?;
    ensure!(status == 202, "{job}");
    let id = job["id"].as_str().context("id")?.to_owned();
    ended(&server, &id).await?;
    // The same once more begins nothing; another file of the same name is another résumé.
    let (status, again) = sent(&server, "/v1/jobs", form(&two), None).await?;
    ensure!(status == 202 && again["id"] == job["id"] && again["items"]["done"] == 2, "{again}");
    let (status, more) = sent(
        &server,
        &format!("/v1/jobs/{id}"),
        upload(&[("x.txt", resume("za", "native", "Excel"))], &[]),
        None,
    )
    .await?;
    ensure!(status == 200, "{more}");
    let job = ended(&server, &id).await?;
    ensure!(job["items"]["done"] == 3 && job["name"] == "Engineers", "{job}");
    let text = |path: String| async move {
        Ok::<_, anyhow::Error>(reqwest::get(path).await?.error_for_status()?.text().await?)
    };
    let results = format!("{}/v1/jobs/{id}/results", server.url);
    let ranked: Vec<Value> = text(format!("{results}?as=jsonl"))
        .await?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(named(&ranked, "ranked"), ["y.txt", "x (2).txt", "x.txt"]);
    let page = text(format!("{results}?as=html")).await?;
    ensure!(page.contains("Engineers") && page.contains("German (C1)"), "{page}");
    ensure!(text(format!("{results}?as=csv")).await?.lines().count() == 4);

    for (form, says) in [
        (upload(&two, &[]), "no requirements are in the form"),
        (upload(&[], &[("requirements", REQUIREMENTS)]), "no résumé is in the form"),
        (upload(&two, &[("requirements", " ")]), "it is empty"),
        (upload(&two, &[("requirements", REQUIREMENTS), ("blind", "maybe")]), "give true or false"),
        (upload(&two, &[("requirements", REQUIREMENTS), ("colour", "red")]), "colour"),
        (upload(&[(".ssh", String::new())], &[("requirements", REQUIREMENTS)]), "no name of a résumé"),
        (upload(&two, &[("requirements", "Terraform"), ("key", "k1")]), "other requirements"),
    ] {
        let (status, said) = sent(&server, "/v1/jobs", form, None).await?;
        ensure!((400..500).contains(&status) && said.to_string().contains(says), "{says}: {status} {said}");
    }
    // What was refused leaves nothing behind.
    ensure!(std::fs::read_dir(data.join("uploads"))?.count() == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_about_a_document_that_is_granted_and_sees_no_other() -> Result<()> {
    let desk = Desk::new()?;
    let data = desk.path("data");
    std::fs::create_dir_all(data.join("flows"))?;
    std::fs::write(data.join("flows/list.rhai"), "resume::list_resumes().map(|entry| entry.id)")?;
    std::fs::write(desk.path("secret.txt"), "secret")?;
    let server = Server::start(&Options { model: MODEL, settings: Some(settings(&desk)) }, &data)?;
    let item = |name: &str, id: &str| json!({"name": name, "document": {"collection": "resumes", "id": id}});
    let body = json!({"workflow": "list", "items": [item("one", "a-second.txt"), {"name": "all"}, item("none", "gone.txt")]});
    let (status, job) = server.post("/v1/jobs", &body).await?;
    ensure!(status == 202, "{job}");
    let id = job["id"].as_str().context("id")?;
    ended(&server, id).await?;
    let text = reqwest::get(format!("{}/v1/jobs/{id}/results", server.url)).await?.text().await?;
    let items: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(items[0]["outcome"]["result"], json!(["a-second.txt"]), "{}", items[0]);
    assert_eq!(items[1]["outcome"]["result"].as_array().map(Vec::len), Some(4), "{}", items[1]);
    ensure!(items[2]["state"] == "failed" && items[2].to_string().contains("not-found"), "{}", items[2]);
    for (item, says) in [
        (item("x", "../secret.txt"), "no name of a document"),
        (json!({"name": "x", "document": {"collection": "passwords", "id": "a"}}), "granted to no plugin"),
    ] {
        let (status, said) = server.post("/v1/jobs", &json!({"workflow": "list", "items": [item]})).await?;
        ensure!(status == 400 && said.to_string().contains(says), "{status} {said}");
    }
    let (status, job) = server.post("/v1/jobs", &json!({"workflow": "list", "documents": "resumes"})).await?;
    ensure!(
        status == 202
            && job["items"]["queued"].as_u64().unwrap_or(0) + job["items"]["running"].as_u64().unwrap_or(0)
                >= 3,
        "{job}"
    );
    let job = ended(&server, job["id"].as_str().context("id")?).await?;
    if job["items"]["same"] != 1 {
        bail!("the copy was done: {job}");
    }
    Ok(())
}
