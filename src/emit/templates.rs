//! The templates: compiled in, each overridable by a file of the same name in a folder.

use crate::model::Failure;
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::fs::Dir;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};
use std::io::ErrorKind;

/// Name and text of every template; the file in `templates/` is `<name>.j2`.
const BUILT_IN: [(&str, &str); 11] = [
    ("Containerfile", include_str!("../../templates/Containerfile.j2")),
    ("import.sh", include_str!("../../templates/import.sh.j2")),
    ("import.service", include_str!("../../templates/import.service.j2")),
    ("crio-pins.conf", include_str!("../../templates/crio-pins.conf.j2")),
    ("blueprint.toml", include_str!("../../templates/blueprint.toml.j2")),
    ("kustomization.yaml", include_str!("../../templates/kustomization.yaml.j2")),
    ("idms.yaml", include_str!("../../templates/idms.yaml.j2")),
    ("itms.yaml", include_str!("../../templates/itms.yaml.j2")),
    ("mirrors.conf", include_str!("../../templates/mirrors.conf.j2")),
    ("mirrors.yaml", include_str!("../../templates/mirrors.yaml.j2")),
    ("image-stream-import.yaml", include_str!("../../templates/image-stream-import.yaml.j2")),
];

/// All templates, ready to render.
pub struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// The built-in templates, with those that stand in `overrides` instead.
    pub fn new(overrides: Option<&Dir>) -> Result<Self> {
        if let Some(dir) = overrides {
            check_names(dir)?;
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("toml", |text: &str| Value::from(toml::Value::from(text).to_string()));
        environment.add_filter("tojson", |text: &str| serde_json::Value::from(text).to_string());
        for (name, text) in BUILT_IN {
            let own = overrides.map(|dir| read_optional(dir, name)).transpose()?.flatten();
            let text = own.unwrap_or_else(|| text.to_owned());
            let added = environment.add_template_owned(name, text);
            added.map_err(|e| Failure::usage(format!("template `{name}.j2` cannot be read")).because(e))?;
        }
        Ok(Self { environment })
    }

    /// Renders one template.
    pub(super) fn render(&self, name: &str, values: Value) -> Result<String> {
        let rendered = self.environment.get_template(name).and_then(|template| template.render(values));
        Ok(rendered.map_err(|e| {
            Failure::usage(format!("rendering template `{name}.j2`"))
                .because(e)
                .hint("compare your template with the built-in one in the project's `templates/`")
        })?)
    }
}

/// Fails where the folder has a template that nothing would use: most likely its name is misspelt.
fn check_names(dir: &Dir) -> Result<()> {
    for entry in dir.entries().context("listing the template folder")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".j2") else { continue };
        if !BUILT_IN.iter().any(|(known, _)| *known == stem) {
            let known: Vec<String> = BUILT_IN.iter().map(|(known, _)| format!("{known}.j2")).collect();
            return Err(Failure::usage(format!("there is no template `{name}`"))
                .hint(format!("the templates are {}", known.join(", ")))
                .into());
        }
    }
    Ok(())
}

fn read_optional(dir: &Dir, name: &str) -> Result<Option<String>> {
    let file = format!("{name}.j2");
    match dir.read_to_string(&file) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("reading template `{file}`")),
    }
}
