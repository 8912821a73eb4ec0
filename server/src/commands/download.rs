//! A file from the API, written as it comes: it may be larger than memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use super::client::{ANSWER_TIMEOUT, Client, Failure, explain};

/// An answer that is not a file is a problem: it is short.
const PROBLEM_BYTES_MAX: u64 = 1 << 20;
const HEAD_LINES_MAX: usize = 100;

impl Client {
    /// Writes the file that stands there. What broke off is not left behind.
    pub(super) fn download_to(&self, path: &str, file: &Path) -> Result<(), String> {
        let mut stream = self.connect()?;
        let broken = |error: io::Error| {
            String::from(Failure::Broken(format!("the connection to the switch broke: {error}")))
        };
        let mut ask = || -> io::Result<Answer<BufReader<TcpStream>>> {
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.write_all(format!("{}\r\n", self.head("GET", path, 0)).as_bytes())?;
            Answer::read(BufReader::new(stream.try_clone()?))
        };
        let answer = ask().map_err(broken)?;
        if !(200..300).contains(&answer.status) {
            let (status, mut text) = (answer.status, Vec::new());
            answer.copy(&mut Limited(&mut text)).map_err(broken)?;
            return Err(explain(status, &serde_json::from_slice(&text).unwrap_or(Value::Null)));
        }
        let named = |error: io::Error| format!("{}: {error}", file.display());
        let mut to = BufWriter::new(File::create(file).map_err(named)?);
        let copied = answer.copy(&mut to).map_err(broken);
        let copied = copied.and_then(|()| to.flush().map_err(named));
        if copied.is_err() {
            let _ = std::fs::remove_file(file);
        }
        copied
    }
}

/// No more than a problem has.
struct Limited<'a>(&'a mut Vec<u8>);

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() as u64 + bytes.len() as u64 > PROBLEM_BYTES_MAX {
            return Err(io::Error::other("the answer is too long"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An HTTP/1.1 answer whose head is read.
struct Answer<R> {
    status: u16,
    length: Length,
    body: R,
}

/// How far the body reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Chunked,
    Bytes(u64),
    ToTheEnd,
}

impl<R: BufRead> Answer<R> {
    fn read(mut body: R) -> io::Result<Answer<R>> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
        let status = line(&mut body)?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(broken)?;
        let mut length = Length::ToTheEnd;
        for _ in 0..HEAD_LINES_MAX {
            let header = line(&mut body)?;
            if header.is_empty() {
                return Ok(Answer { status, length, body });
            }
            let (name, value) = header.split_once(':').ok_or_else(broken)?;
            match name.to_ascii_lowercase().as_str() {
                "transfer-encoding" if value.trim().eq_ignore_ascii_case("chunked") => {
                    length = Length::Chunked;
                }
                "content-length" if length == Length::ToTheEnd => {
                    length = Length::Bytes(value.trim().parse().map_err(|_| broken())?);
                }
                _ => {}
            }
        }
        Err(broken())
    }

    /// Writes the body. One that breaks off is an error.
    fn copy(mut self, to: &mut dyn Write) -> io::Result<()> {
        match self.length {
            Length::ToTheEnd => io::copy(&mut self.body, to).map(drop),
            Length::Bytes(length) => copy_exactly(&mut self.body, length, to),
            Length::Chunked => loop {
                let size = line(&mut self.body)?;
                let size = size.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidData, "a chunk has no length")
                })?;
                if size == 0 {
                    return Ok(());
                }
                copy_exactly(&mut self.body, size, to)?;
                line(&mut self.body)?;
            },
        }
    }
}

fn copy_exactly(from: &mut impl Read, length: u64, to: &mut dyn Write) -> io::Result<()> {
    match io::copy(&mut from.take(length), to)? == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.take(16 << 10).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let (answer, mut body) = (Answer::read(answer)?, Vec::new());
        let status = answer.status;
        answer.copy(&mut body)?;
        Ok((status, body))
    }

    #[test]
    fn bodies_are_copied_in_every_form() {
        let counted = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd";
        assert_eq!(read(counted).unwrap(), (200, b"abcd".to_vec()));
        let chunked =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(read(chunked).unwrap(), (200, b"abcd".to_vec()));
        let ended = b"HTTP/1.1 404 Not Found\r\n\r\n{}";
        assert_eq!(read(ended).unwrap(), (404, b"{}".to_vec()));
    }

    #[test]
    fn a_body_that_breaks_off_is_an_error() {
        // V-21: half a file must not pass for a whole one.
        for broken in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            b"HTTP/1.1 200 OK\r\nTrans",
            b"SIP",
        ] {
            assert!(read(broken).is_err(), "{:?}", String::from_utf8_lossy(broken));
        }
    }
}
