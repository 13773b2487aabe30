//! Workload `catalog`: films with references, lists, shared strings and long text.
//!
//! Owns: its records. Never changes: figures of different days are compared.

use super::digest::Digest;
use super::rng::{Rng, Words, id, mix};
use super::{Ref, Workload};
use grotto::Record;
use grotto_format::flat::FlatBuilder;

/// A film as readers see it.
#[derive(Clone, Debug, PartialEq, Record)]
#[grotto(key(id))]
pub struct Movie {
    /// Primary key.
    pub id: i64,
    /// 12 to 40 characters.
    pub title: String,
    /// 1920 to 2026.
    pub year: i32,
    /// One of 200.
    #[grotto(dedup)]
    pub country: String,
    /// One to four of 30.
    pub genres: Vec<String>,
    /// Three to ten actors; changes.
    pub cast: Vec<Actor>,
    /// 100 to 200 characters; changes.
    pub description: String,
}

/// Somebody in a film.
#[derive(Clone, Debug, PartialEq, Record)]
pub struct Actor {
    /// Number of the actor.
    pub id: i64,
    /// Two words.
    pub name: String,
}

/// A film as it is generated: what is shared is a position in the workload's tables.
#[derive(Clone, Debug)]
pub struct Film {
    id: i64,
    title: String,
    year: i32,
    country: u8,
    genres: Box<[u8]>,
    cast: Box<[u32]>,
    description: String,
}

/// The workload.
#[derive(Debug)]
pub struct Catalog {
    words: Words,
    countries: Vec<String>,
    genres: Vec<String>,
    actors: Vec<(i64, String)>,
}

fn actor(words: &Words, a: u64) -> (i64, String) {
    let mut rng = Rng(mix(a ^ 0x4E41_4D45_0000_0000));
    let first = words.draw(&mut rng);
    let last = words.draw(&mut rng);
    let id = mix(a.wrapping_add(0x4143_544F_5200_0000)) >> 1;
    (id.cast_signed(), format!("{first} {last}"))
}

/// `count` different numbers below `n`, in the order drawn.
fn distinct(rng: &mut Rng, count: u64, n: u64) -> Vec<u64> {
    let mut taken = Vec::with_capacity(count as usize);
    while (taken.len() as u64) < count {
        let drawn = rng.below(n);
        if !taken.contains(&drawn) {
            taken.push(drawn);
        }
    }
    taken
}

impl Workload for Catalog {
    type Record = Film;
    type Typed = Movie;

    const NAME: &'static str = "catalog";
    const SCHEMA: &'static str = "Movie @PrimaryKey(id) { long id; string title; int year; \
        String country; ListOfString genres; ListOfActor cast; string description; } \
        ListOfString List<String>; ListOfActor List<Actor>; Actor { long id; string name; } \
        String { string value; }";

    fn new(n: u64) -> Self {
        let words = Words::default();
        let named = |kind: &str, w: u64| format!("{kind}-{}-{w}", words.get(w));
        Self {
            countries: (0..200).map(|c| named("country", c)).collect(),
            genres: (0..30).map(|g| named("genre", g)).collect(),
            actors: (0..(n / 5).max(10)).map(|a| actor(&words, a)).collect(),
            words,
        }
    }

    fn record(&self, index: u64, revision: u64) -> Film {
        let (mut fixed, mut changing) = (Rng::fixed(index), Rng::changing(index, revision));
        let title = self.words.text(&mut fixed, 12, 29);
        let year = 1920 + fixed.below(107) as i32;
        let country = fixed.below(200) as u8;
        let genres = 1 + fixed.below(4);
        let genres = distinct(&mut fixed, genres, 30);
        let cast = 3 + changing.below(8);
        let cast = distinct(&mut changing, cast, self.actors.len() as u64);
        Film {
            id: id(index),
            title,
            year,
            country,
            genres: genres.into_iter().map(|g| g as u8).collect(),
            cast: cast.into_iter().map(|a| a as u32).collect(),
            description: self.words.text(&mut changing, 100, 101),
        }
    }

    fn key(record: &Film) -> i64 {
        record.id
    }

    fn digest(&self, film: &Film) -> u64 {
        let mut digest = Digest::of(film.id)
            .text(&film.title)
            .word(film.year as u64)
            .text(&self.countries[usize::from(film.country)])
            .word(film.genres.len() as u64);
        for genre in &film.genres {
            digest = digest.text(&self.genres[usize::from(*genre)]);
        }
        digest = digest.word(film.cast.len() as u64);
        for actor in &film.cast {
            let (id, name) = &self.actors[*actor as usize];
            digest = digest.word(id.cast_unsigned()).text(name);
        }
        digest.text(&film.description).done()
    }

    fn write(&self, film: &Film, out: &mut FlatBuilder) {
        let mark = out.begin_object();
        out.field(0);
        out.long(film.id);
        out.field(1);
        out.var(film.title.as_bytes());
        out.field(2);
        out.int(film.year);
        out.field(3);
        write_string(&self.countries[usize::from(film.country)], out);
        out.field(4);
        self.write_genres(film, out);
        out.field(5);
        self.write_cast(film, out);
        out.field(6);
        out.var(film.description.as_bytes());
        out.end_object(mark, 7);
    }

    #[inline]
    fn number(record: Ref<'_, Self>) -> i64 {
        i64::from(record.year())
    }

    #[inline]
    fn text<'a>(record: Ref<'a, Self>) -> &'a str {
        record.title()
    }

    fn digest_read(movie: Ref<'_, Self>) -> u64 {
        let mut digest = Digest::of(movie.id())
            .text(movie.title())
            .word(movie.year() as u64)
            .text(movie.country())
            .word(movie.genres().len() as u64);
        for genre in movie.genres().iter() {
            digest = digest.text(genre);
        }
        digest = digest.word(movie.cast().len() as u64);
        for actor in movie.cast().iter() {
            digest = digest.word(actor.id().cast_unsigned()).text(actor.name());
        }
        digest.text(movie.description()).done()
    }
}

/// A nested record of the wrapper type `String`.
fn write_string(value: &str, out: &mut FlatBuilder) {
    let nested = out.begin_nested();
    let object = out.begin_object();
    out.field(0);
    out.var(value.as_bytes());
    out.end_object(object, 1);
    out.end_nested(nested);
}

impl Catalog {
    fn write_genres(&self, film: &Film, out: &mut FlatBuilder) {
        let nested = out.begin_nested();
        let list = out.begin_collection();
        for genre in &film.genres {
            write_string(&self.genres[usize::from(*genre)], out);
        }
        out.end_collection(list, film.genres.len() as u32);
        out.end_nested(nested);
    }

    fn write_cast(&self, film: &Film, out: &mut FlatBuilder) {
        let nested = out.begin_nested();
        let list = out.begin_collection();
        for actor in &film.cast {
            let (id, name) = &self.actors[*actor as usize];
            let element = out.begin_nested();
            let object = out.begin_object();
            out.field(0);
            out.long(*id);
            out.field(1);
            out.var(name.as_bytes());
            out.end_object(object, 2);
            out.end_nested(element);
        }
        out.end_collection(list, film.cast.len() as u32);
        out.end_nested(nested);
    }
}
