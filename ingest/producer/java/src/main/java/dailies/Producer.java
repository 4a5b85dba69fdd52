package dailies;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Sends events to one source of Dailies, one request at a time, numbered, under an id of its own, so that each is taken exactly
 * once whatever is repeated. Events are JSON texts as the README of the producers describes them. Safe for use by several
 * threads: their requests follow each other.
 */
public final class Producer implements AutoCloseable {
  private static final Duration FIRST_PAUSE = Duration.ofMillis(100);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(10);
  private static final Duration TIMEOUT = Duration.ofSeconds(30);

  private final HttpClient client = HttpClient.newBuilder().connectTimeout(TIMEOUT).build();
  private final URI url;
  private final String token;
  private final String source;
  private final String id;
  private final Duration patience;
  private long next;
  private boolean isClosed;

  private Producer(URI url, String token, String source, String id, long next, Duration patience) {
    this.url = url;
    this.token = token;
    this.source = source;
    this.id = id;
    this.next = next;
    this.patience = patience;
  }

  /** A producer of this run of the program; what a later run sends again is taken again. */
  public static Producer open(URI url, String token, String source) {
    return open(url, token, source, UUID.randomUUID().toString(), 1);
  }

  /**
   * Goes on under the id of earlier runs: {@code next} is the number of the next request, which the program keeps, as an outbox
   * does. A request that was taken under its number before is not taken again.
   */
  public static Producer open(URI url, String token, String source, String id, long next) {
    return new Producer(url, token, source, id, next, Duration.ofDays(365_000));
  }

  /** The same producer, but a request that is not answered for so long fails with {@link IOException}. */
  public Producer giveUpAfter(Duration time) {
    return new Producer(url, token, source, id, next, time);
  }

  /** The number that the next request bears. */
  public synchronized long next() {
    return next;
  }

  /**
   * Returns when the events are durable at Dailies. What passes by itself (no connection, no answer in time, 408, 429, 5xx) is
   * tried again, with pauses that double from 0.1 to 10 s.
   *
   * @param events all are taken, or none is
   * @throws RefusedException what Dailies has against them; the number is not used up
   * @throws IOException no answer for as long as the producer tries; it may be sent again
   */
  public synchronized void send(String table, List<String> events) throws IOException, InterruptedException {
    if (isClosed) throw new IllegalStateException("The producer is closed.");
    if (events.isEmpty()) return;
    HttpRequest request = HttpRequest.newBuilder(address(table))
        .timeout(TIMEOUT)
        .header("Authorization", "Bearer " + token)
        .header("Content-Type", "application/json")
        .header("Producer-Id", id)
        .header("Producer-Sequence", Long.toString(next))
        .POST(HttpRequest.BodyPublishers.ofString("[" + String.join(",", events) + "]"))
        .build();
    Instant end = Instant.now().plus(patience);
    for (Duration pause = FIRST_PAUSE;; pause = shorter(pause.multipliedBy(2), LONGEST_PAUSE)) {
      IOException failure;
      Optional<Duration> asked = Optional.empty();
      try {
        HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
        int status = answer.statusCode();
        if (status == 202) {
          next += 1;
          return;
        }
        if (status != 408 && status != 429 && status < 500) throw new RefusedException(status, answer.body());
        failure = new IOException("Dailies answered " + status + ": " + answer.body());
        asked = answer.headers().firstValue("retry-after").filter(text -> text.matches("\\d{1,5}"))
            .map(text -> Duration.ofSeconds(Long.parseLong(text)));
      } catch (RefusedException refused) {
        throw refused;
      } catch (IOException thrown) {
        failure = thrown;
      }
      Duration wait = asked.orElse(pause.multipliedBy(ThreadLocalRandom.current().nextInt(50, 101)).dividedBy(100));
      if (Instant.now().plus(wait).isAfter(end)) throw failure;
      Thread.sleep(wait.toMillis());
    }
  }

  /** Nothing waits in here: what was sent is durable. */
  @Override
  public synchronized void close() {
    isClosed = true;
  }

  private URI address(String table) {
    String base = url.toString().replaceAll("/$", "");
    return URI.create(base + "/api/v1/sources/" + encoded(source) + "/" + encoded(table) + "/events");
  }

  private static String encoded(String name) {
    return URLEncoder.encode(name, StandardCharsets.UTF_8).replace("+", "%20");
  }

  private static Duration shorter(Duration a, Duration b) {
    return a.compareTo(b) < 0 ? a : b;
  }

  /** Dailies would not take the events: {@link #getMessage} is its answer (RFC 9457), naming each fault. */
  public static final class RefusedException extends IOException {
    private static final long serialVersionUID = 1L;
    private final int status;

    RefusedException(int status, String answer) {
      super(answer);
      this.status = status;
    }

    /** 422: a fault in the events; 409: requests before it are missing; 401, 403: the token; 404: no such source or table. */
    public int status() {
      return status;
    }
  }
}
