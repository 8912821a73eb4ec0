//! The world that every scenario starts in, as `tandem` command lines: run by us, or written as a
//! shell script for a Tandem elsewhere.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use super::scenario::{Scenario, Setup};
use super::stage::{self, Stage};

/// What customers pay a minute, and what the three carriers take.
const SHEETS: [(&str, &str); 4] =
    [("rates", "0.60"), ("cost-a", "0.30"), ("cost-b", "0.45"), ("cost-c", "0.60")];

/// `world.toml`.
#[derive(Deserialize)]
pub(crate) struct World {
    rates_csv: String,
    commands: Vec<String>,
}

impl World {
    /// From the folder of the scenarios.
    pub(crate) fn read(scenarios: &Path) -> Result<World, String> {
        let path = scenarios.join("world.toml");
        let text = stage::read(&path)?;
        toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// The files that the commands name, with what is in them.
    pub(crate) fn sheets(&self) -> impl Iterator<Item = (String, String)> {
        let sheet = self.rates_csv.trim_start();
        SHEETS.iter().map(|(name, price)| (format!("{name}.csv"), sheet.replace("0.60", price)))
    }

    /// The commands, and after them those of a scenario.
    pub(crate) fn commands(&self, stage: &Stage, setup: &Setup) -> Vec<String> {
        let lines = self.commands.iter().cloned().chain(setup.changes());
        lines.map(|line| stage.filled_in(&line)).collect()
    }

    /// A shell script that does the same through `$TANDEM`.
    pub(crate) fn script(&self, stage: &Stage, scenario: Option<&Scenario>) -> String {
        let mut script = String::from(
            "#!/bin/sh\n\
             # Makes the world of the SIPp scenarios in a running Tandem that has no accounts yet.\n\
             # TANDEM is how its command line is called, such as `tandem --config FILE`.\n\
             set -eu\n\
             TANDEM=${TANDEM:-tandem}\n\
             sheets=$(mktemp -d)\n\
             trap 'rm -r \"$sheets\"' EXIT\n",
        );
        for (name, sheet) in self.sheets() {
            let _ = write!(script, "cat > \"$sheets/{name}\" <<'END'\n{sheet}END\n");
        }
        let setup = scenario.map(|scenario| &scenario.setup);
        for (name, text) in setup.into_iter().flat_map(|setup| &setup.files) {
            let text = text.trim();
            let _ = write!(script, "cat > \"$sheets/{name}\" <<'END'\n{text}\nEND\n");
        }
        for key in setup.into_iter().flat_map(Setup::configuration) {
            let _ = writeln!(script, "# Its configuration must say: {}", stage.filled_in(&key));
        }
        let none = Setup::default();
        for line in self.commands(stage, setup.unwrap_or(&none)) {
            let words: Vec<String> = line.split_whitespace().map(shell_word).collect();
            let _ = writeln!(script, "$TANDEM {}", words.join(" "));
        }
        for line in setup.map_or(&[][..], |setup| &setup.commands_when_listening) {
            let line = with_codes(&stage.filled_in(line));
            let _ = writeln!(script, "# When the carriers listen: $TANDEM {line}");
        }
        for line in setup.map_or(&[][..], |setup| &setup.refused_commands) {
            let _ = writeln!(script, "# Must be refused: $TANDEM {line}");
        }
        script
    }
}

/// `{code:FILE}` as the shell reads it: what stands last in the file.
pub(super) fn with_codes(line: &str) -> String {
    let mut line = line.to_owned();
    while let Some((before, rest)) = line.split_once("{code:") {
        let (file, after) = rest.split_once('}').unwrap_or((rest, ""));
        line = format!("{before}$(sed -n '$s/.*,//p' {file}){after}");
    }
    line
}

/// As the shell reads it back; sheets are where the script puts them.
fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,:/=+@[]".contains(&byte);
    if word.ends_with(".csv") || word.ends_with(".json") {
        format!("\"$sheets/{word}\"")
    } else if word.bytes().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(shell_word("rates.csv"), "\"$sheets/rates.csv\"");
        assert_eq!(shell_word("127.0.0.1:5060"), "127.0.0.1:5060");
        assert_eq!(shell_word("it's$5"), "'it'\\''s$5'");
    }

    #[test]
    fn the_script_has_every_command_of_the_world() {
        let world =
            World::read(&crate::scenarios::scenarios_dir()).expect("it is in the repository");
        let script = world.script(&Stage::loopback(21_000), None);
        assert_eq!(script.matches("\n$TANDEM ").count(), world.commands.len());
        assert!(!script.contains('{') || script.contains("${TANDEM:-tandem}"));
        assert!(script.contains("--address 127.0.0.1:21005"));
    }
}
