import { DailiesError } from '#catalog/error.ts';
import { BinlogDecoder } from './binlog-decoder.ts';
import type { BinlogItem, Flavor } from './binlog-item.ts';
import { beginDump } from './dump.ts';
import { parseGtidSet } from './gtid.ts';
import { PackedEvents } from './packed-events.ts';
import type { PacketSocket } from './packet-socket.ts';
import { malformed } from './protocol-error.ts';
import type { ServerAddress } from './server-connection.ts';
import { isError } from './server-error.ts';

export type { ServerAddress };

export interface BinlogOptions {
  flavor: Flavor;
  server: ServerAddress;
  /** Ours among the server's replicas, 1 to 2^32 − 1. A second reader with the same id ends the first one. */
  serverId: number;
  /** GTID set text: transactions in it are not sent. Empty: everything since the server's first log. */
  from: string;
  /** How often the server speaks when it has nothing to say; 1000 if not given. */
  heartbeatMs?: number;
  /** How long the server may say nothing while it is listened to; 60 000 if not given. */
  silentMs?: number;
  /** Asked before each statement's rows: rows of other tables are passed over without being decoded. */
  wants(database: string, table: string): boolean;
}

/** A server's binary log from a place on, as one replica reads it. */
export interface BinlogStream {
  /**
   * What comes next, at least one item, at most about 1 MB of log (an event that is larger comes alone); null once closed.
   * The server is read no further than about 4 MB ahead; a reader may take hours between two reads. One call at a time.
   *
   * Throws, once and for all: `source_slot_lost` where the server no longer has what follows `from` (purged, or another
   * server's history); `source_unreachable` where the connection broke, was ended or fell silent; `source_not_ready` where
   * a server's setting is in the way (with the statement); `source_protocol` for bytes that cannot be (checksum, unknown
   * event); `type_unsupported`, `value_unsupported` with table and column. After an error what was read holds; the rest
   * of a begun transaction comes again, from its `begin`, when another stream is opened at the last commit's position.
   */
  read(): Promise<readonly BinlogItem[] | null>;
  /** Ends the connection; a read that waits gives null. May be repeated. */
  close(): Promise<void>;
}

const maxReadBytes = 1 << 20;

/** Connects as a replica and begins to read. Errors as `read`'s, and `source_refused` for user, password, certificates. */
export async function openBinlog(options: BinlogOptions, signal: AbortSignal): Promise<BinlogStream> {
  const position = parseGtidSet(options.flavor, options.from);
  const { socket, charsets, explain } = await beginDump(
    { ...options, heartbeatMs: options.heartbeatMs ?? 1_000 },
    signal,
  );
  const { flavor, wants } = options;
  const decoder = new BinlogDecoder({ flavor, position, charsets, wants: (database, table) => wants(database, table) });
  return new OpenStream(socket, decoder, options.silentMs ?? 60_000, explain);
}

class OpenStream implements BinlogStream {
  readonly #socket: PacketSocket;
  readonly #decoder: BinlogDecoder;
  readonly #silentMs: number;
  /** What the server's error packet means. */
  readonly #explain: (payload: Buffer) => Promise<DailiesError>;
  /** The compressed transaction that is being unpacked. */
  #packed: PackedEvents | null = null;
  #failure: unknown = null;

  constructor(
    socket: PacketSocket,
    decoder: BinlogDecoder,
    silentMs: number,
    explain: (payload: Buffer) => Promise<DailiesError>,
  ) {
    this.#socket = socket;
    this.#decoder = decoder;
    this.#silentMs = silentMs;
    this.#explain = explain;
  }

  async read(): Promise<readonly BinlogItem[] | null> {
    const items: BinlogItem[] = [];
    try {
      while (!this.#socket.isClosed && this.#failure === null) {
        if (this.#packed !== null) await this.#unpack(this.#packed, items);
        else await this.#decodeWaiting(items);
        if (items.length > 0) return items;
        if (this.#packed === null) await this.#socket.more(this.#silentMs);
      }
    } catch (error) {
      this.#failure ??= error;
      this.#socket.close();
      // What was decoded before holds: it is told first.
      if (items.length > 0) return items;
    }
    if (this.#failure !== null) throw this.#failure;
    return null;
  }

  async #decodeWaiting(items: BinlogItem[]): Promise<void> {
    for (let bytes = 0; bytes < maxReadBytes; ) {
      const payload = this.#socket.take();
      if (payload === null) return;
      bytes += payload.length;
      if (payload[0] !== 0) throw await this.#refusal(payload);
      const packed = this.#decoder.decode(payload.subarray(1), items);
      if (packed !== null) {
        this.#packed = new PackedEvents(packed);
        return;
      }
    }
  }

  async #unpack(packed: PackedEvents, items: BinlogItem[]): Promise<void> {
    for (let bytes = 0; bytes < maxReadBytes; ) {
      const event = await packed.next();
      if (event === null) {
        this.#packed = null;
        return;
      }
      bytes += event.length;
      this.#decoder.decodePacked(event, items);
    }
  }

  async #refusal(payload: Buffer): Promise<DailiesError> {
    if (isError(payload)) return await this.#explain(payload);
    if (payload[0] === 0xfe) return new DailiesError('source_unreachable', 'The source ended its binary log.');
    return malformed('the server sent something that is no event');
  }

  async close(): Promise<void> {
    this.#socket.close();
    this.#packed?.close();
  }
}
