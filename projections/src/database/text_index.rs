//! Finds rows by any part of their texts: trigrams, as each database has them. SQLite keeps them in a
//! table of its own (FTS5), which triggers write in the transaction that writes the rows; PostgreSQL
//! in an index (`pg_trgm`). Both hold what the rows hold, and nothing that was taken out of them.
//!
//! What is found may be more than what has the text, never less: whoever asks looks at the rows.

use super::{Database, Value};

/// How many letters in a row are looked for at once; a shorter text can't be looked for.
const PIECE_CHARS: usize = 3;

/// How many pieces of a text are looked for. The rarest: each more costs as much as there are rows
/// with it, and leaves out little.
const PIECES_MAX: usize = 6;

/// Of how many rows it is asked how far back they reach, to find out how rare a piece is.
const PROBE_ROWS: i64 = 64;

/// How definitions name the table of texts, and its index.
const TABLE_WORD: &str = "{texts of ";
const INDEX_WORD: &str = "{index of texts of ";

/// Where rows are found by their texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextIndex<'a> {
    is_fts: bool,
    /// The table, and its column that tells rows apart by number.
    table: &'a str,
    number: &'a str,
    columns: &'a [&'a str],
}

/// How rare a piece of a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rarity {
    /// The piece, as the index is asked for it.
    pub(crate) piece: String,
    /// How many rows were met, of [`PROBE_ROWS`] at most, ...
    pub(crate) rows: i64,
    /// ... and the lowest number among them.
    pub(crate) reaches: Option<i64>,
}

impl Database {
    pub(crate) fn text_index<'a>(
        &self,
        table: &'a str,
        number: &'a str,
        columns: &'a [&'a str],
    ) -> TextIndex<'a> {
        TextIndex { is_fts: matches!(self, Self::Sqlite(_)), table, number, columns }
    }
}

impl TextIndex<'_> {
    /// Asks how rare the pieces of a text are, as the columns of [`Rarity`]; no rows: there is no index.
    /// PostgreSQL finds that out by itself. `None`: the text has no pieces.
    pub(crate) fn probe(&self, text: &str) -> Option<(String, Vec<Value>)> {
        if !self.is_fts {
            let texts = texts(self.table);
            let sql = format!(
                "select $1::text, 0::bigint, null::bigint where to_regclass('{texts}') is not null"
            );
            return has_word(text).then(|| (sql, vec![text.into()]));
        }
        if text.chars().count() < PIECE_CHARS {
            return None;
        }
        let values: Vec<Value> = pieces(text).into_iter().map(Value::from).collect();
        let places: Vec<String> = (1..=values.len()).map(|n| format!("(${n})")).collect();
        let (texts, places) = (texts(self.table), places.join(", "));
        let found = format!(
            "(select rowid from {texts} where {texts} match p.column1 \
             order by rowid desc limit {PROBE_ROWS})"
        );
        let sql = format!(
            "select p.column1, (select count(*) from {found}), (select min(rowid) from {found}) \
             from (values {places}) p"
        );
        Some((sql, values))
    }

    /// A statement for the numbers of the rows that may have a text, and its parameter, whose place is
    /// `?`. `like` is the pattern for the text in small letters.
    pub(crate) fn find(&self, like: &str, mut rarities: Vec<Rarity>) -> (String, Value) {
        let Self { table, number, columns, .. } = self;
        if !self.is_fts {
            let joined = joined("", columns);
            let sql = format!(
                "select {number} as number from {table} where lower({joined}) like ? escape '!'"
            );
            return (sql, like.into());
        }
        rarities.sort_by_key(|rarity| (rarity.rows, rarity.reaches));
        let pieces: Vec<&str> =
            rarities.iter().take(PIECES_MAX).map(|rarity| rarity.piece.as_str()).collect();
        let texts = texts(table);
        let sql = format!("select rowid as number from {texts} where {texts} match ?");
        (sql, pieces.join(" AND ").into())
    }
}

/// Whether `pg_trgm` makes pieces of a text: it takes letters and digits only, of which those of ASCII are such
/// in every locale.
fn has_word(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.len() >= PIECE_CHARS)
}

/// The pieces of a text, each once, as FTS5 is asked for them.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut pieces: Vec<String> = chars
        .windows(PIECE_CHARS)
        .map(|piece| format!("\"{}\"", piece.iter().collect::<String>().replace('"', "\"\"")))
        .collect();
    pieces.sort_unstable();
    pieces.dedup();
    pieces
}

fn texts(table: &str) -> String {
    format!("{table}_texts")
}

/// The columns of a row as one text, a line for each.
fn joined(row: &str, columns: &[&str]) -> String {
    let columns: Vec<String> =
        columns.iter().map(|column| format!("coalesce({row}{column}, '')")).collect();
    columns.join(" || '\n' || ")
}

/// What a definition says about texts: `{word table: columns};`.
struct Word<'a> {
    before: &'a str,
    table: &'a str,
    columns: Vec<&'a str>,
    after: &'a str,
}

impl<'a> Word<'a> {
    fn find(sql: &'a str, word: &str) -> Option<Self> {
        let (before, rest) = sql.split_once(word)?;
        let (inside, after) = rest.split_once('}')?;
        let (table, columns) = inside.split_once(':')?;
        Some(Self { before, table, columns: columns.split(',').map(str::trim).collect(), after })
    }

    fn replaced(&self, by: &str) -> String {
        [self.before, by, self.after].concat()
    }
}

/// A definition as SQLite has it. `secure-delete` takes a text out of the table at once; else it would
/// be marked as gone, and stay. With it `detail = none`, a third smaller, loses rows (FTS5 of 3.51): where a piece of a
/// row was taken out and put back, those behind it that have the piece are not written.
pub(super) fn for_sqlite(sql: &str) -> String {
    let sql = match Word::find(sql, INDEX_WORD) {
        Some(word) => word.replaced(""),
        None => sql.to_owned(),
    };
    let Some(word) = Word::find(&sql, TABLE_WORD) else { return sql };
    let (table, texts) = (word.table, texts(word.table));
    let Some((number, columns)) = word.columns.split_first() else { return sql };
    let (old, new) = (joined("old.", columns), joined("new.", columns));
    let remove = format!(
        "insert into {texts} ({texts}, rowid, text) values ('delete', old.{number}, {old});"
    );
    // Code of before this table drops sets of tables, and not this one.
    let dropped = dropped_with(table);
    let add = format!("insert into {texts} (rowid, text) values (new.{number}, {new});");
    word.replaced(&format!(
        "{dropped}; create virtual table {texts} using fts5(text, tokenize = 'trigram', content = '', \
         detail = column, columnsize = 0); \
         insert into {texts} ({texts}, rank) values ('secure-delete', 1); \
         create trigger {texts}_added after insert on {table} begin {add} end; \
         create trigger {texts}_changed after update on {table} when {old} is not {new} \
         begin {remove} {add} end; \
         create trigger {texts}_removed after delete on {table} begin {remove} end"
    ))
}

/// A definition as PostgreSQL has it. Without the extension there is no index, and rows are found by
/// looking at all of them.
pub(super) fn for_postgres(sql: &str) -> String {
    let sql = match Word::find(sql, TABLE_WORD) {
        Some(word) => word.replaced(""),
        None => sql.to_owned(),
    };
    let Some(word) = Word::find(&sql, INDEX_WORD) else { return sql };
    let (table, texts, joined) = (word.table, texts(word.table), joined("", &word.columns));
    word.replaced(&format!(
        "do $do$ declare home text; begin \
         select n.nspname into home from pg_extension e \
         join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm'; \
         if home is not null and to_regclass('{texts}') is null then execute format($sql$create index if not exists {texts} on {table} \
         using gin (lower({joined}) %I.gin_trgm_ops) \
         with (gin_pending_list_limit = {PENDING_KIB})$sql$, home); end if; end $do$"
    ))
}

/// New rows are looked through one by one until there are so many of them.
const PENDING_KIB: u32 = 512;

/// What goes away with a table.
pub(super) fn dropped_with(table: &str) -> String {
    format!("drop table if exists {}", texts(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_looked_for_by_its_pieces() {
        assert_eq!(pieces("a\"ba\"b"), [r#""""ba""#, r#""a""b""#, r#""ba""""#]);
        assert_eq!(pieces("ÄÖ😀x"), ["\"ÄÖ😀\"", "\"Ö😀x\""]);
        assert!(pieces("ab").is_empty());
        assert!(has_word("://abc") && has_word("x y 123"));
        assert!(!has_word("://") && !has_word("ab-cd") && !has_word("äöü"));
    }

    #[test]
    fn the_rarest_pieces_are_looked_for() {
        let rarity = |(piece, rows, reaches): (&str, i64, i64)| Rarity {
            piece: piece.to_owned(),
            rows,
            reaches: Some(reaches),
        };
        let found = [
            ("often", 64, 900),
            ("twice", 2, 990),
            ("now", 64, 800),
            ("x", 64, 1),
            ("y", 64, 2),
            ("z", 64, 3),
            ("w", 64, 4),
        ];
        let index = TextIndex { is_fts: true, table: "t", number: "number", columns: &["a", "b"] };
        let (sql, value) = index.find("%x%", found.map(rarity).to_vec());
        assert_eq!(sql, "select rowid as number from t_texts where t_texts match ?");
        assert_eq!(value, "twice AND x AND y AND z AND w AND now".into());
    }

    #[test]
    fn each_database_has_one_of_both_words() {
        let sql = "a; {texts of t: n, x}; {index of texts of t: x}; b";
        let (sqlite, postgres) = (for_sqlite(sql), for_postgres(sql));
        assert!(
            sqlite.starts_with("a; drop table if exists t_texts; create")
                && sqlite.ends_with("; ; b")
        );
        assert!(postgres.starts_with("a; ; do $do$") && postgres.ends_with("$do$; b"));
    }
}
