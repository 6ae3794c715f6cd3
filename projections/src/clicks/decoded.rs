//! The clicks of some events, read once for all who fold them: decoding is most of what a click
//! costs before it is a row, and every read model of clicks needs the same of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::click::VisitorHash;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::erasure::is_erasure;
use uuid::Uuid;

use super::batch::{ClickPlace, each_click};
use super::recorded::RecordedClick;
use super::referrer::{cut, host};
use crate::database::{TextId, Texts};
use crate::dimension::Dimension;
use crate::partition::Share;
use crate::user_agents::{Agent, Class, UserAgents};

/// As short as most clicks are not, in a log: room for that many is made at once. A list that grows is copied time and again, and
/// memory that is new each time has to be zeroed by the system: 3 % of a rebuild's processor time.
const CLICK_BYTES: usize = 256;

/// One click, with what was derived from it. Its texts are those of [`Decoded`].
#[derive(Debug, Clone)]
pub(crate) struct DecodedClick {
    pub(crate) place: ClickPlace,
    /// The id of the event that holds it.
    pub(crate) event: TextId,
    /// `domain/code`.
    pub(crate) link: TextId,
    pub(crate) at: DateTime<Utc>,
    pub(crate) visitor: VisitorHash,
    pub(crate) class: Class,
    /// The value in each dimension, by the dimension's number.
    pub(crate) values: [TextId; Dimension::ALL.len()],
    pub(crate) user_agent: Option<TextId>,
    pub(crate) address: Option<TextId>,
    pub(crate) import_id: Option<TextId>,
}

impl DecodedClick {
    /// The dimensions in which the click is counted, with its values.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (Dimension, TextId)> {
        let all = Dimension::ALL.into_iter().zip(self.values);
        all.filter(|(dimension, value)| dimension.counts(*value == TextId::EMPTY))
    }
}

/// Clicks in the order of the log.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) texts: Arc<Texts>,
    pub(crate) clicks: Vec<DecodedClick>,
}

impl Decoded {
    /// Reads the clicks of a share of the links.
    pub(crate) fn of(
        events: &[RecordedEvent],
        share: Share,
        agents: &UserAgents,
    ) -> Result<Self, DecodeError> {
        let bytes: usize = events.iter().map(|event| event.body.len()).sum();
        let mut reader = Reader::new(agents, bytes / CLICK_BYTES);
        for event in events.iter().filter(|event| !is_erasure(&event.event_type)) {
            each_click(event, share, |place, link, click| reader.read(place, link, click))?;
        }
        Ok(Self { texts: Arc::new(reader.texts), clicks: reader.clicks })
    }
}

/// What an agent's text gives.
struct KnownAgent {
    agent: Arc<Agent>,
    text: TextId,
    device: TextId,
    browser: TextId,
    system: TextId,
}

/// What a referrer gives: its host, and its text as it is counted.
#[derive(Clone, Copy)]
struct KnownReferrer {
    host: TextId,
    url: TextId,
}

struct Reader<'a> {
    agents: &'a UserAgents,
    texts: Texts,
    known_agents: HashMap<String, KnownAgent>,
    known_referrers: HashMap<String, KnownReferrer>,
    /// The event that the last click was of.
    event: Option<(Uuid, TextId)>,
    clicks: Vec<DecodedClick>,
}

impl<'a> Reader<'a> {
    fn new(agents: &'a UserAgents, clicks: usize) -> Self {
        let texts = Texts::default();
        let (known_agents, known_referrers) = (HashMap::new(), HashMap::new());
        let (event, clicks) = (None, Vec::with_capacity(clicks));
        Self { agents, texts, known_agents, known_referrers, event, clicks }
    }

    fn read(&mut self, place: ClickPlace, link: &str, click: &RecordedClick<'_>) {
        let mut values = [TextId::EMPTY; Dimension::ALL.len()];
        for (dimension, value) in click.own_values() {
            values[dimension as usize] = self.texts.id(cut(value));
        }
        let KnownReferrer { host, url } = self.referrer(click.referrer());
        values[Dimension::Referrer as usize] = host;
        values[Dimension::ReferrerUrl as usize] = url;
        let link = self.texts.id(link);
        let [address, import_id] =
            [click.address(), click.import_id()].map(|text| text.map(|text| self.texts.id(text)));
        let known = self.agent(click.user_agent().unwrap_or_default());
        let class = known.agent.class(click.method(), click.purpose());
        let user_agent = click.user_agent().map(|_| known.text);
        values[Dimension::Device as usize] = known.device;
        values[Dimension::Browser as usize] = known.browser;
        values[Dimension::System as usize] = known.system;
        values[Dimension::Class as usize] = self.texts.id(class.name());
        let (at, visitor, event) = (click.at, click.visitor, self.event(place.event_id));
        let click = DecodedClick {
            place,
            event,
            link,
            at,
            visitor,
            class,
            values,
            user_agent,
            address,
            import_id,
        };
        self.clicks.push(click);
    }

    fn event(&mut self, id: Uuid) -> TextId {
        match self.event {
            Some((last, text)) if last == id => text,
            _ => {
                let text = self.texts.id(id.hyphenated().encode_lower(&mut [0; 36]));
                self.event = Some((id, text));
                text
            }
        }
    }

    /// Agents repeat: each is looked up with the others of the process once for each batch.
    fn agent(&mut self, agent: &str) -> &KnownAgent {
        let Self { agents, texts, known_agents, .. } = self;
        known_agents.entry_ref(agent).or_insert_with(|| {
            let known = agents.recognise(agent);
            KnownAgent {
                text: texts.id(agent),
                device: texts.id(known.device),
                browser: texts.id(&known.browser),
                system: texts.id(&known.system),
                agent: known,
            }
        })
    }

    fn referrer(&mut self, referrer: &str) -> KnownReferrer {
        let Self { texts, known_referrers, .. } = self;
        *known_referrers.entry_ref(referrer).or_insert_with(|| KnownReferrer {
            host: texts.id(&host(referrer)),
            url: texts.id(cut(referrer)),
        })
    }
}
