//! Requests sent to both registries.

use axum::http::Method;

/// A request to both registries.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Send the request without the token.
    pub(crate) anonymous: bool,
}

/// The target of a request.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Path(String),
    /// The location of the last upload, as each registry returned it, with this query.
    Upload(String),
}

/// A request for a path.
pub(crate) fn ask(method: Method, path: impl Into<String>) -> Ask {
    let target = Target::Path(path.into());
    Ask { method, target, headers: Vec::new(), body: Vec::new(), anonymous: false }
}

pub(crate) fn get(path: impl Into<String>) -> Ask {
    ask(Method::GET, path)
}

pub(crate) fn head(path: impl Into<String>) -> Ask {
    ask(Method::HEAD, path)
}

/// A request to the most recent upload.
pub(crate) fn upload(method: Method, query: impl Into<String>) -> Ask {
    Ask { target: Target::Upload(query.into()), ..ask(method, "") }
}

impl Ask {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(self, body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..self }
    }

    /// Removes the token.
    pub(crate) fn anonymous(self) -> Self {
        Self { anonymous: true, ..self }
    }

    /// The request as one line.
    pub(crate) fn title(&self) -> String {
        let mut title = match &self.target {
            Target::Path(path) => format!("{} {path}", self.method),
            Target::Upload(query) if query.is_empty() => format!("{} <upload>", self.method),
            Target::Upload(query) => format!("{} <upload>?{query}", self.method),
        };
        for (name, value) in &self.headers {
            title += &format!("; {name}: {value}");
        }
        if !self.body.is_empty() {
            title += &format!("; {} bytes", self.body.len());
        }
        if self.anonymous {
            title += "; without the token";
        }
        title
    }
}
