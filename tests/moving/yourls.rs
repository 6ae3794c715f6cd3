//! A YOURLS database, as `mysqldump` writes it: the clicks before the links.

use std::fs;

use serde_json::{Value, json};

use super::{conflicts, counts, import, imported};
use crate::support::Server;

const DUMP: &str = r#"-- MariaDB dump
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `yourls_log`;
CREATE TABLE `yourls_log` (
  `click_id` int(11) NOT NULL AUTO_INCREMENT,
  `click_time` datetime NOT NULL,
  `shorturl` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `referrer` varchar(200) NOT NULL,
  `user_agent` varchar(255) NOT NULL,
  `ip_address` varchar(41) NOT NULL,
  `country_code` char(2) NOT NULL,
  PRIMARY KEY (`click_id`),
  KEY `shorturl` (`shorturl`)
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4;
LOCK TABLES `yourls_log` WRITE;
INSERT INTO `yourls_log` VALUES (1,'2024-02-01 05:30:00','ozh','direct','Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0','193.0.6.139',''),
(2,'2024-02-01 05:30:00','ozh','direct','Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0','193.0.6.139',''),
(3,'2024-02-01 23:00:00','Case','https://news.example/?q=it\'s','O\'Agent (\\)','0.0.0.0','JP'),
(4,'2024-02-01 23:00:00','taken','direct','Lost','192.0.2.9',''),
(5,'0000-00-00 00:00:00','ozh','direct','No time','192.0.2.9','');
UNLOCK TABLES;
INSERT INTO `yourls_options` VALUES (1,'version','1.9'),(2,'active_plugins','a:1:{i:0;s:3:\"(\');\";}');
CREATE TABLE `yourls_url` (
  `keyword` varchar(100) NOT NULL DEFAULT '',
  `url` text NOT NULL,
  `title` text DEFAULT NULL,
  `timestamp` timestamp NOT NULL DEFAULT current_timestamp(),
  `ip` varchar(41) NOT NULL,
  `clicks` int(10) unsigned NOT NULL,
  PRIMARY KEY (`keyword`),
  KEY `url_idx` (`url`(30))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `yourls_url` VALUES ('ozh','https://ozh.org/','ozh\'s \"site\"\nline two','2024-01-01 00:00:00','192.0.2.1',2),
('Case','https://example.com/?a=(1),(2);b','Titel ü','2024-01-01 00:00:00','192.0.2.1',1),('case','https://example.com/case',NULL,'2024-01-01 00:00:00','192.0.2.1',0),
('taken','https://example.com/theirs','','2024-01-01 00:00:00','192.0.2.1',1),('js','javascript:alert(1)','','2024-01-01 00:00:00','192.0.2.1',0),
('login','https://example.com/','','2024-01-01 00:00:00','192.0.2.1',0);
"#;

#[tokio::test]
async fn links_and_clicks_of_a_dump_come_in_once() {
    let server = Server::start();
    let client = &server.client;
    let mine = json!({"url": "https://example.com/mine", "alias": "taken"});
    client.post("/api/v1/links", &mine).await.expect(201);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("yourls.sql");
    fs::write(&path, DUMP).unwrap();
    let arguments = ["yourls", path.to_str().unwrap(), "--offset", "+05:30"];
    let (_, dry, _) = import(&server, &[&arguments[..], &["--dry-run"]].concat());
    let (code, summary, told) = import(&server, &arguments);
    assert_eq!((code, counts(&summary)), (Some(1), [6, 3, 0]), "{summary}");
    assert_eq!(dry["conflicts"], summary["conflicts"], "a dry run tells the same");
    let [taken, js, login] = conflicts(&summary)[..] else { panic!("{summary}") };
    assert_eq!(taken, ("taken", "the code is taken by a link to https://example.com/mine"));
    assert!(js.0 == "js" && js.1.starts_with("url has the scheme"), "{summary}");
    assert!(login.0 == "login" && login.1.contains("reserved"), "{summary}");
    assert_eq!((&summary["clicks"]["added"], &summary["clicks"]["bad"]), (&3.into(), &1.into()));
    assert!(told.contains("a click of ozh: its time can't be read"), "{told}");
    let link = client.get("/api/v1/links/ozh").await.json();
    assert_eq!(link["title"], "ozh's \"site\" line two");
    assert_eq!(
        client.get("/api/v1/links/Case").await.json()["url"],
        "https://example.com/?a=(1),(2);b"
    );
    let stats = client.stats("ozh", "to=2024-12-31").await;
    let first = |stats: &Value, name: &str| stats[name][0]["value"].clone();
    assert_eq!((&stats["totalClicks"], first(&stats, "countries")), (&2.into(), "NL".into()));
    assert_eq!(stats["series"][0]["start"].as_str().map(|at| &at[..10]), Some("2024-02-01"));
    let stats = client.stats("Case", "to=2024-12-31").await;
    assert_eq!(
        (first(&stats, "countries"), first(&stats, "referrerUrls")),
        ("JP".into(), "https://news.example/?q=it's".into())
    );
    assert_eq!(client.stats("taken", "").await["totalClicks"], 0, "not the clicks of another link");
    let heads = client.heads().await;
    let (_, again, _) = import(&server, &arguments);
    assert_eq!((counts(&again), &again["clicks"]["known"]), ([6, 0, 3], &3.into()), "{again}");
    assert_eq!(client.heads().await, heads, "a second run changes nothing");
}

/// Clicks that are counted and not in the dump are missing, not none.
#[tokio::test]
async fn a_dump_without_the_log_is_told() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("yourls.sql");
    let row = |clicks: u8| {
        format!(
            "INSERT INTO `yourls_url` VALUES ('ozh','https://ozh.org/','','2024-01-01 00:00:00','192.0.2.1',{clicks});\n"
        )
    };
    fs::write(&path, row(2)).unwrap();
    let (code, summary, told) = import(&server, &["yourls", path.to_str().unwrap()]);
    assert_eq!((code, counts(&summary)), (Some(1), [1, 1, 0]), "{told}");
    let reason = summary["clicks"]["refused"].as_str().unwrap();
    assert!(reason.contains("no rows of the table yourls_log"), "{reason}");
    imported(&server, &["yourls", path.to_str().unwrap(), "--no-clicks"]);
    fs::write(&path, row(0)).unwrap();
    imported(&server, &["yourls", path.to_str().unwrap()]);
}

#[tokio::test]
async fn a_table_as_csv_comes_in_as_well() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("yourls.csv");
    let rows = "keyword,url,title,timestamp,ip,clicks\nozh,https://ozh.org/,\"ozh, org\",2024-01-01 00:00:00,192.0.2.1,3\n";
    fs::write(&path, rows).unwrap();
    let summary = imported(&server, &["csv", path.to_str().unwrap()]);
    assert_eq!((counts(&summary), &summary["left"]), ([1, 1, 0], &json!({})));
    assert_eq!(server.client.get("/api/v1/links/ozh").await.json()["title"], "ozh, org");
}

#[tokio::test]
async fn a_dump_that_is_none_is_refused() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.sql");
    for (content, reason) in [
        ("SELECT 1;\n", "no rows of the table yourls_url"),
        ("\nINSERT INTO `yourls_url` VALUES ('a');", "line 2: a row has another number"),
    ] {
        fs::write(&path, content).unwrap();
        let (code, _, told) = import(&server, &["yourls", path.to_str().unwrap()]);
        assert!(code == Some(1) && told.contains(reason), "{told}");
    }
}
