//! The walk of somebody new, from an empty folder, with what is printed at each step. No file of the
//! repository is used, and lines without times or lengths are compared as they stand.

use crate::kit::{Bench, Run};
use std::io::{BufRead as _, BufReader};

const BOOKS: &str = r#"{"isbn":"978-0","title":"Solaris","pages":204,"author":{"name":"Lem","born":1921}}
{"isbn":"978-1","title":"Emma","pages":474,"author":{"name":"Austen","born":1775}}
{"isbn":"978-2","title":"Momo","pages":null,"author":{"name":"Ende","born":1929}}
"#;

const PRICES: &str = "\
isbn,country,price
978-0,DE,9.90
978-0,FR,9.50
978-1,DE,7
";

/// A word that holds a figure of this run: a time, a length.
const FIGURE: &str = "…";

/// The text without times and lengths of this run: ` in … ms` and ` … B`. A fast step may take µs, a slow one s.
fn without_figures(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for at in 1..words.len() {
            let is_figure = words[at - 1].starts_with(|c: char| c.is_ascii_digit());
            let unit = match words[at].trim_end_matches(',') {
                "µs" | "ms" | "s" => "ms",
                "B" => "B",
                _ => continue,
            };
            if is_figure {
                let comma = if words[at].ends_with(',') { "," } else { "" };
                words[at] = format!("{unit}{comma}");
                FIGURE.clone_into(&mut words[at - 1]);
            }
        }
        lines.push(words.join(" ") + "\n");
    }
    lines.concat()
}

/// Writes the schema that `schema infer` guesses, and gives what it says beside it.
fn infer(bench: &Bench, file: &str, more: &str, schema: &str) -> String {
    let run = bench.run(&format!("schema infer {file} {more}"));
    assert_eq!(run.code, 0, "{}", run.err);
    bench.write(schema, &run.out);
    run.err
}

#[test]
fn from_an_empty_folder_to_versions_and_back_in_time() {
    let bench = Bench::new();
    bench.write("books.ndjson", BOOKS);
    let publish = "publish --store store --dataset books --input books.ndjson";
    // Without a schema it says how to get one, and the command it names works as it stands.
    assert_eq!(
        bench.run(publish).refused(2),
        "error: no schema given, and dataset books has no version yet to take one from\n\
         hint: `grotto schema infer books.ndjson > books.schema` writes one; read it, then give it with \
         --schema books.schema\n"
    );
    assert_eq!(
        infer(&bench, "books.ndjson", "", "books.schema"),
        "note: type Book, named after the file, from 3 records, with the primary key isbn, which differs in \
         every record\n"
    );
    assert_eq!(
        std::fs::read_to_string(bench.path("books.schema")).unwrap(),
        "Book @PrimaryKey(isbn) {\n    string isbn;\n    string title;\n    long pages;\n    Author author;\n}\n\n\
         Author {\n    string name;\n    long born;\n}\n"
    );
    let first = bench.run(&format!("{publish} --schema books.schema")).ok();
    assert_eq!(
        without_figures(&first),
        "published version 1 of books from 3 records in … ms\n\
         \x20 type    records  added  removed  modified\n\
         \x20 Book          3      3        0         0\n\
         \x20 Author        3      3        0         0\n\
         delta … B, snapshot of version 1: … B\n\
         read … ms, encode … ms, upload … ms, commit … ms\n"
    );
    assert_eq!(
        bench.run("get --store store Book 978-1").ok(),
        "{\"isbn\":\"978-1\",\"title\":\"Emma\",\"pages\":474,\"author\":{\"name\":\"Austen\",\"born\":1775}}\n"
    );
    assert_eq!(
        bench.run("get --store store Books 978-1").refused(2),
        "error: type Books is not in the schema: expected one of Book, Author\n"
    );

    bench.write("books.ndjson", &BOOKS.replace("474", "480"));
    assert_eq!(
        without_figures(&bench.run(publish).ok()),
        "published version 2 of books from 3 records in … ms\n\
         \x20 type  records  added  removed  modified\n\
         \x20 Book        3      0        0         1\n\
         delta … B, reverse delta … B\n\
         read … ms, encode … ms, upload … ms, commit … ms\n"
    );
    assert_eq!(
        bench.run("diff --store store 1 2").ok(),
        "~ Book \"978-1\"\n    pages: 474 → 480\nfrom version 1 to 2\n\
         \x20 type  before  after  added  removed  modified\n\
         \x20 Book       3      3      0        0         1\n"
    );
    for (more, pages) in [("", 480), ("--version 1", 474)] {
        let found = bench.run(&format!("get --store store {more} Book 978-1"));
        assert_eq!(
            found.ok(),
            format!(
                "{{\"isbn\":\"978-1\",\"title\":\"Emma\",\"pages\":{pages},\"author\":{{\"name\":\"Austen\",\"born\":1775}}}}\n"
            )
        );
    }
}

#[test]
fn one_process_follows_what_another_publishes() {
    let bench = Bench::new();
    bench.write("books.ndjson", BOOKS);
    infer(&bench, "books.ndjson", "", "books.schema");
    let publish =
        "publish --store store --dataset books --schema books.schema --input books.ndjson";
    bench.run(publish).ok();
    let line = "follow --store store --until 2";
    let mut follower = bench
        .command(&line.split(' ').collect::<Vec<&str>>())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let begun: String = lines
        .by_ref()
        .take(4)
        .map(|line| line.unwrap() + "\n")
        .collect();
    assert_eq!(
        without_figures(&begun),
        "following books from version 1\n\
         version 1 by a delta, … B in … ms\n\
         \x20   Book: 3 records added, 0 removed, 0 modified\n\
         \x20   Author: 3 records added, 0 removed, 0 modified\n"
    );
    bench.write("books.ndjson", &BOOKS.replace("474", "480"));
    bench.run(publish).ok();
    let rest: String = lines.map(|line| line.unwrap() + "\n").collect();
    assert_eq!(
        without_figures(&rest),
        "version 2 by a delta, … B in … ms\n    Book: 0 records added, 0 removed, 1 modified\n"
    );
    Run::of(follower.wait_with_output().unwrap()).ok();
}

#[test]
fn a_table_goes_in_by_the_key_that_its_owner_names() {
    let bench = Bench::new();
    bench.write("prices.csv", PRICES);
    // The store holds another dataset already: each is named from now on.
    bench.write("books.ndjson", BOOKS);
    infer(&bench, "books.ndjson", "", "books.schema");
    bench
        .run("publish --store store --dataset books --schema books.schema --input books.ndjson")
        .ok();
    assert_eq!(
        infer(&bench, "prices.csv", "", "prices.schema"),
        "note: type Price, named after the file, from 3 records, without a primary key, as no field differs in \
         every record; --key names one\n"
    );
    assert_eq!(
        infer(&bench, "prices.csv", "--key isbn,country", "prices.schema"),
        "note: type Price, named after the file, from 3 records, with the primary key isbn, country\n"
    );
    let published = bench
        .run("publish --store store --dataset prices --schema prices.schema --input prices.csv")
        .ok();
    assert!(
        published.starts_with("published version 1 of prices from 3 records in "),
        "{published}"
    );
    assert_eq!(
        bench
            .run("get --store store Price [\"978-0\",\"FR\"]")
            .refused(2),
        "error: store store has several datasets: books, prices\nhint: choose one with --dataset\n"
    );
    assert_eq!(
        bench
            .run("get --store store --dataset prices Price [\"978-0\",\"FR\"]")
            .ok(),
        "{\"isbn\":\"978-0\",\"country\":\"FR\",\"price\":9.5}\n"
    );
    assert_eq!(
        bench.run("export --store store --dataset prices").ok(),
        "{\"isbn\":\"978-0\",\"country\":\"DE\",\"price\":9.9}\n\
         {\"isbn\":\"978-0\",\"country\":\"FR\",\"price\":9.5}\n\
         {\"isbn\":\"978-1\",\"country\":\"DE\",\"price\":7.0}\n"
    );
}
