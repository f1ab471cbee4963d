//! The files of systemd units: sections with assignments. Format: systemd.syntax(7).

/// The most assignments of one file.
const MAX_ENTRIES: usize = 100_000;

/// A unit, with its drop-ins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    section: String,
    key: String,
    value: String,
}

/// Reads a unit. What is no assignment is passed over, as systemd does.
pub fn parse(bytes: &[u8]) -> Unit {
    let text = String::from_utf8_lossy(bytes);
    let mut unit = Unit::default();
    let (mut section, mut logical) = (String::new(), String::new());
    for line in text.lines() {
        let trimmed = line.trim();
        // A comment may stand between the lines of one assignment.
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(begun) = trimmed.strip_suffix('\\') {
            logical += begun.trim_end();
            logical.push(' ');
            continue;
        }
        logical += trimmed;
        unit.line(&mut section, &std::mem::take(&mut logical));
    }
    unit.line(&mut section, &logical);
    unit
}

impl Unit {
    fn line(&mut self, section: &mut String, line: &str) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(section);
        } else if let Some((key, value)) = line.split_once('=')
            && self.entries.len() < MAX_ENTRIES
        {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            self.entries.push(Entry { section: section.clone(), key, value });
        }
    }

    /// Adds a drop-in: its assignments come after all that are there.
    pub fn merge(&mut self, drop_in: Unit) {
        self.entries.extend(drop_in.entries);
    }

    fn values(&self, section: &str, key: &str) -> impl DoubleEndedIterator<Item = &str> {
        let own = self.entries.iter().filter(move |entry| entry.section == section && entry.key == key);
        own.map(|entry| entry.value.as_str())
    }

    /// Keys and values of a section, in their order.
    pub fn section(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        let own = self.entries.iter().filter(move |entry| entry.section == section);
        own.map(|entry| (entry.key.as_str(), entry.value.as_str()))
    }

    /// Whether any value has a text in it.
    pub fn mentions(&self, text: &str) -> bool {
        self.entries.iter().any(|entry| entry.value.contains(text))
    }

    /// The value of a key that has one: the last assignment, without quotes; `None` where that is empty.
    pub fn last(&self, section: &str, key: &str) -> Option<&str> {
        let value = self.values(section, key).next_back()?.trim_matches(['"', '\'']);
        Some(value).filter(|value| !value.is_empty())
    }

    /// The values of a key that adds up: all assignments after the last empty one.
    pub fn all(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values: Vec<&str> = self.values(section, key).rev().take_while(|value| !value.is_empty()).collect();
        values.reverse();
        values
    }
}

/// The folders with drop-ins for a unit, from those for all of its kind to its own (systemd.unit(5)).
pub fn drop_in_folders(name: &str) -> Vec<String> {
    let Some((stem, extension)) = name.rsplit_once('.') else { return Vec::new() };
    let prefixes = stem.match_indices('-').filter_map(|(at, _)| stem.get(..=at));
    let prefixes = prefixes.filter(|prefix| *prefix != stem).map(|prefix| format!("{prefix}.{extension}.d"));
    let all = std::iter::once(format!("{extension}.d"));
    all.chain(prefixes).chain([format!("{name}.d")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn drop_ins_are_for_kinds_prefixes_and_units() {
        assert_eq!(
            drop_in_folders("a-b-c.container"),
            ["container.d", "a-.container.d", "a-b-.container.d", "a-b-c.container.d"]
        );
    }

    #[test]
    fn assignments_as_systemd_reads_them() {
        let unit = parse(
            b"# c\nImage=outside\n[Container]\nImage = first\r\n; c\n[Service]\nImage=other\n[Container]\n\
              Image=\"quay.io/a/b:v1\"\nPodmanArgs=--one\nPodmanArgs=\nPodmanArgs=--two \\\n# between\n  --three\n\
              junk\nMount=a=b\n",
        );
        assert_eq!(unit.last("Container", "Image"), Some("quay.io/a/b:v1"));
        assert_eq!(unit.all("Container", "PodmanArgs"), ["--two --three"]);
        assert_eq!(unit.all("Container", "Mount"), ["a=b"]);
        assert_eq!(unit.last("Service", "Image"), Some("other"));
        let mut unit = unit;
        unit.merge(parse(b"[Container]\nImage="));
        assert_eq!(unit.last("Container", "Image"), None);
        assert_eq!(parse(b"[A]\nx=1\\").last("A", "x"), Some("1"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_some_unit(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
