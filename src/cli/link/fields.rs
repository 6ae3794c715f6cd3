//! What both a new and an old link can be given.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::error::{CliError, input};

/// What is read of a file with a password, in bytes: more than any has.
const LINE_BYTES_MAX: u64 = 4 * 1024;

/// What both a new and an old link can be given.
#[derive(Debug, Args)]
pub(super) struct Fields {
    /// How long it lives, such as 90m, 12h, 7d, 2w
    #[arg(long, conflicts_with = "expires_at", value_name = "DURATION")]
    expires_in: Option<String>,
    /// The instant from which it is not served, such as 2030-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// The status of the redirect: 301, 302, 307 or 308
    #[arg(long, value_name = "STATUS")]
    redirect: Option<u16>,
    /// A name for people
    #[arg(long)]
    title: Option<String>,
    /// A label to find it by; give it several times for several (an edit replaces all)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Free text
    #[arg(long)]
    note: Option<String>,
    /// Its name in your own system
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// The instant before which it is answered as if there were no such link
    #[arg(long, value_name = "TIME")]
    valid_from: Option<String>,
    /// Where it leads once it has expired
    #[arg(long, value_name = "URL")]
    expired_url: Option<String>,
    /// What becomes of the query of visitors: append it to the destination's, or override
    #[arg(long, value_name = "HOW")]
    forward_query: Option<String>,
    /// How many clicks of people it is good for: 1 for a link that works once
    #[arg(long, value_name = "COUNT")]
    max_clicks: Option<u32>,
    /// A rule as JSON, such as `{"when":{"visitor":"bot"},"url":"https://example.com/bots"}`: where it leads some visitors instead. Give
    /// it several times for several: the first that holds decides (an edit replaces all)
    #[arg(long = "rule", value_name = "JSON", conflicts_with = "rules_file")]
    rules: Vec<String>,
    /// A file with a list of rules as JSON; - reads standard input
    #[arg(long, value_name = "FILE")]
    rules_file: Option<PathBuf>,
    /// A variant as JSON, such as `{"name":"b","weight":50,"url":"https://example.com/b"}`: where it leads a part of its visitors, the same
    /// ones each time. Give it two to 16 times (an edit replaces all); without a url it leads where the link does
    #[arg(long = "variant", value_name = "JSON", conflicts_with = "split_file")]
    split: Vec<String>,
    /// A file with a list of variants as JSON; - reads standard input
    #[arg(long, value_name = "FILE")]
    split_file: Option<PathBuf>,
    #[command(flatten)]
    preview: Preview,
    /// Whether paths behind the code go behind the destination: true or false
    #[arg(long, value_name = "BOOL")]
    forward_path: Option<bool>,
    /// The file with the password that visitors have to know, in its first line; - reads standard input. Never an argument: those are
    /// seen by others
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    utm: Utm,
}

/// What chats and networks show of it.
#[derive(Debug, Args)]
struct Preview {
    /// The title that chats and networks show of it, in the place of the destination's
    #[arg(id = "preview_title", long = "preview-title", value_name = "TEXT")]
    title: Option<String>,
    /// What they show below
    #[arg(id = "preview_description", long = "preview-description", value_name = "TEXT")]
    description: Option<String>,
    /// Where the picture is that they show
    #[arg(id = "preview_image", long = "preview-image", value_name = "URL")]
    image: Option<String>,
}

/// The campaign fields of the destination.
#[derive(Debug, Args)]
struct Utm {
    /// Where visitors come from (a parameter of the destination)
    #[arg(long = "utm-source", value_name = "TEXT")]
    source: Option<String>,
    /// How they come, such as email
    #[arg(long = "utm-medium", value_name = "TEXT")]
    medium: Option<String>,
    /// What for
    #[arg(long = "utm-campaign", value_name = "TEXT")]
    campaign: Option<String>,
    /// The word that was paid for
    #[arg(long = "utm-term", value_name = "TEXT")]
    term: Option<String>,
    /// Which of several links it was
    #[arg(long = "utm-content", value_name = "TEXT")]
    content: Option<String>,
}

impl Utm {
    /// The fields that were given; `None`: none of them.
    fn body(self) -> Option<Value> {
        object([
            ("source", self.source),
            ("medium", self.medium),
            ("campaign", self.campaign),
            ("term", self.term),
            ("content", self.content),
        ])
    }
}

impl Preview {
    /// The fields that were given; `None`: none of them.
    fn body(self) -> Option<Value> {
        let (title, description) = (self.title, self.description);
        object([("title", title), ("description", description), ("image", self.image)])
    }
}

fn object<const N: usize>(given: [(&str, Option<String>); N]) -> Option<Value> {
    let given = given.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    let given: Map<String, Value> = given.collect();
    (!given.is_empty()).then(|| given.into())
}

impl Fields {
    /// The fields that were given.
    pub(super) fn body(self) -> Result<Map<String, Value>, CliError> {
        let password = self.password_file.map(|file| password(&file)).transpose()?;
        let rules = objects("--rule", &self.rules, self.rules_file.as_deref())?;
        let split = objects("--variant", &self.split, self.split_file.as_deref())?;
        let given = [
            ("expiresIn", self.expires_in.map(Value::from)),
            ("expiresAt", self.expires_at.map(Value::from)),
            ("redirect", self.redirect.map(Value::from)),
            ("title", self.title.map(Value::from)),
            ("tags", Some(self.tags).filter(|tags| !tags.is_empty()).map(Value::from)),
            ("note", self.note.map(Value::from)),
            ("externalId", self.external_id.map(Value::from)),
            ("validFrom", self.valid_from.map(Value::from)),
            ("expiredUrl", self.expired_url.map(Value::from)),
            ("forwardQuery", self.forward_query.map(Value::from)),
            ("forwardPath", self.forward_path.map(Value::from)),
            ("maxClicks", self.max_clicks.map(Value::from)),
            ("rules", rules),
            ("split", split),
            ("preview", self.preview.body()),
            ("password", password.map(Value::from)),
            ("utm", self.utm.body()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(given.collect())
    }
}

/// The objects that were given, in their order, or the list in a file; `None`: there are none. Whether they are right is for the
/// server to say.
fn objects(flag: &str, given: &[String], file: Option<&Path>) -> Result<Option<Value>, CliError> {
    if let Some(file) = file {
        let list = serde_json::from_reader(open(file)?);
        return list.map(Some).map_err(|error| input(file, &error));
    }
    let object = |text: &String| {
        serde_json::from_str(text)
            .map_err(|error| CliError::Usage(format!("{flag} is no JSON: {error}: {text}")))
    };
    let objects: Vec<Value> = given.iter().map(object).collect::<Result<_, _>>()?;
    Ok((!objects.is_empty()).then(|| objects.into()))
}

fn open(file: &Path) -> Result<Box<dyn Read>, CliError> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(BufReader::new(File::open(file).map_err(|error| input(file, &error))?)))
}

/// The first line of a file, or of standard input. Whether it can be a password is for the server to say.
fn password(file: &Path) -> Result<String, CliError> {
    let mut line = String::new();
    let mut lines = BufReader::new(open(file)?.take(LINE_BYTES_MAX));
    lines.read_line(&mut line).map_err(|error| input(file, &error))?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
