import { malformed } from './decode-value.ts';

/** A message must not take more memory than this, nor a value: the longest text in JavaScript is twice as long. */
export const maxMessageBytes = 256 << 20;

/** The longest value of a change that is too long to be held. */
export interface Oversized {
  /** The (sub)transaction, where the change is of one that is under way. */
  xid: number | null;
  oid: number;
  /** Index of its column. */
  column: number;
  bytes: number;
}

/** Looks through the pieces of an insert, update or delete without keeping them. */
export class OversizedChange {
  readonly #walk: Generator<Step, Oversized | null, Buffer>;
  #step: IteratorResult<Step, Oversized | null>;
  #gathered: Buffer = Buffer.alloc(0);
  #left: number;

  constructor(hasXid: boolean) {
    this.#walk = walk(hasXid);
    this.#step = this.#walk.next();
    this.#left = this.#step.done ? 0 : this.#step.value.bytes;
  }

  /** The next piece of the CopyData's payload. */
  take(piece: Buffer): void {
    for (let at = 0; at < piece.length && !this.#step.done; ) {
      const taken = Math.min(this.#left, piece.length - at);
      if (this.#step.value.isKept) this.#gathered = Buffer.concat([this.#gathered, piece.subarray(at, at + taken)]);
      at += taken;
      this.#left -= taken;
      while (this.#left === 0 && !this.#step.done) {
        this.#step = this.#walk.next(this.#gathered);
        this.#gathered = Buffer.alloc(0);
        this.#left = this.#step.done ? 0 : this.#step.value.bytes;
      }
    }
  }

  /** After the last piece: null for a message that is no change of a row. */
  end(): Oversized | null {
    // After its last tuple it waits for the kind of one more.
    const last = this.#step.done ? this.#step : this.#walk.next(Buffer.alloc(0));
    if (!last.done) throw malformed();
    return last.value;
  }
}

const STAND_IN = 33; // a kind of message that the server does not have
export const standInBytes = 19;

/** In a spool, in the change's place: Byte1 kind · Int32 xid · Int32 oid · Int16 column · Double bytes. */
export function toStandIn({ xid, oid, column, bytes }: Oversized): Buffer {
  const message = Buffer.alloc(standInBytes);
  message[0] = STAND_IN;
  message.writeUInt32BE(xid ?? 0, 1);
  message.writeUInt32BE(oid, 5);
  message.writeUInt16BE(column, 9);
  message.writeDoubleBE(bytes, 11);
  return message;
}

/** Null for any other message of a spool. */
export function fromStandIn(message: Buffer, at: number): Oversized | null {
  if (message[at] !== STAND_IN) return null;
  return {
    xid: message.readUInt32BE(at + 1),
    oid: message.readUInt32BE(at + 5),
    column: message.readUInt16BE(at + 9),
    bytes: message.readDoubleBE(at + 11),
  };
}

interface Step {
  bytes: number;
  isKept: boolean;
}

const keep = (bytes: number): Step => ({ bytes, isKept: true });

/** XLogData's header (25 bytes), then I, U or D: see `readMessage`. Asks for bytes, or for bytes to be left out. */
function* walk(hasXid: boolean): Generator<Step, Oversized | null, Buffer> {
  const head = yield keep(hasXid ? 34 : 30);
  if (head[0] !== 119 || ![73, 85, 68].includes(head[25] ?? 0)) return null;
  const found = {
    xid: hasXid ? head.readUInt32BE(26) : null,
    oid: head.readUInt32BE(head.length - 4),
    column: 0,
    bytes: 0,
  };
  while ((yield keep(1)).length > 0) {
    const columns = (yield keep(2)).readUInt16BE(0);
    for (let column = 0; column < columns; column++) {
      if ((yield keep(1))[0] !== 116) continue;
      const bytes = (yield keep(4)).readUInt32BE(0);
      if (bytes > found.bytes) Object.assign(found, { column, bytes });
      if (bytes > 0) yield { bytes, isKept: false };
    }
  }
  return found;
}
