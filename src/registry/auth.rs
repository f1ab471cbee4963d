//! Credentials: which files and helpers have them, and which of them are for a repository.
//!
//! [`Keyring`] looks in the order of containers/image; `file` reads a file, `helper` asks a program.
//! Credentials appear in no message and no `Debug`.

mod file;
mod helper;

use super::Error;
use super::registries_conf::RegistriesConf;
use crate::model::Repository;
use file::{Form, FoundEntry};
use helper::Answer;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// What `credential-helpers` of registries.conf calls the files.
const FILES: &str = "containers-auth.json";
/// Docker's older file, which is written in another way.
const LEGACY_NAME: &str = ".dockercfg";

/// Where credentials may stand, best first.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The files; one that does not exist is passed over unless `required`.
    pub files: Vec<PathBuf>,
    /// The user named the file, so it must exist.
    pub required: bool,
}

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The secret.
    pub password: String,
    /// Where they come from.
    pub origin: Origin,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials of {} from {}", self.user, self.origin)
    }
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// They stand in a file.
    File(PathBuf),
    /// A helper told them.
    Helper {
        /// The program.
        program: String,
        /// The setting that names it, and the file that it stands in.
        setting: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "`{}`", path.display()),
            Origin::Helper { program, setting } => write!(f, "`{program}` ({setting})"),
        }
    }
}

/// What is known of credentials: the files, the helpers, and what these have answered.
pub struct Keyring {
    search: Search,
    /// `credential-helpers` of registries.conf, and the file it stands in.
    helpers: Option<(Vec<String>, PathBuf)>,
    /// By helper and registry; nobody is asked twice, least of all for a password.
    asked: Mutex<HashMap<(String, String), Asked>>,
}

type Asked = Arc<OnceCell<Result<Answer, String>>>;

impl Keyring {
    /// A keyring of files and of the helpers that registries.conf names.
    pub fn new(search: Search, conf: &RegistriesConf) -> Self {
        let helpers = conf.credential_helpers().map(|(names, file)| (names.to_vec(), file.to_owned()));
        Self { search, helpers, asked: Mutex::default() }
    }

    /// The credentials for `repository`: of the first helper or file that has any. What fails on the
    /// way matters only where none has.
    pub async fn find(&self, repository: &Repository) -> Result<Option<Credentials>, Error> {
        let (mut failed, mut store) = (None, None);
        let files = [FILES.to_owned()];
        let (helpers, conf) = self.helpers.as_ref().map_or((&files[..], Path::new("")), |(names, file)| (names, file));
        for name in helpers {
            let found = if name == FILES {
                self.in_files(repository, &mut store).await
            } else {
                let setting = format!("`credential-helpers` in {}", conf.display());
                self.ask(name, repository.host(), setting).await
            };
            match found {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                // What is there and cannot be used must not be taken for absent.
                Err(e @ Error::Setting { .. }) => return Err(e),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        match (failed, store) {
            (Some(e), _) => Err(e),
            (None, Some((name, setting))) => Ok(self.ask_store(&name, repository.host(), setting).await),
            (None, None) => Ok(None),
        }
    }

    /// Looks into the files. `store` becomes the first `credsStore`, with the place that names it.
    async fn in_files(
        &self,
        repository: &Repository,
        store: &mut Option<(String, String)>,
    ) -> Result<Option<Credentials>, Error> {
        for path in &self.search.files {
            let unreadable = |detail: String| Error::Configuration { path: path.clone(), detail };
            let text = match super::read_settings(path) {
                Ok(text) => text,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && !self.search.required => continue,
                Err(e) => return Err(unreadable(e.to_string())),
            };
            let legacy = !self.search.required && path.file_name().is_some_and(|name| name == LEGACY_NAME);
            let form = if legacy { Form::Legacy } else { Form::Current };
            let found = file::find(&text, form, repository).map_err(unreadable)?;
            let place = |setting: &str| format!("`{setting}` in {}", path.display());
            match found.entry {
                Some(FoundEntry::Password(user, password)) => {
                    return Ok(Some(Credentials { user, password, origin: Origin::File(path.clone()) }));
                }
                Some(FoundEntry::Unsupported(setting)) => return Err(Error::Setting { setting: place(&setting) }),
                Some(FoundEntry::Helper { name, setting }) => {
                    let told = self.ask(&name, repository.host(), place(&setting)).await?;
                    if told.is_some() {
                        return Ok(told);
                    }
                }
                None => {}
            }
            if store.is_none() {
                *store = found.store.map(|name| (name, place("credsStore")));
            }
        }
        Ok(None)
    }

    async fn ask(&self, name: &str, server: &str, setting: String) -> Result<Option<Credentials>, Error> {
        // A name that is not run is shown as it is written.
        let program = helper::program(name).unwrap_or_else(|| format!("docker-credential-{name}"));
        match self.answer(name, server).await {
            Ok(Answer::Password(user, password)) => {
                Ok(Some(Credentials { user, password, origin: Origin::Helper { program, setting } }))
            }
            Ok(Answer::Nothing) => Ok(None),
            Ok(Answer::IdentityToken) => {
                Err(Error::Setting { setting: format!("an identity token for {server} of `{program}`, by {setting},") })
            }
            Err(detail) => Err(Error::Helper { program, setting, detail }),
        }
    }

    /// Asks where docker keeps everything. containers/image does not know of `credsStore`: so it comes
    /// last, and is no reason to fail where what is asked for may be free to all.
    async fn ask_store(&self, name: &str, host: &str, setting: String) -> Option<Credentials> {
        let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
        self.ask(name, server, setting).await.ok().flatten()
    }

    async fn answer(&self, name: &str, server: &str) -> Result<Answer, String> {
        let cell = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.entry((name.to_owned(), server.to_owned())).or_default().clone()
        };
        cell.get_or_init(|| helper::ask(name, server, helper::TIME_LIMIT)).await.clone()
    }
}

/// The folders that containers/image's usual files stand in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Folders<'a> {
    /// `$XDG_RUNTIME_DIR`, or what stands for it.
    pub runtime: Option<&'a Path>,
    /// `$XDG_CONFIG_HOME`, else `~/.config`.
    pub config: Option<&'a Path>,
    /// `$DOCKER_CONFIG`.
    pub docker: Option<&'a Path>,
    /// `~`.
    pub home: Option<&'a Path>,
}

/// The files that containers/image searches when none is named, best first.
pub fn default_files(folders: Folders<'_>) -> Vec<PathBuf> {
    let Folders { runtime, config, docker, home } = folders;
    let containers = [runtime, config].into_iter().flatten().map(|dir| dir.join("containers/auth.json"));
    let docker = docker.map(Path::to_owned).or_else(|| home.map(|home| home.join(".docker")));
    let docker = docker.map(|dir| dir.join("config.json"));
    containers.chain(docker).chain(home.map(|home| home.join(LEGACY_NAME))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reference;

    fn repository(text: &str) -> Repository {
        text.parse::<Reference>().unwrap().repository().clone()
    }

    fn find(keyring: &Keyring, reference: &str) -> Result<Option<Credentials>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(keyring.find(&repository(reference)))
    }

    fn keyring(files: Vec<PathBuf>, required: bool, conf: &str) -> Keyring {
        let conf = RegistriesConf::parse([(Path::new("r.conf"), conf)]).unwrap();
        Keyring::new(Search { files, required }, &conf)
    }

    #[test]
    fn a_missing_file_is_an_error_only_where_the_user_named_it() {
        let files = vec![PathBuf::from("/nonexistent/auth.json")];
        assert!(find(&keyring(files.clone(), false, ""), "quay.io/x").unwrap().is_none());
        assert!(find(&keyring(files, true, ""), "quay.io/x").is_err());
    }

    #[test]
    fn which_of_several_wins() {
        let dir = tempfile::tempdir().unwrap();
        // `u:p`, in three files; and a helper that is nowhere.
        for (name, text) in [
            ("one.json", r#"{"auths":{"a.io":{"auth":"dTpw"}},"credHelpers":{"b.io":"nobody-has-it"}}"#),
            ("two.json", r#"{"auths":{"b.io":{"auth":"dTpw"},"c.io":{"auth":"dTpw"}},"credsStore":"nobody-has-it"}"#),
            (".dockercfg", r#"{"https://d.io/v1/":{"auth":"dTpw"}}"#),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let files = ["one.json", "two.json", ".dockercfg"].map(|name| dir.path().join(name)).to_vec();
        let helper = "credential-helpers = [\"nobody-has-it\"";
        for (conf, reference, outcome) in [
            (String::new(), "a.io/x", Ok(Some("one.json"))),
            (String::new(), "b.io/x", Err("`credHelpers.b.io` in ")),
            (String::new(), "c.io/x", Ok(Some("two.json"))),
            (String::new(), "d.io/x", Ok(Some(".dockercfg"))),
            // Where docker keeps everything is asked last, and need not be there.
            (String::new(), "e.io/x", Ok(None)),
            ("credential-helpers = []".to_owned(), "a.io/x", Ok(Some("one.json"))),
            (format!("{helper}]"), "a.io/x", Err("`credential-helpers` in r.conf")),
            (format!("{helper}, \"containers-auth.json\"]"), "a.io/x", Ok(Some("one.json"))),
            (format!("{helper}, \"containers-auth.json\"]"), "e.io/x", Err("is not installed")),
            ("credential-helpers = [\"../x\"]".to_owned(), "a.io/x", Err("no program in PATH has")),
        ] {
            let found = find(&keyring(files.clone(), false, &conf), reference);
            match (found, outcome) {
                (Ok(found), Ok(file)) => {
                    let origin = found.map(|found| found.origin);
                    assert_eq!(origin, file.map(|name| Origin::File(dir.path().join(name))), "{conf}: {reference}");
                }
                (Err(e), Err(words)) => {
                    assert!(e.to_string().contains(words), "{conf}: {reference}: {e}");
                    assert!(e.hints()[0].contains(" FILE`"), "{e}");
                }
                (found, _) => panic!("{conf}: {reference}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_usual_files() {
        let folders = Folders {
            runtime: Some(Path::new("/run/user/1")),
            config: Some(Path::new("/h/.config")),
            docker: None,
            home: Some(Path::new("/h")),
        };
        let usual = ["/run/user/1/containers/auth.json", "/h/.config/containers/auth.json"].map(PathBuf::from);
        let of_docker = |config: &str| [&usual[..], &[config.into(), "/h/.dockercfg".into()]].concat();
        assert_eq!(default_files(folders), of_docker("/h/.docker/config.json"));
        assert_eq!(default_files(Folders { docker: Some(Path::new("/d")), ..folders }), of_docker("/d/config.json"));
        assert!(default_files(Folders::default()).is_empty());
    }
}
