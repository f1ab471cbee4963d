//! Credential helpers: programs that know credentials. The only module that runs them.
//!
//! `docker-credential-NAME get` reads the registry from its standard input and answers with JSON. Its
//! answer and what it complains of may hold secrets, so neither is ever passed on whole.

use serde::Deserialize;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// A helper that needs longer is waiting for somebody who is not there.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The most that a helper may say.
const MAX_ANSWER: u64 = 64 * 1024;
/// How much of a complaint is passed on, in characters.
const MAX_COMPLAINT: usize = 160;
/// How all helpers say that they know nothing of a registry.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name that stands for an identity token.
const TOKEN_USER: &str = "<token>";

/// What a helper knows.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// User and password.
    Password(String, String),
    /// A token of the kind that is traded for other tokens.
    IdentityToken,
    /// Nothing.
    Nothing,
}

/// The program of a helper; `None` where the name could lead out of PATH.
pub fn program(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (!name.is_empty() && name.chars().all(plain)).then(|| format!("docker-credential-{name}"))
}

/// Asks a helper for a registry. An error is what went wrong, fit to follow the name of the program.
pub async fn ask(name: &str, server: &str, limit: Duration) -> Result<Answer, String> {
    match program(name) {
        Some(program) => {
            let mut command = Command::new(program);
            command.arg("get");
            run(command, server, limit).await
        }
        None => Err("has a name that no program in PATH has".to_owned()),
    }
}

async fn run(mut command: Command, server: &str, limit: Duration) -> Result<Answer, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "is not installed".to_owned(),
        _ => format!("cannot be run: {e}"),
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let talk = async {
        let tell = async {
            if let Some(mut stdin) = stdin {
                // A helper that does not listen will have its reasons, and an answer.
                let _ = stdin.write_all(server.as_bytes()).await;
            }
        };
        let ((), answer, complaint) = tokio::join!(tell, read_some(stdout), read_some(stderr));
        (child.wait().await, answer, complaint)
    };
    let ended = tokio::time::timeout(limit, talk).await;
    let (status, answer, complaint) = ended.map_err(|_| format!("did not answer in {} s", limit.as_secs()))?;
    let broken = |e: std::io::Error| format!("broke off: {e}");
    let (status, answer, complaint) = (status.map_err(broken)?, answer.map_err(broken)?, complaint.map_err(broken)?);
    if status.success() {
        return parse(&answer);
    }
    if String::from_utf8_lossy(&answer).trim() == NOT_FOUND {
        return Ok(Answer::Nothing);
    }
    // Helpers complain on either.
    let said = [&answer, &complaint].into_iter().find_map(|bytes| first_line(bytes));
    Err(format!("failed ({status}){}", said.map(|line| format!(": {line}")).unwrap_or_default()))
}

/// An answer in JSON. What follows it is of no matter, as in Go.
fn parse(answer: &[u8]) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default, rename = "Username")]
        user: String,
        #[serde(default, rename = "Secret")]
        secret: String,
    }
    let mut values = serde_json::Deserializer::from_slice(answer).into_iter::<Raw>();
    // The parser's own message would quote the answer, and with it the secret.
    let Some(Ok(raw)) = values.next() else {
        return Err("answered something else than credentials".to_owned());
    };
    Ok(match (raw.user.as_str(), raw.secret.as_str()) {
        (TOKEN_USER, _) => Answer::IdentityToken,
        ("", "") => Answer::Nothing,
        _ => Answer::Password(raw.user, raw.secret),
    })
}

/// The first line of what may be a complaint. What could be an answer is kept back.
fn first_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if text.contains("Secret") || text.contains('{') {
        return None;
    }
    Some(line.chars().filter(|c| !c.is_control()).take(MAX_COMPLAINT).collect())
}

async fn read_some(from: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(MAX_ANSWER).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Answer, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        runtime.block_on(run(command, "quay.io", limit))
    }

    #[test]
    fn answers() {
        let password = |user: &str, secret: &str| Ok(Answer::Password(user.to_owned(), secret.to_owned()));
        for (script, answer) in [
            (
                r#"read -r s; printf '{"ServerURL":"%s","Username":"u","Secret":"of %s"}' "$s" "$s""#,
                password("u", "of quay.io"),
            ),
            (r#"echo '{"Username":"u","Secret":"s","More":1} more'"#, password("u", "s")),
            (r#"echo '{"Username":"","Secret":"s"}'"#, password("", "s")),
            (r#"echo '{"Username":"<token>","Secret":"s"}'"#, Ok(Answer::IdentityToken)),
            ("echo '{}'", Ok(Answer::Nothing)),
            ("echo ' credentials not found in native keychain'; exit 1", Ok(Answer::Nothing)),
            ("exit 3", Err("failed (exit status: 3)".to_owned())),
            ("echo no keychain; echo more; exit 1", Err("failed (exit status: 1): no keychain".to_owned())),
            ("echo no bus >&2; exit 1", Err("failed (exit status: 1): no bus".to_owned())),
            (r#"echo '{"Username":"u","Secret":"s"}'; exit 1"#, Err("failed (exit status: 1)".to_owned())),
            ("echo hunter2", Err("answered something else than credentials".to_owned())),
            ("", Err("answered something else than credentials".to_owned())),
            ("exec yes", Err("answered something else than credentials".to_owned())),
        ] {
            let got = shell(script, TIME_LIMIT);
            // `yes` may be ended by the closed pipe first.
            let ended = script.ends_with("yes") && got.as_ref().is_err_and(|e| e.starts_with("failed (signal"));
            assert!(got == answer || ended, "{script}: {:?}", got.err());
        }
        let silent = shell("exec sleep 600", Duration::from_millis(50));
        assert_eq!(silent.err().as_deref(), Some("did not answer in 0 s"));
    }

    #[test]
    fn long_complaints_are_cut() {
        let got = shell("printf 'x%.0s' $(seq 1000); exit 1", TIME_LIMIT).err().unwrap();
        assert!(got.len() < 200, "{got}");
    }

    #[test]
    fn names_that_are_run() {
        for (name, runs) in [
            ("secretservice", true),
            ("ecr-login_2.0", true),
            ("", false),
            ("../x", false),
            ("/bin/sh", false),
            ("a b", false),
            ("é", false),
        ] {
            assert_eq!(program(name).is_some(), runs, "{name}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ask = |name: &str| runtime.block_on(ask(name, "quay.io", TIME_LIMIT)).err().unwrap();
        assert_eq!(ask("that-nobody-has"), "is not installed");
        assert!(ask("../sh").contains("name"));
    }
}
