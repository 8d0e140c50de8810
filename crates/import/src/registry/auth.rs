//! Authorization: none, by password, or by a token from the registry's token server.
//!
//! Promises that credentials go only to the registry and to the token server that it names, over
//! TLS unless plain HTTP was requested, and to no host that these redirect to; and that a token
//! goes only to the registry.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use perennial_oci::Reference;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Url};
use serde::Deserialize;

use super::answer::{accepted, read};
use super::credentials::{Credential, Credentials};
use crate::ImportError;
use crate::client::Client;

/// Longest response of a token server, in bytes.
const MAX_TOKEN: u64 = 1 << 20;

/// The authorization for one repository.
pub(super) struct Auth {
    registry: String,
    repository: String,
    plain_http: bool,
    credentials: Credentials,
    shown: Mutex<Option<Shown>>,
}

/// The authorization that the registry asked for.
#[derive(Clone)]
enum Shown {
    Token(String),
    Password(String, String),
}

/// The response of a token server.
#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
}

impl Auth {
    pub(super) fn new(reference: &Reference, plain_http: bool, file: Option<PathBuf>) -> Self {
        Self {
            registry: reference.repository().registry().to_owned(),
            repository: reference.repository().path().to_owned(),
            plain_http,
            credentials: Credentials::new(reference, file),
            shown: Mutex::new(None),
        }
    }

    /// Adds the authorization that the registry asked for, if any.
    pub(super) fn show(&self, request: RequestBuilder) -> RequestBuilder {
        match self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(Shown::Token(token)) => request.bearer_auth(token),
            Some(Shown::Password(user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    fn keep(&self, shown: Shown) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    /// Obtains the authorization that a registry asks for with a 401.
    pub(super) async fn answer(
        &self,
        client: &Client,
        asked: &HeaderMap,
    ) -> Result<(), ImportError> {
        let refuse = |reason: String| ImportError::Upstream { what: self.registry.clone(), reason };
        let mut basic = false;
        for value in asked.get_all(WWW_AUTHENTICATE) {
            let Some(challenges) =
                value.to_str().ok().and_then(|text| http_auth::parse_challenges(text).ok())
            else {
                continue;
            };
            for challenge in challenges {
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    let param = |name: &str| {
                        let mut params = challenge.params.iter();
                        params
                            .find(|(key, _)| key.eq_ignore_ascii_case(name))
                            .map(|(_, v)| v.to_unescaped())
                    };
                    let Some(realm) = param("realm") else { continue };
                    let token =
                        self.token(client, &realm, param("service"), param("scope")).await?;
                    self.keep(Shown::Token(token));
                    return Ok(());
                }
                basic |= challenge.scheme.eq_ignore_ascii_case("basic");
            }
        }
        if !basic {
            return Err(refuse(
                "it asks for authorization in a way that is not known (Basic and Bearer are)"
                    .into(),
            ));
        }
        match self.credentials.get().await {
            Some(Credential::Password(user, password)) => {
                self.keep(Shown::Password(user, password));
                Ok(())
            }
            Some(Credential::Token(_)) => {
                Err(refuse("it asks for a password, but the credentials are a token".into()))
            }
            None => Err(refuse(self.credentials.missing())),
        }
    }

    async fn token(
        &self,
        client: &Client,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
    ) -> Result<String, ImportError> {
        let refuse = |reason: String| ImportError::Upstream { what: self.registry.clone(), reason };
        let mut url = Url::parse(realm)
            .map_err(|e| refuse(format!("its token server {realm:?} is not an address: {e}")))?;
        if url.scheme() != "https" && !(self.plain_http && url.scheme() == "http") {
            return Err(refuse(format!(
                "its token server {realm:?} is not behind TLS; --plain-http lets credentials go \
                there in the open"
            )));
        }
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository));
        let credential = self.credentials.get().await;
        let request = if let Some(Credential::Token(token)) = &credential {
            let mut form = Url::parse("form:").map_err(|e| refuse(e.to_string()))?;
            form.query_pairs_mut()
                .append_pair("grant_type", "refresh_token")
                .append_pair("client_id", "perennial")
                .append_pair("service", service.as_deref().unwrap_or_default())
                .append_pair("scope", &scope)
                .append_pair("refresh_token", token);
            let form = form.query().unwrap_or_default().to_owned();
            // A body that can be sent only once does not follow a redirect.
            let once = futures::stream::once(async move { Ok::<_, std::io::Error>(form) });
            client
                .request(Method::POST, &url)
                .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(reqwest::Body::wrap_stream(once))
        } else {
            url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service)));
            url.query_pairs_mut().append_pair("scope", &scope);
            let request = client.request(Method::GET, &url);
            match &credential {
                Some(Credential::Password(user, password)) => {
                    request.basic_auth(user, Some(password))
                }
                _ => request,
            }
        };
        let answer = client.send(request).await.map_err(|unanswered| match unanswered.into() {
            ImportError::Upstream { reason, .. } => refuse(format!("its token server: {reason}")),
            refused => refused,
        })?;
        let answer = accepted(answer).await.map_err(|e| {
            let hint = if credential.is_some() {
                ""
            } else {
                &format!("; {}", self.credentials.missing())
            };
            refuse(format!("no token: {e}{hint}"))
        })?;
        let given = read(answer, MAX_TOKEN).await;
        let given = given.map_err(|_| {
            refuse("the answer of its token server is too long, or ends early".into())
        })?;
        let given: Given = serde_json::from_slice(&given)
            .map_err(|e| refuse(format!("its token server gives no token: {e}")))?;
        given
            .token
            .or(given.access_token)
            .ok_or_else(|| refuse("its token server gives no token".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_tls_no_token_server_is_called() {
        let reference = "quay.io/a/b:1".parse().unwrap();
        let auth = Auth::new(&reference, false, Some("/nowhere".into()));
        let client = Client::new(&crate::Options::default()).unwrap();
        for realm in ["http://127.0.0.1:1/token", "file:///etc/passwd", "nonsense"] {
            let asks = format!(r#"Bearer realm="{realm}",service="x""#);
            let asked = HeaderMap::from_iter([(WWW_AUTHENTICATE, asks.parse().unwrap())]);
            let refused = auth.answer(&client, &asked).await.unwrap_err().to_string();
            assert!(
                refused.contains("not behind TLS") || refused.contains("not an address"),
                "{refused}"
            );
        }
    }
}
