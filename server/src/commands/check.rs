//! `check`: what the configuration means, or everything that is wrong with it.

use std::path::{Path, PathBuf};

use config::{Config, Problem, Problems};
use serde_json::{Value, json};
use server::settings;
use tracing_subscriber::EnvFilter;

use super::{Outcome, print_json, run};

/// Reads `config`, which came from `file`, without starting anything.
pub(super) fn check(config: Result<Config, Problems>, file: &Path, json: bool) -> Outcome {
    let checked = config.map_err(|problems| problems.0).and_then(|config| {
        let faults = faults(&config, file);
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    });
    match checked {
        Ok(config) => {
            let meaning = meaning(&config, file)?;
            if json {
                print_json(&meaning)
            } else {
                tell(&meaning)
            }
            Ok(())
        }
        Err(faults) if json => {
            let errors: Vec<Value> = faults.iter().map(as_object).collect();
            print_json(&json!({ "file": file, "is_in_order": false, "errors": errors }));
            Err(format!("{} is not in order", file.display()))
        }
        Err(faults) => Err(Problems(faults).to_string()),
    }
}

fn as_object(problem: &Problem) -> Value {
    let Problem { file, line, column, key, value, what, remedy } = problem;
    let place = |number: usize| (number > 0).then_some(number);
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    json!({
        "file": file, "line": place(*line), "column": place(*column), "key": text(key),
        "value": text(value), "error": what, "remedy": text(remedy),
    })
}

/// What only shows when the things that the configuration names are looked at.
fn faults(config: &Config, file: &Path) -> Vec<Problem> {
    let fault = |key: &str, value: &str, what: String, remedy: &str| Problem {
        file: file.to_path_buf(),
        line: 0,
        column: 0,
        key: key.to_owned(),
        value: value.to_owned(),
        what,
        remedy: remedy.to_owned(),
    };
    let mut faults = Vec::new();
    if let Err(error) = EnvFilter::try_new(&config.log.level) {
        let value = format!("{:?}", config.log.level);
        faults.push(fault(
            "log.level",
            &value,
            error.to_string(),
            "write info, or a filter such as info,call=debug",
        ));
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        if let Some(tls) = &listener.tls
            && let Err(error) = server::net::tls::server_side(tls)
        {
            faults.push(fault(&format!("listener[{index}]"), "", error.to_string(), ""));
        }
    }
    let trust: Vec<&Path> = config.sip.tls_trust.iter().map(PathBuf::as_path).collect();
    if let Err(error) = server::net::tls::TlsClient::new(&trust) {
        faults.push(fault("sip.tls_trust", "", error.to_string(), ""));
    }
    if let Err(error) = settings::database(config) {
        faults.push(fault("database.url", "", error.to_string(), ""));
    } else if let Err(what) = run::look_without_starting(config) {
        faults.push(fault("", "", what, ""));
    }
    faults
}

fn meaning(config: &Config, file: &Path) -> Result<Value, String> {
    let listeners = config.listeners.iter().map(|listener| {
        json!({
            "transport": format!("{:?}", listener.transport).to_lowercase(),
            "address": listener.address,
            "advertised": listener.advertised,
        })
    });
    Ok(json!({
        "file": file,
        "is_in_order": true,
        "is_default": !file.exists(),
        "data_directory": config.data_directory,
        "database": settings::database(config).map_err(|error| error.to_string())?.to_string(),
        "listeners": listeners.collect::<Vec<_>>(),
        "api": config.api.address,
    }))
}

fn tell(meaning: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let file = text(&meaning["file"]);
    if meaning["is_default"] == true {
        println!("there is no {file}; the defaults are in use");
    } else {
        println!("{file} is in order");
    }
    println!("data directory  {}", text(&meaning["data_directory"]));
    println!("database        {}", text(&meaning["database"]));
    for listener in meaning["listeners"].as_array().into_iter().flatten() {
        let advertised = listener["advertised"].as_str();
        let advertised = advertised.map(|text| format!(", advertised as {text}"));
        let transport = text(&listener["transport"]);
        let address = text(&listener["address"]);
        println!("{transport:<15} {address}{}", advertised.unwrap_or_default());
    }
    println!("api             {}", text(&meaning["api"]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_an_object_with_its_place_and_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tandem.toml");
        std::fs::write(&file, "realm = \"a b\"\n[log]\nformat = \"xml\"\n").unwrap();
        let problems = Config::read(&file).unwrap_err();
        let format = problems.0.iter().find(|problem| problem.key == "log.format").unwrap();
        let object = as_object(format);
        assert_eq!((&object["line"], &object["key"]), (&3.into(), &"log.format".into()));
        assert_eq!(object["value"], "\"xml\"");
        assert!(
            object["remedy"].as_str().is_some_and(|remedy| remedy.contains("json")),
            "{object}"
        );
        assert!(check(Err(problems), &file, true).is_err());
    }

    #[test]
    fn what_the_configuration_names_is_looked_at_and_every_fault_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tandem.toml");
        let text = "data_directory = \"data\"\n[log]\nlevel = \"call=loud\"\n[sip]\ntls_trust = [\"none.pem\"]\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap();
        let faults = faults(&config, &file);
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["log.level", "sip.tls_trust"]);
    }
}
