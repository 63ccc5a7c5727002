//! Sources: where records come from. [`kafka`] hands over records with topic, partition and offset; [`push`]
//! takes what is sent over HTTP; [`history`] is all that topics hold, in the order of arrival; [`entry`] is what people type in; [`registry`] fetches the schemas of Avro;
//! [`sample`] looks at a topic's newest records without a trace;
//! [`transactions`] writes records, all of them or none, to [`topics`] that it makes; [`watermark`] says up to which event time everything has been read.

pub mod entry;
pub mod history;
pub mod kafka;
pub mod push;
pub mod registry;
pub mod sample;
pub mod topics;
pub mod transactions;
pub mod watermark;
