//! The house rules that a tool can keep: who may import whom, how long files and functions may
//! be, that every file says what it is. Sizes are a ratchet: what is over the line today is listed
//! with its reason in `tidy.toml`; nothing may newly cross, and nothing listed may grow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// `tidy.toml`.
#[derive(Deserialize, Default)]
struct Rules {
    /// Crate → what it may import, ours and (for the pure crates) what it must never import.
    walls: BTreeMap<String, Wall>,
    /// Path (or `path::function`) → lines allowed and why.
    #[serde(default)]
    oversize: BTreeMap<String, Oversize>,
}

#[derive(Deserialize)]
struct Wall {
    ours: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    pure: bool,
}

#[derive(Deserialize)]
struct Oversize {
    lines: usize,
    reason: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

struct Sizes {
    /// Key as in `tidy.toml` → lines found.
    over: BTreeMap<String, usize>,
    complaints: Vec<String>,
}

/// Runs every check and lists all complaints at once.
pub(crate) fn check() -> Result<(), String> {
    let rules = read_rules()?;
    let mut complaints = walls(&rules)?;
    let sizes = sizes()?;
    complaints.extend(sizes.complaints);
    for (place, lines) in &sizes.over {
        match rules.oversize.get(place) {
            None => complaints.push(format!(
                "{place}: {lines} lines; split it, or list it with a reason in xtask/tidy.toml"
            )),
            Some(allowed) if *lines > allowed.lines => complaints.push(format!(
                "{place}: grew from {} to {lines} lines; it is listed to shrink",
                allowed.lines
            )),
            Some(_) => {}
        }
    }
    for (place, allowed) in &rules.oversize {
        if !sizes.over.contains_key(place) {
            complaints.push(format!("{place}: no longer over the line; remove it from tidy.toml"));
        }
        if allowed.reason.trim().is_empty() {
            complaints.push(format!("{place}: listed in tidy.toml without a reason"));
        }
    }
    if complaints.is_empty() {
        println!("tidy: walls, sizes and headers are in order");
        return Ok(());
    }
    Err(format!("tidy: {} complaints\n  {}", complaints.len(), complaints.join("\n  ")))
}

/// Lowers the listed sizes to what they are now; never raises one.
pub(crate) fn ratchet() -> Result<(), String> {
    let path = root().join("xtask/tidy.toml");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let sizes = sizes()?;
    let mut out = Vec::new();
    let mut place = None;
    for line in text.lines() {
        if let Some(key) = line.strip_prefix("[oversize.\"").and_then(|l| l.strip_suffix("\"]")) {
            place = sizes.over.get(key).copied();
        }
        match (line.strip_prefix("lines = ").and_then(|n| n.parse::<usize>().ok()), place) {
            (Some(allowed), Some(now)) => out.push(format!("lines = {}", allowed.min(now))),
            _ => out.push(line.to_string()),
        }
    }
    fs::write(&path, out.join("\n") + "\n").map_err(|e| format!("{}: {e}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lives in the workspace").into()
}

fn read_rules() -> Result<Rules, String> {
    let path = root().join("xtask/tidy.toml");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn walls(rules: &Rules) -> Result<Vec<String>, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let members: Vec<&Package> =
        metadata.packages.iter().filter(|p| metadata.workspace_members.contains(&p.id)).collect();
    let mut complaints = Vec::new();
    for package in &members {
        let Some(wall) = rules.walls.get(&package.name) else {
            complaints.push(format!("crate {} has no row in xtask/tidy.toml", package.name));
            continue;
        };
        let uses = package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev"));
        for dependency in uses {
            let ours = members.iter().any(|m| m.name == dependency.name);
            if ours && !wall.ours.contains(&dependency.name) {
                complaints.push(format!("{} may not import {}", package.name, dependency.name));
            }
            if wall.never.contains(&dependency.name) {
                complaints.push(format!("{} must never use {}", package.name, dependency.name));
            }
        }
        if wall.pure {
            let lib = root().join(&package.name).join("src/lib.rs");
            let text = fs::read_to_string(&lib).unwrap_or_default();
            if !text.contains("deny(clippy::disallowed_methods, clippy::disallowed_types)") {
                complaints.push(format!("{}: a pure crate must deny the bans", lib.display()));
            }
        }
    }
    complaints.extend(applications_use_only_the_door(&members)?);
    Ok(complaints)
}

/// `ivr` and `callback` may use `switch::app` and nothing else of `switch`.
fn applications_use_only_the_door(members: &[&Package]) -> Result<Vec<String>, String> {
    let mut complaints = Vec::new();
    for name in ["ivr", "callback"] {
        if !members.iter().any(|m| m.name == name) {
            continue;
        }
        for path in rust_files(&root().join(name).join("src"))? {
            let text = fs::read_to_string(&path).map_err(|e| e.to_string())?;
            for (number, line) in text.lines().enumerate() {
                if line.contains("switch::") && !line.contains("switch::app") {
                    complaints.push(format!(
                        "{}:{}: applications know only switch::app",
                        shown(&path),
                        number + 1
                    ));
                }
            }
        }
    }
    Ok(complaints)
}

fn sizes() -> Result<Sizes, String> {
    let mut sizes = Sizes { over: BTreeMap::new(), complaints: Vec::new() };
    for entry in fs::read_dir(root()).map_err(|e| e.to_string())? {
        let dir = entry.map_err(|e| e.to_string())?.path();
        if !dir.join("Cargo.toml").is_file() {
            continue;
        }
        for path in rust_files(&dir)? {
            measure(&path, &mut sizes)?;
        }
    }
    Ok(sizes)
}

fn measure(path: &Path, sizes: &mut Sizes) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let name = shown(path);
    if !text.starts_with("//!") && !text.starts_with("#![no_main]") {
        sizes.complaints.push(format!("{name}: does not begin with //! and what it is"));
    }
    for banned in [concat!("FIX", "ME"), concat!("dbg", "!("), concat!("#[ign", "ore")] {
        if text.contains(banned) {
            sizes.complaints.push(format!("{name}: contains {banned}"));
        }
    }
    let is_test_file = name.contains("/tests/") || name.contains("/benches/");
    let code: Vec<&str> = text.lines().take_while(|l| *l != "#[cfg(test)]").collect();
    if !is_test_file && code.len() > FILE_LINES_MAX {
        sizes.over.insert(name.clone(), code.len());
    }
    for (function, lines) in functions(&code) {
        if lines > FUNCTION_LINES_MAX {
            sizes.over.insert(format!("{name}::{function}"), lines);
        }
    }
    sizes.complaints.extend(sleeps(&name, &text));
    Ok(())
}

/// Below SIPp, a test that sleeps is a design fault.
fn sleeps(name: &str, text: &str) -> Vec<String> {
    if name.starts_with("xtask/") || name.starts_with("bench/") {
        return Vec::new();
    }
    let in_tests = text.find("#[cfg(test)]").map_or("", |at| &text[at..]);
    let looked_at = if name.contains("/tests/") { text } else { in_tests };
    if looked_at.contains(concat!("::sle", "ep(")) {
        return vec![format!("{name}: a test sleeps; give it time as an input instead")];
    }
    Vec::new()
}

/// Functions by rustfmt's shape: `fn` on a line of some indent, closed by `}` at the same indent.
fn functions(code: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, line) in code.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = function_name(line.trim_start()) else { continue };
        let close = format!("{}}}", " ".repeat(indent));
        let end = code[start..].iter().position(|l| *l == close || l.ends_with(';') && *l == *line);
        if let Some(end) = end {
            found.push((name.to_string(), end + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line;
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(['(', '<'])?;
    Some(&rest[..end])
}

fn rust_files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_lengths_are_counted_to_the_closing_brace() {
        let code = ["impl A {", "    pub fn one(&self) {", "        x();", "    }", "}"];
        assert_eq!(functions(&code), [("one".to_string(), 3)]);
        assert_eq!(function_name("pub(crate) const fn two<T>()"), Some("two"));
        assert_eq!(function_name("let fn_name = 3;"), None);
    }
}
