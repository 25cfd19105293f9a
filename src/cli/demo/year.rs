//! The year as it is played: who drops what on which day, and what the bureau does about it.

use crate::cli::CliError;
use crate::cli::bank::{Asked, ReturnFile, SimulatedBank, Style, truncated, wrong_total};
use crate::cli::demo::people::{BANKS, Table, World};
use crate::config;
use crate::daemon::bureau::{Bureau, Order};
use crate::daemon::drops::{Looked, look_at, take_from};
use crate::daemon::instructing::{Round, instruct};
use crate::daemon::planning::plan;
use crate::daemon::receipts::{Receipt, Sender};
use crate::daemon::releasing::{Reach, send};
use crate::domain::calendar::{Date, DateTime, Time, next_day};
use crate::domain::participant::BankNumber;
use crate::store::FileState;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The fee year of the demo.
pub const FEE_YEAR: i16 = 2018;

/// The first round, the later ones, and the sweep after the deposit deadline: business dates.
const ROUNDS: [(i8, i8); 7] = [(7, 3), (8, 7), (9, 4), (10, 9), (11, 6), (11, 20), (12, 4)];

/// What the year came to.
pub struct Played {
    /// The bureau, at the end of the year.
    pub bureau: Bureau,
    /// Files that were quarantined, with what was said of them.
    pub quarantined: Vec<Receipt>,
    /// Rows of tables that were refused.
    pub refused_rows: u64,
    /// Files taken.
    pub files: u64,
    /// Accounts that a bank debited twice: must be empty.
    pub debited_twice: Vec<String>,
}

/// Plays the year in a folder that `init` has set up.
pub fn play(dir: &Path, world: &World, quiet: bool) -> Result<Played, CliError> {
    let config = config::load(&dir.join("daikou.toml")).map_err(CliError::Configuration)?;
    let mut banks: Vec<SimulatedBank<'_>> = [Style::Rural, Style::Postal, Style::City]
        .into_iter()
        .map(|style| SimulatedBank::new(style, |asked: &Asked<'_>| world.behaviour(asked.account, asked.times)))
        .collect();
    let played = Played {
        bureau: Bureau::open(config)?,
        quarantined: Vec::new(),
        refused_rows: 0,
        files: 0,
        debited_twice: Vec::new(),
    };
    let mut year = Year { dir, quiet, played };
    year.take_rolls(world)?;
    for (round, (month, day)) in ROUNDS.into_iter().enumerate() {
        year.round(world, &mut banks, round, Date::constant(FEE_YEAR, month, day))?;
    }
    year.played.debited_twice = banks.iter().flat_map(|bank| bank.debited_twice().to_vec()).collect();
    Ok(year.played)
}

struct Year<'d> {
    dir: &'d Path,
    quiet: bool,
    played: Played,
}

impl Year<'_> {
    /// Spring: the roster, the lists of the departments, what people paid on their own; then the plan.
    fn take_rolls(&mut self, world: &World) -> Result<(), CliError> {
        let june = |day| Date::constant(FEE_YEAR, 6, day);
        self.say(june(20), "参保名册、各部门代缴对象名单到达");
        self.drop_table("bureau", &world.roster(), june(20))?;
        for list in world.lists(june(25)) {
            self.drop_table(&format!("departments/{}/{}", list.payer, list.district), &list.table, june(28))?;
        }
        let july = Date::constant(FEE_YEAR, 7, 2);
        let report = plan(&mut self.played.bureau, FEE_YEAR, &order(july), &mut |_| {})?;
        self.say(july, &format!("生成缴费计划 {} 份", report.plans));
        self.drop_table("bureau", &world.early_payments(), july)
    }

    /// One round: what came meanwhile, the drafting, the sending, the banks' answers.
    fn round(
        &mut self,
        world: &World,
        banks: &mut [SimulatedBank<'_>],
        round: usize,
        day: Date,
    ) -> Result<(), CliError> {
        match round {
            1 => {
                let list = world.list_after_removals(Date::constant(FEE_YEAR, 8, 1));
                self.say(day, "民政报送新名单：动态退出");
                self.drop_table(&format!("departments/{}/{}", list.payer, list.district), &list.table, day)?;
            }
            3 => {
                let table = world.late_payments(Date::constant(FEE_YEAR, 10, 8));
                self.say(day, "柜台缴费到达");
                self.drop_table("bureau", &table, day)?;
            }
            _ => {}
        }
        let request = Round { fee_year: FEE_YEAR, bank: None, debit_on: None, without_lists: None };
        let report = instruct(&mut self.played.bureau, &request, &order(day))?;
        let asked: u64 =
            report.batches.iter().filter(|batch| batch.bank != "zero").map(|batch| batch.instructions).sum();
        send(&mut self.played.bureau, Reach::Everybody, &order(day))?.complete()?;
        self.say(day, &format!("第 {} 轮扣款：{} 笔，{} 个批次", round + 1, asked, report.batches.len()));
        let answered_on = self.working_day_after(day, 2)?;
        for (bank, place) in banks.iter_mut().zip(0..) {
            self.answer(bank, place, round, day, answered_on)?;
        }
        Ok(())
    }

    fn working_day_after(&self, day: Date, count: u32) -> Result<Date, CliError> {
        let days = &self.played.bureau.config.working_days;
        days.add_working_days(day, count).map_err(|error| CliError::Step(error.into()))
    }

    /// A bank reads its `out` folder, debits on the next working day, and answers into its `in` folder.
    fn answer(
        &mut self,
        bank: &mut SimulatedBank<'_>,
        place: usize,
        round: usize,
        day: Date,
        answered_on: Date,
    ) -> Result<(), CliError> {
        let key = BANKS[place].key;
        let booked_on = self.working_day_after(day, 1)?;
        let out = self.dir.join("drops/banks").join(key).join("out");
        let mut answers = Vec::new();
        for (name, bytes, control) in requests(&out)? {
            let returned = bank.answer(&name, &bytes, control.as_deref(), booked_on, answered_on);
            let returned =
                returned.map_err(|words| CliError::Usage(format!("the {key} bank refuses {name}: {words}")))?;
            answers.extend(returned);
        }
        if round == 0 {
            self.misbehave(place, &answers, answered_on)?;
        }
        if round == 4 {
            answers.extend(bank.found_out(answered_on));
        }
        for file in answers {
            self.drop_file(&format!("banks/{key}"), &file.name, &file.bytes, next_day(answered_on))?;
        }
        Ok(())
    }

    /// In the first round one bank sends a wrong total before it sends the right file.
    fn misbehave(&mut self, place: usize, answers: &[ReturnFile], day: Date) -> Result<(), CliError> {
        let Some(file) = answers.first().filter(|_| place == 0) else { return Ok(()) };
        let wrong = wrong_total(Style::Rural, file);
        self.drop_file(&format!("banks/{}", BANKS[place].key), &wrong.name, &wrong.bytes, day)?;
        let cut = truncated(file);
        let folder = self.dir.join("drops/banks").join(BANKS[place].key).join("in");
        // A cut file stays where it is: the whole one comes over it.
        write(&folder.join(&cut.name), &cut.bytes)?;
        self.take(&folder, &cut.name, day)?;
        fs::remove_file(folder.join(&cut.name)).map_err(|error| CliError::Io(cut.name.clone(), error))
    }

    fn drop_table(&mut self, sender: &str, table: &Table, day: Date) -> Result<(), CliError> {
        self.drop_file(sender, &table.name, &table.bytes, day)
    }

    /// A file arrives in an inbox, is taken, and leaves it.
    fn drop_file(&mut self, sender: &str, name: &str, bytes: &[u8], day: Date) -> Result<(), CliError> {
        let folder = self.dir.join("drops").join(sender).join("in");
        write(&folder.join(name), bytes)?;
        if self.take(&folder, name, day)? {
            for entry in fs::read_dir(&folder).map_err(|error| CliError::Io(sender.to_owned(), error))? {
                let path = entry.map_err(|error| CliError::Io(sender.to_owned(), error))?.path();
                fs::remove_file(&path).map_err(|error| CliError::Io(path.display().to_string(), error))?;
            }
        }
        Ok(())
    }

    /// True once the file, with all that belongs to it, is taken.
    fn take(&mut self, folder: &Path, name: &str, day: Date) -> Result<bool, CliError> {
        let sender = sender(folder, self.dir);
        let bureau = &mut self.played.bureau;
        let found = look_at(bureau, folder, OsStr::new(name), &sender)?;
        match take_from(bureau, found, sender, None, &order(day))? {
            Looked::Taken(receipt) => {
                self.played.files += 1;
                self.played.refused_rows += receipt.refused;
                if receipt.state == FileState::Quarantined {
                    self.played.quarantined.push(*receipt);
                }
                Ok(true)
            }
            Looked::ControlOf(_) => Ok(true),
            Looked::Incomplete(_) => Ok(false),
        }
    }

    fn say(&self, day: Date, words: &str) {
        if !self.quiet {
            println!("{day}  {words}");
        }
    }
}

fn order(day: Date) -> Order {
    Order { at: DateTime::from_parts(day, Time::midnight()), actor: "demo".to_owned() }
}

fn sender(folder: &Path, dir: &Path) -> Sender {
    let below = folder.strip_prefix(dir.join("drops")).unwrap_or(folder).parent().unwrap_or(folder);
    let parts: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    match parts.first().map(String::as_str) {
        Some("banks") => {
            let place = BANKS.iter().position(|bank| bank.key == parts[1]).unwrap_or_default();
            Sender::Bank(BankNumber(place as u8 + 1), parts[1].clone())
        }
        Some("departments") => {
            let payer = crate::domain::participant::Payer::parse(&parts[1]).expect("the demo's own folder");
            let district = crate::domain::participant::DistrictCode::parse(&parts[2]).expect("the demo's own folder");
            Sender::Department(payer, district)
        }
        _ => Sender::Bureau,
    }
}

type Request = (String, Vec<u8>, Option<Vec<u8>>);

/// What lies in a bank's `out` folder: data files with their control files. The bank takes them away.
fn requests(out: &Path) -> Result<Vec<Request>, CliError> {
    let failed = |error| CliError::Io(out.display().to_string(), error);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(out).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.extension() != Some(OsStr::new("CTL"))) {
        let control = path.with_extension("CTL");
        let bytes = fs::read(path).map_err(failed)?;
        let control = paths.contains(&control).then(|| fs::read(&control)).transpose().map_err(failed)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        found.push((name, bytes, control));
    }
    for path in &paths {
        fs::remove_file(path).map_err(failed)?;
    }
    Ok(found)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    fs::write(path, bytes).map_err(|error| CliError::Io(path.display().to_string(), error))
}
