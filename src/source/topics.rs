//! Topics that tautline itself writes to: made when they are missing, and looked at.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::kafka::Connection;

/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// A client that makes topics.
pub struct Topics {
    client: AdminClient<DefaultClientContext>,
    options: AdminOptions,
}

/// A topic of one partition, with as many copies as the brokers give a topic by default.
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Settings of the topic.
    pub config: &'a [(&'a str, &'a str)],
}

impl Topics {
    /// A client.
    ///
    /// # Errors
    /// When a property is unknown to librdkafka or contradicts another.
    pub fn connect(connection: &Connection) -> Result<Topics, KafkaError> {
        let config = connection.client(&[], &[]);
        Ok(Topics {
            client: config.create()?,
            options: AdminOptions::new()
                .request_timeout(Some(REQUEST))
                .operation_timeout(Some(REQUEST)),
        })
    }

    /// Makes those that are missing. One that may not be made is said in the log; whether it is there, [`Topics::partitions`]
    /// knows.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn make(&self, wanted: &[Wanted<'_>]) -> Result<(), KafkaError> {
        let new: Vec<NewTopic<'_>> = wanted
            .iter()
            .map(|wanted| {
                let topic = NewTopic::new(wanted.name, 1, TopicReplication::Fixed(-1));
                wanted
                    .config
                    .iter()
                    .fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        for made in self.client.create_topics(&new, &self.options).await? {
            match made {
                Ok(topic) => tracing::info!(topic, "topic made"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => tracing::warn!(topic, %code, "topic not made"),
            }
        }
        Ok(())
    }

    /// How many partitions a topic has; 0: there is none.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn partitions(&self, topic: &str) -> Result<usize, KafkaError> {
        let metadata = self.client.inner().fetch_metadata(Some(topic), REQUEST)?;
        let found = metadata
            .topics()
            .iter()
            .filter(|found| found.name() == topic && found.error().is_none());
        Ok(found.map(|found| found.partitions().len()).sum())
    }

    /// A setting of a topic; `None` where the brokers do not say.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn setting(&self, topic: &str, name: &str) -> Result<Option<String>, KafkaError> {
        let asked = [ResourceSpecifier::Topic(topic)];
        let described = self.client.describe_configs(&asked, &self.options).await?;
        Ok(described.into_iter().find_map(|described| match described {
            Ok(described) => described.get(name)?.value.clone(),
            Err(code) => {
                tracing::warn!(topic, %code, "the settings of the topic cannot be seen");
                None
            }
        }))
    }
}
