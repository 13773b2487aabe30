//! The crate table of `ARCHITECTURE.md`: it lists exactly the crates there are,
//! with exactly the imports the layer table allows. Never reads the prose.

use std::collections::BTreeSet;

use super::Finding;
use super::edges::{Allowed, LAYERS};

/// The heading of the table's first column, which finds the table.
const HEADING: &str = "crate";
/// The heading of the column that lists the allowed imports.
const IMPORTS: &str = "may import";

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// Counted from 1.
    line: usize,
    name: String,
    imports: String,
}

/// Compares the page with the folders under `crates/` and with the layers.
pub(super) fn check(path: &str, page: Option<&str>, crates: &[&str]) -> Vec<Finding> {
    let rows = parse(page.unwrap_or_default());
    let table_line = rows.first().map_or(1, |row| row.line);
    let mut findings: Vec<Finding> = crates
        .iter()
        .filter(|name| !rows.iter().any(|row| row.name == **name))
        .map(|name| {
            Finding::new(
                path,
                table_line,
                format!("crates/{name} is not in the crate table"),
                "add a row that says what it owns, may import and never does",
            )
        })
        .collect();
    for row in &rows {
        findings.extend(check_row(path, row, crates));
    }
    findings
}

fn check_row(path: &str, row: &Row, crates: &[&str]) -> Option<Finding> {
    if !crates.contains(&row.name.as_str()) {
        return Some(Finding::new(
            path,
            row.line,
            format!("there is no crate at crates/{}", row.name),
            "remove the row, or correct its name",
        ));
    }
    let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == row.name)?;
    if agrees(&row.imports, *allowed) {
        return None;
    }
    Some(Finding::new(
        path,
        row.line,
        format!(
            "the imports of {} differ from the layer table: `{}`",
            row.name, row.imports
        ),
        format!("write: {}", describe(*allowed)),
    ))
}

fn agrees(cell: &str, allowed: Allowed) -> bool {
    match allowed {
        Allowed::Any => cell == "any",
        Allowed::Only(names) => names.iter().copied().eq(sorted_as(names, cell)),
    }
}

/// The names of `cell` in the order of `names`, so that only the set matters;
/// names the table does not have come last.
fn sorted_as<'a>(names: &[&str], cell: &'a str) -> Vec<&'a str> {
    let mut found: Vec<&str> = quoted(cell).collect::<BTreeSet<_>>().into_iter().collect();
    found.sort_by_key(|name| {
        names
            .iter()
            .position(|known| known == name)
            .unwrap_or(usize::MAX)
    });
    found
}

fn describe(allowed: Allowed) -> String {
    match allowed {
        Allowed::Any => "any".to_owned(),
        Allowed::Only([]) => "–".to_owned(),
        Allowed::Only(names) => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The rows of the table whose first column is headed `crate`.
fn parse(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut imports_column = None;
    for (index, line) in page.lines().enumerate() {
        let Some(cells) = cells(line) else {
            imports_column = None;
            continue;
        };
        if cells.first() == Some(&HEADING) {
            imports_column = cells.iter().position(|cell| *cell == IMPORTS);
        } else if let Some(column) = imports_column
            && let Some(name) = cells.first().and_then(|cell| quoted(cell).next())
        {
            rows.push(Row {
                line: index + 1,
                name: name.to_owned(),
                imports: cells.get(column).copied().unwrap_or_default().to_owned(),
            });
        }
    }
    rows
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?;
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    Some(inner.split('|').map(str::trim).collect())
}

/// The words between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Map

| other | table |
|---|---|
| `not-a-crate` | x |

| crate | owns | may import | never |
|---|---|---|---|
| `grotto-env` | bytes | – | IO |
| `grotto-state` | states | `grotto-mmap`, `grotto-format`, `grotto-error` | IO |
";

    fn problems(page: &str, crates: &[&str]) -> Vec<(usize, String)> {
        check("MAP.md", Some(page), crates)
            .into_iter()
            .map(|finding| (finding.line, finding.problem))
            .collect()
    }

    #[test]
    fn only_the_crate_table_is_read() {
        let rows = parse(PAGE);
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["grotto-env", "grotto-state"]);
        assert_eq!(rows[0].line, 9);
    }

    #[test]
    fn a_table_that_agrees_is_fine_in_any_order_of_imports() {
        assert_eq!(problems(PAGE, &["grotto-state", "grotto-env"]), vec![]);
    }

    #[test]
    fn a_crate_that_is_not_listed_is_reported() {
        let found = problems(PAGE, &["grotto-env", "grotto-state", "grotto-new"]);
        let expected = "crates/grotto-new is not in the crate table".to_owned();
        assert_eq!(found, [(9, expected)]);
    }

    #[test]
    fn a_listed_crate_that_is_gone_is_reported() {
        let found = problems(PAGE, &["grotto-env"]);
        let expected = "there is no crate at crates/grotto-state".to_owned();
        assert_eq!(found, [(10, expected)]);
    }

    #[test]
    fn imports_that_differ_from_the_layers_are_reported() {
        let crates = ["grotto-env", "grotto-state"];
        let fewer = PAGE.replace("`grotto-mmap`, ", "");
        let more = PAGE.replace("| – |", "| `grotto-mmap` |");
        assert_eq!(problems(&fewer, &crates)[0].0, 10);
        assert_eq!(problems(&more, &crates)[0].0, 9);
    }

    #[test]
    fn a_missing_page_misses_every_crate() {
        assert_eq!(check("MAP.md", None, &["a", "b"]).len(), 2);
    }
}
