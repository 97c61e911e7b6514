//! The router over gRPC, in one process and on free ports.

#[expect(unused, reason = "every test uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod access;
mod answers;
mod bounds;
mod served;
