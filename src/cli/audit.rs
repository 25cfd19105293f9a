//! placeholder
pub fn first_broken(_bureau: &crate::daemon::bureau::Bureau) -> Result<Option<String>, crate::cli::CliError> {
    Ok(None)
}
