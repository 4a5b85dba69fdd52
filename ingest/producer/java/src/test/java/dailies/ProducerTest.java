package dailies;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * Against a running Dailies: the system properties dailies.url, dailies.token and dailies.source, whose table `java` has the key
 * `id` (bigint) and a text `title`. Whoever starts it looks at the rows afterwards.
 */
class ProducerTest {
  private final URI url = URI.create(System.getProperty("dailies.url"));
  private final String token = System.getProperty("dailies.token");
  private final String source = System.getProperty("dailies.source");

  @Test
  void eachEventIsTakenOnceWhateverTheConnectionDoes() throws Exception {
    try (Producer producer = Producer.open(url, token, source)) {
      for (int request = 0; request < 40; request++) {
        int first = request * 25;
        producer.send("java", IntStream.range(first, first + 25).mapToObj(ProducerTest::event).toList());
      }
      assertEquals(41, producer.next());
    }
  }

  @Test
  void aNumberThatIsUsedAgainIsNotTakenAgain() throws Exception {
    try (Producer producer = Producer.open(url, token, source, "java-outbox", 5)) {
      producer.send("java", List.of(event(5000)));
    }
    try (Producer producer = Producer.open(url, token, source, "java-outbox", 5)) {
      producer.send("java", List.of(event(6000)));
      producer.send("java", List.of(event(5001)));
    }
  }

  @Test
  void aRefusalNamesTheFault() throws Exception {
    try (Producer producer = Producer.open(url, token, source)) {
      var refused = assertThrows(Producer.RefusedException.class,
          () -> producer.send("java", List.of("{\"op\": \"c\", \"after\": {\"id\": \"seven\"}}")));
      assertEquals(422, refused.status());
      assertTrue(refused.getMessage().contains("after.id"), refused.getMessage());
      producer.send("java", List.of(event(7000)));
      assertEquals(2, producer.next());
    }
  }

  @Test
  void givesUpWhereNobodyAnswers() {
    try (Producer producer = Producer.open(URI.create("http://127.0.0.1:1"), token, source).giveUpAfter(Duration.ofMillis(300))) {
      assertThrows(java.io.IOException.class, () -> producer.send("java", List.of(event(1))));
      assertEquals(1, producer.next());
    }
  }

  private static String event(int id) {
    return "{\"op\": \"c\", \"key\": " + id + ", \"after\": {\"id\": " + id + ", \"title\": \"Title \\\"" + id + "\\\" é\"}}";
  }
}
