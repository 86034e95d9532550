//! Agent profiles from files: every `*.yaml` of a folder, errors with file and field.

use std::path::{Path, PathBuf};

use l9::agent::AgentProfile;

use super::file;
use super::problem::{Problem, Problems};
use super::sections::Config;

/// The profiles of the configured folder, in the order of their file names.
///
/// # Errors
/// Every file that cannot be read as a profile, and every id that two files share.
pub(crate) fn load_agents(config: &Config) -> Result<Vec<AgentProfile>, Problems> {
    let chosen = config.agents.dir.as_deref();
    let folder = chosen.map_or_else(|| config.storage.data_dir.join("agents"), Path::to_owned);
    if chosen.is_none() && !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found: Vec<(PathBuf, AgentProfile)> = Vec::new();
    let mut problems = Vec::new();
    for path in profile_files(&folder)? {
        match read(&path) {
            Err(problem) => problems.push(problem),
            Ok(profile) => match found.iter().find(|(_, other)| other.id == profile.id) {
                Some((other, _)) => problems.push(Problem::new(
                    format!("{} and {} both define the agent {}", other.display(), path.display(), profile.id),
                    "give one of them another id",
                )),
                None => found.push((path, profile)),
            },
        }
    }
    if problems.is_empty() {
        Ok(found.into_iter().map(|(_, profile)| profile).collect())
    } else {
        Err(Problems(problems))
    }
}

fn profile_files(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::new(
            format!("the agents folder {} cannot be read: {error}", folder.display()),
            "make it, or change agents.dir",
        )
    };
    let mut files = Vec::new();
    for item in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = item.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<AgentProfile, Problem> {
    let text = file::text(path)?;
    let wrong = |why: String| {
        Problem::new(
            format!("{} is not an agent profile: {why}", path.display()),
            "a profile has id, description, model, instructions, tools, memory, budget and limits; only id is required",
        )
    };
    let options = serde_saphyr::options! { with_snippet: false };
    let profile: AgentProfile =
        serde_saphyr::from_str_with_options(&text, options).map_err(|error| wrong(error.to_string()))?;
    profile.validate().map_err(|error| wrong(error.to_string()))?;
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Vec<AgentProfile>, Problems> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut config = Config::default();
        config.agents.dir = Some(folder.path().to_owned());
        load_agents(&config)
    }

    #[test]
    fn profiles_are_read_and_faults_name_file_and_field() {
        let profiles = load(&[("a.yaml", "id: clerk\ntools: [calc/evaluate]\n"), ("readme.md", "no profile")]).unwrap();
        assert_eq!(profiles.len(), 1);
        for (text, expected) in [
            ("id: clerk\ntolls: []\n", "tolls"),
            ("id: Clerk\n", "Clerk"),
            ("id: clerk\nlimits: { turns: 0 }\n", "limits.turns"),
            ("id: clerk\ntools: 5\n", "line 2"),
            ("id: clerk\nbudget: { usd: 5 }\n", "unknown field `usd` with the value 5: a budget counts micro_usd"),
            ("id: clerk\nbudget: { tokens: \"5\" }\n", "tokens is \"5\": write a whole number of model tokens"),
            ("id: clerk\nbudget: { time_ms: 5s }\n", "time_ms is \"5s\": write a whole number of milliseconds"),
            ("id: clerk\nbudget: { calls: -1 }\n", "calls is -1"),
            ("id: clerk\nbudget: { micro_usd: 0.5 }\n", "micro_usd is 0.5"),
            ("id: clerk\nbudget: { fuel: 9007199254740992 }\n", "fuel is 9007199254740992"),
            ("id: clerk\nbudget: { fuel: 99999999999999999999 }\n", "at most 2^53 - 1 and without quotes"),
            ("id: clerk\nbudget: 5\n", "a budget, which is an object"),
        ] {
            let problems = load(&[("bad.yaml", text)]).unwrap_err().to_string();
            assert!(problems.contains("bad.yaml") && problems.contains(expected), "{problems}");
        }
        assert!(
            load(&[("a.yaml", "id: clerk"), ("b.yaml", "id: clerk")]).unwrap_err().to_string().contains("both define")
        );
    }
}
