//! Which dataset of which store a command is about.
//!
//! Owns: the options `--store`, `--dataset`, `--config` and how they become an open dataset.
//! Never: reads a record.

use crate::failure::{Failure, Outcome};
use clap::parser::ValueSource;
use grotto::store::{Access, Dataset, Store, StoreUrl};
use grotto_service::config::{Environment, Role, Settings};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where the dataset is.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// Folder or URL of the store, such as ./store, s3://bucket/prefix, gs://bucket or az://container
    #[arg(long, value_name = "URL", env = "GROTTO_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Name of the dataset; not needed for reading where the store has only one
    #[arg(long, value_name = "NAME", env = "GROTTO_DATASET", hide_env = true)]
    pub(crate) dataset: Option<String>,
    /// Take what is not given here from a configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Which of the options [`TargetArgs`] stand on the command line itself: one from the environment is a
/// default, and no contradiction of another one. Comes before them where both are flattened.
#[derive(Debug, Default)]
pub(crate) struct Spelled {
    /// `--store` or `--config`.
    pub(crate) store: bool,
    pub(crate) dataset: bool,
}

impl clap::FromArgMatches for Spelled {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let is_spelled = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        Ok(Self {
            store: is_spelled("store") || is_spelled("config"),
            dataset: is_spelled("dataset"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Spelled {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

/// What the options come to.
#[derive(Debug)]
pub(crate) struct Target {
    /// The store.
    pub(crate) url: StoreUrl,
    /// The dataset, if one was named.
    pub(crate) dataset: Option<String>,
    /// The configuration; empty without a file.
    pub(crate) settings: Settings,
}

impl TargetArgs {
    /// Puts options and configuration together; options win.
    pub(crate) fn resolve(&self, role: Role) -> Outcome<Target> {
        let settings = match &self.config {
            Some(path) => Settings::load(path, &environment())?,
            None => Settings::default(),
        };
        let url = match (&self.store, settings.store(role)) {
            (Some(text), _) => {
                StoreUrl::parse(text)?.with_access(&Access::from_vars(environment()))
            }
            (None, Some(url)) => url,
            (None, None) => {
                return Err(Failure::invalid("no store given: expected --store URL")
                    .hint("give --store, set GROTTO_STORE, or name a --config file"));
            }
        };
        let dataset = self.dataset.clone().or_else(|| settings.dataset(role));
        Ok(Target {
            url,
            dataset,
            settings,
        })
    }
}

/// The variables of this process; those that stand for keys of a configuration begin with `GROTTO_PRODUCER_`
/// or `GROTTO_CONSUMER_`.
pub(crate) fn environment() -> Environment {
    let utf8 = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(utf8).collect()
}

impl Target {
    /// Opens the dataset for reading. Without a name, the store's only one.
    pub(crate) async fn open(&self) -> Outcome<Dataset> {
        let store = Store::open(&self.url)?;
        let name = match &self.dataset {
            Some(name) => name.clone(),
            None => self.only_dataset(&store).await?,
        };
        Ok(Dataset::open(store, &name)?)
    }

    async fn only_dataset(&self, store: &Store) -> Outcome<String> {
        let mut names = store.datasets().await?;
        match (names.pop(), names.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(
                Failure::not_found(format!("store {} has no dataset", self.url))
                    .hint("`grotto publish` makes one"),
            ),
            (Some(last), false) => {
                names.push(last);
                let names = names.join(", ");
                Err(
                    Failure::invalid(format!("store {} has several datasets: {names}", self.url))
                        .hint("choose one with --dataset"),
                )
            }
        }
    }
}

/// A dataset nobody has published to; a slip of the pen is the likeliest reason.
pub(crate) async fn nothing_published(dataset: &str, target: &Target) -> Failure {
    let failure = Failure::not_found(format!(
        "dataset {dataset} has no version in store {}",
        target.url
    ));
    let names = match Store::open(&target.url) {
        Ok(store) => store.datasets().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let others: Vec<String> = names.into_iter().filter(|name| name != dataset).collect();
    if others.is_empty() {
        return failure.hint("`grotto publish` makes the first one");
    }
    failure.hint(format!("the store has {}", others.join(", ")))
}
