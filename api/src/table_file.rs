//! Lists of any length as files, CSV, TXT or XLSX, that are written while they are read: a piece is
//! read and turned into rows when whoever asked has taken the ones before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use sheets::{FileForm, StreamError, TableStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::Problem;
use crate::rate_sheets::kind_of;

/// Rows that are read and written at once.
const PIECE: u32 = 2_000;
/// Pieces that wait for whoever reads slowly.
const PIECES_WAITING: usize = 2;

/// Where the rows of a file come from.
pub(crate) trait Pages: Send + 'static {
    /// What a row is made of.
    type Item: Send + 'static;
    /// Writes it.
    type Clerk: Clerk<Self::Item>;

    /// Reads the next `most` of the list, fewer if there are no more.
    fn next(&mut self, most: u32) -> impl Future<Output = Result<Vec<Self::Item>, Problem>> + Send;
}

/// Turns what was read into rows, on a thread that may take its time.
pub(crate) trait Clerk<Item>: Send + 'static {
    /// The header.
    fn titles(&self) -> Vec<&'static str>;

    /// Adds one row.
    fn write(&self, table: &mut TableStream, item: Item) -> Result<(), StreamError>;
}

/// How the file is called, in which form it is, and how many rows it has at most.
pub(crate) struct Asked {
    pub(crate) form: FileForm,
    /// Without what the form adds.
    pub(crate) name: &'static str,
    pub(crate) worksheet: &'static str,
    pub(crate) limit: Option<u32>,
}

/// The file as an answer. What is wrong from the start is told as a problem; later the file can only
/// break off.
pub(crate) async fn table_file<P: Pages>(
    asked: Asked,
    pages: P,
    clerk: P::Clerk,
) -> Result<Response, Problem> {
    let Asked { form, name, worksheet, limit } = asked;
    let mut file = File {
        pages,
        left: limit.map_or(u64::MAX, u64::from),
        page: Vec::new(),
        desk: Desk { table: TableStream::new(form, worksheet), clerk },
    };
    file.read().await?;
    let titles = file.desk.clerk.titles();
    file.desk.table.row(titles).map_err(|error| broken(&error))?;
    let (pieces, body) = channel(PIECES_WAITING);
    tokio::spawn(file.run(pieces, name));
    let (kind, end) = kind_of(form);
    let place = format!("attachment; filename=\"{name}.{end}\"");
    let head = [(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, place)];
    Ok((head, Body::from_stream(Pieces(body))).into_response())
}

fn broken(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(500, "unwritable", error.to_string())
}

/// A file under way.
struct File<P: Pages> {
    pages: P,
    /// Rows that it may still have.
    left: u64,
    /// Read and not written.
    page: Vec<P::Item>,
    desk: Desk<P::Clerk>,
}

/// Where rows are written.
struct Desk<C> {
    table: TableStream,
    clerk: C,
}

type Piece = Result<Vec<u8>, io::Error>;

impl<P: Pages> File<P> {
    /// Reads the next page.
    async fn read(&mut self) -> Result<(), Problem> {
        let most = u32::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        if most == 0 {
            return Ok(()); // a filter's 0 would be no limit
        }
        self.page = self.pages.next(most).await?;
        self.left -= self.page.len() as u64;
        Ok(())
    }

    async fn run(mut self, pieces: Sender<Piece>, name: &'static str) {
        loop {
            let is_last = self.page.len() < PIECE as usize;
            let (page, mut desk) = (std::mem::take(&mut self.page), self.desk);
            let written = tokio::task::spawn_blocking(move || {
                let piece = desk.write(page);
                (desk, piece)
            });
            let (desk, piece) = written.await.expect("writing rows does not panic");
            self.desk = desk;
            let is_broken = piece.is_err();
            // Whoever asked may have gone.
            if pieces.send(piece).await.is_err() || is_broken {
                return;
            }
            if is_last {
                break;
            }
            if let Err(problem) = self.read().await {
                tracing::warn!(?problem, file = name, "an export breaks off");
                let _ = pieces.send(Err(io::Error::other("the rows cannot be read"))).await;
                return;
            }
        }
        let last = self.desk.table.finish().map_err(io::Error::other);
        let _ = pieces.send(last).await;
    }
}

impl<C> Desk<C> {
    fn write<Item>(&mut self, page: Vec<Item>) -> Piece
    where
        C: Clerk<Item>,
    {
        for item in page {
            self.clerk.write(&mut self.table, item).map_err(io::Error::other)?;
        }
        Ok(self.table.take())
    }
}

/// The pieces as the body of an answer.
struct Pieces(Receiver<Piece>);

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(context)
    }
}
