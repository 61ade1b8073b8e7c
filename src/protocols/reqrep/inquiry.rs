//! One request and what becomes of it: sent, sent again, answered (protocols 4).

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::message::{Header, Message};
use crate::protocols::backtrace::header_of;
use crate::protocols::routing::LoadBalancer;
use crate::protocols::{Loss, Nothing, PipeId, Pipes, Refusal, flag, milliseconds, option};

#[derive(Debug)]
pub struct Inquiry {
    /// Of the last request.
    pub id: u32,
    exchange: Exchange,
    pub settings: Settings,
    /// How often in a row who was asked broke the rules, instead of a reply.
    futile: u32,
}

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Milliseconds; the timer does not run when it is not positive.
    resend_interval: i32,
    on_loss: OnLoss,
}

/// How a peer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    Plain,
    Violation,
}

/// What becomes of a request when who was asked has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnLoss {
    Fail = 0,
    Resend = 1,
}

#[derive(Debug, Default)]
enum Exchange {
    #[default]
    Idle,
    /// Nobody could take the request yet, or again.
    Unsent {
        request: Message,
        /// When there may be memory for it, if that was why.
        retry_at: Option<Instant>,
    },
    Asked {
        request: Message,
        of: PipeId,
        resend_at: Option<Instant>,
    },
    /// Who was asked broke the rules, and not for the first time: a reply that is too large will
    /// not be smaller the next time.
    Resting {
        request: Message,
        until: Instant,
    },
    Answered {
        reply: Message,
    },
    /// Who was asked has gone, and nobody else is to be asked. Said once.
    Lost,
}

impl Inquiry {
    pub fn new(id: u32, settings: Settings) -> Inquiry {
        Inquiry { id, exchange: Exchange::Idle, settings, futile: 0 }
    }

    /// Begins with another request. Whatever was asked before is given up.
    pub fn begin(
        &mut self,
        id: u32,
        message: &mut Message,
        services: &mut LoadBalancer,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        if !message.header.is_empty() {
            return Err(Refusal::Header);
        }
        self.id = id;
        message.header = header_of(id);
        self.futile = 0;
        self.ask(std::mem::take(message), services, pipes);
        Ok(())
    }

    /// Sends the request to the next service that can take it, or keeps it until one can.
    fn ask(&mut self, mut request: Message, services: &mut LoadBalancer, pipes: &mut dyn Pipes) {
        let sent = match request.share() {
            Ok(mut copy) => services.send(&mut copy, pipes),
            Err(_) => Err(Refusal::Busy),
        };
        self.exchange = match sent {
            Ok(of) => {
                let resend_at = self.interval().map(|interval| pipes.now() + interval);
                Exchange::Asked { request, of, resend_at }
            }
            // Nobody will say that he can take it who could all the time.
            Err(_) => {
                let retry = services.is_writable().then_some(RETRY_INTERVAL);
                Exchange::Unsent { request, retry_at: retry.map(|delay| pipes.now() + delay) }
            }
        };
    }

    /// A service can take a request.
    pub fn service_came(&mut self, services: &mut LoadBalancer, pipes: &mut dyn Pipes) {
        match std::mem::take(&mut self.exchange) {
            Exchange::Unsent { request, .. } => self.ask(request, services, pipes),
            other => self.exchange = other,
        }
    }

    /// A service has gone. If it was asked, another one is: at once, unless that has been of no use
    /// before.
    pub fn service_left(
        &mut self,
        pipe: PipeId,
        how: Parting,
        services: &mut LoadBalancer,
        pipes: &mut dyn Pipes,
    ) {
        let request = match std::mem::take(&mut self.exchange) {
            Exchange::Asked { request, of, .. } if of == pipe => request,
            other => return self.exchange = other,
        };
        if self.settings.on_loss == OnLoss::Fail {
            return self.exchange = Exchange::Lost;
        }
        match how {
            Parting::Plain => self.futile = 0,
            Parting::Violation => self.futile = self.futile.saturating_add(1),
        }
        let Some(doublings) = self.futile.checked_sub(2) else {
            return self.ask(request, services, pipes);
        };
        let rest = RETRY_INTERVAL.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        let rest = rest.min(self.interval().unwrap_or(REST_MAX));
        self.exchange = Exchange::Resting { request, until: pipes.now() + rest };
    }

    fn interval(&self) -> Option<Duration> {
        let ms = u64::try_from(self.settings.resend_interval).ok().filter(|ms| *ms > 0)?;
        Some(Duration::from_millis(ms))
    }

    /// Whether a request has no reply yet.
    pub fn is_open(&self) -> bool {
        match self.exchange {
            Exchange::Unsent { .. } | Exchange::Asked { .. } | Exchange::Resting { .. } => true,
            Exchange::Idle | Exchange::Answered { .. } | Exchange::Lost => false,
        }
    }

    /// The request has a reply. The first one counts.
    ///
    /// # Errors
    /// When this is not the first one.
    pub fn take_reply(&mut self, reply: Message) -> Result<(), Loss> {
        if !self.is_open() {
            return Err(Loss::Stale);
        }
        self.exchange = Exchange::Answered { reply };
        Ok(())
    }

    pub fn recv(&mut self, message: &mut Message) -> Result<(), Nothing> {
        match std::mem::take(&mut self.exchange) {
            Exchange::Answered { reply } => {
                *message = reply;
                message.header = Header::default();
                Ok(())
            }
            Exchange::Idle => Err(Nothing::WrongState),
            Exchange::Lost => Err(Nothing::Lost),
            other => {
                self.exchange = other;
                Err(Nothing::Yet)
            }
        }
    }

    /// Whether receiving has something to say: that a request is lost is told so, and who polls is
    /// to learn of it.
    pub fn has_news(&self) -> bool {
        matches!(self.exchange, Exchange::Answered { .. } | Exchange::Lost)
    }

    #[cfg(test)]
    pub fn is_resting(&self) -> bool {
        matches!(self.exchange, Exchange::Resting { .. })
    }

    pub fn is_unsent(&self) -> bool {
        matches!(self.exchange, Exchange::Unsent { .. })
    }

    pub fn is_asked_of(&self, pipe: PipeId) -> bool {
        matches!(self.exchange, Exchange::Asked { of, .. } if of == pipe)
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        match self.exchange {
            Exchange::Asked { resend_at: at, .. } | Exchange::Unsent { retry_at: at, .. } => at,
            Exchange::Resting { until, .. } => Some(until),
            Exchange::Idle | Exchange::Answered { .. } | Exchange::Lost => None,
        }
    }

    /// Asks again if it is time to.
    pub fn timeout(&mut self, services: &mut LoadBalancer, pipes: &mut dyn Pipes) {
        let now = pipes.now();
        match std::mem::take(&mut self.exchange) {
            Exchange::Asked { request, resend_at: Some(at), .. }
            | Exchange::Unsent { request, retry_at: Some(at) }
            | Exchange::Resting { request, until: at }
                if at <= now =>
            {
                self.ask(request, services, pipes);
            }
            other => self.exchange = other,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { resend_interval: RESEND_INTERVAL, on_loss: OnLoss::Resend }
    }
}

impl Settings {
    pub fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        match number {
            option::REQ_RESEND_INTERVAL => self.resend_interval = milliseconds(value)?,
            option::REQ_RESEND_ON_LOSS => {
                self.on_loss = if flag(value)? { OnLoss::Resend } else { OnLoss::Fail };
            }
            _ => return Err(Error::UnknownOption),
        }
        Ok(())
    }

    pub fn option(&self, number: i32) -> Result<i32, Error> {
        match number {
            option::REQ_RESEND_INTERVAL => Ok(self.resend_interval),
            option::REQ_RESEND_ON_LOSS => Ok(self.on_loss as i32),
            _ => Err(Error::UnknownOption),
        }
    }
}

const RESEND_INTERVAL: i32 = 60_000;
/// Before a request that found no memory is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a request is not sent again at most, without an interval.
const REST_MAX: Duration = Duration::from_secs(60);
