//! What a simulated bank is told before it starts: by `SIM.toml`, or by a caller in the same process.

use crate::cli::bank::{Asked, Behaviour, Style};
use crate::cli::bank_sim::misbehave::Misbehaviour;
use crate::cli::bank_sim::rules::{Rule, behaviour};
use crate::config::{Problem, Source};
use crate::domain::calendar::{Date, parse_date};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Everything that `start` needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The host key is kept here, and `authorized_keys` is looked for.
    pub dir: PathBuf,
    /// A loopback address; port 0 for any.
    pub listen: SocketAddr,
    /// At least one bank; each is one user.
    pub banks: Vec<BankSetup>,
}

/// One bank.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankSetup {
    /// Who logs in.
    pub user: String,
    /// Its folder; default: named like the user.
    #[serde(default)]
    pub root: PathBuf,
    /// The shipped layout whose manners it has.
    pub layout: Style,
    /// A port of its own, 0 for any; default: the one that all share.
    #[serde(default)]
    pub port: Option<u16>,
    /// Below `root`: where the bureau puts instruction files.
    #[serde(default = "upload")]
    pub upload: PathBuf,
    /// Below `root`: where it fetches returns.
    #[serde(default = "download")]
    pub download: PathBuf,
    /// Public keys that may log in; read again at each login. Default: `authorized_keys` beside the file.
    #[serde(default = "authorized_keys")]
    pub authorized_keys: PathBuf,
    /// Also lets in.
    #[serde(default)]
    pub password: Option<String>,
    /// The business date of an answer.
    #[serde(default)]
    pub today: Today,
    /// Whether the debit date of the request, where it has one, is the booking date; default: `today` is.
    #[serde(default)]
    pub book_on_debit_date: bool,
    /// Seconds before an answer comes.
    #[serde(default)]
    pub delay_s: u64,
    /// Listings of the return folder before an answer comes.
    #[serde(default)]
    pub after_listings: u64,
    /// City bank: return files for each batch; default: by the number of rows.
    #[serde(default)]
    pub return_files: Option<usize>,
    /// Seconds between the return files of one batch.
    #[serde(default)]
    pub between_s: u64,
    /// How it misbehaves from the start.
    #[serde(default)]
    pub misbehave: Vec<Misbehaviour>,
    /// Another seed picks other accounts for the percentages of the rules.
    #[serde(default)]
    pub seed: u64,
    /// The first that fits an account speaks; an account without one pays.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// In place of rules, for callers in the same process.
    #[serde(skip)]
    pub accounts: Option<Accounts>,
}

/// What accounts do, as code.
#[derive(Clone)]
pub struct Accounts(pub Arc<dyn Fn(&Asked<'_>) -> Behaviour + Send + Sync>);

/// The business date of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Today {
    /// The date in the batch number.
    #[default]
    Request,
    /// The date of the clock, in Asia/Shanghai.
    Clock,
    /// Always this one.
    On(Date),
}

/// `SIM.toml` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default = "loopback")]
    listen: SocketAddr,
    bank: Vec<BankSetup>,
}

impl Setup {
    /// Reads `SIM.toml`. Paths in it start at its folder.
    ///
    /// # Errors
    /// All that is wrong in it.
    pub fn read(path: &Path) -> Result<Setup, Vec<Problem>> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| vec![Problem::of_file(&name, error.to_string())])?;
        let mut problems = Vec::new();
        let written: Option<Written> = Source { name: name.clone(), text }.read(&mut problems);
        let dir = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        let setup = written.map(|written| Setup { listen: written.listen, banks: written.bank, dir: dir.clone() });
        let Some(mut setup) = setup.filter(|_| problems.is_empty()) else { return Err(problems) };
        for bank in &mut setup.banks {
            let root = if bank.root.as_os_str().is_empty() { PathBuf::from(&bank.user) } else { bank.root.clone() };
            bank.root = dir.join(root);
            bank.authorized_keys = dir.join(&bank.authorized_keys);
        }
        let problems: Vec<Problem> = setup.problems().into_iter().map(|why| Problem::of_file(&name, why)).collect();
        if problems.is_empty() { Ok(setup) } else { Err(problems) }
    }

    /// One bank in a folder, whose accounts all pay.
    pub fn of_folder(dir: &Path, user: &str, layout: Style) -> Setup {
        let bank = BankSetup::new(user, dir, layout);
        Setup { dir: dir.to_owned(), listen: loopback(), banks: vec![bank] }
    }

    /// What cannot be.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.listen.ip().is_loopback() {
            problems.push(format!("{}: expected a loopback address: this is a toy, and no bank", self.listen));
        }
        if self.banks.is_empty() {
            problems.push("expected at least one [[bank]]".to_owned());
        }
        let (mut users, mut roots) = (BTreeSet::new(), BTreeSet::new());
        for bank in &self.banks {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if bank.user.is_empty() || !bank.user.chars().all(is_word) {
                problems.push(format!("user {:?}: expected letters, digits and -_. only", bank.user));
            }
            if !users.insert(&bank.user) {
                problems.push(format!("user {}: is here twice", bank.user));
            }
            if !roots.insert(&bank.root) {
                problems.push(format!("root {}: two banks cannot share a folder", bank.root.display()));
            }
            if bank.rules.iter().any(|rule| rule.percent.is_some_and(|percent| percent > 100)) {
                problems.push(format!("user {}: percent: expected 0 to 100", bank.user));
            }
            for folder in [&bank.upload, &bank.download] {
                let is_below = |part: Component<'_>| matches!(part, Component::Normal(_));
                if folder.as_os_str().is_empty() || !folder.components().all(is_below) {
                    problems.push(format!("folder {:?}: expected a place below the root", folder.display()));
                }
            }
        }
        problems
    }
}

impl BankSetup {
    /// A bank of good manners, whose accounts all pay.
    pub fn new(user: &str, root: &Path, layout: Style) -> BankSetup {
        BankSetup {
            user: user.to_owned(),
            root: root.to_owned(),
            layout,
            port: None,
            upload: upload(),
            download: download(),
            authorized_keys: root.join(authorized_keys()),
            password: None,
            today: Today::default(),
            book_on_debit_date: false,
            delay_s: 0,
            after_listings: 0,
            return_files: None,
            between_s: 0,
            misbehave: Vec::new(),
            seed: 0,
            rules: Vec::new(),
            accounts: None,
        }
    }

    /// What its accounts do.
    pub fn behaviour(&self) -> impl Fn(&Asked<'_>) -> Behaviour + Send + 'static {
        let (accounts, rules, seed) = (self.accounts.clone(), self.rules.clone(), self.seed);
        move |asked: &Asked<'_>| match &accounts {
            Some(accounts) => (accounts.0)(asked),
            None => behaviour(&rules, seed, asked),
        }
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

impl TryFrom<String> for Today {
    type Error = String;

    fn try_from(text: String) -> Result<Today, String> {
        match text.as_str() {
            "request" => Ok(Today::Request),
            "clock" => Ok(Today::Clock),
            date => parse_date(date).map(Today::On).ok_or_else(|| {
                format!("expected \"request\", \"clock\" or a date as in \"2018-07-05\", found {text:?}")
            }),
        }
    }
}

fn upload() -> PathBuf {
    "upload".into()
}

fn download() -> PathBuf {
    "download".into()
}

fn authorized_keys() -> PathBuf {
    "authorized_keys".into()
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}
