//! A session: a folder, a cache of its own, and the program run in it as a user runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub const RODS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/rods");

/// A folder in which commands are run.
pub struct Session {
    folder: TempDir,
    cache: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Session {
    /// An empty folder.
    pub fn new() -> Self {
        let temporary = || TempDir::new().expect("a temporary folder");
        Self {
            folder: temporary(),
            cache: temporary(),
        }
    }

    /// A folder with a copy of the example's sources, without its lock.
    pub fn rods() -> Self {
        let session = Self::new();
        copy_sources(Path::new(RODS), session.folder.path());
        session
    }

    /// A folder with a small project of one model: `size` bytes of weights, and a config that names them.
    pub fn small(size: usize) -> Self {
        let session = Self::new();
        session.write("weights.pth", pattern(size));
        session.write(
            "bundle.toml",
            "[bundle]\nauto_date = false\n\n[custom]\nbundle_name = \"Custom\"\nmodel_path = \"weights.pth\"\n",
        );
        session
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn cache(&self) -> &Path {
        self.cache.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Replaces the one place where `old` stands in a file.
    pub fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.text(name);
        assert_eq!(text.matches(old).count(), 1, "{old:?} in {name}");
        self.write(name, text.replace(old, new));
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The names in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Waits until what was written is old enough for its record to be trusted.
    pub fn settle(&self) {
        std::thread::sleep(Duration::from_millis(2100));
    }

    /// A command in the folder, with an environment that says nothing of the machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bundle"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("BUNDLE_CACHE_DIR", self.cache.path())
            .env_remove("SOURCE_DATE_EPOCH")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    pub fn bundle(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }
}

impl Run {
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the program runs");
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    /// Fails the test unless the command ended with `code`.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The command as it shows in a snapshot.
    pub fn transcript(&self) -> String {
        let code = self
            .code
            .map_or("signal".to_owned(), |code| code.to_string());
        format!(
            "exit status {code}\n--- stdout\n{}--- stderr\n{}",
            self.stdout, self.stderr
        )
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.stdout))
    }
}

/// Bytes that compress badly and repeat nowhere soon.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

/// Copies a folder but for what a build writes into it.
pub fn copy_sources(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let target = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            copy_sources(&entry.path(), &target);
        } else if !name.ends_with(".lock") && !name.contains(".zip") {
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}
