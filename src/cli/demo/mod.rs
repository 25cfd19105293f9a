//! `daikou demo`: a whole fee year on made-up people, with simulated banks: two that come to real drop folders, and one
//! that has a server of its own, over a real SFTP hop.

pub mod people;
pub mod report;
#[cfg(feature = "bank-sim")]
pub mod server;
pub mod year;

use crate::cli::{CliError, Context, Exit, Ran, init};
use crate::telemetry::{LogFormat, log_to_stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// People on the roster
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=5_000_000))]
    people: u32,
    /// The same seed gives the same year
    #[arg(long, default_value_t = 2018)]
    seed: u64,
    /// A missing or empty folder that stays: every command works on it (default: a temporary one)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Shows the log of the year on stderr: a level, or target=level pairs with commas
    #[arg(long, value_name = "LEVEL", default_value = "off")]
    log_level: String,
    /// Shape of that log
    #[arg(long, value_name = "SHAPE", default_value = "text", value_parser = ["text", "json"])]
    log: String,
}

/// Runs `demo`.
pub fn run(args: &DemoArgs, context: &Context) -> Ran {
    let format = if args.log == "json" { LogFormat::Json } else { LogFormat::Text };
    log_to_stderr(format, &args.log_level).map_err(|error| CliError::Usage(error.to_string()))?;
    let temporary = tempfile::tempdir().map_err(|error| CliError::Io("temporary folder".to_owned(), error))?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().join("demo"));
    set_up(&dir)?;
    let world = Arc::new(people::World::new(args.people as usize, args.seed));
    let played = year::play(&dir, &world, context.json)?;
    let sound = report::show(&played, &world, context)?;
    if args.dir.is_some() && !context.json {
        println!("\n{} 保留，可继续操作：daikou --config {0}/daikou.toml status", dir.display());
    }
    Ok(if sound { Exit::Done } else { Exit::Findings })
}

/// The shape of `init`, with the four districts of the demo and the lists that come from them.
fn set_up(dir: &Path) -> Result<(), CliError> {
    init::set_up(dir, true)?;
    let path = dir.join("daikou.toml");
    let written = std::fs::read_to_string(&path).map_err(|error| CliError::Io(path.display().to_string(), error))?;
    let first = people::DISTRICTS[0].code;
    let codes: Vec<String> = people::DISTRICTS.iter().map(|district| format!("\"{}\"", district.code)).collect();
    let mut text =
        written.replace(&format!("districts = [\"{first}\"]"), &format!("districts = [{}]", codes.join(", ")));
    for district in &people::DISTRICTS[1..] {
        text.push_str(&format!("\n[[district]]\ncode = \"{}\"\nname = \"{}\"\n", district.code, district.name));
    }
    std::fs::write(&path, text).map_err(|error| CliError::Io(path.display().to_string(), error))?;
    for payer in &people::PAYERS {
        for district in &people::DISTRICTS {
            for side in ["in", "out"] {
                let folder = dir.join(format!("drops/departments/{}/{}/{side}", payer.word, district.code));
                std::fs::create_dir_all(&folder).map_err(|error| CliError::Io(folder.display().to_string(), error))?;
            }
        }
    }
    Ok(())
}
