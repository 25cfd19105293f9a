//! Papers on the command line: `--format`, `-o`, and the bytes to where they belong.

use crate::cli::export::FileFormat;
use crate::cli::out::{ignore_closed, save};
use crate::cli::{CliError, Context};
use crate::format::paper::{Paper, workbook};
use std::io::{self, Write};
use std::path::PathBuf;

/// How a paper is wanted.
#[derive(Clone, Debug, clap::Args)]
pub struct PaperArgs {
    /// csv, json or xlsx (default: csv, with --json json)
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,
    /// For opening a CSV file in Excel: a BOM, and text that no sheet takes for a formula
    #[arg(long)]
    pub excel: bool,
    /// Mask identity numbers, accounts and names
    #[arg(long)]
    pub mask: bool,
    /// Into this file instead of the standard output
    #[arg(short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl PaperArgs {
    /// Writes papers: all of them as sheets of one workbook, or the rows of the first as CSV or JSON.
    pub fn write(&self, papers: &mut [Paper], context: &Context) -> Result<(), CliError> {
        papers.iter_mut().for_each(|paper| paper.mask |= self.mask);
        let bytes = self.bytes(papers, context)?;
        match &self.out {
            Some(path) => save(path, |file| {
                file.write_all(&bytes).map_err(|error| CliError::Io(path.display().to_string(), error))
            }),
            None => {
                let mut out = io::stdout().lock();
                let written = out.write_all(&bytes).and_then(|()| out.flush()).or_else(ignore_closed);
                written.map_err(|error| CliError::Io("stdout".to_owned(), error))
            }
        }
    }

    fn bytes(&self, papers: &[Paper], context: &Context) -> Result<Vec<u8>, CliError> {
        let first = &papers[0];
        let format = self.format.unwrap_or(if context.json { FileFormat::Json } else { FileFormat::Csv });
        match format {
            FileFormat::Csv => Ok(first.csv(self.excel)),
            _ if self.excel => Err(CliError::Usage("--excel is for --format csv".to_owned())),
            FileFormat::Json => Ok(first.json().into_bytes()),
            FileFormat::Xlsx => {
                let sheets: Vec<&Paper> = papers.iter().collect();
                workbook(&sheets).map_err(|error| CliError::Io("xlsx".to_owned(), io::Error::other(error)))
            }
        }
    }
}
