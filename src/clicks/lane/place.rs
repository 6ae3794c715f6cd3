//! Where a lane is on its stream, and how it learns that.

use hoplog_events::log::AppendError;
use hoplog_events::position::{StreamId, Version};
use tokio::time::timeout;

use super::{Lane, Patience};

/// Where the lane is on its stream.
#[derive(Debug)]
pub(super) struct State {
    pub(super) stream: StreamId,
    /// The version before the next new batch, the spooled ones counted; `None`: ask the log.
    pub(super) next: Option<Version>,
    /// By how much the stream is ahead of the versions in the spool; 0 unless somebody else
    /// writes to it or events were taken off it.
    pub(super) shift: i64,
    /// Whether the stream is to be left as soon as nothing of it waits.
    pub(super) leave: bool,
    /// Whether something was sent of which nobody knows whether it is on the stream.
    pub(super) uncertain: bool,
}

impl State {
    pub(super) fn new(stream: StreamId, next: Option<Version>) -> Self {
        Self { stream, next, shift: 0, leave: false, uncertain: false }
    }

    /// Compares where the stream ends with where it should.
    pub(super) fn note_end(&mut self, expected: Version, end: Version) {
        if end != expected && !self.uncertain {
            tracing::error!(
                stream = %self.stream, %expected, %end,
                "another node writes under this node's id, or events are missing on the log; \
                 no click is lost or doubled by it, and a new id is taken"
            );
            self.leave = true;
        }
    }
}

impl Lane {
    /// Where the next batch goes. The stream is the flusher's own until it asks again.
    pub(super) async fn place(
        &self,
        patience: &mut Patience,
    ) -> Result<(StreamId, Version), AppendError> {
        loop {
            let Err(error) = self.try_to_place(patience).await else {
                let state = self.state.lock().await;
                return Ok((state.stream.clone(), state.next.unwrap_or(Version::NONE)));
            };
            patience.wait(error).await?;
        }
    }

    async fn try_to_place(&self, patience: &Patience) -> Result<(), AppendError> {
        let mut state = self.state.lock().await;
        if !self.is_spooling() {
            self.change_stream(&mut state);
        }
        if state.next.is_some() {
            return Ok(());
        }
        let last = timeout(self.attempt_timeout(patience), self.outlet.log.last(&state.stream));
        let error = match last.await {
            Ok(Ok(last)) => {
                state.next = Some(last.map_or(Version::NONE, |event| event.version));
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if self.may_spool(patience) {
            // Where the stream ends is not known and can't be asked: another one begins.
            self.begin_anew(&mut state);
            if state.next.is_some() {
                return Ok(());
            }
        }
        Err(AppendError::Unavailable(error))
    }

    /// A batch was sent and is given up: whether the stream has it is to be found out.
    pub(super) async fn give_up(&self) {
        let mut state = self.state.lock().await;
        if !self.is_spooling() {
            (state.next, state.uncertain) = (None, true);
        }
    }

    /// Leaves a stream that is not this node's own, or no longer.
    fn change_stream(&self, state: &mut State) {
        if state.leave {
            return self.begin_anew(state);
        }
        let (own, next) = self.outlet.node.stream(self.number);
        if state.stream != own {
            (state.stream, state.next) = (own, next);
        }
    }

    fn begin_anew(&self, state: &mut State) {
        let (stream, next) = self.outlet.node.renew(self.number, &state.stream);
        tracing::warn!(old = %state.stream, new = %stream, "clicks go to another stream");
        *state = State::new(stream, next);
    }
}
