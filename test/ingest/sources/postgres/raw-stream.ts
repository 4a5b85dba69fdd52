import net from 'node:net';
import { DailiesError } from '#catalog/error.ts';
import type { Row } from '#catalog/schemas/schema.ts';
import type { Op } from '#ingest/event.ts';
import { columnType } from '#ingest/sources/postgres/column-type.ts';
import { connect, rowsOf, wire } from '#ingest/sources/postgres/connection.ts';
import { CopyBoth } from '#ingest/sources/postgres/copy-both.ts';
import { parseLsn } from '#ingest/sources/postgres/lsn.ts';
import type { LogicalMessage, RelationMessage } from '#ingest/sources/postgres/pgoutput.ts';
import { Relation } from '#ingest/sources/postgres/relation.ts';
import { ReplicationStream } from '#ingest/sources/postgres/replication-stream.ts';
import { startStatement } from '#ingest/sources/postgres/replication-wire.ts';
import { RowMemory } from '#ingest/sources/postgres/row-memory.ts';

export interface ToldEvent {
  table: string;
  fields: string[];
  op: Op;
  before: Row | null;
  after: Row | null;
}

export interface Told {
  /** Of complete batches only. */
  events: ToldEvent[];
  messages: LogicalMessage[];
  /** What the stream failed with; null where it ended because the server had no more. */
  failure: DailiesError | null;
}

const signal = new AbortController().signal;

/** The payload of each CopyData that the server sends of a slot until it has passed what is committed now. Nothing is acknowledged. */
export async function recordStream(
  url: string,
  options: { slot: string; publications: readonly string[]; major: number; hasMessages?: boolean },
): Promise<Buffer[]> {
  const control = await connect(url, 'query', signal);
  await rowsOf(control, "SELECT pg_logical_emit_message(true, 'end', '')");
  const [row] = await rowsOf(control, 'SELECT pg_current_wal_flush_lsn() AS lsn');
  await control.end();
  const end = parseLsn(row?.lsn ?? '0/0');
  const client = await connect(url, 'replication', signal);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const payloads: Buffer[] = [];
  const data = (bytes: Buffer, start: number, stop: number) => {
    payloads.push(Buffer.from(bytes.subarray(start, stop)));
    if (bytes[start] === 107 && bytes.readBigUInt64BE(start + 1) >= end) resolve();
    return true;
  };
  const copy = new CopyBoth(client, { data, piece: () => undefined, end: reject }, 1 << 30);
  copy.start(startStatement({ hasMessages: false, from: 0n, ...options }));
  await promise;
  copy.close();
  wire(client).stream.destroy();
  return payloads;
}

/** What our reader tells of these payloads, sent to it by a server that does nothing else, in pieces of `pieceBytes`. */
export async function readPayloads(
  payloads: readonly Buffer[],
  pieceBytes: number,
  maxMessageBytes?: number,
  isWanted: (table: string) => boolean = () => true,
): Promise<Told> {
  const server = net.createServer((socket) => serve(socket, payloads, pieceBytes));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const client = await connect(`postgresql://u:p@127.0.0.1:${port}/d`, 'replication', signal);
  const told: Told = { events: [], messages: [], failure: null };
  const memory = new RowMemory(null);
  const stream = new ReplicationStream({
    client,
    slot: 's',
    publications: ['p'],
    from: 0n,
    fromMicros: 0n,
    barrier: null,
    resolve: async (message) => (isWanted(message.tableName) ? relationOf(message, memory) : null),
    rolledBack: async () => new Set(),
    head: async () => ({ position: 2n ** 63n, timeMicros: 1n }),
    heartbeat: async () => undefined,
    logicalMessage: (message) => told.messages.push(message),
    ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }),
  });
  stream.start();
  let cut: ToldEvent[] = [];
  try {
    for (let item = await stream.read(); item !== null; item = await stream.read()) {
      if (item.kind !== 'batch') continue;
      for (const part of item.batch.items) {
        if (part.kind !== 'changes') continue;
        const { table, schema, events } = part.changes;
        const fields = schema.fields.map((field) => field.name);
        for (const { op, before, after } of events) cut.push({ table, fields, op, before, after });
      }
      if (!item.batch.isComplete) continue;
      told.events.push(...cut);
      cut = [];
    }
  } catch (error) {
    if (!(error instanceof DailiesError)) throw error;
    if (error.code !== 'source_unreachable') told.failure = error;
  } finally {
    stream.close();
    wire(client).stream.destroy();
    server.close();
  }
  return told;
}

/** Without catalogs: the key is what the description marks, or the first column where the whole row is the identity. */
function relationOf(message: RelationMessage, memory: RowMemory): Relation {
  const columns = message.columns.map(({ name, typeOid, typmod }) => ({
    name,
    isNotNull: false,
    comment: null,
    ...columnType(typeOid, typmod, new Map([[1007, { kind: 'array' as const, element: 23 }]])),
  }));
  const key = message.identity === 'f' ? message.columns.slice(0, 1) : message.columns.filter(({ isKey }) => isKey);
  const names = key.map(({ name }) => name);
  return new Relation('s', `${message.schemaName}.${message.tableName}`, columns, names, memory);
}

/** Lets anybody in, says what it is, and then streams; ends the connection after the last payload. */
function serve(socket: net.Socket, payloads: readonly Buffer[], pieceBytes: number): void {
  let received = Buffer.alloc(0);
  let isStarted = false;
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    if (!isStarted && received.length >= 8) {
      isStarted = true;
      received = received.subarray(received.readUInt32BE(0));
      socket.write(Buffer.concat([framed('R', Buffer.alloc(4)), framed('Z', Buffer.from('I'))]));
    }
    while (received.length >= 5 && received.length >= 1 + received.readUInt32BE(1)) {
      const length = 1 + received.readUInt32BE(1);
      const text = received.toString('latin1', 5, length - 1);
      if (received[0] === 81)
        socket.write(text.startsWith('SELECT') ? described() : framed('W', Buffer.from([0, 0, 0])));
      if (text.startsWith('START_REPLICATION')) void sendAll(socket, payloads, pieceBytes);
      received = received.subarray(length);
    }
  });
}

async function sendAll(socket: net.Socket, payloads: readonly Buffer[], pieceBytes: number): Promise<void> {
  const bytes = Buffer.concat(payloads.map((payload) => framed('d', payload)));
  for (let at = 0; at < bytes.length && !socket.destroyed; at += pieceBytes) {
    await new Promise<void>((resolve) => socket.write(bytes.subarray(at, at + pieceBytes), () => resolve()));
  }
  socket.end();
}

function described(): Buffer {
  const column = (name: string) => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)]);
  const value = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]);
  return Buffer.concat([
    framed('T', Buffer.concat([Buffer.from([0, 2]), column('version'), column('encoding')])),
    framed('D', Buffer.concat([Buffer.from([0, 2]), value('180000'), value('UTF8')])),
    framed('C', Buffer.from('SELECT 1\0')),
    framed('Z', Buffer.from('I')),
  ]);
}

function framed(code: string, payload: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header[0] = code.charCodeAt(0);
  header.writeUInt32BE(payload.length + 4, 1);
  return Buffer.concat([header, payload]);
}
