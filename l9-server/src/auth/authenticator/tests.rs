//! Every way of forging a token that we know of, tried against keys of both kinds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode};
use l9::id::TenantId;
use l9::principal::{Role, Roles};
use l9::time::{SystemClock, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// The clock's time, in seconds.
const NOW: u64 = 1_800_000_000;

/// A clock that is moved by hand.
#[derive(Debug, Default)]
struct Hand {
    passed: AtomicU64,
    real: SystemClock,
}

#[async_trait::async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(((NOW + self.passed.load(Ordering::SeqCst)) * 1000) as i64)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1_000 + self.passed.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        self.real.sleep(duration).await;
    }
}

fn settings() -> Settings {
    Settings { jwt_secret: Some(SECRET.into()), issuer: Some("https://issuer.example".into()), ..Settings::default() }
}

fn authenticator() -> Authenticator {
    Authenticator::new(&settings(), Arc::new(Hand::default())).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "l9", "sub": "person:ada", "tenant": "acme",
        "roles": ["operator"], "iat": NOW, "nbf": NOW, "exp": NOW + 60,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// A token of any header, signed with a secret as HS256 has it.
fn crafted(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<Caller, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    authenticator.authenticate(&headers).await.map(|caller| caller.unwrap())
}

async fn refused(token: &str) -> &'static str {
    match ask(&authenticator(), token).await {
        Err(Refusal::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_valid_token_names_somebody_of_a_tenant_with_roles() {
    let caller = ask(&authenticator(), &signed(&claims())).await.unwrap();
    assert_eq!(caller.principal.tenant, TenantId::new("acme").unwrap());
    assert_eq!(caller.principal.subject, "person:ada");
    assert_eq!(caller.principal.roles, [Role::Operator].into_iter().collect::<Roles>());
    assert_eq!(caller.left, Some(Duration::from_secs(60)));
    // One of several audiences, roles of another system, a fraction of a second.
    for (name, value) in
        [("aud", json!(["other", "l9"])), ("roles", json!(["operator", "root"])), ("exp", json!(NOW as f64 + 60.5))]
    {
        let again = ask(&authenticator(), &signed(&with(name, value))).await.unwrap();
        assert_eq!(again.principal, caller.principal, "{name}");
    }
    assert!(ask(&authenticator(), &signed(&without("roles"))).await.unwrap().principal.roles.is_empty());
    assert!(authenticator().authenticate(&HeaderMap::new()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_minted_is_accepted_until_it_ends() {
    let clock = Arc::new(Hand::default());
    let authenticator = Authenticator::new(&settings(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let principal = Principal::local_of(TenantId::new("acme").unwrap());
    let secret = settings().secret().unwrap().unwrap();
    let minted = token::mint(&settings(), &secret, &principal, clock.now(), Duration::from_secs(60)).unwrap();
    assert_eq!(ask(&authenticator, &minted.token).await.unwrap().principal, principal);
    clock.passed.store(59, Ordering::SeqCst);
    assert!(ask(&authenticator, &minted.token).await.is_ok());
    clock.passed.store(60, Ordering::SeqCst);
    assert_eq!(ask(&authenticator, &minted.token).await.unwrap_err(), Refusal::Invalid("expired"));
    let nobody = Principal { subject: "two words".into(), ..principal };
    assert!(token::mint(&settings(), &secret, &nobody, clock.now(), Duration::from_secs(60)).is_err());
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
        let signed = crafted(&header, &claims().to_string(), SECRET.as_bytes());
        refused(&signed).await;
        let (message, _) = signed.rsplit_once('.').unwrap();
        assert_eq!(refused(&format!("{message}.")).await, "malformed");
        refused(&format!("{message}.AA")).await;
    }
}

#[tokio::test]
async fn a_changed_payload_or_signature_is_refused() {
    let token = signed(&claims());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let other = URL_SAFE_NO_PAD.encode(with("roles", json!(["admin"])).to_string());
    assert_eq!(refused(&format!("{header}.{other}.{signature}")).await, "signature");
    for at in 0..signature.len() {
        let mut changed = signature.to_owned().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        refused(&format!("{header}.{payload}.{}", String::from_utf8(changed).unwrap())).await;
    }
    refused(&format!("{header}.{payload}.{}", &signature[..signature.len() - 2])).await;
    let other = crafted(r#"{"alg":"HS256"}"#, &claims().to_string(), b"another secret of thirty-two bytes");
    assert_eq!(refused(&other).await, "signature");
}

#[tokio::test]
async fn an_expired_or_early_token_is_refused() {
    for exp in [json!(NOW), json!(NOW - 1), json!(0)] {
        assert_eq!(refused(&signed(&with("exp", exp))).await, "expired");
    }
    assert!(ask(&authenticator(), &signed(&with("nbf", json!(NOW + 30)))).await.is_ok(), "clocks differ a little");
    assert_eq!(refused(&signed(&with("nbf", json!(NOW + 31)))).await, "not yet valid");
    for exp in [json!("soon"), json!(-1), json!(null), json!([NOW + 60])] {
        refused(&signed(&with("exp", exp))).await;
    }
}

#[tokio::test]
async fn another_audience_or_issuer_is_refused() {
    for aud in [json!("other"), json!(["other"]), json!([]), json!("l9 "), json!({"l9": true})] {
        refused(&signed(&with("aud", aud))).await;
    }
    for iss in [json!("https://evil.example"), json!(["https://issuer.example"]), json!(null)] {
        refused(&signed(&with("iss", iss))).await;
    }
}

#[tokio::test]
async fn what_a_token_must_say_cannot_be_left_out() {
    for name in ["exp", "aud", "iss", "sub", "tenant"] {
        refused(&signed(&without(name))).await;
    }
    for (name, value) in [
        ("tenant", json!("../other")),
        ("tenant", json!("")),
        ("sub", json!("")),
        ("sub", json!("two\nlines")),
        ("sub", json!("x".repeat(257))),
        ("roles", json!("admin")),
    ] {
        refused(&signed(&with(name, value))).await;
    }
    // The same claim twice: nobody knows which one another reader takes.
    let twice = claims().to_string().replacen('{', r#"{"tenant":"other","#, 1);
    refused(&crafted(r#"{"alg":"HS256"}"#, &twice, SECRET.as_bytes())).await;
}

#[tokio::test]
async fn a_header_that_asks_for_more_than_a_signature_is_refused() {
    for header in [
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","typ":"id_token"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        "[]",
        "HS256",
    ] {
        refused(&crafted(header, &claims().to_string(), SECRET.as_bytes())).await;
    }
    for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","typ":"at+JWT","kid":"../../dev/null"}"#] {
        let token = crafted(header, &claims().to_string(), SECRET.as_bytes());
        assert!(ask(&authenticator(), &token).await.is_ok(), "{header}");
    }
}

#[tokio::test]
async fn a_huge_token_or_two_are_refused() {
    let token = signed(&with("roles", json!(vec!["viewer"; 1_000])));
    assert!(token.len() > 8 << 10);
    assert_eq!(refused(&token).await, "malformed");
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {}", signed(&claims()))).unwrap();
    headers.append(AUTHORIZATION, value.clone());
    headers.append(AUTHORIZATION, value);
    assert_eq!(authenticator().authenticate(&headers).await.unwrap_err(), Refusal::Invalid("malformed"));
}

proptest! {
    #[test]
    fn no_token_breaks_the_reader_and_none_made_up_is_taken(
        header in r#"(\{"alg":"(HS256|RS256|none)"\}|.{0,20})"#,
        claims in r#"(\{"(exp|sub|aud|tenant)":(1e400|99999999999|"l9"|null|\[\])\}|.{0,20})"#,
        signature in "[A-Za-z0-9_-]{0,44}",
        signed in any::<bool>(),
    ) {
        let key: &[u8] = if signed { SECRET.as_bytes() } else { b"x" };
        let crafted = crafted(&header, &claims, key);
        let forged = format!("{}.{signature}", crafted.rsplit_once('.').unwrap().0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for token in [crafted, forged] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
            prop_assert!(runtime.block_on(authenticator().authenticate(&headers)).is_err());
        }
    }
}

/// An issuer that publishes keys, and counts how often it is asked.
struct Published {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<String>>,
}

impl Published {
    async fn start(keys: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(keys.to_string())));
        let (counted, given) = (Arc::clone(&asked), Arc::clone(&answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let body = given.lock().unwrap().clone();
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Self { url, asked, answer }
    }
}

/// Keys of both kinds: what signs, and what is published.
struct Pair {
    signs: EncodingKey,
    jwk: Value,
}

fn pair(algorithm: Algorithm, id: &str) -> Pair {
    let signs = match algorithm {
        Algorithm::RS256 => {
            let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
            let wrapped = key.as_der().unwrap();
            // RFC 5208 wraps the key of RFC 8017 in 26 bytes.
            EncodingKey::from_rsa_der(&wrapped.as_ref()[26..])
        }
        _ => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            EncodingKey::from_ec_der(key.to_pkcs8v1().unwrap().as_ref())
        }
    };
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&signs, algorithm).unwrap()).unwrap();
    jwk["kid"] = json!(id);
    Pair { signs, jwk }
}

fn signed_by(pair: &Pair, algorithm: Algorithm, id: Option<&str>) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, &claims(), &pair.signs).unwrap()
}

fn of_issuer(url: &str, secret: bool) -> (Authenticator, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    let jwt_secret = secret.then(|| SECRET.into());
    let settings = Settings { jwks_url: Some(url.to_owned()), jwt_secret, ..settings() };
    (Authenticator::new(&settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap(), clock)
}

#[tokio::test]
async fn an_issuers_keys_check_its_tokens_each_with_its_own_algorithm() {
    let (rsa, ec) = (pair(Algorithm::RS256, "r"), pair(Algorithm::ES256, "e"));
    let unusable = json!({"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "x", "use": "enc"});
    let issuer =
        Published::start(json!({"keys": [rsa.jwk, unusable, ec.jwk, {"kty": "oct", "k": "AAAA", "kid": "o"}]}));
    let issuer = issuer.await;
    let (authenticator, _) = of_issuer(&issuer.url, true);
    for (pair, algorithm, id) in [(&rsa, Algorithm::RS256, "r"), (&ec, Algorithm::ES256, "e")] {
        let caller = ask(&authenticator, &signed_by(pair, algorithm, Some(id))).await.unwrap();
        assert_eq!(caller.principal.subject, "person:ada");
    }
    // The other key's id, an unknown one, none where there are two.
    for (pair, algorithm, id) in
        [(&rsa, Algorithm::RS256, Some("e")), (&ec, Algorithm::ES256, Some("r")), (&ec, Algorithm::ES256, None)]
    {
        assert!(ask(&authenticator, &signed_by(pair, algorithm, id)).await.is_err());
    }
    // The secret still checks its own tokens, and nothing checks for another issuer's key.
    assert!(ask(&authenticator, &signed(&claims())).await.is_ok());
    let stranger = pair(Algorithm::RS256, "r");
    let forged = ask(&authenticator, &signed_by(&stranger, Algorithm::RS256, Some("r"))).await;
    assert_eq!(forged.unwrap_err(), Refusal::Invalid("signature"));
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_public_key_is_no_secret_to_sign_with() {
    let rsa = pair(Algorithm::RS256, "r");
    let issuer = Published::start(json!({"keys": [rsa.jwk]})).await;
    for with_secret in [false, true] {
        let (authenticator, _) = of_issuer(&issuer.url, with_secret);
        assert!(ask(&authenticator, &signed_by(&rsa, Algorithm::RS256, Some("r"))).await.is_ok());
        let modulus = URL_SAFE_NO_PAD.decode(rsa.jwk["n"].as_str().unwrap()).unwrap();
        for secret in [modulus.as_slice(), rsa.jwk["n"].as_str().unwrap().as_bytes(), rsa.jwk.to_string().as_bytes()] {
            let token = crafted(r#"{"alg":"HS256","kid":"r"}"#, &claims().to_string(), secret);
            assert!(matches!(ask(&authenticator, &token).await, Err(Refusal::Invalid(_))));
            // And a secret is no public key.
            let token = crafted(r#"{"alg":"RS256","kid":"r"}"#, &claims().to_string(), SECRET.as_bytes());
            assert!(matches!(ask(&authenticator, &token).await, Err(Refusal::Invalid(_))));
        }
    }
    // Without an issuer, its algorithms are not looked at.
    assert_eq!(refused(&signed_by(&rsa, Algorithm::RS256, Some("r"))).await, "algorithm");
}

#[tokio::test]
async fn unknown_keys_do_not_make_it_ask_often_and_a_new_key_is_found() {
    let (old, new) = (pair(Algorithm::ES256, "old"), pair(Algorithm::ES256, "new"));
    let issuer = Published::start(json!({"keys": [old.jwk]})).await;
    let (authenticator, clock) = of_issuer(&issuer.url, false);
    let (by_old, by_new) =
        (signed_by(&old, Algorithm::ES256, Some("old")), signed_by(&new, Algorithm::ES256, Some("new")));
    assert!(ask(&authenticator, &by_old).await.is_ok());
    *issuer.answer.lock().unwrap() = json!({"keys": [old.jwk, new.jwk]}).to_string();
    for _ in 0..20 {
        assert_eq!(ask(&authenticator, &by_new).await.unwrap_err(), Refusal::Invalid("key"));
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1, "a minute lies between two questions");
    let long = with("exp", json!(NOW + 1_000_000));
    let long = |pair: &Pair, id: &str| {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, &long, &pair.signs).unwrap()
    };
    clock.passed.store(60, Ordering::SeqCst);
    assert!(ask(&authenticator, &long(&new, "new")).await.is_ok());
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
    // An issuer that is broken for a while does no harm; for a day, it does.
    *issuer.answer.lock().unwrap() = "<html>".to_owned();
    clock.passed.store(3_600 * 20, Ordering::SeqCst);
    assert!(ask(&authenticator, &long(&old, "old")).await.is_ok());
    clock.passed.store(3_600 * 25, Ordering::SeqCst);
    assert_eq!(ask(&authenticator, &long(&old, "old")).await.unwrap_err(), Refusal::Unavailable);
}

#[tokio::test]
async fn an_issuer_that_floods_or_says_nonsense_is_not_believed() {
    let key = pair(Algorithm::ES256, "k");
    let token = signed_by(&key, Algorithm::ES256, Some("k"));
    let many: Vec<Value> = (0..101).map(|_| key.jwk.clone()).collect();
    let padded = json!({"keys": [key.jwk], "padding": "x".repeat(300 << 10)});
    let mut encryption = key.jwk.clone();
    encryption["use"] = json!("enc");
    let mut other = key.jwk.clone();
    other["alg"] = json!("ES384");
    for keys in [json!({"keys": many}), padded, json!({}), json!([]), json!({"keys": [encryption, other]})] {
        let issuer = Published::start(keys).await;
        let (authenticator, _) = of_issuer(&issuer.url, false);
        assert_eq!(ask(&authenticator, &token).await.unwrap_err(), Refusal::Unavailable);
    }
    let (authenticator, _) = of_issuer("http://127.0.0.1:1/keys", false);
    assert_eq!(ask(&authenticator, &token).await.unwrap_err(), Refusal::Unavailable);
}
