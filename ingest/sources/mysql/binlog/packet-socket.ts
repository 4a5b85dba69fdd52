import net from 'node:net';
import tls from 'node:tls';
import { DailiesError } from '#catalog/error.ts';
import { malformed } from './protocol-error.ts';

/** The most that a packet holds; one that is full is continued by the next. */
const fullPacket = 0xffffff;

/**
 * Packets of the client/server protocol (dev.mysql.com/doc/dev/mysql-server, Protocol Basics), both ways:
 *
 *     Int24 length · Int8 number · payload
 *
 * Numbers count up from 0 at each command. A payload of 2^24 − 1 bytes is continued by the next packet. The socket rests
 * while more than `highBytes` wait, unless the packet at hand needs more.
 */
export class PacketSocket {
  #socket: net.Socket;
  readonly #highBytes: number;
  #chunks: Buffer[] = [];
  #first = 0;
  #offset = 0;
  #available = 0;
  #needed = 0;
  #parts: Buffer[] = [];
  #number = 0;
  #failure: DailiesError | null = null;
  #isClosed = false;
  #wake: () => void = () => {};

  private constructor(socket: net.Socket, highBytes: number) {
    this.#socket = socket;
    this.#highBytes = highBytes;
    this.#listen();
  }

  /** Connects; errors are the socket's own. `timeoutMs` is for the connection alone. */
  static async connect(
    to: { host: string; port: number } | { path: string },
    options: { timeoutMs: number; highBytes: number },
    signal: AbortSignal,
  ): Promise<PacketSocket> {
    signal.throwIfAborted();
    const socket = net.connect({ ...to, keepAlive: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer within the time')), options.timeoutMs);
      const abort = () => reject(signal.reason);
      const settle = (act: () => void) => () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        act();
      };
      signal.addEventListener('abort', abort, { once: true });
      socket.once('connect', settle(resolve));
      socket.once('error', (error) => settle(() => reject(error))());
    }).catch((error: unknown) => {
      // A late error of a socket that nobody waits for any more.
      socket.on('error', () => {});
      socket.destroy();
      throw error;
    });
    return new PacketSocket(socket, options.highBytes);
  }

  /**
   * Goes on encrypted; nothing but the server's greeting may have been read. Errors are the socket's own, or
   * `source_unreachable` if the server has ended the connection or does not agree within `timeoutMs`.
   */
  async encrypt(options: tls.ConnectionOptions, timeoutMs: number): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#available > 0) throw malformed('bytes came in the clear after encryption was agreed');
    const plain = this.#socket;
    plain.off('data', this.#onData).off('error', this.#onError).off('close', this.#onClose);
    const secured = tls.connect({ ...options, socket: plain });
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      const lost = (sentence: string) => () => reject(new DailiesError('source_unreachable', sentence));
      timer = setTimeout(lost('The source has not agreed on encryption within the time.'), timeoutMs);
      secured.once('secureConnect', resolve);
      secured.once('error', reject);
      secured.once('close', lost('The source ended the connection before it was encrypted.'));
    })
      .catch((error: unknown) => {
        // Late errors of sockets that nobody waits for any more.
        for (const socket of [secured, plain]) socket.on('error', () => {}).destroy();
        throw error;
      })
      .finally(() => clearTimeout(timer));
    secured.removeAllListeners('error').removeAllListeners('close');
    this.#socket = secured;
    this.#listen();
  }

  #listen(): void {
    this.#socket.on('data', this.#onData).on('error', this.#onError).on('close', this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#available += chunk.length;
    if (this.#available > Math.max(this.#highBytes, this.#needed)) this.#socket.pause();
    if (this.#available >= this.#needed) this.#wake();
  };

  readonly #onError = (error: Error): void =>
    this.#fail(`The connection to the source was lost: ${error.message}.`, error);

  readonly #onClose = (): void => this.#fail('The source ended the connection.');

  #fail(sentence: string, cause?: unknown): void {
    if (!this.#isClosed) this.#failure ??= new DailiesError('source_unreachable', sentence, { cause });
    this.#wake();
  }

  /** The next payload if all of it has come, else null. A view that stays valid. */
  take(): Buffer | null {
    for (;;) {
      const header = this.#peek(4);
      if (header === null) return null;
      const length = header.readUIntLE(this.#offset, 3);
      const number = header.readUInt8(this.#offset + 3);
      const packet = this.#peek(4 + length);
      if (packet === null) return null;
      if (number !== this.#number) throw malformed('a packet is missing');
      this.#number = (number + 1) & 0xff;
      const payload = packet.subarray(this.#offset + 4, this.#offset + 4 + length);
      this.#consume(4 + length);
      if (length === fullPacket) {
        this.#parts.push(payload);
        continue;
      }
      if (this.#parts.length === 0) return payload;
      const whole = Buffer.concat([...this.#parts, payload]);
      this.#parts = [];
      return whole;
    }
  }

  /** The chunk that holds the next `length` bytes at `#offset`, or null if they have not come. */
  #peek(length: number): Buffer | null {
    if (this.#available < length) {
      this.#needed = length;
      this.#updateFlow();
      return null;
    }
    this.#needed = 0;
    let chunk = this.#chunks[this.#first] ?? Buffer.alloc(0);
    if (chunk.length - this.#offset >= length) return chunk;
    const joined = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      chunk = this.#chunks[this.#first] ?? chunk;
      const from = this.#offset;
      const copied = chunk.copy(joined, filled, from, Math.min(chunk.length, from + length - filled));
      filled += copied;
      this.#offset += copied;
      if (this.#offset === chunk.length) {
        this.#first += 1;
        this.#offset = 0;
      }
    }
    // The joined bytes, then what is left of the chunk they end in.
    const rest = this.#offset > 0 ? [(this.#chunks[this.#first] ?? chunk).subarray(this.#offset)] : [];
    const others = this.#chunks.slice(this.#first + (this.#offset > 0 ? 1 : 0));
    this.#chunks = [joined, ...rest, ...others];
    this.#first = 0;
    this.#offset = 0;
    return joined;
  }

  #consume(length: number): void {
    this.#offset += length;
    this.#available -= length;
    if (this.#offset === this.#chunks[this.#first]?.length) {
      this.#first += 1;
      this.#offset = 0;
    }
    if (this.#first > 0 && (this.#first === this.#chunks.length || this.#first > 64)) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
    this.#updateFlow();
  }

  #updateFlow(): void {
    if (this.#socket.isPaused() && this.#available <= Math.max(this.#highBytes / 2, this.#needed))
      this.#socket.resume();
  }

  /** The next payload. Throws `source_unreachable` if the connection ended, or if no byte came for `silenceMs`; `source_protocol` if it was closed by us. */
  async next(silenceMs: number): Promise<Buffer> {
    for (;;) {
      const payload = this.take();
      if (payload !== null) return payload;
      await this.more(silenceMs);
    }
  }

  /** Waits till more has come, or the connection was closed by us. Throws as `next`; what had come before it broke can still be taken. */
  async more(silenceMs: number): Promise<void> {
    if (this.#isClosed) return;
    if (this.#failure !== null) throw this.#failure;
    const before = this.#available;
    const heard = this.#socket.bytesRead;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, silenceMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
    if (this.#isClosed || this.#available > before) return;
    if (this.#failure !== null) throw this.#failure;
    if (this.#socket.bytesRead > heard) return;
    throw new DailiesError(
      'source_unreachable',
      `The source has not been heard for ${Math.round(silenceMs / 1000)} s: the connection counts as lost.`,
    );
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes that have come and were not taken. */
  get waitingBytes(): number {
    return this.#available;
  }

  /** Sends a payload below 16 MB: as the first packet of a command, or as an answer to what was read last. */
  send(payload: Buffer, kind: 'command' | 'answer'): void {
    if (kind === 'command') this.#number = 0;
    const header = Buffer.allocUnsafe(4);
    header.writeUIntLE(payload.length, 0, 3);
    header[3] = this.#number;
    this.#number = (this.#number + 1) & 0xff;
    this.#socket.write(Buffer.concat([header, payload]));
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
    this.#wake();
  }
}
