//! OpenPGP signatures, judged by skopeo: no library that was tried judges all of them as runtimes do.
//!
//! skopeo has no command that only verifies by keys from files, so it is told to copy the image from a
//! folder that holds nothing but manifest and signature, under a policy that asks for the signature.
//! Where it gets past the policy it misses the blobs. Tried with skopeo 1.9.3, 1.18 and 1.22.
//!
//! Blocks while skopeo runs.

use super::message;
use crate::model::grammar::Name;
use crate::model::{Digest, RawManifest};
use crate::trust::{CouldNotCheck, Gpg, Keys};
use serde::Deserialize;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often a running skopeo is looked at.
const GLANCE: Duration = Duration::from_millis(5);
/// The most that is read of what skopeo says.
const MAX_TALK: u64 = 64 * 1024;
/// What skopeo prints once the policy has let an image pass.
const PASSED: &str = "Getting image source signatures";
/// What its error begins with where the policy has not.
const REJECTED: &str = "Source image rejected: ";
/// What it says where the keys are none, but also where there is no gpg to import them.
const NO_KEYS: &str = "No public keys imported";

/// Checks OpenPGP signatures of a manifest.
pub struct SkopeoGpg<'a> {
    manifest: &'a RawManifest,
    files: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
}

/// The part of `untrusted-signature-dump-without-verification` that matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dump {
    untrusted_docker_reference: String,
    untrusted_short_key_identifier: String,
}

/// What a skopeo that has ended left behind.
struct Talk {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl<'a> SkopeoGpg<'a> {
    /// For signatures of this manifest. `files` reads the keys that policies name, as for [`crate::trust::Means`].
    pub fn new(manifest: &'a RawManifest, files: &'a dyn Fn(&str) -> Result<Vec<u8>, String>) -> Self {
        Self { manifest, files }
    }
}

impl Gpg for SkopeoGpg<'_> {
    fn claimed(&self, signature: &[u8]) -> Result<Result<String, String>, CouldNotCheck> {
        Ok(dump(signature)?.map(|dump| dump.untrusted_docker_reference))
    }

    fn verify(
        &self,
        signature: &[u8],
        keys: &Keys,
        manifest: &Digest,
        reference: &str,
    ) -> Result<Result<String, String>, CouldNotCheck> {
        if manifest != self.manifest.digest() {
            let digest = self.manifest.digest();
            return Err(CouldNotCheck(format!(
                "signatures of {manifest} were to be checked with the bytes of {digest}"
            )));
        }
        let keys = match self.read(keys) {
            Ok(keys) => keys,
            Err(why) => return Ok(Err(why)),
        };
        let work = workplace()?;
        let skopeo = self.lay_out(work.path(), signature, &keys, reference).map_err(|e| failed(&e))?;
        let talk = run(skopeo, work.path())?;
        if talk.code == Some(0) || talk.output.contains(PASSED) {
            let signer = dump(signature)?.map(|dump| format!("OpenPGP key {}", dump.untrusted_short_key_identifier));
            return Ok(Ok(signer.unwrap_or_else(|_| "an OpenPGP key".to_owned())));
        }
        let said = message(&talk.errors);
        match said.split_once(REJECTED) {
            Some((_, NO_KEYS)) if !gpg_runs() => {
                Err(CouldNotCheck(format!("skopeo says {said}, and `gpg`, which it needs, cannot be run")))
            }
            Some((_, why)) => Ok(Err(why.to_owned())),
            None => Err(CouldNotCheck(format!("skopeo says {said}"))),
        }
    }
}

impl SkopeoGpg<'_> {
    /// The bytes of the keys, or why runtimes could not read them either.
    fn read(&self, keys: &Keys) -> Result<Vec<Vec<u8>>, String> {
        let read = |path: &String| (self.files)(path).map_err(|why| format!("reading the key {path}: {why}"));
        match keys {
            Keys::Paths(paths) => paths.iter().map(read).collect(),
            Keys::Data(data) => Ok(data.clone()),
        }
    }

    /// Writes image, keys and policy to a folder; the command that judges them.
    fn lay_out(&self, work: &Path, signature: &[u8], keys: &[Vec<u8>], reference: &str) -> io::Result<Command> {
        // Scopes of `dir:` are paths without links.
        let work = fs::canonicalize(work)?;
        let view = work.join("view");
        fs::create_dir(&view)?;
        fs::write(view.join("version"), "Directory Transport Version: 1.1\n")?;
        fs::write(view.join("manifest.json"), self.manifest.bytes())?;
        fs::write(view.join("signature-1"), signature)?;
        let mut paths = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let path = work.join(format!("key-{at}"));
            fs::write(&path, key)?;
            paths.push(path);
        }
        let is_pointed = Name::parse(reference).is_some_and(|name| name.tag.is_some() || name.digest.is_some());
        let identity = if is_pointed {
            json!({ "type": "exactReference", "dockerReference": reference })
        } else {
            json!({ "type": "exactRepository", "dockerRepository": reference })
        };
        let rule = json!({ "type": "signedBy", "keyType": "GPGKeys", "keyPaths": paths, "signedIdentity": identity });
        let mut scopes = serde_json::Map::new();
        scopes.insert(view.to_string_lossy().into_owned(), json!([rule]));
        let policy = json!({ "default": [{ "type": "reject" }], "transports": { "dir": scopes } });
        fs::write(work.join("policy.json"), policy.to_string())?;
        let mut skopeo = Command::new("skopeo");
        skopeo.arg("--policy").arg(work.join("policy.json")).arg("copy");
        skopeo.arg(format!("dir:{}", view.display())).arg(format!("dir:{}", work.join("copy").display()));
        Ok(skopeo)
    }
}

/// What a signature says of itself, or why it cannot be read.
fn dump(signature: &[u8]) -> Result<Result<Dump, String>, CouldNotCheck> {
    let work = workplace()?;
    let file = work.path().join("signature");
    fs::write(&file, signature).map_err(|e| failed(&e))?;
    let mut skopeo = Command::new("skopeo");
    skopeo.arg("untrusted-signature-dump-without-verification").arg(file);
    let talk = run(skopeo, work.path())?;
    match talk.code {
        Some(0) => {
            let dump = serde_json::from_str(&talk.output);
            dump.map(Ok).map_err(|e| CouldNotCheck(format!("reading what skopeo says of a signature: {e}")))
        }
        Some(1) if !talk.errors.contains("unknown command") => Ok(Err(message(&talk.errors))),
        _ => Err(CouldNotCheck(format!("skopeo says {}", message(&talk.errors)))),
    }
}

fn workplace() -> Result<TempDir, CouldNotCheck> {
    tempfile::tempdir().map_err(|e| failed(&e))
}

fn failed(e: &io::Error) -> CouldNotCheck {
    CouldNotCheck(format!("preparing to check an OpenPGP signature: {e}"))
}

/// Runs skopeo to its end, or until it has taken too long. It talks to files: what it starts itself could
/// keep a pipe open.
fn run(mut command: Command, work: &Path) -> Result<Talk, CouldNotCheck> {
    let failed = |e: io::Error| CouldNotCheck(format!("running skopeo, which checks OpenPGP signatures: {e}"));
    let (output, errors) = (work.join("stdout"), work.join("stderr"));
    command.stdin(Stdio::null());
    command.stdout(File::create(&output).map_err(failed)?).stderr(File::create(&errors).map_err(failed)?);
    let mut child = command.spawn().map_err(failed)?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if start.elapsed() > super::INSPECT_TIMEOUT {
            // It may have ended by itself just now.
            let _ = child.kill();
            let _ = child.wait();
            let seconds = super::INSPECT_TIMEOUT.as_secs();
            return Err(CouldNotCheck(format!("skopeo has not judged an OpenPGP signature within {seconds} s")));
        }
        std::thread::sleep(GLANCE);
    };
    let text = |path: &Path| -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_TALK).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Talk { code: status.code(), output: text(&output).map_err(failed)?, errors: text(&errors).map_err(failed)? })
}

/// Whether there is a gpg, without which skopeo takes every key for none.
fn gpg_runs() -> bool {
    let gpg =
        Command::new("gpg").arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    gpg.is_ok_and(|status| status.success())
}
