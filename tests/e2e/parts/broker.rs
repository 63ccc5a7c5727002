//! A real Kafka broker: one KRaft node from the jars in target/kafka/libs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use super::process::Process;
use super::{free_port, root, runtime, scratch, wait};

/// A start takes about 4 s; a machine that is busy compiling takes longer.
const START_WITHIN: Duration = Duration::from_secs(90);
const STOP_WITHIN: Duration = Duration::from_secs(60);
const REQUEST_WITHIN: Duration = Duration::from_secs(20);
/// Largest record that the broker takes.
const MAX_RECORD_BYTES: u32 = 8 * 1024 * 1024;
/// Any 16 bytes in base64 serve as the identity of a cluster of one.
const CLUSTER_ID: &str = "dGF1dGxpbmUtZTJlLTEuMA";

/// Quick to start and small; the tests do not measure the broker.
const JVM: [&str; 5] = [
    "-Xms128m",
    "-Xmx768m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.apache.logging.log4j.level=WARN",
];

/// A broker with a data folder and a port that stay the same over restarts.
pub(crate) struct Broker {
    folder: PathBuf,
    /// Removes the folder; the shared broker's folder is removed by its guard.
    _scratch: Option<TempDir>,
    port: u16,
    process: Option<Process>,
}

impl Broker {
    /// Starts a broker of one's own, for a test that stops it.
    pub(crate) fn start() -> Broker {
        let scratch = scratch("broker");
        let mut broker = Broker::prepare(scratch.path());
        broker.start_again();
        broker._scratch = Some(scratch);
        broker
    }

    /// The broker that all tests share which leave it running. It ends with the test process.
    pub(crate) fn shared() -> &'static Broker {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| {
            let folder = scratch("shared-broker").keep();
            let mut broker = Broker::prepare(&folder);
            broker.launch(Some(&folder));
            broker
        })
    }

    fn prepare(folder: &Path) -> Broker {
        let (port, controller) = (free_port(), free_port());
        let data = folder.join("data");
        let properties = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={data}\n\
             message.max.bytes={MAX_RECORD_BYTES}\n\
             auto.create.topics.enable=false\n\
             group.initial.rebalance.delay.ms=0\n\
             offsets.topic.num.partitions=1\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.num.partitions=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             log.retention.ms=-1\n\
             log.cleaner.dedupe.buffer.size=4194304\n",
            data = data.display(),
        );
        let broker = Broker {
            folder: folder.to_owned(),
            _scratch: None,
            port,
            process: None,
        };
        std::fs::write(broker.properties(), properties).unwrap();
        let properties = broker.properties();
        let format = [
            "format",
            "--cluster-id",
            CLUSTER_ID,
            "--config",
            properties.to_str().unwrap(),
        ];
        java("kafka.tools.StorageTool", &format);
        broker
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    /// Starts it on the data and the port that it had.
    pub(crate) fn start_again(&mut self) {
        self.launch(None);
    }

    fn launch(&mut self, remove_at_end: Option<&Path>) {
        assert!(self.process.is_none(), "the broker runs already");
        let classpath = classpath();
        let properties = self.properties();
        let mut args = JVM.to_vec();
        args.extend(["-cp", &classpath, "kafka.Kafka", properties.to_str().unwrap()]);
        let (java, log) = (Path::new("java"), self.folder.join("broker.log"));
        let mut process = match remove_at_end {
            None => Process::start("broker", java, &args, &self.folder, &log),
            Some(scratch) => Process::start_then_remove("broker", java, &args, &self.folder, &log, scratch),
        };
        let client: BaseConsumer = self.client().create().unwrap();
        let up = wait::within_time(START_WITHIN, || match process.ended() {
            Some(status) => Some(Err(status)),
            None => {
                let metadata = client.fetch_metadata(None, Duration::from_secs(1)).ok()?;
                (!metadata.brokers().is_empty()).then_some(Ok(()))
            }
        });
        match up {
            Some(Ok(())) => self.process = Some(process),
            Some(Err(status)) => panic!("the broker ended with {status}:\n{}", process.log()),
            None => panic!(
                "the broker did not answer within {START_WITHIN:?}:\n{}",
                process.log()
            ),
        }
    }

    /// Stops it with a signal, `TERM` or `KILL`.
    pub(crate) fn stop(&mut self, signal: &str) {
        let mut process = self.process.take().expect("the broker runs");
        process.signal(signal);
        process.wait_for_end(STOP_WITHIN);
    }

    /// Its address.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The settings of a client of this broker.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap())
            .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        config
    }

    /// Makes a topic.
    #[track_caller]
    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_WITHIN));
        let made = runtime()
            .block_on(admin.create_topics([&topic], &options))
            .unwrap();
        assert_eq!(made, [Ok(name.to_owned())]);
        // The controller answers before the broker leads the partitions.
        let client: BaseConsumer = self.client().create().unwrap();
        wait::until(&format!("topic {name} has leaders"), REQUEST_WITHIN, || {
            let metadata = client.fetch_metadata(Some(name), REQUEST_WITHIN).ok()?;
            let found = metadata.topics().first()?.partitions();
            (found.len() == partitions as usize && found.iter().all(|p| p.leader() >= 0)).then_some(())
        });
    }

    /// Runs one of Kafka's own command-line tools, by class name, against this broker, and returns what it printed.
    #[track_caller]
    pub(crate) fn tool(&self, class: &str, args: &[&str]) -> String {
        let bootstrap = self.bootstrap();
        let mut all = vec!["--bootstrap-server", &bootstrap];
        all.extend(args);
        java(class, &all)
    }
}

fn classpath() -> String {
    let libs = root().join("target/kafka/libs");
    assert!(libs.is_dir(), "{} is missing: run tests/parts", libs.display());
    format!("{}/*", libs.display())
}

/// Runs a class of the jars to its end.
#[track_caller]
fn java(class: &str, args: &[&str]) -> String {
    let done = Command::new("java")
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"])
        .args(["-cp", &classpath(), class])
        .args(args)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(
        done.status.success(),
        "{class} {args:?}: {}\n{out}\n{err}",
        done.status
    );
    out.into_owned()
}
