//! A page in a real browser: headless Chromium, steered by ChromeDriver (W3C WebDriver).

use super::command::program;
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// What a browser shows of a page.
pub struct Shown {
    /// The title of the page.
    pub title: String,
    /// What can be read on it, folded parts too.
    pub text: String,
    /// The widths of the filled part of each bar, in pixels.
    pub bars: Vec<f64>,
    /// What stands on the console, warnings and errors alike.
    pub console: Vec<String>,
    /// Requests to anything but the page itself.
    pub requests_outside: Vec<String>,
}

/// ChromeDriver, which starts and ends the browser.
struct Driver {
    process: Child,
    address: String,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Ended by its session; this is for tests that failed on the way.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Driver {
    fn start(home: &Path) -> Self {
        let mut command = program("chromedriver", home);
        command.args(["--port=0", "--allowed-ips=127.0.0.1"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("chromedriver can be started");
        let output = process.stdout.take().expect("its output is piped");
        let mut port = None;
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                port = rest.trim_end_matches('.').parse::<u16>().ok();
                break;
            }
        }
        let address = format!("http://127.0.0.1:{}", port.expect("chromedriver says its port"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build();
        Self { process, address, runtime, client: client.expect("a client can be made") }
    }

    /// A command of the WebDriver protocol; its value.
    fn ask(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.address)).body(body.to_string());
        let answer = self.runtime.block_on(async { request.send().await?.text().await });
        let answer = answer.unwrap_or_else(|e| panic!("chromedriver {path}: {e}"));
        let answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|e| panic!("chromedriver {path}: {e}: {answer}"));
        assert!(answer["value"]["error"].is_null(), "chromedriver {path}: {answer}");
        answer["value"].clone()
    }
}

/// Opens a file in a browser of its own. With `picture`, writes there what it looks like.
///
/// # Panics
/// If the browser cannot be started or steered.
pub fn open(page: &Path, home: &Path, picture: Option<&Path>) -> Shown {
    let driver = Driver::start(home);
    let profile = home.join("chromium");
    let words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1100,1400",
    ];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.push(format!("--user-data-dir={}", profile.display()));
    let options = json!({ "capabilities": { "alwaysMatch": {
        "goog:chromeOptions": { "args": words },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    } } });
    let session = driver.ask("/session", &options);
    let session = format!("/session/{}", session["sessionId"].as_str().expect("a session"));
    let url = format!("file://{}", page.display());
    driver.ask(&format!("{session}/url"), &json!({ "url": url }));
    let run = |script: &str| driver.ask(&format!("{session}/execute/sync"), &json!({ "script": script, "args": [] }));
    let title = run("return document.title").as_str().unwrap_or_default().to_owned();
    let bars = run(
        "return [...document.querySelectorAll('.bar')].map(b => [...b.children].reduce((w, i) => w + i.getBoundingClientRect().width, 0))",
    );
    let bars = bars.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    if let Some(picture) = picture {
        let answer = driver.runtime.block_on(async {
            driver.client.get(format!("{}{session}/screenshot", driver.address)).send().await?.text().await
        });
        let answer: Value = serde_json::from_str(&answer.expect("a picture")).expect("JSON");
        let bytes = base64::engine::general_purpose::STANDARD.decode(answer["value"].as_str().unwrap_or_default());
        std::fs::write(picture, bytes.expect("base64")).expect("the picture can be written");
    }
    let text = run("document.querySelectorAll('details').forEach(d => d.open = true); return document.body.innerText");
    let log = |kind: &str| driver.ask(&format!("{session}/se/log"), &json!({ "type": kind }));
    let console = log("browser").as_array().into_iter().flatten().map(|entry| entry["message"].to_string()).collect();
    let events = log("performance");
    let events = events.as_array().into_iter().flatten().filter_map(|entry| entry["message"].as_str());
    let requests = events.filter_map(|text| {
        let event: Value = serde_json::from_str(text).ok()?;
        let is_request = event["message"]["method"] == "Network.requestWillBeSent";
        is_request.then(|| event["message"]["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
    });
    // The browser's own first page is made of parts of the browser.
    let own =
        |to: &str| ["data:", "chrome:", "chrome-untrusted:", "about:"].iter().any(|scheme| to.starts_with(scheme));
    let requests_outside: Vec<String> = requests.filter(|to| *to != url && !own(to)).collect();
    let close = driver.client.delete(format!("{}{session}", driver.address));
    // The driver is stopped anyway.
    let _ = driver.runtime.block_on(async { close.send().await });
    Shown { title, text: text.as_str().unwrap_or_default().to_owned(), bars, console, requests_outside }
}
