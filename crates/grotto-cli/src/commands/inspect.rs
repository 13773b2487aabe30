//! `grotto inspect`: what a blob consists of.
//!
//! Owns: finding the blob and showing its header. Never: applies it.

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::target::{Target, TargetArgs};
use crate::text::{self, Table, count};
use grotto::engine::format::blob::{Blob, BlobHeader, Section, SectionKind};
use grotto::schema::Schema;
use grotto::store::{BlobKind, Dataset, Source, StoreUrl};
use grotto_service::config::{Role, read_text};
use serde_json::{Value, json};
use std::path::Path;

/// Shows what a blob consists of, after checking every byte of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto inspect ./store/cities/delta/00000000000000000003-1-5f0c….delta
  grotto inspect --store ./store --dataset cities delta/00000000000000000003-1-5f0c….delta
  grotto inspect --store ./store --dataset cities log/00000000000000000003.json#delta

`grotto log --json` prints the names of the blobs; one with a # is kept in the log entry itself.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// File, or with --store the name of a blob
    #[arg(value_name = "BLOB")]
    blob: String,
    /// Schema for the names of types, where the blob does not hold it
    #[arg(long, value_name = "FILE")]
    schema: Option<std::path::PathBuf>,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let is_file = Path::new(&args.blob).is_file();
    let by_name = !is_file && (args.target.store.is_some() || args.target.config.is_some());
    let mut given = args
        .schema
        .as_deref()
        .map(|path| read_text(path, "schema", 1 << 20))
        .transpose()?;
    let blob = if by_name {
        let target = args.target.resolve(Role::Reader)?;
        let dataset = target.open().await?;
        let blob = from_store(&dataset, &target, &args.blob).await?;
        if given.is_none() {
            given = schema_in_log(&dataset, blob.header.schema_hash).await?;
        }
        blob
    } else {
        from_file(Path::new(&args.blob))?
    };
    let names = names(&blob.header, given.as_deref())?;
    // Unpacked and checked, so that what is shown is known to be intact.
    for index in 0..blob.header.sections.len() {
        blob.section(index)
            .map_err(|e| Failure::corrupt(format!("{}: {e}", args.blob)))?;
    }
    if out.is_json() {
        return out.json(&line(&blob, &names));
    }
    show(&blob, &names, out)
}

fn from_file(path: &Path) -> Outcome<Blob> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|e| Failure::io(&format!("read blob {shown}"), &e))?;
    Blob::parse(bytes.into()).map_err(|e| Failure::corrupt(format!("{shown}: {e}")))
}

async fn from_store(dataset: &Dataset, target: &Target, name: &str) -> Outcome<Blob> {
    let Some(blob) = find(dataset, name).await? else {
        // Nothing refers to it, but in a folder it may lie there all the same.
        let file = match &target.url {
            StoreUrl::Local(root) => Some(root.join(dataset.name()).join(name)),
            _ => None,
        };
        return match file.filter(|file| file.is_file()) {
            Some(file) => from_file(&file),
            None => Err(Failure::not_found(format!(
                "no version of {} refers to blob {name}",
                dataset.name()
            ))),
        };
    };
    let bytes = dataset.fetch(&blob).await?;
    Blob::parse(bytes).map_err(|e| Failure::corrupt(format!("blob {name}: {e}")))
}

/// What the log promises of a blob.
async fn find(dataset: &Dataset, name: &str) -> Outcome<Option<Source>> {
    for told in dataset.outlines(1..=u64::MAX).await? {
        let kinds = [BlobKind::Delta, BlobKind::Reverse];
        let steps = kinds.iter().filter_map(|kind| told.blob(*kind).cloned());
        let named = told.entry().snapshot.iter();
        let named = named.map(|named| Source::from(&named.blob));
        if let Some(blob) = steps.chain(named).find(|blob| blob.name() == name) {
            return Ok(Some(blob));
        }
    }
    let announced = dataset.snapshot_entries().await?;
    let mut snapshots = announced.iter().map(|entry| Source::from(&entry.blob));
    Ok(snapshots.find(|blob| blob.name() == name))
}

/// The text of a schema, from the delta that brought it. Only for the names: without it types show as
/// numbers.
async fn schema_in_log(dataset: &Dataset, hash: u64) -> Outcome<Option<String>> {
    let outlines = dataset.outlines(1..=u64::MAX).await?;
    let mut deltas = outlines
        .iter()
        .filter(|told| told.entry().schema_hash == hash)
        .filter_map(|told| told.blob(BlobKind::Delta));
    let Some(delta) = deltas.next() else {
        return Ok(None);
    };
    match dataset.fetch(delta).await {
        Ok(bytes) => Ok(Blob::parse(bytes)
            .ok()
            .and_then(|blob| blob.header.schema_text)),
        Err(error) => {
            tracing::warn!(%error, blob = delta.name(), "cannot read the schema");
            Ok(None)
        }
    }
}

/// Names of the types, from the blob's own schema or one that was given.
fn names(header: &BlobHeader, given: Option<&str>) -> Outcome<Option<Schema>> {
    let text = header.schema_text.as_deref().or(given);
    let schema = text
        .map(Schema::parse)
        .transpose()
        .map_err(|e| Failure::invalid(e.to_string()))?;
    match schema {
        Some(schema) if schema.hash() != header.schema_hash => Err(Failure::invalid(format!(
            "expected the schema with hash {:016x}, found {:016x}",
            header.schema_hash,
            schema.hash()
        ))),
        other => Ok(other),
    }
}

fn type_name(names: &Option<Schema>, position: usize) -> String {
    let name = names
        .as_ref()
        .and_then(|schema| schema.types().get(position))
        .map(|ty| ty.name.clone());
    name.unwrap_or_else(|| format!("#{position}"))
}

fn section_name(names: &Option<Schema>, section: &Section) -> String {
    match section.kind {
        SectionKind::Removed => "removed ordinals".to_owned(),
        SectionKind::Added => "added ordinals".to_owned(),
        SectionKind::Column(column) => {
            let types = names.as_ref().map_or(&[][..], |schema| schema.types());
            let fields = types
                .get(usize::from(section.type_id))
                .map_or(&[][..], |ty| ty.fields());
            match fields.get(usize::from(column)) {
                Some(field) => format!("column {}", field.name),
                None => format!("column {column}"),
            }
        }
    }
}

fn show(blob: &Blob, names: &Option<Schema>, out: &mut Out) -> Outcome<()> {
    let header = &blob.header;
    let length = text::bytes(blob.bytes().len() as u64);
    out.line(format_args!(
        "{} of {}, {length}, intact",
        header.kind.name(),
        header.dataset
    ))?;
    out.line(format_args!(
        "  from version    {:>12}  state {:016x}  schema {:016x}",
        header.from, header.from_checksum, header.from_schema_hash
    ))?;
    out.line(format_args!(
        "  to version      {:>12}  state {:016x}  schema {:016x}",
        header.to, header.to_checksum, header.schema_hash
    ))?;
    out.line("")?;
    let mut table = Table::new(
        1,
        &["type", "records", "block", "sections", "raw", "stored"],
    );
    for (position, info) in header.types.iter().enumerate() {
        let own = || {
            header
                .sections
                .iter()
                .filter(|section| usize::from(section.type_id) == position)
        };
        table.row(vec![
            type_name(names, position),
            count(info.live),
            count(1 << info.shift),
            own().count().to_string(),
            text::bytes(own().map(|section| section.raw).sum()),
            text::bytes(own().map(|section| section.stored).sum()),
        ]);
    }
    table.lines().try_for_each(|line| out.line(line))?;
    out.line("")?;
    let mut table = Table::new(2, &["type", "section", "chunk", "raw", "stored"]);
    for section in &header.sections {
        table.row(vec![
            type_name(names, usize::from(section.type_id)),
            section_name(names, section),
            section.chunk.to_string(),
            text::bytes(section.raw),
            text::bytes(section.stored),
        ]);
    }
    table.lines().try_for_each(|line| out.line(line))?;
    match &header.schema_text {
        Some(schema) => out.line(format_args!("\nschema:\n{}", schema.trim_end())),
        None => Ok(()),
    }
}

fn line(blob: &Blob, names: &Option<Schema>) -> Value {
    let header = &blob.header;
    let types: Vec<Value> = header
        .types
        .iter()
        .enumerate()
        .map(|(position, info)| {
            json!({ "type": type_name(names, position), "records": info.live, "block_ordinals": 1_u64 << info.shift })
        })
        .collect();
    let sections: Vec<Value> = header
        .sections
        .iter()
        .map(|section| {
            json!({
                "type": type_name(names, usize::from(section.type_id)), "section": section_name(names, section),
                "chunk": section.chunk, "compressed": section.compressed,
                "raw_bytes": section.raw, "stored_bytes": section.stored,
            })
        })
        .collect();
    let hex = |word: u64| format!("{word:016x}");
    json!({
        "kind": header.kind.name(), "dataset": header.dataset, "bytes": blob.bytes().len(),
        "from": header.from, "to": header.to,
        "from_checksum": hex(header.from_checksum), "to_checksum": hex(header.to_checksum),
        "from_schema_hash": hex(header.from_schema_hash), "schema_hash": hex(header.schema_hash),
        "schema": header.schema_text, "types": types, "sections": sections,
    })
}
