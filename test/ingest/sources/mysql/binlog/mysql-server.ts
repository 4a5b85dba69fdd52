import { constants, createHash, generateKeyPairSync, privateDecrypt, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { bytes } from './encode.ts';

export interface MysqlServerOptions {
  user: string;
  password: string;
  /** Whether the server still knows the password's hash: else it asks for the password by its RSA key. */
  isCached?: boolean;
  /** The plugin that the greeting names; users are authenticated by caching_sha2_password all the same. */
  greetingPlugin?: string;
  /** Rows for a statement that holds the key. */
  answers?: Record<string, (string | null)[][]>;
  /** What a dump from this GTID set sends, as packets' payloads behind the zero byte; or an error's number and text. */
  dump?: (request: Buffer) => Buffer[] | { number: number; message: string };
}

/** MySQL's side of the protocol as far as a replica meets it, since MySQL itself cannot be had beside the tests. */
export async function startMysqlServer(options: MysqlServerOptions) {
  const statements: string[] = [];
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    void serve(socket);
  });

  async function serve(socket: net.Socket): Promise<void> {
    const packets = packetsOf(socket);
    let number = 0;
    const send = (payload: Buffer) => {
      socket.write(Buffer.concat([bytes.u24(payload.length), bytes.u8(number), payload]));
      number = (number + 1) & 0xff;
    };
    const next = async () => {
      const packet = await packets.next();
      if (packet.done) return null;
      number = (packet.value.readUInt8(3) + 1) & 0xff;
      return packet.value.subarray(4);
    };
    const ok = () => send(Buffer.from([0, 0, 0, 2, 0, 0, 0]));
    const error = (code: number, message: string) =>
      send(Buffer.concat([bytes.u8(0xff), bytes.u16(code), Buffer.from(`#HY000${message}`)]));
    const nonce = Buffer.from(randomBytes(20).map((byte) => (byte % 126) + 1));

    send(greeting(nonce, options.greetingPlugin ?? 'caching_sha2_password'));
    const login = await next();
    if (login === null) return;
    const userEnd = login.indexOf(0, 32);
    const user = login.toString('utf8', 32, userEnd);
    let answer: Buffer | null = login.subarray(userEnd + 2, userEnd + 2 + login.readUInt8(userEnd + 1));
    if (options.greetingPlugin !== undefined && options.greetingPlugin !== 'caching_sha2_password') {
      send(Buffer.concat([bytes.u8(0xfe), Buffer.from('caching_sha2_password\0'), nonce, bytes.u8(0)]));
      answer = await next();
    }
    const expected = options.password === '' ? Buffer.alloc(0) : scramble(options.password, nonce);
    if (user !== options.user || answer === null || !answer.equals(expected)) return error(1045, 'Access denied');
    if (options.isCached === false) {
      send(Buffer.from([1, 4]));
      if ((await next())?.[0] !== 2) return error(1045, 'no key was asked for');
      send(Buffer.concat([bytes.u8(1), Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }))]));
      const hidden = await next();
      if (hidden === null) return;
      const padding = constants.RSA_PKCS1_OAEP_PADDING;
      const plain = privateDecrypt({ key: privateKey, padding }, hidden).map(
        (byte, index) => byte ^ (nonce[index % 20] ?? 0),
      );
      if (Buffer.from(plain).toString() !== `${options.password}\0`) return error(1045, 'Access denied');
    } else if (options.password !== '') send(Buffer.from([1, 3]));
    ok();

    for (let command = await next(); command !== null; command = await next()) {
      if (command[0] === 3) {
        const sql = command.toString('utf8', 1);
        statements.push(sql);
        const found = Object.entries(options.answers ?? {}).find(([part]) => sql.includes(part));
        if (found === undefined) ok();
        else for (const payload of resultSet(found[1])) send(payload);
      } else if (command[0] === 0x15) ok();
      else if (command[0] === 0x1e) {
        const sent = options.dump?.(command) ?? [];
        if (Array.isArray(sent)) for (const payload of sent) send(Buffer.concat([bytes.u8(0), payload]));
        else {
          error(sent.number, sent.message);
          socket.end();
        }
      } else error(1047, 'Unknown command');
    }
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    statements,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function greeting(nonce: Buffer, plugin: string): Buffer {
  const capabilities = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x80000 | 0x200000;
  return Buffer.concat([
    bytes.u8(10),
    Buffer.from('8.4.3\0'),
    bytes.u32(7),
    nonce.subarray(0, 8),
    bytes.u8(0),
    bytes.u16(capabilities & 0xffff),
    bytes.u8(255),
    bytes.u16(2),
    bytes.u16(capabilities >>> 16),
    bytes.u8(21),
    Buffer.alloc(10),
    nonce.subarray(8),
    bytes.u8(0),
    Buffer.from(`${plugin}\0`),
  ]);
}

/** As the documentation writes it: XOR(SHA256(password), SHA256(SHA256(SHA256(password)), nonce)). */
function scramble(password: string, nonce: Buffer): Buffer {
  const sha256 = (...parts: (string | Buffer)[]) =>
    parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
  const left = sha256(password);
  const right = sha256(sha256(sha256(password)), nonce);
  return Buffer.from(left.map((byte, index) => byte ^ (right[index] ?? 0)));
}

function resultSet(rows: (string | null)[][]): Buffer[] {
  const columns = rows[0]?.length ?? 1;
  const end = Buffer.from([0xfe, 0, 0, 2, 0]);
  const definition = Buffer.concat([...Array(6).fill(bytes.text('def')), bytes.u8(12), Buffer.alloc(12)]);
  return [
    bytes.length(columns),
    ...Array(columns).fill(definition),
    end,
    ...rows.map((row) => Buffer.concat(row.map((value) => (value === null ? bytes.u8(0xfb) : bytes.text(value))))),
    end,
  ];
}

/** Ends as the client's connection does, however that was. */
async function* packetsOf(socket: net.Socket): AsyncGenerator<Buffer> {
  const chunks: Buffer[] = [];
  let waiting = Buffer.alloc(0);
  let wake = () => {};
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    wake();
  });
  socket.on('close', () => wake());
  for (;;) {
    while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUIntLE(0, 3)) {
      const length = 4 + waiting.readUIntLE(0, 3);
      yield waiting.subarray(0, length);
      waiting = waiting.subarray(length);
    }
    if (chunks.length === 0 && socket.closed) return;
    if (chunks.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    waiting = Buffer.concat([waiting, ...chunks.splice(0)]);
  }
}
