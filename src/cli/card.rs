//! `bundle card`: the page, in Markdown.

use std::fmt::Write;
use std::path::Path;

use miette::{MietteDiagnostic, Severity};

use super::args::Card;
use super::printer::{count, human_size, plain_text};
use super::show::{arguments_line, dated, plain};
use super::table::grouped;
use super::{Answer, Context, Json, Outcome, error, refusal_or_error};
use crate::ops::card::{MARK, Model, Options, Report, Tested, card, link, picture_name, write};

pub fn run(args: Card, context: &Context) -> Outcome {
    let options = Options {
        bundle: args.bundle,
        tested: args.tested,
        pictures: args.output.is_some(),
    };
    let report = card(&options, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    let printer = &context.printer;
    for model in &report.models {
        if let Some(why) = &model.no_picture {
            let key = plain_text(&model.key);
            let message = format!("no picture of {key}: {}", plain_text(why));
            let warning = MietteDiagnostic::new(message).with_severity(Severity::Warning);
            printer.warning(&warning);
        }
    }
    let text = page(&report, args.output.as_deref());
    match &args.output {
        Some(path) => {
            let written = write(path, &text, &report).map_err(error)?;
            let pictures = count(written.len() - 1, "picture");
            printer.status("Wrote", format_args!("{} ({pictures})", path.display()));
        }
        None if !args.json => printer.out(text)?,
        None => {}
    }
    if args.json {
        printer.json(&Json::new("card", &report))?;
    }
    Ok(Answer::Yes)
}

/// The page; `output` is where it will stand, with pictures beside it.
fn page(report: &Report, output: Option<&Path>) -> String {
    let name = markdown(&report.bundle);
    let mut text = format!(
        "{MARK} {}: make it anew rather than edit it -->\n\n# {name}\n\n",
        commented(&report.bundle)
    );
    about(&mut text, report);
    text += "\n## Models\n\n";
    models(&mut text, report);
    for model in &report.models {
        details(&mut text, model, output);
    }
    usage(&mut text, report);
    if let Some(tested) = &report.tested {
        tests(&mut text, tested);
    }
    checksums(&mut text, report);
    text
}

/// A table of what the bundle says of itself.
fn about(text: &mut String, report: &Report) {
    let said = report.about.iter();
    if let Some((_, description)) = said
        .clone()
        .find(|(key, _)| key.to_string() == "description")
    {
        let _ = writeln!(text, "{}\n", markdown(&plain(description)));
    }
    text.push_str("| | |\n|---|---|\n");
    let mut row = |key: &str, value: &str| {
        let _ = writeln!(text, "| {} | {} |", markdown(key), markdown(value));
    };
    for (key, value) in said.filter(|(key, _)| key.to_string() != "description") {
        row(&key.to_string(), &plain(value));
    }
    if let Some(created) = &report.created {
        row("created", &dated(created, report.layout));
    }
    row("config", &report.config);
    row(
        "size",
        &format!(
            "{} ({} bytes)",
            human_size(report.size),
            grouped(report.size)
        ),
    );
    let tracker = if report.tracker {
        "settings for btrack"
    } else {
        "none"
    };
    row("tracker", tracker);
}

fn models(text: &mut String, report: &Report) {
    text.push_str(
        "| model | network | parameters | size | test vector |\n|---|---|---:|---:|---|\n",
    );
    for model in &report.models {
        let facts = &model.facts;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            markdown(&model.key),
            facts
                .architecture
                .as_deref()
                .map_or_else(|| "-".to_owned(), markdown),
            facts.parameters.map_or_else(|| "-".to_owned(), grouped),
            human_size(model.contents.size),
            if model.has_test { "yes" } else { "no" },
        );
    }
}

/// A model's arguments, training, file and picture.
fn details(text: &mut String, model: &Model, output: Option<&Path>) {
    let _ = writeln!(text, "\n### {}\n", markdown(&model.key));
    let mut item = |title: &str, value: String| {
        let _ = writeln!(text, "- {}: {value}", markdown(title));
    };
    let facts = &model.facts;
    let lists = [
        ("network", &facts.architecture_args),
        ("run with", &model.inferer_args),
        ("run with", &model.model_args),
    ];
    for (title, map) in lists {
        if let Some(map) = map.as_ref().filter(|map| !map.is_empty()) {
            item(title, markdown(&arguments_line(map)));
        }
    }
    for (key, value) in &model.training {
        item(&key.to_string(), markdown(&plain(value)));
    }
    let was = model
        .original_name
        .as_ref()
        .map(|name| format!(", packed from {}", markdown(name)));
    let dtype = facts
        .dtype
        .as_ref()
        .map(|dtype| format!(", {}", markdown(dtype)));
    let file = markdown(model.weights.as_str());
    item(
        "file",
        format!(
            "{file}{}{}",
            was.unwrap_or_default(),
            dtype.unwrap_or_default()
        ),
    );
    item("blake3", format!("`{}`", model.contents.blake3));
    if let Some(tensors) = &facts.tensors {
        item("tensor digest", format!("`{tensors}`"));
    }
    if let (Some(page), Some(_)) = (output, &model.picture) {
        let name = picture_name(page, &model.key);
        let _ = writeln!(
            text,
            "\n![the test vector of {}]({})",
            markdown(&model.key),
            link(&name)
        );
    }
}

/// How HiTMicTools is told of the bundle.
fn usage(text: &mut String, report: &Report) {
    let _ = writeln!(
        text,
        "\n## Use\n\nIn an analysis of HiTMicTools:\n\n```yaml\nmodels:\n  model_collection: \"{}\"\n```\n",
        plain_text(&report.bundle).replace(['"', '\\', '`'], "_")
    );
    let _ = match report.pipelines.as_slice() {
        [] => writeln!(
            text,
            "It has not all models of any of HiTMicTools' pipelines."
        ),
        names => writeln!(text, "It has all models of {}.", names.join(", ")),
    };
}

/// What `bundle test` found.
fn tests(text: &mut String, tested: &Tested) {
    let _ = writeln!(
        text,
        "\n## Tests\n\nThe test vectors, run on {}:\n\n| model | result | largest error |\n|---|---|---:|",
        markdown(&tested.device)
    );
    for model in &tested.models {
        let largest = model.largest.as_ref().and_then(|largest| largest.error);
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            markdown(&model.key),
            markdown(&model.result.replace('_', " ")),
            largest.map_or_else(|| "-".to_owned(), |error| format!("{error:.1e}")),
        );
    }
}

fn checksums(text: &mut String, report: &Report) {
    let name = plain_text(&report.bundle).replace('`', "_");
    let sha256 = report.sha256;
    let _ = writeln!(
        text,
        "\n## Checksum\n\n```text\nSHA-256  {sha256}\n```\n\n`bundle verify {name} --sha256 {sha256}` proves the file."
    );
}

/// Text that Markdown shows as it is, on one line, whatever it holds.
fn markdown(text: &str) -> String {
    let plain: Vec<char> = plain_text(text).trim().chars().collect();
    let digits = plain.iter().take_while(|c| c.is_ascii_digit()).count();
    let mut escaped = String::with_capacity(plain.len());
    for (index, character) in plain.iter().copied().enumerate() {
        let next = plain.get(index + 1);
        let is_markup = match character {
            // The beginning of a list.
            '+' | '-' | '=' => index == 0,
            '.' | ')' if digits > 0 && index == digits => next.is_none_or(|c| c.is_whitespace()),
            // What GitHub makes links of.
            ':' => next == Some(&'/'),
            '.' => plain[..index].ends_with(&['w'; 3]),
            _ => r"\`*_[]<>|#&~$!@".contains(character),
        };
        if is_markup {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Text inside a comment, which it does not end.
fn commented(text: &str) -> String {
    plain_text(text).replace("--", "- -")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_bundle_says_is_markup() {
        assert_eq!(markdown("a|b\n<img>"), r"a\|b\\n\<img\>");
        assert_eq!(markdown("plain, 1.5"), "plain, 1.5");
        assert_eq!(markdown("    1. x"), r"1\. x");
        assert_eq!(markdown("+ x"), r"\+ x");
        assert_eq!(markdown("https://a www.b @c"), r"https\://a www\.b \@c");
        assert_eq!(link("a>b (c).png"), "a%3Eb%20%28c%29.png");
        assert!(!commented("a --> b").contains("-->"));
    }
}
