//! One instance of the HTTP service.
//!
//! Reads its cache backend from the settings when it starts, as a real service would: a change of
//! the settings is seen only after a restart. Faults are looked at on each request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::sqlite::SqlitePool;
use tokio::net::TcpListener;

use crate::cache::Cache;
use crate::db;
use crate::error::{Fail, Outcome};
use crate::fault::{Fault, in_maintenance};
use crate::settings::{Backend, Settings};
use crate::world::World;

struct App {
    world: World,
    instance: u16,
    settings: Settings,
    cache: Cache,
    db: SqlitePool,
}

/// Serves until TERM or INT.
pub async fn run(world: World, instance: u16) -> Outcome<()> {
    let port = world.instance_port(instance)?;
    let settings = Settings::read(&world)?;
    if settings.backend == Backend::Redis && Fault::CrashOnStart.is_on(&world) {
        let why = "cannot initialise the cache middleware (fault `crash-on-start`)";
        world.log("ERROR", why);
        return Err(Fail::said(why));
    }
    let db = db::open(&world).await?;
    let cache = Cache::open(&world, &settings)?;
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|e| Fail::io(format!("listen on port {port}"), e))?;
    announce(&world, &cache).await;
    let app = Arc::new(App {
        world,
        instance,
        settings,
        cache,
        db,
    });
    let router = Router::new()
        .route("/health", get(health))
        .route("/api/auth/login", post(login))
        .route("/api/cache/clear", post(clear))
        .route("/api/invoices/", get(invoices))
        .route("/api/invoices/{id}", get(invoice))
        .layer(from_fn_with_state(Arc::clone(&app), around))
        .with_state(app);
    axum::serve(listener, router)
        .with_graceful_shutdown(asked_to_stop())
        .await
        .map_err(|e| Fail::io("serve", e))
}

async fn announce(world: &World, cache: &Cache) {
    if cache.backend == Backend::Redis {
        if let Err(e) = cache.ping().await {
            world.log("ERROR", &format!("cache backend: {e}"));
        }
        world.log("INFO", "Cache middleware initialized");
        world.log("INFO", "Namespace manager initialized");
        world.log("INFO", "Cacheops configured with Redis DB 2");
        if Fault::LogErrors.is_on(world) {
            log_fault(world);
        }
    }
    world.log("INFO", "Application ready");
}

fn log_fault(world: &World) {
    world.log(
        "ERROR cache redis",
        "connection pool error: no free connection",
    );
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// What happens to every request: faults, maintenance, one connection per request, a log line.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let what = format!("{} {}", request.method(), request.uri().path());
    let on_redis = app.settings.backend == Backend::Redis;
    if let Some(millis) = Fault::Slow.millis(&app.world) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    if on_redis && let Some(millis) = Fault::SlowAfterDeploy.millis(&app.world) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    if on_redis && Fault::LogErrors.is_on(&app.world) {
        log_fault(&app.world);
    }
    let mut response = if in_maintenance(&app.world) {
        let body = json!({ "status": "maintenance", "instance": app.instance });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    } else if on_redis && Fault::ErrorsAfterDeploy.is_on(&app.world) {
        let body = json!({ "status": "error", "detail": "internal server error" });
        (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
    } else {
        next.run(request).await
    };
    // the front spreads connections: one request each spreads requests, and lets a restart drain
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    let status = response.status().as_u16();
    let took = begin.elapsed().as_millis();
    app.world.log(
        "INFO",
        &format!("[{}] {what} {status} {took}ms", app.instance),
    );
    response
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let db = sqlx::query("SELECT COUNT(*) FROM auth_user")
        .fetch_one(&app.db)
        .await;
    let cache = app.cache.ping().await;
    let redis = match (app.settings.backend, &cache) {
        (Backend::LocMem, _) => "unused".to_owned(),
        (Backend::Redis, Ok(())) => "ok".to_owned(),
        (Backend::Redis, Err(e)) => e.to_string(),
    };
    let well = db.is_ok() && cache.is_ok();
    let body = json!({
        "status": if well { "ok" } else { "broken" },
        "instance": app.instance,
        "backend": app.settings.backend.name(),
        "backend_class": app.settings.backend_path,
        "db": db.map_or_else(|e| e.to_string(), |_| "ok".to_owned()),
        "redis": redis,
    });
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn login(State(app): State<Arc<App>>, Json(who): Json<Credentials>) -> Response {
    let broken = app.settings.backend == Backend::Redis && Fault::LoginFails.is_on(&app.world);
    let user = match db::check_login(&app.db, &who.username, &who.password).await {
        Ok(user) => user.filter(|_| !broken),
        Err(e) => return failed(&app, &e),
    };
    let Some(user) = user else {
        let body = json!({ "detail": "no active account found with the given credentials" });
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    };
    let issue = async {
        let token = db::random_hex(20)?;
        let key = format!("auth_token:{token}");
        app.cache
            .set(&key, &user.to_string(), app.cache.timeout)
            .await?;
        Ok::<_, Fail>(token)
    };
    match issue.await {
        Ok(token) => {
            Json(json!({ "token": token, "user": { "id": user, "username": who.username } }))
                .into_response()
        }
        Err(e) => failed(&app, &e),
    }
}

/// Forgets what is cached for the user whose token is shown.
async fn clear(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let user = user_of(&app, &headers).await;
    if user == 0 {
        let body = json!({ "detail": "a valid token is needed" });
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    match app.cache.bump_user(user).await {
        Ok(version) => Json(json!({ "version": version })).into_response(),
        Err(e) => failed(&app, &e),
    }
}

#[derive(Deserialize)]
struct Page {
    page: Option<u32>,
}

const PAGE_SIZE: u32 = 20;

async fn invoices(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Response {
    let page = page.page.unwrap_or(1).max(1);
    let skip = u64::from(page - 1) * u64::from(PAGE_SIZE);
    let sql = format!(
        "SELECT json_object('count', (SELECT COUNT(*) FROM invoices_invoice), 'page', {page}, 'results',
           (SELECT json_group_array(json(row)) FROM
             (SELECT json_object('id', id, 'invoice_no', invoice_no, 'customer', customer,
                'amount', amount, 'status', status, 'issued_on', issued_on) AS row
              FROM invoices_invoice ORDER BY id LIMIT {PAGE_SIZE} OFFSET {skip})))"
    );
    cached(&app, &headers, sql).await
}

async fn invoice(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<u32>) -> Response {
    let sql = format!(
        "SELECT json_object('id', id, 'invoice_no', invoice_no, 'customer', customer, 'amount', amount,
           'status', status, 'issued_on', issued_on) FROM invoices_invoice WHERE id = {id}"
    );
    cached(&app, &headers, sql).await
}

/// The user whose token the request shows; 0 for anybody.
async fn user_of(app: &App, headers: &HeaderMap) -> i64 {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| {
            v.strip_prefix("Token ")
                .or_else(|| v.strip_prefix("Bearer "))
        });
    let Some(token) = token else { return 0 };
    let user = app.cache.get(&format!("auth_token:{token}")).await;
    user.ok()
        .flatten()
        .and_then(|u| u.parse().ok())
        .unwrap_or(0)
}

/// Answers a query through the cache; without a cache that works, from the database alone.
async fn cached(app: &App, headers: &HeaderMap, sql: String) -> Response {
    let user = user_of(app, headers).await;
    let look = async {
        let version = app.cache.user_version(user).await?;
        let key = Cache::orm_key(user, version, &sql);
        let found = app.cache.orm_get(&key).await?;
        Ok::<_, Fail>((version, key, found))
    };
    let looked = look.await;
    if let Ok((version, _, Some(body))) = looked {
        return answer(body, "hit", version);
    }
    let body = match db::texts(&app.db, sql).await {
        Ok(mut rows) => rows.pop(),
        Err(e) => return failed(app, &e),
    };
    let Some(body) = body else {
        return (
            StatusCode::NOT_FOUND,
            Json(json!({ "detail": "not found" })),
        )
            .into_response();
    };
    let stored = match looked {
        Ok((version, key, _)) => app.cache.orm_set(&key, &body).await.map(|()| version),
        Err(e) => Err(e),
    };
    match stored {
        Ok(version) => answer(body, "miss", version),
        Err(e) => {
            app.world
                .log("ERROR", &format!("cache lost, going on without: {e}"));
            answer(body, "bypass", 0)
        }
    }
}

fn answer(body: String, cache: &'static str, version: i64) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert("x-cache", HeaderValue::from_static(cache));
    headers.insert("x-cache-version", HeaderValue::from(version));
    response
}

fn failed(app: &App, error: &Fail) -> Response {
    app.world.log("ERROR", &error.to_string());
    let body: Value = json!({ "detail": error.to_string() });
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}
