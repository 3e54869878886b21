//! `pawl screen`: a folder of résumés and a file of requirements, to a ranking. Called again, it goes on where it stopped.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use pawl_flow::{FlowError, Job, JobId, JobState, Scope};

use super::approvals::visible;
use crate::app;
use crate::approvals::Approvals;
use crate::config::Config;
use crate::flow::Runs;
use crate::plugins::model::LateModel;
use crate::plugins::{Plugins, make_private};
use crate::screen::files::{self, Found};
use crate::screen::ranking::Ranking;
use crate::screen::{self, Shared, report, requirements};

/// What begins the one job of a screening's record.
const ORIGIN: &str = "screen";
/// Between two looks at the job.
const LOOK: Duration = Duration::from_millis(200);
/// Between two lines of progress where nobody watches a bar.
const SAY: Duration = Duration::from_secs(10);
/// The exit code of what ctrl-c ended.
const INTERRUPTED: i32 = 130;
/// Columns of a name in the table.
const NAME: usize = 44;

#[derive(Debug, Args)]
pub(crate) struct Screen {
    /// Folder of résumés (PDF, DOCX, HTML, text), read with the folders in it
    #[arg(long, value_name = "DIR")]
    resumes: PathBuf,
    /// What is asked: a text with one requirement a line, or criteria as .json or .toml
    #[arg(long, value_name = "FILE")]
    requirements: PathBuf,
    /// Where results go, and the record by which a second call goes on
    #[arg(long, default_value = "screening", value_name = "DIR")]
    out: PathBuf,
    /// Résumés that are read at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64), value_name = "N")]
    at_once: u32,
    /// Rows of the table in the terminal
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
    /// Try once more what failed in an earlier call
    #[arg(long)]
    retry: bool,
    /// Let the judge see name, age, gender, photo, contact and address
    #[arg(long)]
    not_blind: bool,
}

impl Screen {
    pub(crate) async fn run(self, config: Config) -> Result<ExitCode> {
        let (folder, except) = (self.resumes.clone(), [self.out.clone(), self.requirements.clone()]);
        let found = tokio::task::spawn_blocking(move || files::find(&folder, &except)).await??;
        for (name, why) in &found.left_out {
            eprintln!("not taken: {} ({why})", visible(name));
        }
        let (out, resumes) = (std::path::absolute(&self.out)?, self.resumes.canonicalize()?);
        if out.canonicalize().is_ok_and(|out| out == resumes) {
            bail!("--out {} is the folder of the résumés; give another", self.out.display());
        }
        let config = screen::settings(config, &resumes, out.join("record"))?;
        make_private(&out)?;
        let loading = config.clone();
        let plugins = tokio::task::spawn_blocking(move || Plugins::load(&loading)).await??;
        let plugin = screen::plugin(&plugins.now())?;
        let rubric = requirements::read(&self.requirements, &plugin).await?;
        let shared = Shared { rubric, blind: !self.not_blind };
        // One that cannot be loaded is said once, and not of each résumé.
        let loading = config.clone();
        let llm = tokio::task::spawn_blocking(move || app::load_model(&loading)).await??;
        let model = Arc::new(LateModel::loaded(config.clone(), llm, plugins.embedder()));
        let plugins = plugins.with_model(Arc::clone(&model));
        let approvals = Approvals::open(&config.home)?;
        let runs = Runs::open(&config, plugins, model, &approvals, Scope::All).await?;
        let id = self.begin(&config, &runs, &shared, &found, (&resumes, &out)).await?;
        let names: HashSet<String> = found.items.into_iter().map(|item| item.name).collect();
        let done = tokio::select! {
            job = follow(&runs, id) => { job?; true }
            stopped = tokio::signal::ctrl_c() => { stopped?; false }
        };
        let ranking = self.write(&runs, id, &shared, &names, &out).await?;
        print!("{}", table(&ranking, self.top));
        eprintln!("report: {}", out.join("report.html").display());
        if !done {
            eprintln!("stopped; the same command goes on with what is not done");
            // What is being judged now is not waited for; the record has it as begun, and the next call does it again.
            std::process::exit(INTERRUPTED);
        }
        runs.close().await;
        Ok(ExitCode::SUCCESS)
    }

    /// Begins the job or goes on with it.
    async fn begin(
        &self,
        config: &Config,
        runs: &Runs,
        shared: &Shared,
        found: &Found,
        (resumes, out): (&Path, &Path),
    ) -> Result<JobId> {
        let title = resumes.file_name().map_or_else(|| "résumés".into(), |name| name.to_string_lossy());
        let requester = "pawl screen".to_owned();
        let name = format!("Screening of {title}");
        let new = screen::job(
            name,
            &config.workflows.folder,
            shared,
            requester,
            Some(ORIGIN.into()),
            self.at_once,
        )?;
        let id = runs.ask(move |orchestrator| orchestrator.begin_job(new)).await?;
        let job = runs.ask(move |orchestrator| orchestrator.job(id)).await?;
        if Shared::of(&job).as_ref() != Some(shared) {
            bail!(
                "{} holds a screening by other requirements; give another folder with --out, or the requirements of {}",
                out.display(),
                out.join("rubric.json").display()
            );
        }
        let rubric = out.join("rubric.json");
        std::fs::write(&rubric, serde_json::to_string_pretty(&shared.rubric)? + "\n")
            .with_context(|| format!("cannot write {}", rubric.display()))?;
        let (items, retry, at_once) = (found.items.clone(), self.retry, self.at_once);
        let given = runs.ask(move |orchestrator| {
            orchestrator.go_on_job(id)?;
            orchestrator.set_at_once(id, at_once)?;
            orchestrator.relocate(id, items.iter().cloned())?;
            let changed = orchestrator.renew(id)?;
            let again = if retry { orchestrator.retry_failed(id)? } else { 0 };
            let added = orchestrator.add_items(id, items)?;
            if orchestrator.job(id)?.state == JobState::Paused {
                orchestrator.pause(id, false)?;
            }
            Ok((changed.len(), again, added))
        });
        let (changed, again, added) = given.await.map_err(|error| match error {
            FlowError::Job(_) => anyhow::anyhow!(
                "another `pawl screen` is at work in {}; wait for it, or give another folder with --out",
                out.display()
            ),
            other => other.into(),
        })?;
        let criteria = shared.rubric.as_array().map_or(0, Vec::len);
        let mut said = format!("{} résumés, {criteria} criteria ({})", found.items.len(), rubric.display());
        for (count, what) in [
            (job.items.ended(), "done before"),
            (changed as u64, "changed since"),
            (again as u64, "failed before and are tried again"),
        ] {
            if count > 0 {
                said.push_str(&format!("; {count} {what}"));
            }
        }
        if job.items.all() > 0 && added > 0 {
            said.push_str(&format!("; {added} new"));
        }
        eprintln!("{said}");
        Ok(id)
    }

    /// Writes the results of the files that are there.
    async fn write(
        &self,
        runs: &Runs,
        id: JobId,
        shared: &Shared,
        names: &HashSet<String>,
        out: &Path,
    ) -> Result<Ranking> {
        let job = runs.ask(move |orchestrator| orchestrator.job(id)).await?;
        let mut items = runs.items(id, None).await?;
        let before = items.len();
        items.retain(|item| names.contains(&item.name));
        if items.len() < before {
            let gone = before - items.len();
            eprintln!("{gone} résumés are no longer in {} and are left out", self.resumes.display());
        }
        let ranking = Ranking::of(&job, shared, items);
        report::write(&ranking, out)
            .with_context(|| format!("cannot write the results into {}", out.display()))?;
        Ok(ranking)
    }
}

/// Shows how far it is until all is done.
async fn follow(runs: &Runs, id: JobId) -> Result<Job> {
    let bar = std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}");
        style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
    });
    let (began, mut first, mut said) = (Instant::now(), None, Instant::now());
    loop {
        let job = runs.ask(move |orchestrator| orchestrator.job(id)).await?;
        let ended = job.items.ended();
        let progress = progress(&job, ended - *first.get_or_insert(ended), began.elapsed());
        if let Some(bar) = &bar {
            bar.set_length(job.items.all());
            bar.set_position(ended);
            bar.set_message(progress);
        } else if said.elapsed() >= SAY {
            eprintln!("{ended}/{}  {progress}", job.items.all());
            said = Instant::now();
        }
        if job.state == JobState::Done {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            eprintln!("{} résumés in {}", job.items.all(), minutes(began.elapsed()));
            return Ok(job);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Rate, what remains, failures.
fn progress(job: &Job, done_now: u64, elapsed: Duration) -> String {
    let rate = done_now as f64 / elapsed.as_secs_f64().max(0.001);
    let mut said = if done_now == 0 {
        "the first one is being read".to_owned()
    } else {
        let left = (job.items.all() - job.items.ended()) as f64 / rate;
        format!("{:.1}/min, about {} left", rate * 60.0, minutes(Duration::from_secs_f64(left)))
    };
    if job.items.failed > 0 {
        said.push_str(&format!(", {} failed", job.items.failed));
    }
    said
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// The best ones with their verdicts, and what to know of the others.
fn table(ranking: &Ranking, top: usize) -> String {
    let mut lines = Vec::new();
    if !ranking.ranked.is_empty() {
        let shown = &ranking.ranked[..top.min(ranking.ranked.len())];
        let wide = shown
            .iter()
            .map(|ranked| visible(&ranked.name).chars().count())
            .max()
            .unwrap_or(0)
            .clamp(6, NAME);
        let numbers: String = (1..=ranking.criteria.len()).map(|number| format!(" {number:>2}")).collect();
        lines.push(format!("place  {:<wide$}  points {numbers}", "résumé"));
        for ranked in shown {
            let score = &ranked.screened.score;
            let signs: String =
                score.judgements.iter().map(|judgement| format!("  {}", judgement.verdict.sign())).collect();
            let name: String = visible(&ranked.name).chars().take(wide).collect();
            let mut line = format!("{:>5}  {name:<wide$}  {:>6.1} {signs}", ranked.place, score.points);
            if score.lacks_must {
                line.push_str("  lacks a must");
            }
            if score.left_out > 0 {
                line.push_str("  hides something");
            }
            lines.push(line);
        }
        if shown.len() < ranking.ranked.len() {
            lines.push(format!("       and {} more", ranking.ranked.len() - shown.len()));
        }
        lines.push(String::new());
        for (at, criterion) in ranking.criteria.iter().enumerate() {
            let (text, level, weight) = (visible(&criterion.text), &criterion.level, criterion.weight);
            lines.push(format!("{:>5}  {text} ({level}, weight {weight})", at + 1));
        }
        lines.push("       ● met  ◐ partly  ○ unmet  · the résumé says nothing to it".to_owned());
    }
    for failed in ranking.failed.iter().take(top) {
        lines.push(format!("failed {}: {} ({})", visible(&failed.name), visible(&failed.why), failed.code));
    }
    for (count, what) in [
        (ranking.failed.len().saturating_sub(top), "more failed; the report names them"),
        (ranking.copies.len(), "copied from others; the report says from which"),
        (ranking.unfinished.len(), "not done yet"),
    ] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    lines.join("\n") + "\n"
}
