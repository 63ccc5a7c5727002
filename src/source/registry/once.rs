//! Schemas for a command: asked for a few times, and then it is said that nobody answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::FIRST_WAIT;
use super::remote::{Answer, Fetched, Remote};
use crate::decode::{SchemaId, WriterSchema};
use crate::settings::SchemaRegistry;

/// Attempts for one id.
const ATTEMPTS: u32 = 3;

/// What a registry has under some ids: schemas, or why one is of no use.
pub type Schemas = BTreeMap<SchemaId, Result<Arc<WriterSchema>, &'static str>>;

/// Fetches schemas.
///
/// # Errors
/// In words, when the registry does not answer.
pub async fn fetch(
    settings: &SchemaRegistry,
    ids: impl IntoIterator<Item = SchemaId>,
) -> Result<Schemas, String> {
    let remote = Remote::new(settings)?;
    let mut schemas = Schemas::new();
    for id in ids {
        let mut attempt = 1;
        let fetched = loop {
            match remote.fetch(id).await {
                Ok(fetched) => break fetched,
                Err(trouble) if attempt == ATTEMPTS => {
                    return Err(format!(
                        "the schema registry at {} does not answer: {}; see to kafka.schema_registry in the settings",
                        settings.url, trouble.what
                    ));
                }
                Err(_) => tokio::time::sleep(FIRST_WAIT * attempt).await,
            }
            attempt += 1;
        };
        let schema = match fetched {
            Fetched::Answer(Answer::Schema(schema)) => Ok(schema),
            Fetched::Answer(Answer::Unusable(why)) => Err(why),
            Fetched::Missing => Err("the registry does not know it"),
        };
        schemas.insert(id, schema);
    }
    Ok(schemas)
}
