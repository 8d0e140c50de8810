//! Requests and responses on a stream: one frame each way.
//!
//! A length beyond the protocol's bound is an error, and memory grows only with the bytes that have
//! arrived.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::request_response;
use perennial_protocol::{
    MAX_REQUEST, MAX_RESPONSE, Request, Response, frame_length, frame_prefix,
};

/// The codec of `/perennial/request/1`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Codec;

async fn read_frame<T: AsyncRead + Unpin + Send>(io: &mut T, limit: usize) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 4];
    io.read_exact(&mut prefix).await?;
    let length = frame_length(prefix, limit).map_err(invalid)?;
    let mut frame = Vec::new();
    // Grows as bytes arrive, not as they are promised.
    io.take(length as u64).read_to_end(&mut frame).await?;
    if frame.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

async fn write_frame<T: AsyncWrite + Unpin + Send>(
    io: &mut T,
    frame: &[u8],
    limit: usize,
) -> io::Result<()> {
    io.write_all(&frame_prefix(frame.len(), limit).map_err(invalid)?).await?;
    io.write_all(frame).await?;
    io.close().await
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl request_response::Codec for Codec {
    type Protocol = &'static str;
    type Request = Request;
    type Response = Response;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &Self::Protocol,
        io: &mut T,
    ) -> io::Result<Request> {
        Request::decode(&read_frame(io, MAX_REQUEST).await?).map_err(invalid)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &Self::Protocol,
        io: &mut T,
    ) -> io::Result<Response> {
        Response::decode(&read_frame(io, MAX_RESPONSE).await?).map_err(invalid)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &Self::Protocol,
        io: &mut T,
        request: Request,
    ) -> io::Result<()> {
        write_frame(io, &request.encode().map_err(invalid)?, MAX_REQUEST).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &Self::Protocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()> {
        write_frame(io, &response.encode().map_err(invalid)?, MAX_RESPONSE).await
    }
}
