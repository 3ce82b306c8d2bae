//! Interim responses (1xx) on their way from an upstream to the client.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use http::{HeaderMap, Response, StatusCode, header::CONTENT_LENGTH};

use super::headers;

/// More than this many that the client has not taken yet are dropped: hints are optional.
const MOST: usize = 8;

/// A queue that the upstream side fills and the client's side empties.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints(Rc<RefCell<VecDeque<Response<()>>>>);

impl Hints {
    /// Passes on what is meant for the client: not 100, which concerns this hop alone, nor 101,
    /// which is final (RFC 9110 section 15.2).
    pub(crate) fn push(&self, status: StatusCode, fields: &HeaderMap) {
        if !status.is_informational() || status.as_u16() <= 101 {
            return;
        }
        let mut queue = self.0.borrow_mut();
        if queue.len() < MOST {
            let mut response = Response::new(());
            *response.status_mut() = status;
            *response.headers_mut() = fields.clone();
            headers::strip_hop_by_hop(response.headers_mut());
            // There is no content (RFC 9110 section 8.6), and who believes there is reads the next
            // response from the wrong place.
            response.headers_mut().remove(CONTENT_LENGTH);
            queue.push_back(response);
        }
    }

    /// Tells the client to send the body that it holds back.
    pub(crate) fn invite(&self) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        self.0.borrow_mut().push_back(response);
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Whether somebody else has it, too.
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    /// Forgets those that wait.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// The oldest that waits.
    pub(crate) fn pop(&self) -> Option<Response<()>> {
        self.0.borrow_mut().pop_front()
    }
}
