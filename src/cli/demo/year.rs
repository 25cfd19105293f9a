//! The year as it is played: who drops what on which day, and what the bureau does about it.

pub(super) mod autumn;
#[cfg(feature = "bank-sim")]
mod over_sftp;

use crate::cli::CliError;
use crate::cli::bank::{ReturnFile, SimulatedBank, Style, truncated, wrong_total};
use crate::cli::demo::people::{self, BANKS, Table, World};
#[cfg(feature = "bank-sim")]
use crate::cli::demo::server::{self, Line, Server};
use crate::config;
use crate::daemon::bureau::{Bureau, Order};
use crate::daemon::drops::{Looked, look_at, take_from};
use crate::daemon::instructing::{Round, instruct};
use crate::daemon::planning::plan;
use crate::daemon::receipts::{Receipt, Sender};
use crate::daemon::releasing::{Reach, send};
use crate::domain::calendar::{Date, DateTime, Time, next_day};
use crate::store::FileState;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The fee year of the demo.
pub const FEE_YEAR: i16 = 2018;

/// The first round, the later ones, and the sweep after the deposit deadline: business dates.
const ROUNDS: [(i8, i8); 7] = [(7, 3), (8, 7), (9, 4), (10, 9), (11, 6), (11, 20), (12, 4)];

/// Whose manners the banks have.
const STYLES: [Style; BANKS.len()] = [Style::Rural, Style::Postal, Style::City];

/// The round in which the banks found out about what they did not know.
const FINDS_OUT: usize = 4;

/// The round after which the settlement year is over and answered.
const BEFORE_SETTLEMENT: usize = 2;

/// When people paid at the counter after all.
const LATE_PAYMENTS: Date = Date::constant(FEE_YEAR, 10, 8);

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
    /// What went to and fro over SFTP, where a bank had a server.
    pub over_sftp: Option<OverSftp>,
    /// Accounts that a bank debited twice: must be empty.
    pub debited_twice: Vec<String>,
}

/// What went to and from a bank over SFTP.
#[derive(Clone, Copy, Debug)]
pub struct OverSftp {
    /// The bank.
    pub bank: &'static people::Bank,
    /// Instruction files that it has.
    pub sent: usize,
    /// Files that were brought from it, unfinished ones too.
    pub fetched: usize,
    /// How often the line broke in the middle of a visit.
    pub lost: usize,
    /// Batches that it got a second time: must be none.
    pub repeated: usize,
}

/// A bank, and how its files come and go.
enum Bank<'w> {
    /// Through the drop folders.
    Folders(SimulatedBank<'w>),
    /// Through a server of its own.
    #[cfg(feature = "bank-sim")]
    Server(Box<Line>),
}

/// Plays the year in a folder that `init` has set up.
pub fn play(dir: &Path, world: &Arc<World>, quiet: bool) -> Result<Played, CliError> {
    let mut banks: Vec<Bank<'_>> = STYLES.map(|style| Bank::Folders(by_folders(style, world))).into();
    #[cfg(feature = "bank-sim")]
    let server = Server::open(dir, world)?;
    let bureau = Bureau::open(config::load(&dir.join("daikou.toml")).map_err(CliError::Configuration)?)?;
    #[cfg(feature = "bank-sim")]
    {
        banks[server::PLACE] = Bank::Server(Box::new(server.line(&bureau)));
    }
    let played = Played {
        bureau,
        quarantined: Vec::new(),
        refused_rows: 0,
        files: 0,
        over_sftp: None,
        debited_twice: Vec::new(),
    };
    let mut year = Year { dir, quiet, shown: [0; BANKS.len()], played };
    let ended = year.go(world, &mut banks);
    // Whatever happened: a folder that is kept must not name a server that is gone.
    banks.into_iter().try_for_each(|bank| year.close(bank))?;
    ended.map(|()| year.played)
}

fn by_folders(style: Style, world: &World) -> SimulatedBank<'_> {
    SimulatedBank::new(style, |asked| world.behaviour(asked.account, asked.times))
}

struct Year<'d> {
    dir: &'d Path,
    quiet: bool,
    /// How many of each bank's sums stand on a statement already.
    shown: [usize; BANKS.len()],
    played: Played,
}

impl Year<'_> {
    fn go(&mut self, world: &World, banks: &mut [Bank<'_>]) -> Result<(), CliError> {
        self.take_rolls(world)?;
        for (round, (month, day)) in ROUNDS.into_iter().enumerate() {
            self.round(world, banks, round, Date::constant(FEE_YEAR, month, day))?;
            if round == BEFORE_SETTLEMENT {
                self.autumn(world, banks)?;
            }
        }
        self.year_end(world, banks)
    }

    fn close(&mut self, bank: Bank<'_>) -> Result<(), CliError> {
        match bank {
            Bank::Folders(bank) => self.played.debited_twice.extend_from_slice(bank.debited_twice()),
            #[cfg(feature = "bank-sim")]
            Bank::Server(line) => {
                let closed = line.close()?;
                self.played.over_sftp = Some(closed.tally);
                self.played.debited_twice.extend(closed.debited_twice);
            }
        }
        Ok(())
    }

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
    fn round(&mut self, world: &World, banks: &mut [Bank<'_>], round: usize, day: Date) -> Result<(), CliError> {
        match round {
            1 => {
                let list = world.list_after_removals(Date::constant(FEE_YEAR, 8, 1));
                self.say(day, "民政报送新名单：动态退出");
                self.drop_table(&format!("departments/{}/{}", list.payer, list.district), &list.table, day)?;
            }
            3 => {
                let table = world.late_payments(LATE_PAYMENTS);
                self.say(day, "柜台缴费到达");
                self.drop_table("bureau", &table, day)?;
            }
            _ => {}
        }
        let request = Round { fee_year: FEE_YEAR, bank: None, debit_on: None, without_lists: None, retry: None };
        let report = instruct(&mut self.played.bureau, &request, &order(day))?;
        let asked: u64 =
            report.batches.iter().filter(|batch| batch.bank != "zero").map(|batch| batch.instructions).sum();
        send(&mut self.played.bureau, Reach::DropTree, &order(day))?.complete()?;
        self.say(day, &format!("第 {} 轮扣款：{} 笔，{} 个批次", round + 1, asked, report.batches.len()));
        let answered_on = self.working_day_after(day, 2)?;
        for (bank, place) in banks.iter_mut().zip(0..) {
            match bank {
                Bank::Folders(bank) => self.answer(bank, place, round, day, answered_on)?,
                #[cfg(feature = "bank-sim")]
                Bank::Server(line) => self.exchange(line, round, day, answered_on)?,
            }
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
        if round == FINDS_OUT {
            answers.extend(bank.found_out(answered_on));
        }
        for file in answers {
            self.drop_file(&format!("banks/{key}"), &file.name, &file.bytes, next_day(answered_on))?;
        }
        Ok(())
    }

    /// In the first round the first bank's upload breaks off, and the last bank sends a wrong total, before the right
    /// file comes.
    fn misbehave(&mut self, place: usize, answers: &[ReturnFile], day: Date) -> Result<(), CliError> {
        let Some(file) = answers.first() else { return Ok(()) };
        let sender = format!("banks/{}", BANKS[place].key);
        if place == 0 {
            let cut = truncated(file);
            let folder = self.inbox(&sender);
            // A cut file stays where it is: the whole one comes over it.
            write(&folder.join(&cut.name), &cut.bytes)?;
            self.take(&folder, &cut.name, &sender, day)?;
            return remove(&folder.join(&cut.name));
        }
        if place == BANKS.len() - 1 {
            let wrong = wrong_total(STYLES[place], file);
            self.drop_file(&sender, &wrong.name, &wrong.bytes, day)?;
        }
        Ok(())
    }

    fn drop_table(&mut self, sender: &str, table: &Table, day: Date) -> Result<(), CliError> {
        self.drop_file(sender, &table.name, &table.bytes, day)
    }

    /// A file arrives in an inbox, is taken, and leaves it.
    fn drop_file(&mut self, sender: &str, name: &str, bytes: &[u8], day: Date) -> Result<(), CliError> {
        let folder = self.inbox(sender);
        write(&folder.join(name), bytes)?;
        if self.take(&folder, name, sender, day)? {
            files_in(&folder)?.iter().try_for_each(|path| remove(path))?;
        }
        Ok(())
    }

    fn inbox(&self, sender: &str) -> PathBuf {
        self.dir.join("drops").join(sender).join("in")
    }

    /// True once the file, with all that belongs to it, is taken.
    fn take(&mut self, folder: &Path, name: &str, sender: &str, day: Date) -> Result<bool, CliError> {
        let bureau = &mut self.played.bureau;
        let sender = sender_of(bureau, sender);
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

/// Who drops files into a folder of the demo's own tree.
fn sender_of(bureau: &Bureau, folder: &str) -> Sender {
    let text = folder.strip_prefix("departments/").or(folder.strip_prefix("banks/")).unwrap_or(folder);
    Sender::parse(&bureau.config, text).expect("the demo's own folder")
}

type Request = (String, Vec<u8>, Option<Vec<u8>>);

/// What lies in a bank's `out` folder: data files with their control files. The bank takes them away.
fn requests(out: &Path) -> Result<Vec<Request>, CliError> {
    let paths = files_in(out)?;
    let read = |path: &Path| fs::read(path).map_err(|error| CliError::Io(path.display().to_string(), error));
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.extension() != Some(OsStr::new("CTL"))) {
        let control = path.with_extension("CTL");
        let control = paths.contains(&control).then(|| read(&control)).transpose()?;
        found.push((name_of(path), read(path)?, control));
    }
    paths.iter().try_for_each(|path| remove(path))?;
    Ok(found)
}

/// Sorted by name.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |error| CliError::Io(folder.display().to_string(), error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    fs::write(path, bytes).map_err(|error| CliError::Io(path.display().to_string(), error))
}

fn remove(path: &Path) -> Result<(), CliError> {
    fs::remove_file(path).map_err(|error| CliError::Io(path.display().to_string(), error))
}
