import com.fasterxml.jackson.core.io.JsonStringEncoder;
import io.apicurio.registry.utils.converter.avro.AvroData;
import io.debezium.embedded.Connect;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.Header;
import io.debezium.engine.RecordChangeEvent;
import io.debezium.engine.format.ChangeEventFormat;
import io.debezium.engine.format.Json;
import io.debezium.engine.format.KeyValueHeaderChangeEventFormat;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Debezium's embedded engine, with its records in files: a folder of recorded topics (ingest/sources/kafka/README.md).
 *
 * <pre>
 * RecordTopics [--format json|json-schemas|avro|none] [--to FOLDER] [--partitions N] [--stop-after RECORDS] NAME=VALUE …
 * </pre>
 *
 * NAME=VALUE are the engine's properties. `none` makes JSON without schemas and forgets it. On stdout a line of JSON when
 * the engine polls, `{"event":"polling"}`, and one at the end, `{"event":"done","records":…,"cpuSeconds":…,
 * "cpuSecondsBefore":…}`: of the whole process, and of it until the first record was there. SIGTERM ends it after the batch
 * in hand; it goes on from its offsets when it is started again.
 */
public final class RecordTopics {
  private static final JsonStringEncoder QUOTER = JsonStringEncoder.getInstance();

  private final String format;
  private final Path folder;
  private final int partitions;
  private final long stopAfter;
  private final Map<String, Partition> files = new HashMap<>();
  private final AtomicLong records = new AtomicLong();
  private final AvroSchemas avro;
  private long unkeyed = 0;
  private double cpuSecondsBefore = Double.NaN;
  private DebeziumEngine<?> engine;
  private volatile Throwable failure;

  private RecordTopics(String format, Path folder, int partitions, long stopAfter) throws IOException {
    this.format = format;
    this.folder = folder;
    this.partitions = partitions;
    this.stopAfter = stopAfter;
    if (folder != null) Files.createDirectories(folder);
    this.avro = format.equals("avro") ? new AvroSchemas(folder.resolve("schemas")) : null;
  }

  public static void main(String[] arguments) throws Exception {
    String format = "json";
    Path folder = null;
    int partitions = 1;
    long stopAfter = Long.MAX_VALUE;
    Properties properties = new Properties();
    for (int at = 0; at < arguments.length; at++) {
      String argument = arguments[at];
      switch (argument) {
        case "--format" -> format = arguments[++at];
        case "--to" -> folder = Path.of(arguments[++at]);
        case "--partitions" -> partitions = Integer.parseInt(arguments[++at]);
        case "--stop-after" -> stopAfter = Long.parseLong(arguments[++at]);
        default -> {
          int equals = argument.indexOf('=');
          if (equals < 1) throw new IllegalArgumentException("not NAME=VALUE: " + argument);
          properties.setProperty(argument.substring(0, equals), argument.substring(equals + 1));
        }
      }
    }
    if (folder == null && !format.equals("none")) throw new IllegalArgumentException("--to FOLDER is missing");
    properties.putIfAbsent("name", "dailies");
    properties.putIfAbsent("offset.storage", "org.apache.kafka.connect.storage.MemoryOffsetBackingStore");
    String hasSchemas = String.valueOf(format.equals("json-schemas"));
    for (String part : List.of("key", "value", "header")) {
      properties.putIfAbsent(part + ".converter.schemas.enable", hasSchemas);
    }
    properties.putIfAbsent("converter.schemas.enable", hasSchemas);
    new RecordTopics(format, folder, partitions, stopAfter).run(properties);
  }

  private void run(Properties properties) throws Exception {
    CountDownLatch isDone = new CountDownLatch(1);
    DebeziumEngine.CompletionCallback onEnd =
        (isSuccess, message, error) -> {
          if (!isSuccess) failure = error == null ? new IllegalStateException(message) : error;
          isDone.countDown();
        };
    DebeziumEngine.ConnectorCallback onPoll =
        new DebeziumEngine.ConnectorCallback() {
          @Override
          public void pollingStarted() {
            System.out.println("{\"event\":\"polling\"}");
          }
        };
    engine =
        format.equals("avro")
            ? DebeziumEngine.create(ChangeEventFormat.of(Connect.class))
                .using(properties)
                .using(onEnd)
                .using(onPoll)
                .notifying(this::takeConnect)
                .build()
            : DebeziumEngine.create(KeyValueHeaderChangeEventFormat.of(Json.class, Json.class, Json.class))
                .using(properties)
                .using(onEnd)
                .using(onPoll)
                .notifying(this::takeJson)
                .build();
    Thread runner = new Thread(engine, "engine");
    Runtime.getRuntime().addShutdownHook(new Thread(() -> close(isDone)));
    runner.start();
    isDone.await();
    if (failure != null && records.get() < stopAfter) {
      failure.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
    System.out.println(
        "{\"event\":\"done\",\"records\":" + records.get() + ",\"cpuSeconds\":" + cpuSeconds()
            + ",\"cpuSecondsBefore\":" + (Double.isNaN(cpuSecondsBefore) ? null : cpuSecondsBefore) + "}");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  private void close(CountDownLatch isDone) {
    try {
      engine.close();
      isDone.await();
    } catch (IOException | IllegalStateException notRunning) {
      // It ended by itself.
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void takeJson(
      List<ChangeEvent<String, String>> batch, DebeziumEngine.RecordCommitter<ChangeEvent<String, String>> committer)
      throws InterruptedException {
    begin();
    for (ChangeEvent<String, String> event : batch) {
      if (folder != null && event.destination() != null) {
        List<String> headers = new ArrayList<>();
        for (Header<?> header : event.headers()) {
          headers.add(header.getKey());
          headers.add(String.valueOf(header.getValue()));
        }
        write(event.destination(), bytes(event.key()), bytes(event.value()), headers, false);
      }
      committer.markProcessed(event);
    }
    end(batch.size());
    committer.markBatchFinished();
    stopIfEnough();
  }

  private void takeConnect(
      List<RecordChangeEvent<SourceRecord>> batch,
      DebeziumEngine.RecordCommitter<RecordChangeEvent<SourceRecord>> committer)
      throws InterruptedException {
    begin();
    for (RecordChangeEvent<SourceRecord> event : batch) {
      SourceRecord record = event.record();
      if (record.topic() != null) {
        List<String> headers = new ArrayList<>();
        for (org.apache.kafka.connect.header.Header header : record.headers()) {
          headers.add(header.key());
          headers.add(String.valueOf(header.value()));
        }
        write(
            record.topic(),
            avro.encode(record.keySchema(), record.key()),
            avro.encode(record.valueSchema(), record.value()),
            headers,
            true);
      }
      committer.markProcessed(event);
    }
    end(batch.size());
    committer.markBatchFinished();
    stopIfEnough();
  }

  private void begin() {
    if (Double.isNaN(cpuSecondsBefore)) cpuSecondsBefore = cpuSeconds();
  }

  /** What was written is with the operating system before the engine hears that it was processed. */
  private void end(int count) {
    for (Partition partition : files.values()) partition.flush();
    records.addAndGet(count);
  }

  private void stopIfEnough() {
    if (records.get() < stopAfter) return;
    new Thread(
            () -> {
              try {
                engine.close();
              } catch (IOException | IllegalStateException closed) {
                // It is ending already.
              }
            })
        .start();
  }

  private void write(String topic, byte[] key, byte[] value, List<String> headers, boolean isBinary) {
    int at =
        key == null
            ? (int) (unkeyed++ % partitions)
            : Utils.toPositive(Utils.murmur2(key)) % partitions;
    files.computeIfAbsent(topic + "-" + at, (name) -> new Partition(folder.resolve(name + ".ndjson")))
        .append(key, value, headers, isBinary);
  }

  private static byte[] bytes(String text) {
    return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
  }

  private static double cpuSeconds() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime()
        / 1e9;
  }

  /** One file, one record a line. */
  private static final class Partition {
    private final OutputStream file;
    private final ByteArrayOutputStream waiting = new ByteArrayOutputStream();
    private long offset;

    Partition(Path path) {
      try {
        offset = cutToWholeLines(path);
        file = Files.newOutputStream(path, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }

    void append(byte[] key, byte[] value, List<String> headers, boolean isBinary) {
      StringBuilder line = new StringBuilder();
      line.append("{\"offset\":").append(offset++).append(",\"ts\":").append(System.currentTimeMillis());
      if (!headers.isEmpty()) {
        line.append(",\"headers\":[");
        for (int at = 0; at < headers.size(); at++) quote(line.append(at == 0 ? "" : ","), headers.get(at));
        line.append(']');
      }
      member(line, "key", key, isBinary);
      member(line, "payload", value, isBinary);
      byte[] text = line.append("}\n").toString().getBytes(StandardCharsets.UTF_8);
      waiting.write(text, 0, text.length);
    }

    void flush() {
      if (waiting.size() == 0) return;
      try {
        waiting.writeTo(file);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
      waiting.reset();
    }

    private static void member(StringBuilder line, String name, byte[] value, boolean isBinary) {
      if (value == null) line.append(",\"").append(name).append("\":null");
      else if (isBinary) {
        line.append(",\"").append(name).append("Base64\":\"").append(Base64.getEncoder().encodeToString(value)).append('"');
      } else quote(line.append(",\"").append(name).append("\":"), new String(value, StandardCharsets.UTF_8));
    }

    private static void quote(StringBuilder line, String text) {
      line.append('"').append(QUOTER.quoteAsString(text)).append('"');
    }

    /** Cuts what a kill left of a line, and answers the next record's offset. */
    private static long cutToWholeLines(Path path) throws IOException {
      if (!Files.exists(path)) return 0;
      byte[] content = Files.readAllBytes(path);
      int end = content.length;
      while (end > 0 && content[end - 1] != '\n') end--;
      if (end < content.length) {
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
          file.setLength(end);
        }
      }
      if (end == 0) return 0;
      int start = end - 1;
      while (start > 0 && content[start - 1] != '\n') start--;
      String last = new String(content, start, end - start, StandardCharsets.UTF_8);
      return Long.parseLong(last.substring("{\"offset\":".length(), last.indexOf(','))) + 1;
    }
  }

  /** Confluent's wire format: 0, the schema's id in four bytes, Avro. The schemas stand beside the topics, `ID.avsc`. */
  private static final class AvroSchemas {
    private final Path folder;
    private final AvroData data = new AvroData(1000);
    private final Map<Schema, org.apache.avro.Schema> converted = new HashMap<>();
    private final Map<String, Integer> ids = new HashMap<>();
    private final Map<org.apache.avro.Schema, Integer> known = new java.util.IdentityHashMap<>();

    AvroSchemas(Path folder) throws IOException {
      this.folder = Files.createDirectories(folder);
      try (var files = Files.list(folder)) {
        for (Path file : files.toList()) {
          String name = file.getFileName().toString();
          if (name.endsWith(".avsc")) ids.put(Files.readString(file), Integer.parseInt(name.replace(".avsc", "")));
        }
      }
    }

    byte[] encode(Schema schema, Object value) {
      if (value == null) return null;
      try {
        org.apache.avro.Schema avroSchema = converted.computeIfAbsent(schema, data::fromConnectSchema);
        Object avroValue = data.fromConnectData(schema, value);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.write(ByteBuffer.allocate(5).put((byte) 0).putInt(idOf(avroSchema)).array());
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(bytes, null);
        new GenericDatumWriter<Object>(avroSchema).write(avroValue, encoder);
        encoder.flush();
        return bytes.toByteArray();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }

    private int idOf(org.apache.avro.Schema schema) throws IOException {
      Integer seen = known.get(schema);
      if (seen != null) return seen;
      String text = schema.toString();
      Integer id = ids.get(text);
      if (id == null) {
        id = ids.values().stream().mapToInt(Integer::intValue).max().orElse(0) + 1;
        Path partial = folder.resolve(id + ".partial");
        Files.writeString(partial, text);
        Files.move(partial, folder.resolve(id + ".avsc"), java.nio.file.StandardCopyOption.ATOMIC_MOVE);
        ids.put(text, id);
      }
      known.put(schema, id);
      return id;
    }
  }
}
