//! The report in every format: text, JSON by its schema, HTML in a real browser, JUnit.

use super::{Good, found, report};
use crate::support::browser;
use crate::support::command::{program, run};
use std::fs;
use std::path::Path;

#[test]
fn text_ends_with_the_verdict() {
    let good = Good::new();
    let proven = good.copy().validate(&[]).success().text();
    assert!(proven.starts_with("PROVEN: rootfs:"), "{proven}");
    assert!(proven.ends_with("6 references, 6 proven offline, 0 not\n"), "{proven}");

    let root = good.copy();
    root.remove(&root.pool(good.member("operand").own_layer()));
    root.remove(&root.at("etc/crio/crio.conf.d/50-bootc-embed.conf"));
    let finished = root.validate(&[]).fails_with(1).says("NOT PROVEN: 1 error").says("hint: ");
    let text = finished.text();
    // Worst first.
    let (error, warning) = (text.find("error  ").unwrap(), text.find("warning").unwrap());
    assert!(error < warning, "{text}");
    assert!(text.ends_with("6 references, 5 proven offline, 1 not\n"), "{text}");
    assert!(text.contains("hint: "), "{text}");
    root.validate(&["--only", "pinned-images"]).success();
    root.validate(&["--only", "pinned-images", "--fatal-warnings"]).fails_with(1);
    root.validate(&["--only", "no-such-check"]).fails_with(2);
}

#[test]
fn checks_are_listed() {
    let good = Good::new();
    let root = good.copy();
    let listed = root.validate(&["--list"]).success().text();
    for name in ["references-embedded", "manifest-digest", "import-policy", "no-secrets"] {
        assert!(listed.lines().any(|line| line.starts_with(name)), "{listed}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&root.validate(&["--list", "--format", "json"]).success().output).unwrap();
    assert_eq!(json.as_array().unwrap().len(), listed.lines().count());
}

#[test]
fn files_have_the_format_of_their_name() {
    let good = Good::new();
    let root = good.copy();
    root.remove(&root.pool(good.member("operand").own_layer()));
    let at = |name: &str| good.folder.path().join(name);
    let names = ["r.json", "r.xml", "r.html", "r.txt"];
    let mut words = vec!["--quiet".to_owned()];
    words.extend(names.iter().map(|name| format!("--report={}", at(name).display())));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let finished = root.validate(&words).fails_with(1);
    let read = |name: &str| fs::read_to_string(at(name)).unwrap();
    assert_eq!(read("r.txt"), finished.text());
    let json: serde_json::Value = serde_json::from_str(&read("r.json")).unwrap();
    assert_eq!(found(&json), ["blobs-present".to_owned()].into());
    assert_eq!(json, report(&root.validate(&["--format", "json"]).fails_with(1)));
    root.validate(&["--report", "r"]).fails_with(2).says(".html, .xml (JUnit), .json or .txt");
    root.validate(&["--report", "/no/such/folder/r.html"]).fails_with(3).says("hint: choose a folder");
    // Other verbs have no such format.
    let mut tool = good.tool();
    run(tool.args(["list", "--format", "html"]).arg(good.reference("pod"))).fails_with(2).says("only `validate`");

    // A parser that is not ours reads the XML; numbers are those of the summary.
    let check = "import sys, xml.etree.ElementTree as e; s = e.parse(sys.argv[1]).getroot().findall('testsuite'); \
                 r = s[0]; c = s[1]; assert len(r.findall('testcase')) == int(r.get('tests')) == 6; \
                 assert len(r.findall('testcase/failure')) == int(r.get('failures')) == 1; \
                 assert len(c.findall('testcase/failure')) == 1; print('well formed')";
    run(program("python3", good.folder.path()).args(["-c", check]).arg(at("r.xml"))).success();
}

/// The page is opened as its readers open it: from a file, in a real browser. `BOOTC_EMBED_PICTURE=FILE`
/// keeps a picture of it, to be looked at.
#[test]
fn the_page_shows_everything_in_a_browser() {
    let good = Good::new();
    let root = good.copy();
    root.remove(&root.pool(good.member("operand").own_layer()));
    root.write("usr/lib/microshift/manifests.d/more/kustomization.yaml", "resources: [more.yaml]\n");
    root.write("usr/lib/microshift/manifests.d/more/more.yaml", "kind: Pod\napiVersion: v1\nmetadata:\n  name: x\nspec:\n  containers:\n  - name: x\n    image: '<script>document.title=1</script>'\n");
    let page = good.folder.path().join("report.html");
    root.validate(&["--report", &page.to_string_lossy()]).fails_with(1);
    let shown =
        browser::open(&page, good.folder.path(), std::env::var_os("BOOTC_EMBED_PICTURE").as_ref().map(Path::new));
    assert_eq!(shown.console, Vec::<String>::new(), "the console must stay empty");
    assert_eq!(shown.requests_outside, Vec::<String>::new(), "the page must be self-contained");
    assert!(shown.title.starts_with("NOT PROVEN: rootfs:"), "{}", shown.title);
    for (key, _) in &good.members {
        assert!(shown.text.contains(&good.reference(key)), "{key} is not on the page");
    }
    assert!(shown.text.contains("<script>document.title=1</script>"), "a name is shown as it is");
    assert!(shown.bars.len() == good.members.len() && shown.bars.iter().all(|width| *width > 0.0), "{:?}", shown.bars);
}
