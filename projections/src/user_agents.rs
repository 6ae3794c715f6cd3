//! What kind of program visited: from the `User-Agent`, the method and the purpose.
//!
//! Device, browser and system come from woothee; crawlers from woothee and iscrawl. Agents
//! repeat, parsing costs microseconds: the outcome is remembered by the agent's text.

use std::sync::Arc;

use quick_cache::sync::Cache;

mod erased;

/// How many agents are remembered; about 300 bytes each.
const REMEMBERED_MAX: usize = 16_384;

/// Programs that fetch a link to show what is behind it, because a person posted it.
/// Compared in lower case.
const PREVIEWERS: &[&str] = &[
    "slackbot-linkexpanding",
    "slack-imgproxy",
    "facebookexternalhit",
    "facebookcatalog",
    "twitterbot",
    "whatsapp",
    "telegrambot",
    "discordbot",
    "linkedinbot",
    "skypeuripreview",
    "microsoftpreview",
    "googlemessages",
    "google-pagerenderer",
    "redditbot",
    "pinterestbot",
    "embedly",
    "iframely",
    "mastodon/",
    "bluesky cardyb",
    "snapchat url preview",
    "applebot-linkpreview",
    "vkshare",
    "tumblr/",
    "zoombot",
    "notionembedder",
];

/// Televisions, whose agents are otherwise those of Android tablets. Compared in lower case.
const TELEVISIONS: &[&str] = &["android tv", "smart-tv", "smarttv", "googletv", "bravia", "; aft"];

/// What a click is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A person, as far as one can tell.
    Human,
    /// A crawler, a script, a monitor.
    Bot,
    /// A chat or a network that shows what a link leads to.
    Preview,
    /// A browser that guesses where its user goes next.
    Prefetch,
    /// A `HEAD` request: somebody checks the link.
    Head,
}

impl Class {
    /// The name in tables and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Bot => "bot",
            Self::Preview => "preview",
            Self::Prefetch => "prefetch",
            Self::Head => "head",
        }
    }

    /// Whether this is anything but a person's visit.
    #[must_use]
    pub fn is_bot(self) -> bool {
        self != Self::Human
    }
}

/// What an agent's text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// desktop, mobile, tablet, bot or other.
    pub device: &'static str,
    /// The browser's or the crawler's name; `Unknown`.
    pub browser: Box<str>,
    /// The operating system's name without its version; `Unknown`.
    pub system: Box<str>,
    /// Human, bot or preview.
    class: Class,
}

impl Agent {
    /// What the click is, all things considered. A method or purpose says more than an agent.
    #[must_use]
    pub fn class(&self, method: Option<&str>, purpose: Option<&str>) -> Class {
        let prefetches = |purpose: &str| {
            let purpose = purpose.to_ascii_lowercase();
            purpose.contains("prefetch") || purpose.contains("prerender")
        };
        if method.is_some_and(|method| method.eq_ignore_ascii_case("HEAD")) {
            Class::Head
        } else if purpose.is_some_and(prefetches) {
            Class::Prefetch
        } else {
            self.class
        }
    }
}

/// Recognises agents and remembers them. Shared by all who classify clicks.
#[derive(Debug)]
pub struct UserAgents {
    remembered: Cache<Box<str>, Arc<Agent>>,
}

impl Default for UserAgents {
    fn default() -> Self {
        Self { remembered: Cache::new(REMEMBERED_MAX) }
    }
}

impl UserAgents {
    /// What an agent's text says; any text has an answer.
    #[must_use]
    pub fn recognise(&self, agent: &str) -> Arc<Agent> {
        if let Some(known) = self.remembered.get(agent) {
            return known;
        }
        let recognised = Arc::new(recognise(agent));
        self.remembered.insert(agent.into(), Arc::clone(&recognised));
        recognised
    }

    /// What stands in the place of an agent's text that is erased: a text that is recognised as
    /// the same, and says nothing else.
    #[must_use]
    pub fn erased(&self, agent: &str) -> String {
        erased::write(&self.recognise(agent))
    }
}

fn recognise(agent: &str) -> Agent {
    if let Some(said) = erased::read(agent) {
        return said;
    }
    let lower = agent.to_ascii_lowercase();
    // A maker of telephones, whose name looks like a crawler's.
    let without_maker =
        lower.contains("cubot").then(|| agent.replace("CUBOT", "Phone").replace("Cubot", "Phone"));
    let agent = without_maker.as_deref().unwrap_or(agent);
    let parsed = woothee::parser::Parser::new().parse(agent).unwrap_or_default();
    let class = classify(agent, &lower, parsed.category);
    let device = if class.is_bot() { "bot" } else { device(&lower, parsed.category) };
    Agent { device, browser: known(parsed.name), system: system(parsed.os), class }
}

fn classify(agent: &str, lower: &str, category: &str) -> Class {
    // Viber's own browser names it too, but later.
    let previews =
        lower.starts_with("viber") || PREVIEWERS.iter().any(|previewer| lower.contains(previewer));
    if previews {
        Class::Preview
    } else if category == "crawler"
        || lower.contains("headlesschrome")
        || iscrawl::is_crawler(agent)
    {
        Class::Bot
    } else {
        Class::Human
    }
}

/// Android tablets leave `Mobile` out of their agent; `Tablet PC` is a part of Windows that
/// desktops have as well.
fn device(lower: &str, category: &str) -> &'static str {
    if TELEVISIONS.iter().any(|television| lower.contains(television)) {
        return "other";
    }
    let android_tablet = lower.contains("android") && !lower.contains("mobile");
    let tablet = lower.contains("tablet") && !lower.contains("tablet pc");
    if lower.contains("ipad") || tablet || android_tablet {
        return "tablet";
    }
    match category {
        "pc" => "desktop",
        "smartphone" | "mobilephone" => "mobile",
        _ => "other",
    }
}

/// Whether a browser or a system can be called so.
fn is_name(name: &str, of: fn(&str) -> Box<str>) -> bool {
    let mut all = woothee::dataset::DATASET.values();
    name == "Unknown" || all.any(|entry| *of(entry.name) == *name)
}

/// Whether a browser can be called so, in upper or lower case.
#[must_use]
pub fn is_browser(name: &str) -> bool {
    is_one_of(name, |kind| kind != "os", known)
}

/// Whether a system can be called so, in upper or lower case.
#[must_use]
pub fn is_system(name: &str) -> bool {
    is_one_of(name, |kind| kind == "os", system)
}

fn is_one_of(name: &str, is_kind: fn(&str) -> bool, of: fn(&str) -> Box<str>) -> bool {
    let mut all = woothee::dataset::DATASET.values().filter(|entry| is_kind(entry.browser_type));
    name.eq_ignore_ascii_case("Unknown")
        || all.any(|entry| of(entry.name).eq_ignore_ascii_case(name))
}

fn known(name: &str) -> Box<str> {
    if name.is_empty() || name == "UNKNOWN" { "Unknown".into() } else { name.into() }
}

fn system(name: &str) -> Box<str> {
    match name {
        "Mac OSX" | "Mac OS Classic" => "macOS".into(),
        "iPhone" | "iPad" | "iPod" | "iOS" => "iOS".into(),
        name if name.starts_with("Windows Phone") => "Windows Phone".into(),
        name if name.starts_with("Windows") => "Windows".into(),
        name => known(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
                          (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
                          (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
    const TABLET: &str = "Mozilla/5.0 (Linux; Android 13; SM-X710) AppleWebKit/537.36 \
                          (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";

    #[test]
    fn what_only_looks_like_something_else_is_told_apart() {
        let agents = UserAgents::default();
        let told = |text: &str| {
            let agent = agents.recognise(text);
            (agent.class(None, None), agent.device)
        };
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0";
        for (agent, expected) in [
            (
                format!("Mozilla/5.0 (Linux; Android 10; CUBOT_X30) {webkit} Mobile Safari/537.36"),
                (Class::Human, "mobile"),
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 9; Cubot P30) {webkit} Mobile Safari/537.36"),
                (Class::Human, "mobile"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, \
                 like Gecko) Mobile/15E148 Viber/22.0"
                    .to_owned(),
                (Class::Human, "mobile"),
            ),
            ("Viber/13.3".to_owned(), (Class::Preview, "bot")),
            (
                format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} HeadlessChrome/130.0.0.0"),
                (Class::Bot, "bot"),
            ),
            (
                "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)".to_owned(),
                (Class::Human, "desktop"),
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 12; BRAVIA 4K VH2) {webkit} Safari/537.36"),
                (Class::Human, "other"),
            ),
        ] {
            assert_eq!(told(&agent), expected, "{agent}");
        }
    }

    #[test]
    fn devices_browsers_and_systems_are_named() {
        let agents = UserAgents::default();
        let named = |text: &str| {
            let agent = agents.recognise(text);
            (agent.device, agent.browser.to_string(), agent.system.to_string())
        };
        assert_eq!(named(CHROME), ("desktop", "Chrome".into(), "Windows".into()));
        assert_eq!(named(IPHONE), ("mobile", "Safari".into(), "iOS".into()));
        assert_eq!(named(TABLET), ("tablet", "Chrome".into(), "Android".into()));
        assert_eq!(named(CHROME), ("desktop", "Chrome".into(), "Windows".into()), "remembered");
    }

    #[test]
    fn names_are_those_that_agents_are_recognised_by() {
        for system in ["Windows", "macos", "iOS", "Android", "Linux", "Unknown"] {
            assert!(is_system(system), "{system}");
        }
        for browser in ["Chrome", "safari", "Firefox", "Edge", "Unknown"] {
            assert!(is_browser(browser), "{browser}");
        }
        for none in ["Windows 10", "iPhone", "", "Chrome 130"] {
            assert!(!is_system(none) && !is_browser(none), "{none}");
        }
        assert!(!is_system("Chrome") && !is_browser("Windows"));
    }

    /// Trap 17 (U25): HEAD requests, prefetches, previews and bots are not people.
    #[test]
    fn trap_17_only_people_are_people() {
        let agents = UserAgents::default();
        let class = |text, method, purpose| agents.recognise(text).class(method, purpose);
        assert_eq!(class(CHROME, None, None), Class::Human);
        assert_eq!(class(CHROME, Some("HEAD"), None), Class::Head);
        assert_eq!(class(CHROME, None, Some("prefetch;prerender")), Class::Prefetch);
        assert_eq!(
            class("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", None, None),
            Class::Preview
        );
        assert_eq!(class("WhatsApp/2.23.20.0", None, None), Class::Preview);
        assert_eq!(
            class(
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                None,
                None
            ),
            Class::Bot
        );
        assert_eq!(class("curl/8.5.0", None, None), Class::Bot);
        assert_eq!(class("", None, None), Class::Bot, "a browser says what it is");
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "\\PC{0,300}", parts in proptest::collection::vec(
            prop_oneof!["Mozilla/", "Opera ", "MSIE", "Version/", "DoCoMo", "Android", "[;/( )]", "Windows NT "], 0..12)) {
            let agents = UserAgents::default();
            let _ = agents.recognise(&text);
            let _ = agents.recognise(&parts.concat());
        }
    }
}
