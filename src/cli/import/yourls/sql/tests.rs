use super::*;
use proptest::prelude::*;

fn rows(dump: &str) -> Result<Vec<Row>, SqlError> {
    let mut dump = Dump::new(dump.as_bytes(), "t", &["a", "b"]);
    let mut rows = Vec::new();
    while let Some(row) = dump.next_row()? {
        rows.push(row);
    }
    Ok(rows)
}

fn pairs(dump: &str) -> Vec<(String, String)> {
    rows(dump).unwrap().iter().map(|row| (row.text("a"), row.text("b"))).collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn the_rows_of_one_table_are_read() {
    let dump = "-- a dump; INSERT INTO `t` VALUES ('no','no');\n\
        /*!40101 SET NAMES utf8mb4 */;\n# more\nLOCK TABLES `t` WRITE;\n\
        INSERT INTO `other` VALUES ('x),(\\'','INSERT INTO `t` VALUES (1,2);');\n\
        INSERT INTO `t` VALUES\n('a','it''s'),(NULL,-1.5);\n\
        insert ignore into db.t (b, a) values ('b', 'a');\n\
        INSERT INTO `db`.`t` VALUES (0x6162,_binary 'x\\0y'),(X'41',\"q\"\"q\");\n\
        REPLACE INTO t VALUES ('r','s') ON DUPLICATE KEY UPDATE a = 'z', b = ';';\n\
        INSERT INTO tt VALUES (1,2);\nUNLOCK TABLES;\n";
    let expected = [
        pair("a", "it's"),
        pair("", "-1.5"),
        pair("a", "b"),
        pair("ab", "x\0y"),
        pair("A", "q\"q"),
        pair("r", "s"),
    ];
    assert_eq!(pairs(dump), expected);
}

#[test]
fn the_dump_says_in_which_order_the_columns_are() {
    let dump = "CREATE TABLE `t` (\n  `b` varchar(200) NOT NULL DEFAULT 'x,y',\n  `n` int(11) DEFAULT 0,\n\
        `a` enum('(',')'),\n  PRIMARY KEY (`b`,`a`),\n  KEY `n` (`n`)\n) ENGINE=InnoDB;\n\
        CREATE TABLE `u` (`z` int);\nINSERT INTO `t` VALUES ('b',7,'a');";
    assert_eq!(pairs(dump), [pair("a", "b")]);
    assert_eq!(rows(dump).unwrap()[0].text("n"), "7");
}

#[test]
fn a_dump_that_is_broken_is_refused_with_the_line() {
    for (dump, line) in [
        ("INSERT INTO t VALUES ('a','b", 1),
        ("\nINSERT INTO t VALUES ('a');", 2),
        ("INSERT INTO t VALUES ('a','b')", 1),
        ("INSERT INTO t VALUES ('a' 'b');", 1),
        ("INSERT INTO t VALUES (,'b');", 1),
        ("\n\n/* never ends", 3),
        ("INSERT INTO t VALUES (0xZZ,'b');", 1),
        ("INSERT INTO t (a, b", 1),
    ] {
        match rows(dump) {
            Err(SqlError::Syntax { line: at, .. }) => assert_eq!(at, line, "{dump}"),
            other => panic!("{dump}: {other:?}"),
        }
    }
    let long = format!("INSERT INTO t VALUES ('{}','b');", "x".repeat(VALUE_BYTES_MAX + 1));
    assert!(rows(&long).is_err());
}

/// As `mysqldump` quotes a string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\0' => quoted.push_str("\\0"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\u{1a}' => quoted.push_str("\\Z"),
            '\'' | '"' | '\\' => quoted.extend(['\\', c]),
            other => quoted.push(other),
        }
    }
    quoted + "'"
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,20}",
        "[\\\\'\"`;,()%_\n\r\t\0 -]{0,12}",
        proptest::collection::vec(any::<char>(), 0..8)
            .prop_map(|chars| chars.into_iter().collect()),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(all in proptest::collection::vec((texts(), texts()), 1..6)) {
        let values: Vec<String> =
            all.iter().map(|(a, b)| format!("({},{})", quoted(a), quoted(b))).collect();
        let dump = format!("SELECT {};\nINSERT INTO `t` VALUES {};", quoted(&all[0].0), values.join(","));
        prop_assert_eq!(pairs(&dump), all);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}", cut in 0..60_usize) {
        let _ = rows(&text);
        let dump = "INSERT INTO `t` (`a`,`b`) VALUES ('x\\'y',NULL),(0x41,-1);";
        let _ = rows(&dump[..cut.min(dump.len())]);
        let _ = rows(&format!("{}{text}", &dump[..cut.min(dump.len())]));
    }
}
