//! A web service that answers from memory, without a database behind it or a cache in front of one:
//! `cargo run -p grotto --example axum_service`.

use axum::extract::{Path, State};
use axum::{Router, http::StatusCode, routing::get};
use grotto::{Consumer, Producer, Record, Store, StoreUrl};
use std::{error::Error, net::SocketAddr, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net;

#[derive(Record)]
#[grotto(key(sku))]
struct Price {
    sku: String,
    cents: i64,
}

async fn price(prices: State<Arc<Consumer>>, sku: Path<String>) -> Result<String, StatusCode> {
    match prices.state().get::<Price>(&sku) {
        Ok(Some(price)) => Ok(format!("{} cents", price.cents())),
        Ok(None) => Err(StatusCode::NOT_FOUND),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut service = net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    service.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    service.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::Local(folder.path().into());
    let producer = Producer::builder("prices", Store::open_writable(&url)?).declare::<Price>();
    let mut cycle = producer.open().await?.begin_cycle().await?;
    cycle.add_json("Price", r#"{"sku":"tea","cents":450}"#, 1)?;
    cycle.commit().await?;

    let prices = Consumer::builder("prices", Store::open(&url)?);
    let prices = Arc::new(prices.start().await?);
    let service = Router::new().route("/price/{sku}", get(price));
    let service = service.with_state(prices);
    let listener = net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async { axum::serve(listener, service).await });

    let tea = ask(address, "/price/tea").await?;
    assert!(tea.starts_with("HTTP/1.0 200 OK") && tea.ends_with("450 cents"));
    let gin = ask(address, "/price/gin").await?;
    assert!(gin.starts_with("HTTP/1.0 404"));
    server.abort();
    Ok(())
}
