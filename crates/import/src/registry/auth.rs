//! Authorization: none, by password, or by a token from the registry's token server.
//!
//! Promises that credentials go only to the registry and to the token server that it names, over
//! TLS unless plain HTTP was requested, and to no host that these redirect to; and that a token
//! goes only to the registry.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use perennial_oci::Reference;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::answer::{accepted, read};
use super::challenge::Challenge;
use super::credentials::{Credential, Credentials};
use crate::client::{Client, Failure, Tried};
use crate::retry::{RetryPolicy, is_later, wish};
use crate::{ImportError, Options};

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

/// A request to a token server.
struct Asked {
    url: Url,
    service: Option<String>,
    scope: String,
}

impl Auth {
    pub(super) fn new(reference: &Reference, options: &Options, file: Option<PathBuf>) -> Self {
        Self {
            registry: reference.repository().registry().to_owned(),
            repository: reference.repository().path().to_owned(),
            plain_http: options.plain_http,
            credentials: Credentials::new(reference, &options.environment, file),
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

    /// Whether there are credentials that the registry has not asked for. Some registries answer
    /// 403 or 404 instead of asking.
    pub(super) async fn has_unused(&self) -> bool {
        let is_unused = self.shown.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        is_unused && self.credentials.get().await.is_some()
    }

    fn keep(&self, shown: Shown) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    fn refuse(&self, reason: String) -> ImportError {
        ImportError::Upstream { what: self.registry.clone(), reason }
    }

    /// Obtains the authorization that a registry asks for with a 401; `ping` is the address at
    /// which it asks whoever it asks nowhere else.
    pub(super) async fn answer(
        &self,
        client: &Client,
        asked: &HeaderMap,
        ping: &Url,
    ) -> Result<(), ImportError> {
        let mut challenges = Challenge::all(asked);
        if !challenges.iter().any(is_known) {
            let pinged = self.send(client, || client.request(Method::GET, ping)).await?;
            if pinged.status() == StatusCode::UNAUTHORIZED {
                challenges.extend(Challenge::all(pinged.headers()));
            }
        }
        let basic = challenges.iter().any(|challenge| challenge.scheme == "basic");
        for challenge in challenges.iter().filter(|challenge| challenge.scheme == "bearer") {
            let Some(realm) = challenge.parameter("realm") else { continue };
            match self.token(client, realm, challenge).await {
                Ok(token) => {
                    self.keep(Shown::Token(token));
                    return Ok(());
                }
                Err(error) if !basic => return Err(error),
                Err(error) => tracing::debug!(%error, "no token; a password is asked for as well"),
            }
        }
        if !basic {
            return Err(self.refuse(
                "it asks for authorization in a way that is not known (Basic and Bearer are)"
                    .into(),
            ));
        }
        match self.credentials.get().await {
            Some(Credential { password: Some((user, password)), .. }) => {
                self.keep(Shown::Password(user, password));
                Ok(())
            }
            Some(_) => {
                Err(self.refuse("it asks for a password, but the credentials are a token".into()))
            }
            None => Err(self.refuse(self.credentials.missing())),
        }
    }

    async fn token(
        &self,
        client: &Client,
        realm: &str,
        challenge: &Challenge,
    ) -> Result<String, ImportError> {
        let refuse = |reason: String| self.refuse(reason);
        let url = Url::parse(realm)
            .map_err(|e| refuse(format!("its token server {realm:?} is not an address: {e}")))?;
        if url.scheme() != "https" && !(self.plain_http && url.scheme() == "http") {
            return Err(refuse(format!(
                "its token server {realm:?} is not behind TLS; --plain-http lets credentials go \
                there in the open"
            )));
        }
        let credential = self.credentials.get().await;
        if let Some(Credential { access: Some(token), .. }) = credential {
            return Ok(token);
        }
        let scope = challenge.parameter("scope").filter(|scope| !scope.is_empty());
        let asked = Asked {
            url,
            service: challenge.parameter("service").map(str::to_owned),
            scope: scope
                .map_or_else(|| format!("repository:{}:pull", self.repository), str::to_owned),
        };
        let answer = match &credential {
            Some(Credential { refresh: Some(token), user, .. }) => {
                let answer = self.exchange(client, &asked, token).await?;
                // Servers without this exchange take the token for a password, under the user's
                // name.
                let has_none = matches!(
                    answer.status(),
                    StatusCode::NOT_FOUND
                        | StatusCode::METHOD_NOT_ALLOWED
                        | StatusCode::UNAUTHORIZED
                        | StatusCode::BAD_REQUEST
                        | StatusCode::UNSUPPORTED_MEDIA_TYPE
                );
                match user {
                    Some(user) if has_none => {
                        self.fetch(client, &asked, Some((user, token))).await?
                    }
                    _ => answer,
                }
            }
            Some(Credential { password: Some((user, password)), .. }) => {
                self.fetch(client, &asked, Some((user, password))).await?
            }
            _ => self.fetch(client, &asked, None).await?,
        };
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
        let is_full = |token: &String| !token.is_empty();
        (given.token.filter(is_full))
            .or(given.access_token.filter(is_full))
            .ok_or_else(|| refuse("its token server gives no token".into()))
    }

    /// Asks for a token in exchange for a refresh token (OAuth 2).
    async fn exchange(
        &self,
        client: &Client,
        asked: &Asked,
        token: &str,
    ) -> Result<Response, ImportError> {
        let mut form = Url::parse("form:").map_err(|e| self.refuse(e.to_string()))?;
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", "perennial")
            .append_pair("service", asked.service.as_deref().unwrap_or_default())
            .append_pair("scope", &asked.scope)
            .append_pair("refresh_token", token);
        let form = form.query().unwrap_or_default().to_owned();
        let request = || {
            let form = form.clone();
            // A body that can be sent only once does not follow a redirect.
            let once = futures::stream::once(async move { Ok::<_, std::io::Error>(form) });
            client
                .request(Method::POST, &asked.url)
                .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(reqwest::Body::wrap_stream(once))
        };
        self.send(client, request).await
    }

    /// Asks for a token with a password, or with none.
    async fn fetch(
        &self,
        client: &Client,
        asked: &Asked,
        password: Option<(&String, &String)>,
    ) -> Result<Response, ImportError> {
        let mut url = asked.url.clone();
        url.query_pairs_mut().extend_pairs(asked.service.iter().map(|name| ("service", name)));
        let scopes = asked.scope.split_ascii_whitespace().map(|scope| ("scope", scope));
        url.query_pairs_mut().extend_pairs(scopes);
        let request = || {
            let request = client.request(Method::GET, &url);
            match password {
                Some((user, password)) => request.basic_auth(user, Some(password)),
                None => request,
            }
        };
        self.send(client, request).await
    }

    /// Sends a request, again while the server is busy or the connection breaks.
    async fn send(
        &self,
        client: &Client,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, ImportError> {
        let mut times = 0;
        loop {
            times += 1;
            let (answer, refused) = match client.send(request()).await {
                Ok(answer) if is_later(answer.status(), answer.headers()) => (Ok(answer), false),
                Ok(answer) => return Ok(answer),
                Err(Failure::Permanent(error)) => return Err(self.of_token_server(error)),
                Err(Failure::Transient(error)) => (Err(self.of_token_server(error)), false),
                Err(Failure::Refused(error)) => (Err(self.of_token_server(error)), true),
            };
            let wish = answer.as_ref().ok().and_then(|answer| wish(answer.headers()));
            let error = match &answer {
                Ok(answer) => &self.refuse(format!("its token server answers {}", answer.status())),
                Err(error) => error,
            };
            let tried = Tried { times, error, wish, refused };
            if !client.again(RetryPolicy::MIDDLE, tried).await {
                return answer;
            }
        }
    }

    fn of_token_server(&self, error: ImportError) -> ImportError {
        match error {
            ImportError::Upstream { reason, .. } => {
                self.refuse(format!("its token server: {reason}"))
            }
            refused => refused,
        }
    }
}

/// Whether a challenge can be answered.
fn is_known(challenge: &Challenge) -> bool {
    match challenge.scheme.as_str() {
        "bearer" => challenge.parameter("realm").is_some(),
        scheme => scheme == "basic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_tls_no_token_server_is_called() {
        let reference = "quay.io/a/b:1".parse().unwrap();
        let auth = Auth::new(&reference, &Options::default(), Some("/nowhere".into()));
        let client = Client::new(&Options::default()).unwrap();
        let ping = Url::parse("https://quay.invalid/v2/").unwrap();
        for realm in ["http://127.0.0.1:1/token", "file:///etc/passwd", "nonsense"] {
            let asks = format!(r#"Bearer realm="{realm}",service="x""#);
            let asked =
                HeaderMap::from_iter([(reqwest::header::WWW_AUTHENTICATE, asks.parse().unwrap())]);
            let refused = auth.answer(&client, &asked, &ping).await.unwrap_err().to_string();
            assert!(
                refused.contains("not behind TLS") || refused.contains("not an address"),
                "{refused}"
            );
        }
    }
}
