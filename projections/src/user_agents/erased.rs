//! What stands in the place of an agent's text that was erased: what it was recognised as, in a
//! form of our own, which is taken by its word.
//!
//! `hoplog-erased/1 (human; desktop; Chrome; Windows)`
//!
//! The raw text of an agent is nearly a name: it tells builds, telephones and languages. What is
//! counted of it is four words, and those have to stay what they were, also when the numbers are
//! computed again. A visitor can send such a text as well. That tells what it tells in any agent's
//! text: what the visitor claims to be. Words that no agent's text is recognised as are not taken,
//! so nobody can write names of their own into statistics.

use super::{Agent, Class, is_name, known, system};

const BEGINNING: &str = "hoplog-erased/1 (";

/// What devices are called.
const DEVICES: [&str; 5] = ["desktop", "mobile", "tablet", "bot", "other"];

/// What an agent's own text can say of the class.
const CLASSES: [Class; 3] = [Class::Human, Class::Bot, Class::Preview];

pub(super) fn write(agent: &Agent) -> String {
    let Agent { device, browser, system, class } = agent;
    format!("{BEGINNING}{}; {device}; {browser}; {system})", class.name())
}

/// `None`: this was not written here.
pub(super) fn read(text: &str) -> Option<Agent> {
    let words = text.strip_prefix(BEGINNING)?.strip_suffix(')')?;
    let mut words = words.split("; ");
    let mut next = || words.next();
    let (class, device, browser, named_system) = (next()?, next()?, next()?, next()?);
    let class = CLASSES.into_iter().find(|known| known.name() == class)?;
    let device = DEVICES.into_iter().find(|known| *known == device)?;
    let is_consistent = class.is_bot() == (device == "bot");
    let are_names = is_name(browser, known) && is_name(named_system, system);
    let is_all = next().is_none();
    (is_consistent && are_names && is_all).then(|| Agent {
        device,
        browser: browser.into(),
        system: named_system.into(),
        class,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{UserAgents, recognise};
    use super::*;
    use proptest::prelude::*;

    /// The agents of a real access log: the last text in quotes of each line.
    fn real_agents() -> Vec<&'static str> {
        let lines = include_str!("../../../tests/data/access.log").lines();
        lines.filter_map(|line| line.rsplit('"').nth(1)).collect()
    }

    const ODD: &[&str] = &[
        "",
        "-",
        "curl/8.5.0",
        "WhatsApp/2.23.20.0",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (Linux; Android 12; BRAVIA 4K VH2) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 10; CUBOT_X30) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows Phone 10.0; Android 4.2.1) AppleWebKit/537.36 Edge/13.10586",
        "Mozilla/5.0 (Macintosh; PPC Mac OS X 10_4) Opera 9",
        "Mozilla/5.0 (PlayStation 4 3.11) AppleWebKit/537.73",
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36",
        "DoCoMo/2.0 N905i(c100;TB;W24H16)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/130.0.0.0",
    ];

    fn check(agent: &str) -> Result<(), TestCaseError> {
        let recognised = recognise(agent);
        let text = write(&recognised);
        prop_assert_eq!(read(&text), Some(recognised.clone()), "{}", agent);
        prop_assert_eq!(&recognise(&text), &recognised, "{}", agent);
        prop_assert_eq!(UserAgents::default().erased(&text), text, "{}", agent);
        Ok(())
    }

    #[test]
    fn an_erased_agent_is_recognised_as_the_raw_one_was() {
        let real = real_agents();
        assert!(real.len() > 400, "{}", real.len());
        for agent in real.into_iter().chain(ODD.iter().copied()) {
            check(agent).unwrap();
        }
        assert_eq!(
            UserAgents::default().erased(ODD[2]),
            "hoplog-erased/1 (bot; bot; HTTP Library; Unknown)"
        );
    }

    proptest! {
        #[test]
        fn so_is_any_text(text in "\\PC{0,200}", parts in proptest::collection::vec(prop_oneof![
            "Mozilla/", "Opera ", "MSIE [0-9]", "Version/", "DoCoMo", "Android", "[;/( )]", "Windows NT ",
            "Windows Phone OS 7", "iPhone", "Nintendo", "bot", "Chrome/1", "Safari", "Linux", "hoplog-erased/1 [(]",
        ], 0..12)) {
            check(&text)?;
            check(&parts.concat())?;
        }
    }

    /// A visitor can claim to be what others are, and nothing that is called as they please.
    #[test]
    fn only_what_is_written_here_is_taken_by_its_word() {
        let says = |text: &str| read(text).is_some();
        assert!(says("hoplog-erased/1 (human; desktop; Chrome; Windows)"));
        for text in [
            "hoplog-erased/1 (human; desktop; My shop; Windows)",
            "hoplog-erased/1 (human; desktop; Chrome; My system)",
            "hoplog-erased/1 (human; fridge; Chrome; Windows)",
            "hoplog-erased/1 (head; bot; Chrome; Windows)",
            "hoplog-erased/1 (human; bot; Chrome; Windows)",
            "hoplog-erased/1 (bot; desktop; Chrome; Windows)",
            "hoplog-erased/1 (human; desktop; Chrome; Windows; more)",
            "hoplog-erased/1 (human; desktop; Chrome)",
            "hoplog-erased/1 (human; desktop; Chrome; Windows",
            " hoplog-erased/1 (human; desktop; Chrome; Windows)",
            "hoplog-erased/2 (human; desktop; Chrome; Windows)",
        ] {
            assert!(!says(text), "{text}");
        }
    }
}
