//! What we can run, made from what was written: `daikou.toml`, `policy/`, `calendars/`. Refused, never guessed.
//!
//! `policy/` and `calendars/` beside the configuration win, as a whole, over the copies built into the binary.

mod accounts;
mod calendar;
mod districts;
pub mod layouts;
mod policy;
mod raw;
mod sftp;
mod source;

pub use districts::Districts;
pub use source::{Place, Problem, Source};

use crate::domain::calendar::{Time, WorkingDays};
use crate::domain::participant::{BankNumber, DistrictCode, Payer};
use crate::domain::policy::Policies;
use crate::transport::profile::Profile;
use accounts::Titles;
use raw::{RawBank, RawConfig, RawDistrict, RawExpectedList};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use source::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;

/// Everything the program is told before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the configuration file; relative paths start here.
    pub root: PathBuf,
    /// The drop tree (design section 4).
    pub drops: PathBuf,
    /// Private to the daemon: store, archive, quarantine.
    pub state: PathBuf,
    /// Who serves the drop tree.
    pub served: Served,
    /// `/metrics` and `/healthz`; loopback only.
    pub http: SocketAddr,
    /// A table is whole when its size and time have not changed for so long.
    pub settle_ms: u64,
    /// A bank file that stays incomplete so long goes to quarantine.
    pub incomplete_after_s: u64,
    /// Intake pauses below so many MiB of free space where the state lies: the store needs room to finish what it began.
    pub least_free_mb: u64,
    /// An instruction without a final answer is an alarm after so many working days.
    pub ageing_workdays: u16,
    /// The newest backup is an alarm after so many days; `None`: backups are taken otherwise, and nobody is told.
    pub backup_days: Option<u16>,
    /// When the daemon plans, drafts and sends on working days.
    pub schedule: Schedule,
    /// Every district, by code or name.
    pub districts: Districts,
    /// R8a: no deduction in a district before these have come.
    pub expected_lists: Vec<(Payer, Vec<DistrictCode>)>,
    /// Who sends the list of a payer for a district, where it is not that payer's department there (R17).
    pub list_sources: BTreeMap<(Payer, DistrictCode), ListSource>,
    /// What stands on papers.
    pub papers: Papers,
    /// Entrusted banks, in the order of the file.
    pub banks: Vec<Bank>,
    /// R21: what another person must approve.
    pub approvals: Approvals,
    /// The feed of postings for the business system.
    pub feed: Feed,
    /// Codes and names of the fund's accounts, for vouchers.
    pub titles: Titles,
    /// The policies, chosen by fee year.
    pub policies: Policies,
    /// Working days, as far as the calendars go.
    pub working_days: WorkingDays,
    /// SHA-256 over the bytes of configuration, policies and calendars, for the audit log.
    pub digest: [u8; 32],
}

/// Who sends a list in the place of the payer's own department: 两江新区 has neither 民政 nor 扶贫.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListSource {
    /// The bureau, by `bureau/in`.
    Bureau,
    /// A department of another district.
    Department(Payer, DistrictCode),
}

/// What stands on papers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Papers {
    /// 编制单位, empty where nobody is named.
    pub unit: String,
    /// People are hidden in what leaves the bureau and need not name them: differences, comparisons.
    pub mask: bool,
}

/// Who serves the drop tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Served {
    /// Local folders.
    #[default]
    Local,
    /// OpenSSH with one chroot per counterparty: `check` also proves owners and modes.
    Chroot,
}

/// Times of day, Asia/Shanghai, on working days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Plans are made.
    pub plan: Time,
    /// Batches are drafted.
    pub instruct: Time,
    /// Released batches are sent.
    pub send: Time,
}

/// An entrusted bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    /// Part of every batch number, never reused.
    pub number: BankNumber,
    /// Folder, `--bank`, `bank` in exports.
    pub key: String,
    /// What a roster may call it.
    pub names: Vec<String>,
    /// Key of its layout in `formats/`.
    pub layout: String,
    /// Instructions per file at most.
    pub max_rows: u32,
    /// A batch must be out before this time of its debit date.
    pub cutoff: Time,
    /// The answer is late after so many working days.
    pub reply_workdays: u32,
    /// Whether receipts go to the bank itself.
    pub receipts: bool,
    /// What the layout's header fields need.
    pub header: BTreeMap<String, String>,
    /// Minutes that the bank's clock is ahead of UTC: its cutoff is a time of its own day.
    pub utc_offset_min: i32,
    /// The bank's own server; without it the bank comes to our drop tree.
    pub sftp: Option<Arc<Profile>>,
}

/// The feed of postings for the bureau's business system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// The daemon writes the days that are over; else only `daikou feed` writes.
    pub daily: bool,
    /// Entries of one file at most; a larger transaction stands alone.
    pub max_rows: i64,
    /// An acknowledgement is late after so many working days.
    pub ack_workdays: u32,
}

impl Default for Feed {
    fn default() -> Self {
        Feed { daily: false, max_rows: 50_000, ack_workdays: 2 }
    }
}

/// Whether another person must approve (R21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// Another person than the maker.
    Second,
    /// Goes on, recorded as `system`.
    None,
}

/// What waits for another person (R21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Approvals {
    /// Every version of a list, before it takes effect (R7).
    pub lists: Approval,
    /// Removals beyond `max_removed` (R7).
    pub list_removals: Approval,
    /// Plans.
    pub plan: Approval,
    /// Batches, and `instruct --without-lists`.
    pub release: Approval,
    /// Zero-payment batches (R9).
    pub zero_payment: Approval,
    /// A clerk's decisions: corrections, refunds, guardian accounts too.
    pub resolve: Approval,
    /// Settlements (R15).
    pub settlement: Approval,
    /// Closing of a month (R11).
    pub close: Approval,
}

impl Default for Approvals {
    fn default() -> Self {
        Approvals { plan: Approval::None, lists: Approval::None, ..Approvals::all(Approval::Second) }
    }
}

impl Approvals {
    /// The same for everything.
    pub const fn all(approval: Approval) -> Approvals {
        Approvals {
            lists: approval,
            list_removals: approval,
            plan: approval,
            release: approval,
            zero_payment: approval,
            resolve: approval,
            settlement: approval,
            close: approval,
        }
    }
}

impl Config {
    /// The bank of a number.
    pub fn bank(&self, number: BankNumber) -> Option<&Bank> {
        self.banks.iter().find(|bank| bank.number == number)
    }

    /// The bank that a roster's 开户银行 means: its key or any of its names.
    pub fn bank_named(&self, text: &str) -> Option<&Bank> {
        let text = text.trim();
        self.banks.iter().find(|bank| bank.key == text || bank.names.iter().any(|name| name == text))
    }
}

/// Reads the configuration and all that belongs to it; all problems at once.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let config = load_or_note(path, &mut problems);
    problems.sort_by_key(|problem| (problem.file.clone(), problem.place.as_ref().map(|at| (at.line, at.column))));
    config.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Reads a policy that is not in force: the policies as they would be with its fee years in the place of ours. All
/// problems at once.
pub fn with_policy(config: &Config, path: &Path) -> Result<(Policies, Vec<i16>), Vec<Problem>> {
    let mut problems = Vec::new();
    let source = read_file(path, &mut problems);
    let candidates = policy::load(source.as_slice(), &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let years: Vec<i16> = candidates.0.iter().flat_map(|policy| &policy.years).map(|year| year.fee_year).collect();
    let mut policies = config.policies.clone();
    for policy in &mut policies.0 {
        policy.years.retain(|year| !years.contains(&year.fee_year));
    }
    policies.0.retain(|policy| !policy.years.is_empty());
    policies.0.extend(candidates.0);
    Ok((policies, years))
}

fn load_or_note(path: &Path, problems: &mut Vec<Problem>) -> Option<Config> {
    let source = read_file(path, problems)?;
    let root = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let data = Data::beside(&root, problems);
    let districts = Districts::load(&data.divisions, problems);
    let policies = policy::load(&data.policies, problems);
    let working_days = calendar::load(&data.calendars, problems);
    let raw = source.read::<RawConfig>(problems)?;
    let titles = Titles::load(&data.accounts, problems);
    let fixed = Fixed { root, policies, titles, working_days, digest: digest(&source, &data) };
    Some(Reader { source: &source, problems }.config(raw, districts, fixed))
}

/// What does not come out of `daikou.toml` itself.
struct Fixed {
    root: PathBuf,
    policies: Policies,
    titles: Titles,
    working_days: WorkingDays,
    digest: [u8; 32],
}

/// A value that cannot be read becomes a placeholder here: with a problem noted, the whole is thrown away.
impl Reader<'_> {
    fn config(&mut self, raw: RawConfig, mut districts: Districts, fixed: Fixed) -> Config {
        self.add_districts(&raw.district, &mut districts);
        let expected_lists = self.expected_lists(&raw.expected_list, &districts);
        let list_sources = self.list_sources(&raw.expected_list, &districts);
        let banks = self.banks(raw.bank, &fixed.root);
        Config {
            drops: self.folder(&fixed.root, &raw.drops),
            state: self.folder(&fixed.root, &raw.state),
            served: raw.served,
            http: self.parse(&raw.http, LOOPBACK, loopback).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            settle_ms: raw.settle_ms,
            incomplete_after_s: raw.incomplete_after_s,
            least_free_mb: raw.least_free_mb,
            ageing_workdays: raw.ageing_workdays,
            backup_days: raw.backup_days,
            schedule: Schedule {
                plan: self.time(&raw.schedule.plan),
                instruct: self.time(&raw.schedule.instruct),
                send: self.time(&raw.schedule.send),
            },
            districts,
            expected_lists,
            list_sources,
            papers: Papers { unit: raw.papers.unit, mask: raw.papers.mask },
            banks,
            approvals: raw.approvals,
            feed: raw.feed,
            titles: fixed.titles,
            root: fixed.root,
            policies: fixed.policies,
            working_days: fixed.working_days,
            digest: fixed.digest,
        }
    }

    fn add_districts(&mut self, raw: &[RawDistrict], districts: &mut Districts) {
        let mut seen = BTreeSet::new();
        for district in raw {
            let name = self.parse(&district.name, "a name", filled);
            let code = self.parse(&district.code, districts::CODE, DistrictCode::parse);
            let (Some(code), Some(name)) = (code, name) else { continue };
            if !seen.insert(code) {
                self.refuse(&district.code, format!("district {code} stands twice"));
            }
            districts.add(code, &name);
        }
    }

    fn folder(&mut self, root: &Path, text: &Spanned<String>) -> PathBuf {
        root.join(self.parse(text, "a folder", filled).unwrap_or_default())
    }

    fn time(&mut self, text: &Spanned<String>) -> Time {
        self.parse(text, "a time of day HH:MM", time_of_day).unwrap_or_default()
    }

    fn expected_lists(&mut self, raw: &[RawExpectedList], districts: &Districts) -> Vec<(Payer, Vec<DistrictCode>)> {
        let mut seen = BTreeSet::new();
        let mut lists = Vec::new();
        for list in raw {
            let Some(payer) = self.parse(&list.payer, policy::PAYER, Payer::parse) else { continue };
            let mut codes = Vec::new();
            for text in &list.districts {
                let code = self.parse(text, "the code or name of a [[district]] or of policy/divisions.toml", |text| {
                    districts.code(text)
                });
                codes.extend(code);
                if code.is_some_and(|code| !seen.insert((payer, code))) {
                    self.refuse(text, "this list is expected twice");
                }
            }
            lists.push((payer, codes));
        }
        lists
    }

    fn list_sources(
        &mut self,
        raw: &[RawExpectedList],
        districts: &Districts,
    ) -> BTreeMap<(Payer, DistrictCode), ListSource> {
        let mut sources = BTreeMap::new();
        for list in raw {
            let Some(from) = &list.from else { continue };
            let source = self.parse(from, "bureau, or PAYER/DISTRICT whose folder brings the list", |text| {
                list_source(text, districts)
            });
            let (Some(source), Some(payer)) = (source, Payer::parse(list.payer.get_ref())) else { continue };
            let codes = list.districts.iter().filter_map(|text| districts.code(text.get_ref()));
            sources.extend(codes.map(|code| ((payer, code), source)));
        }
        sources
    }

    fn banks(&mut self, raw: Vec<RawBank>, root: &Path) -> Vec<Bank> {
        let mut words = BTreeMap::new();
        let mut numbers = BTreeSet::new();
        for (place, bank) in raw.iter().enumerate() {
            for word in bank.names.iter().chain([&bank.key]) {
                if *words.entry(word.get_ref().trim().to_owned()).or_insert(place) != place {
                    self.refuse(word, format!("expected a word of one bank only, found \"{}\" twice", word.get_ref()));
                }
            }
            if !numbers.insert(*bank.number.get_ref()) {
                self.refuse(&bank.number, format!("expected a number of one bank only, found {} twice", bank.number));
            }
        }
        raw.into_iter().map(|bank| self.bank(bank, root)).collect()
    }

    fn bank(&mut self, raw: RawBank, root: &Path) -> Bank {
        let number = self.whole(&raw.number, 1, 99) as u8;
        let sftp = raw.sftp.as_ref().and_then(|sftp| self.sftp(sftp, root));
        if raw.receipts && raw.sftp.is_some() {
            self.refuse(
                &raw.key,
                "expected receipts = false beside [bank.sftp]: they stay in drops/bureau/out/receipts",
            );
        }
        let offset =
            raw.utc_offset.as_ref().and_then(|text| self.parse(text, "hours and minutes as in +08:00", utc_offset));
        Bank {
            number: BankNumber(number),
            key: self.parse(&raw.key, KEY, bank_key).unwrap_or_default(),
            names: raw.names.iter().filter_map(|name| self.parse(name, "a name", filled)).collect(),
            layout: self.parse(&raw.layout, "the key of a layout in formats/", filled).unwrap_or_default(),
            max_rows: self.whole(&raw.max_rows, 1, 99_999_999) as u32,
            cutoff: self.time(&raw.cutoff),
            reply_workdays: raw.reply_workdays,
            receipts: raw.receipts,
            header: raw.header.into_iter().map(|(key, value)| (key, value.into())).collect(),
            utc_offset_min: offset.unwrap_or(SHANGHAI_MIN),
            sftp: sftp.map(Arc::new),
        }
    }

    fn whole(&mut self, value: &Spanned<i64>, least: i64, most: i64) -> i64 {
        let found = *value.get_ref();
        if !(least..=most).contains(&found) {
            self.refuse(value, format!("expected a number from {least} to {most}, found {found}"));
        }
        found.clamp(least, most)
    }
}

const LOOPBACK: &str = "a loopback address with port, such as 127.0.0.1:9187";
const KEY: &str = "lower-case letters, digits and hyphens, a letter first, at most 32, neither `zero` nor `bureau`";

fn list_source(text: &str, districts: &Districts) -> Option<ListSource> {
    if text == "bureau" {
        return Some(ListSource::Bureau);
    }
    let (payer, district) = text.split_once('/')?;
    Some(ListSource::Department(Payer::parse(payer)?, districts.code(district)?))
}

fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn loopback(text: &str) -> Option<SocketAddr> {
    text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback())
}

fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':').filter(|_| text.len() == 5)?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

/// Asia/Shanghai, which knows no summer time: minutes ahead of UTC.
pub const SHANGHAI_MIN: i32 = 480;

fn utc_offset(text: &str) -> Option<i32> {
    let (sign, time) = (text.get(..1)?, time_of_day(text.get(1..)?)?);
    let minutes = i32::from(time.hour()) * 60 + i32::from(time.minute());
    match sign {
        "+" => Some(minutes),
        "-" => Some(-minutes),
        _ => None,
    }
}

/// Safe as a folder name everywhere. Zero-payment batches are of bank `zero`, and `--from bureau` is the bureau.
fn bank_key(text: &str) -> Option<String> {
    let letters = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let sound = letters && text.len() <= 32 && text.starts_with(|c: char| c.is_ascii_lowercase());
    (sound && !["zero", "bureau"].contains(&text)).then(|| text.to_owned())
}

/// `MM-DD` of a leap year or any other.
fn month_and_day(text: &str) -> Option<(i8, i8)> {
    let (month, day) = text.split_once('-').filter(|_| text.len() == 5)?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    jiff::civil::Date::new(2000, month, day).ok().map(|_| (month, day))
}

/// Files of `policy/` and `calendars/` that are built into the binary: what `init` copies out.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("policy/chongqing-2018-82.toml", include_str!("../../policy/chongqing-2018-82.toml")),
    (DIVISIONS, include_str!("../../policy/divisions.toml")),
    (ACCOUNTS, include_str!("../../policy/accounts.toml")),
    ("calendars/china.toml", include_str!("../../calendars/china.toml")),
];
const DIVISIONS: &str = "policy/divisions.toml";
const ACCOUNTS: &str = "policy/accounts.toml";

/// The data files that are in force.
struct Data {
    divisions: Source,
    accounts: Source,
    policies: Vec<Source>,
    calendars: Vec<Source>,
}

impl Data {
    fn beside(root: &Path, problems: &mut Vec<Problem>) -> Data {
        let policy = Data::folder(root, "policy", problems);
        let (divisions, rest): (Vec<_>, Vec<_>) = policy.into_iter().partition(is_divisions);
        let (accounts, policies): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_accounts);
        let built_in = Data::built_in("policy");
        let (built_in_divisions, rest): (Vec<_>, Vec<_>) = built_in.into_iter().partition(is_divisions);
        let (built_in_accounts, built_in_policies): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_accounts);
        let calendars = Data::folder(root, "calendars", problems);
        Data {
            divisions: divisions.into_iter().chain(built_in_divisions).next().expect("one is built in"),
            accounts: accounts.into_iter().chain(built_in_accounts).next().expect("one is built in"),
            policies: if policies.is_empty() { built_in_policies } else { policies },
            calendars: if calendars.is_empty() { Data::built_in("calendars") } else { calendars },
        }
    }

    /// The `.toml` files of a folder beside the configuration, by name.
    fn folder(root: &Path, folder: &str, problems: &mut Vec<Problem>) -> Vec<Source> {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { return Vec::new() };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        paths.iter().filter_map(|path| read_file(path, problems)).collect()
    }

    fn built_in(folder: &str) -> Vec<Source> {
        let here = |name: &str| name.split('/').next() == Some(folder);
        let source = |(name, text): (&str, &str)| Source { name: name.to_owned(), text: text.to_owned() };
        BUILT_IN.into_iter().filter(|(name, _)| here(name)).map(source).collect()
    }
}

fn is_divisions(source: &Source) -> bool {
    Path::new(&source.name).ends_with("divisions.toml")
}

fn is_accounts(source: &Source) -> bool {
    Path::new(&source.name).ends_with("accounts.toml")
}

fn read_file(path: &Path, problems: &mut Vec<Problem>) -> Option<Source> {
    let name = path.display().to_string();
    let text = fs::read(path).map_err(|error| error.to_string()).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            format!("expected UTF-8, found another encoding at byte {}", at + 1)
        })
    });
    match text {
        Ok(text) => Some(Source { name, text }),
        Err(message) => {
            problems.push(Problem::of_file(name, message));
            None
        }
    }
}

/// Lengths go in as well, so that no byte can wander from one file into the next.
fn digest(config: &Source, data: &Data) -> [u8; 32] {
    let mut hash = Sha256::new();
    for source in [config, &data.divisions, &data.accounts].into_iter().chain(&data.policies).chain(&data.calendars) {
        hash.update((source.text.len() as u64).to_be_bytes());
        hash.update(&source.text);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
