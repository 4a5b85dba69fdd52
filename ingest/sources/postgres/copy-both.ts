import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import { databaseError, wire } from './connection.ts';
import { MessageFramer, type MessageSink } from './message-framer.ts';

const COPY_DATA = 100; // d
const ERROR = 69; // E
const READY = 90; // Z
const QUERY = 81; // Q

export interface CopyBothReader {
  /** The payload of one CopyData, as `MessageSink.message`. */
  data(bytes: Buffer, start: number, end: number): boolean;
  /** A piece of a CopyData that is longer than may be held, as `MessageSink.piece`. */
  piece(bytes: Buffer, left: number): void;
  /** Nothing comes any more; once. */
  end(error: DailiesError): void;
}

/**
 * The two-way copy of a replication connection, whose socket it takes from `pg`: that one's parser makes objects of every
 * message, and room of twice its size for one that comes in parts. The connection must be idle; ending it stays the client's.
 */
export class CopyBoth implements MessageSink {
  readonly #client: pg.Client;
  readonly #reader: CopyBothReader;
  readonly #framer: MessageFramer;
  #isEnded = false;
  #failure: DailiesError | null = null;

  constructor(client: pg.Client, reader: CopyBothReader, maxBytes: number) {
    this.#client = client;
    this.#reader = reader;
    this.#framer = new MessageFramer(this, maxBytes);
  }

  get isPaused(): boolean {
    return this.#framer.isPaused;
  }

  start(sql: string): void {
    const { stream } = wire(this.#client);
    stream.removeAllListeners('data');
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.once('error', (error) => this.#end(databaseError(error)));
    stream.once('close', () => this.#end(this.#failure ?? ended()));
    const text = Buffer.from(`${sql}\0`);
    const message = Buffer.allocUnsafe(5);
    message[0] = QUERY;
    message.writeUInt32BE(text.length + 4, 1);
    stream.write(Buffer.concat([message, text]));
  }

  /** No message comes any more after the one in hand, and soon the server has to wait. */
  pause(): void {
    this.#framer.pause();
    if (!this.#isEnded) wire(this.#client).stream.pause();
  }

  /** Goes on, with what came meanwhile before this returns. */
  resume(): void {
    this.#guard(() => this.#framer.resume());
    if (!this.#framer.isPaused && !this.#isEnded) wire(this.#client).stream.resume();
  }

  send(chunk: Buffer): void {
    if (!this.#isEnded) wire(this.#client).sendCopyFromChunk(chunk);
  }

  /** Lets go of what still comes, so that the connection can end. */
  close(): void {
    this.#isEnded = true;
    const { stream } = wire(this.#client);
    stream.removeAllListeners('data');
    stream.resume();
  }

  message(code: number, bytes: Buffer, start: number, end: number): boolean {
    switch (code) {
      case COPY_DATA:
        return this.#reader.data(bytes, start, end);
      case ERROR:
        this.#failure = databaseError(serverError(bytes, start, end));
        this.#end(this.#failure);
        return true;
      case READY:
        this.#end(ended());
        return true;
      default:
        // Its beginning, notices, changed settings, and its ends, which say nothing that ReadyForQuery does not.
        return true;
    }
  }

  piece(code: number, bytes: Buffer, left: number): void {
    if (code === COPY_DATA) this.#reader.piece(bytes, left);
  }

  #receive(chunk: Buffer): void {
    this.#guard(() => this.#framer.push(chunk));
  }

  #guard(read: () => void): void {
    if (this.#isEnded) return;
    try {
      read();
    } catch (thrown) {
      this.#end(unreadable(thrown));
    }
  }

  #end(error: DailiesError): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#reader.end(error);
  }
}

/** Anything that the reading of a message has thrown. */
export function unreadable(thrown: unknown): DailiesError {
  if (thrown instanceof DailiesError) return thrown;
  return new DailiesError('source_protocol', 'The source sent a message that cannot be read.', { cause: thrown });
}

function ended(): DailiesError {
  return new DailiesError('source_unreachable', 'The source ended the stream of changes: it is shutting down.');
}

/** ErrorResponse: fields of Byte1 kind and String, until a zero byte; C is the SQLSTATE, M the message. */
function serverError(bytes: Buffer, start: number, end: number): Error {
  const fields = new Map<string, string>();
  for (let at = start; at < end && bytes[at] !== 0; ) {
    const kind = String.fromCharCode(bytes[at] as number);
    const zero = bytes.indexOf(0, at + 1);
    const stop = zero < 0 || zero > end ? end : zero;
    fields.set(kind, bytes.toString('utf8', at + 1, stop));
    at = stop + 1;
  }
  return Object.assign(new Error(fields.get('M') ?? 'unknown error'), { code: fields.get('C') ?? '' });
}
