//! A [`Report`] as text, JSON, HTML or JUnit's XML.

use super::Format;
use super::size::{images, show};
use crate::model::finding::{EmbeddedImage, Outcome, Scope, SignatureOutcome};
use crate::model::{Failure, Finding, Platforms, Report, Severity};
use anyhow::{Context as _, Result};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use owo_colors::OwoColorize as _;
use std::fmt::Write as _;
use std::path::Path;

const HTML: &str = include_str!("../../templates/report.html.j2");
const JUNIT: &str = include_str!("../../templates/report.xml.j2");

/// The format that the name of a file asks for.
pub fn format_of(path: &Path) -> Result<Format> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => Ok(Format::Html),
        Some("xml") => Ok(Format::Junit),
        Some("json") => Ok(Format::Json),
        Some("txt") => Ok(Format::Text),
        _ => Err(Failure::usage(format!("the report `{}` has no known format", path.display()))
            .hint("its name decides: .html, .xml (JUnit), .json or .txt")
            .into()),
    }
}

/// The report in a format; colours only for a terminal.
pub fn render(report: &Report, format: Format, coloured: bool) -> Result<String> {
    match format {
        Format::Text => Ok(text(report, coloured)),
        Format::Json => Ok(serde_json::to_string_pretty(report)? + "\n"),
        Format::Html => template("report.html", HTML, report),
        Format::Junit => template("report.xml", JUNIT, report),
    }
}

fn template(name: &'static str, text: &'static str, report: &Report) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    // HTML's escapes are XML's too.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("size", show);
    environment.add_filter("tame", |text: &str| tame(text));
    environment.add_template(name, text).with_context(|| format!("reading the template of {name}"))?;
    let largest = report.embedded.iter().map(|image| image.size).max().unwrap_or(1).max(1);
    let errors = count(report, Severity::Error);
    let values = context! {
        report => Value::from(Serde(report)),
        program => env!("CARGO_PKG_VERSION"),
        headline => headline(report),
        is_proven => headline(report).ends_with("PROVEN") && headline(report) != "NOT PROVEN",
        platforms => platforms(report),
        sum => sum(report),
        largest, errors,
        warnings => report.findings.len() - errors,
    };
    let rendered = environment.get_template(name).and_then(|template| template.render(values));
    rendered.with_context(|| format!("writing {name}"))
}

/// Text without what XML and terminals do not take.
fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c }).collect()
}

fn platforms(report: &Report) -> String {
    let platforms = report.platforms.clone();
    if platforms.is_empty() { Platforms::All.to_string() } else { Platforms::Some(platforms).to_string() }
}

fn count(report: &Report, severity: Severity) -> usize {
    report.findings.iter().filter(|finding| finding.severity == severity).count()
}

/// The verdict in a few words.
pub fn headline(report: &Report) -> &'static str {
    let could_not = report.checks.iter().any(|check| check.outcome == Outcome::CouldNotCheck);
    if count(report, Severity::Error) > 0 {
        "NOT PROVEN"
    } else if could_not || report.summary.unknown > 0 {
        "NOT FULLY CHECKED"
    } else if report.scope == Scope::Store {
        "STORE PROVEN"
    } else {
        "PROVEN"
    }
}

/// The line that ends the report.
fn sum(report: &Report) -> String {
    let summary = report.summary;
    let unknown = if summary.unknown > 0 { format!(", {} not known", summary.unknown) } else { String::new() };
    let left_out =
        if report.excluded.is_empty() { String::new() } else { format!("; {} excluded", report.excluded.len()) };
    let references = if summary.references == 1 { "reference" } else { "references" };
    format!(
        "{} {references}, {} proven offline, {} not{unknown}{left_out}",
        summary.references, summary.proven, summary.failed
    )
}

/// The report for people, worst first, with the verdict at the end.
pub fn text(report: &Report, coloured: bool) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for finding in &report.findings {
        let _ = writeln!(text, "{}", row(finding, coloured));
    }
    for check in report.checks.iter().filter(|check| check.outcome == Outcome::CouldNotCheck) {
        let label = if coloured { "unknown".magenta().bold().to_string() } else { "unknown".to_owned() };
        let reason = tame(check.reason.as_deref().unwrap_or_default());
        let _ = writeln!(text, "{label}  {}: could not check: {reason}\n", check.name);
    }
    for line in signed(report) {
        let _ = writeln!(text, "{line}");
    }
    let outcome = |outcome| report.checks.iter().filter(|check| check.outcome == outcome).count();
    let _ = writeln!(
        text,
        "{}: {} for {}; {}, {}",
        headline(report),
        tame(&report.target),
        platforms(report),
        images(report.embedded.len()),
        show(report.size)
    );
    let _ = writeln!(
        text,
        "checks: {} passed, {} failed, {} warned, {} could not be made, {} left out",
        outcome(Outcome::Passed),
        outcome(Outcome::Failed),
        outcome(Outcome::Warned),
        outcome(Outcome::CouldNotCheck),
        outcome(Outcome::Skipped)
    );
    let _ = writeln!(text, "{}", sum(report));
    text
}

/// By whose signatures images are accepted; those that are not have findings.
fn signed(report: &Report) -> Vec<String> {
    let of_image = |image: &EmbeddedImage| {
        let result = image.signatures.as_ref().filter(|result| result.outcome == SignatureOutcome::Accepted)?;
        let by = result.by.iter().filter(|by| by.starts_with("signature ")).map(|by| tame(by)).collect::<Vec<_>>();
        let scope = tame(&result.scope);
        (!by.is_empty()).then(|| format!("signed   {}\n         {} ({scope})\n", tame(&image.reference), by.join("; ")))
    };
    report.embedded.iter().filter_map(of_image).collect()
}

/// How many references of a finding are named.
const NAMED: usize = 3;

fn row(finding: &Finding, coloured: bool) -> String {
    let (word, coloured_word) = match finding.severity {
        Severity::Error => ("error  ", "error  ".red().bold().to_string()),
        Severity::Warning => ("warning", "warning".yellow().bold().to_string()),
    };
    let word = if coloured { coloured_word } else { word.to_owned() };
    let mut row =
        format!("{word}  {}: {}\n         {}\n", finding.check, tame(&finding.subject), tame(&finding.message));
    let others: Vec<&str> =
        finding.references.iter().map(String::as_str).filter(|name| *name != finding.subject).collect();
    for name in others.iter().take(NAMED) {
        let _ = writeln!(row, "         stops: {}", tame(name));
    }
    if others.len() > NAMED {
        let _ = writeln!(row, "         stops: {} more", others.len() - NAMED);
    }
    if let Some(hint) = &finding.hint {
        let _ = writeln!(row, "         hint: {}", tame(hint));
    }
    row
}

/// Whether a reference is proven, for tests of the verdict's words.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{REPORT_VERSION, ReferenceResult, Summary, Verdict};

    fn report(subject: &str) -> Report {
        let finding = Finding {
            check: "manifest-digest".into(),
            severity: Severity::Error,
            subject: subject.into(),
            message: "its <bytes> & \"more\"".into(),
            hint: Some("embed again".into()),
            references: vec![subject.into()],
        };
        Report {
            version: REPORT_VERSION,
            target: "rootfs:/x".into(),
            scope: Scope::System,
            platforms: Vec::new(),
            summary: Summary { references: 1, proven: 0, failed: 1, unknown: 0 },
            size: 0,
            references: vec![ReferenceResult { reference: subject.into(), verdict: Verdict::Failed, found_in: vec![] }],
            findings: vec![finding],
            checks: Vec::new(),
            embedded: Vec::new(),
            excluded: Vec::new(),
        }
    }

    #[test]
    fn hostile_names_stay_text() {
        let name = "quay.io/<script>alert(1)</script>\u{1b}[2J]]>";
        for format in [Format::Html, Format::Junit, Format::Text] {
            let text = render(&report(name), format, false).unwrap();
            assert!(format == Format::Text || !text.contains("<script>alert"), "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
    }

    #[test]
    fn the_name_decides_the_format() {
        assert_eq!(format_of(Path::new("a/report.html")).unwrap(), Format::Html);
        assert_eq!(format_of(Path::new("junit.xml")).unwrap(), Format::Junit);
        assert!(format_of(Path::new("report")).is_err());
    }
}
