import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;

/**
 * One sum by two dimensions (region and store), exactly once, as Kafka Streams is written by its own guide: Jackson's
 * tree, a key of the two, groupByKey, aggregate, the default store and its changelog.
 *
 * <p>{@code Peer BROKERS TOPIC EVENTS STATE_FOLDER} prints "measured SECONDS CPU_SECONDS" when every event is in the sums,
 * which is before they are all committed.
 */
public final class Peer {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        long started = System.nanoTime();
        String brokers = args[0];
        String topic = args[1];
        long events = Long.parseLong(args[2]);
        String stateFolder = args[3];

        AtomicLong summed = new AtomicLong();
        CountDownLatch done = new CountDownLatch(1);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(topic, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .map((key, value) -> {
                    JsonNode data = parse(value).path("data");
                    String dimensions = data.path("region").asText() + '\u001f' + data.path("store").asText();
                    return KeyValue.pair(dimensions, Math.round(data.path("amount").asDouble() * 100));
                })
                .groupByKey(Grouped.with(Serdes.String(), Serdes.Long()))
                .aggregate(
                        () -> 0L,
                        (dimensions, cents, sum) -> {
                            if (summed.incrementAndGet() == events) {
                                done.countDown();
                            }
                            return sum + cents;
                        },
                        Materialized.with(Serdes.String(), Serdes.Long()));

        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "peer-" + ProcessHandle.current().pid());
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, stateFolder);
        KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        streams.start();
        if (!done.await(900, TimeUnit.SECONDS)) {
            System.err.println(summed.get() + " of " + events + " events");
            System.exit(1);
        }
        double seconds = (System.nanoTime() - started) / 1e9;
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        System.out.println("measured " + seconds + " " + system.getProcessCpuTime() / 1e9);
        streams.close();
    }

    private static JsonNode parse(byte[] value) {
        try {
            return JSON.readTree(value);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
