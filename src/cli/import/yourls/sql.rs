//! The rows of one table of an SQL dump. Only as much SQL is understood as `mysqldump` and its like write: comments,
//! `CREATE TABLE` for the names of the columns, and `INSERT INTO … VALUES`. Everything else is skipped, statement by
//! statement; what is in strings is never taken for SQL. The file is read once, and one row is in memory.

use std::io::{self, BufRead};

/// The longest value, in bytes: more than any column of YOURLS holds.
const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// Why a dump can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqlError {
    /// Dump the table again, with `mysqldump`.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Where, from 1.
        line: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// Look at the file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A piece of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A keyword, a number, or a name without quotes.
    Word(String),
    /// A name in backticks.
    Name(String),
    /// A string.
    Text(Vec<u8>),
    /// Anything else.
    Mark(u8),
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    columns: Vec<String>,
    values: Vec<Option<Vec<u8>>>,
}

impl Row {
    /// The value of a column; empty where there is none. Bytes that are no UTF-8 are replaced.
    pub(super) fn text(&self, column: &str) -> String {
        let place = self.columns.iter().position(|name| name == column);
        let value = place.and_then(|place| self.values.get(place)?.as_deref());
        value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

/// Where in a dump the reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Between statements.
    Outside,
    /// In the values of an `INSERT`, before a row; these are its columns.
    Rows(Vec<String>),
}

/// A dump, of which the rows of one table are read.
#[derive(Debug)]
pub(super) struct Dump<R> {
    file: R,
    table: String,
    /// The columns, as the dump or whoever opened it says.
    columns: Vec<String>,
    place: Place,
    line: u64,
    bytes: u64,
}

impl<R: BufRead> Dump<R> {
    /// `columns`: the table's, if the dump does not tell them.
    pub(super) fn new(file: R, table: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        let (table, place) = (table.to_owned(), Place::Outside);
        Self { file, table, columns, place, line: 1, bytes: 0 }
    }

    /// How much is read, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next row of the table; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Row>, SqlError> {
        loop {
            if let Place::Rows(columns) = self.place.clone() {
                return self.row(columns).map(Some);
            }
            match self.token()? {
                None => return Ok(None),
                Some(Token::Word(word)) if is(&word, "insert") || is(&word, "replace") => {
                    self.insert()?;
                }
                Some(Token::Word(word)) if is(&word, "create") => self.create()?,
                Some(Token::Mark(b';')) => {}
                Some(_) => self.skip_statement()?,
            }
        }
    }

    /// Reads the head of an `INSERT`, up to its first row if it is of this table.
    fn insert(&mut self) -> Result<(), SqlError> {
        let mut columns: Option<Vec<String>> = None;
        loop {
            match self.token()? {
                None => return Err(self.wrong("the file ends in a statement")),
                Some(Token::Mark(b';')) => return Ok(()),
                Some(Token::Word(word)) if ["into", "ignore"].iter().any(|it| is(&word, it)) => {}
                Some(Token::Word(name) | Token::Name(name)) if name == self.table => {}
                Some(Token::Mark(b'(')) => columns = Some(self.names()?),
                Some(Token::Word(word)) if is(&word, "values") => break,
                // Another database's name before the table's, or another table.
                Some(Token::Mark(b'.')) => {}
                Some(Token::Word(_) | Token::Name(_)) => {
                    if !self.is_qualified()? {
                        return self.skip_statement();
                    }
                }
                Some(_) => return Err(self.wrong("an INSERT is not understood")),
            }
        }
        self.expect(b'(')?;
        self.place = Place::Rows(columns.unwrap_or_else(|| self.columns.clone()));
        Ok(())
    }

    /// Whether a point follows: then a name was a database's.
    fn is_qualified(&mut self) -> Result<bool, SqlError> {
        Ok(self.peek()? == Some(b'.'))
    }

    /// Reads a `CREATE TABLE`: where it is of this table, the names in backticks that stand first are its columns.
    fn create(&mut self) -> Result<(), SqlError> {
        let (mut depth, mut is_mine, mut is_first) = (0_u32, false, false);
        let mut columns = Vec::new();
        loop {
            match self.token()? {
                None => return Err(self.wrong("the file ends in a statement")),
                Some(Token::Mark(b';')) => break,
                Some(Token::Mark(b'(')) => {
                    depth += 1;
                    is_first = depth == 1;
                    continue;
                }
                Some(Token::Mark(b')')) => depth = depth.saturating_sub(1),
                Some(Token::Mark(b',')) => {
                    is_first = depth == 1;
                    continue;
                }
                Some(Token::Name(name)) if depth == 0 => is_mine = name == self.table,
                Some(Token::Name(name)) if is_first => columns.push(name),
                Some(_) => {}
            }
            is_first = false;
        }
        if is_mine && !columns.is_empty() {
            self.columns = columns;
        }
        Ok(())
    }

    /// Reads names up to a closing parenthesis.
    fn names(&mut self) -> Result<Vec<String>, SqlError> {
        let mut names = Vec::new();
        loop {
            match self.token()? {
                Some(Token::Word(name) | Token::Name(name)) => names.push(name),
                Some(Token::Mark(b',')) => {}
                Some(Token::Mark(b')')) => return Ok(names),
                _ => return Err(self.wrong("names of columns are expected")),
            }
        }
    }

    /// Reads a row, from behind its opening parenthesis, and what follows it.
    fn row(&mut self, columns: Vec<String>) -> Result<Row, SqlError> {
        let mut values = Vec::with_capacity(columns.len());
        loop {
            values.push(self.value()?);
            match self.token()? {
                Some(Token::Mark(b',')) => {}
                Some(Token::Mark(b')')) => break,
                _ => return Err(self.wrong("a comma or a parenthesis is expected behind a value")),
            }
        }
        if values.len() != columns.len() {
            return Err(self.wrong("a row has another number of values than the table has columns"));
        }
        match self.token()? {
            Some(Token::Mark(b',')) => self.expect(b'(')?,
            Some(Token::Mark(b';')) => self.place = Place::Outside,
            // ON DUPLICATE KEY UPDATE …
            Some(Token::Word(_)) => {
                self.skip_statement()?;
                self.place = Place::Outside;
            }
            _ => return Err(self.wrong("a comma or the end is expected behind a row")),
        }
        Ok(Row { columns, values })
    }

    /// Reads a value; `None`: it is `NULL`.
    fn value(&mut self) -> Result<Option<Vec<u8>>, SqlError> {
        match self.token()? {
            Some(Token::Text(text)) => Ok(Some(text)),
            Some(Token::Mark(b'-')) => match self.token()? {
                Some(Token::Word(number)) => Ok(Some(format!("-{number}").into_bytes())),
                _ => Err(self.wrong("a number is expected")),
            },
            Some(Token::Word(word)) if is(&word, "null") => Ok(None),
            Some(Token::Word(word)) if word.starts_with("0x") => {
                hex(&word[2..]).map(Some).ok_or_else(|| self.wrong("bytes are not understood"))
            }
            // Before a string: its character set, or that it is written in another way.
            Some(Token::Word(word)) if word.starts_with('_') => self.value(),
            Some(Token::Word(word)) if is(&word, "x") => match self.token()? {
                Some(Token::Text(digits)) => {
                    let bytes = std::str::from_utf8(&digits).ok().and_then(hex);
                    bytes.map(Some).ok_or_else(|| self.wrong("bytes are not understood"))
                }
                _ => Err(self.wrong("bytes are not understood")),
            },
            Some(Token::Word(word)) => Ok(Some(word.into_bytes())),
            _ => Err(self.wrong("a value is expected")),
        }
    }

    /// Skips the rest of a statement.
    fn skip_statement(&mut self) -> Result<(), SqlError> {
        loop {
            match self.token()? {
                None | Some(Token::Mark(b';')) => return Ok(()),
                Some(_) => {}
            }
        }
    }

    fn expect(&mut self, mark: u8) -> Result<(), SqlError> {
        match self.token()? {
            Some(Token::Mark(found)) if found == mark => Ok(()),
            _ => Err(self.wrong("an opening parenthesis is expected before a row")),
        }
    }

    fn wrong(&self, reason: &'static str) -> SqlError {
        SqlError::Syntax { line: self.line, reason }
    }

    /// The next piece; comments and white space are none.
    fn token(&mut self) -> Result<Option<Token>, SqlError> {
        loop {
            let Some(byte) = self.byte()? else { return Ok(None) };
            return Ok(Some(match byte {
                _ if byte.is_ascii_whitespace() => continue,
                b'#' => {
                    self.skip_line()?;
                    continue;
                }
                b'-' if self.peek()? == Some(b'-') => {
                    self.skip_line()?;
                    continue;
                }
                b'/' if self.peek()? == Some(b'*') => {
                    self.skip_comment()?;
                    continue;
                }
                b'\'' | b'"' => Token::Text(self.quoted(byte, true)?),
                b'`' => {
                    Token::Name(String::from_utf8_lossy(&self.quoted(byte, false)?).into_owned())
                }
                _ if is_word(byte) => Token::Word(self.word(byte)?),
                other => Token::Mark(other),
            }));
        }
    }

    fn word(&mut self, first: u8) -> Result<String, SqlError> {
        let mut word = vec![first];
        // A number may have a point; between names it is a mark of its own.
        let is_number = first.is_ascii_digit();
        while let Some(byte) = self.peek()? {
            if !(is_word(byte) || is_number && byte == b'.') {
                break;
            }
            self.byte()?;
            self.grow(&mut word, byte)?;
        }
        Ok(String::from_utf8_lossy(&word).into_owned())
    }

    /// Reads what is in quotes; a quote that stands twice is one, and a backslash escapes in strings.
    fn quoted(&mut self, quote: u8, has_escapes: bool) -> Result<Vec<u8>, SqlError> {
        let mut text = Vec::new();
        loop {
            let byte = self.byte()?.ok_or_else(|| self.wrong("the file ends in a string"))?;
            match byte {
                _ if byte == quote => {
                    if self.peek()? != Some(quote) {
                        return Ok(text);
                    }
                    self.byte()?;
                    self.grow(&mut text, quote)?;
                }
                b'\\' if has_escapes => {
                    let escaped =
                        self.byte()?.ok_or_else(|| self.wrong("the file ends in a string"))?;
                    for byte in unescaped(escaped) {
                        self.grow(&mut text, byte)?;
                    }
                }
                other => self.grow(&mut text, other)?,
            }
        }
    }

    fn grow(&self, text: &mut Vec<u8>, byte: u8) -> Result<(), SqlError> {
        if text.len() == VALUE_BYTES_MAX {
            return Err(self.wrong("a value is too long"));
        }
        text.push(byte);
        Ok(())
    }

    fn skip_line(&mut self) -> Result<(), SqlError> {
        while self.byte()?.is_some_and(|byte| byte != b'\n') {}
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), SqlError> {
        let mut last = 0;
        self.byte()?;
        loop {
            match self.byte()? {
                None => return Err(self.wrong("the file ends in a comment")),
                Some(b'/') if last == b'*' => return Ok(()),
                Some(byte) => last = byte,
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, SqlError> {
        Ok(self.file.fill_buf()?.first().copied())
    }

    fn byte(&mut self) -> Result<Option<u8>, SqlError> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.file.consume(1);
            self.bytes += 1;
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

/// What stands behind a backslash; `\%` and `\_` are two characters, as `MySQL` has it.
fn unescaped(byte: u8) -> Vec<u8> {
    match byte {
        b'0' => vec![0],
        b'b' => vec![8],
        b'n' => vec![b'\n'],
        b'r' => vec![b'\r'],
        b't' => vec![b'\t'],
        b'Z' => vec![26],
        b'%' | b'_' => vec![b'\\', byte],
        other => vec![other],
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests;
