import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import type { Batch } from '../../event.ts';
import type { ChangesRequest } from '../../source.ts';
import { AlteredTables } from './altered-tables.ts';
import { checkServer, checkTables, notReady } from './check.ts';
import { hasChunks } from './chunked-tables.ts';
import { connect, databaseError, rowsOf } from './connection.ts';
import { readDdlTrigger } from './ddl-trigger.ts';
import { findTables, readTables, type SourceTable } from './discovery.ts';
import { IdentityWatch } from './identity-watch.ts';
import type { Kept } from './kept.ts';
import { parseLsn } from './lsn.ts';
import type { ServerNames } from './names.ts';
import type { RelationMessage } from './pgoutput.ts';
import { publishTables, saveMemory } from './publication.ts';
import type { Relation } from './relation.ts';
import { ReplicationStream } from './replication-stream.ts';
import { rolledBack } from './rolled-back.ts';
import { RowMemory } from './row-memory.ts';
import { SchemaFollower } from './schema-follower.ts';
import { heartbeat, serverHead } from './server-head.ts';
import { followHistory } from './server-history.ts';
import { SessionChunks } from './session-chunks.ts';
import { cutWhenSilent } from './silence.ts';
import { createSlot, createTemporarySlot, dropSlot, type ExportedSnapshot, requireSlot } from './slot.ts';
import { snapshotTables } from './snapshot.ts';
import { SnapshotDebts } from './snapshot-debts.ts';
import { imprintOf } from './table-imprint.ts';
import { announcedRelation, type ShapeContext, tableRelation } from './table-shape.ts';

const identityEveryMs = 5_000;

/** The snapshot of a temporary slot, waiting for the stream to come to its position. */
interface SnapshotRound {
  owed: readonly SourceTable[];
  client: pg.Client;
  exported: ExportedSnapshot;
  timeMicros: bigint;
  position: bigint;
  tables: ReadonlySet<string>;
}

/**
 * One run of `Source.changes`: publications → slot → stream, at once. Tables with a key that need a snapshot are read in
 * chunks beside it, which the stream never waits for.
 *
 * Tables without a key come whole. At the very first start theirs is the slot's exported snapshot, before the stream begins;
 * later it is that of a temporary slot, whose position C is a barrier in the stream:
 *
 *     stream from `from`, without these tables → C: their rows → stream of all tables
 *
 * One that is altered between C and the reading of its rows waits for the next such round. A table that is altered later, so
 * that its old rows read differently (a default, a renaming, a rewrite), is read again when the stream announces it.
 */
export class ChangeSession {
  #round: SnapshotRound | null = null;
  /** Tables whose old rows read differently since they were altered, for the round after the one under way. */
  readonly #postponed = new Map<number, SourceTable>();
  readonly #url: string;
  readonly #names: ServerNames;
  readonly #kept: Kept;
  readonly #request: ChangesRequest;
  readonly #patterns: readonly string[];
  readonly #signal: AbortSignal;
  readonly #clients = new Set<pg.Client>();
  readonly #context: ShapeContext;
  #stream: ReplicationStream | null = null;
  #chunks: SessionChunks | null = null;
  /** Null where no event triggers tell of changes to schemas. */
  #schemas: SchemaFollower | null = null;
  #control: pg.Client | null = null;
  #altered: AlteredTables | null = null;
  #watch: NodeJS.Timeout | null = null;
  #ping: NodeJS.Timeout | null = null;
  readonly #silentMs: number;
  readonly #chunkBytes: number;
  #isWatching = false;
  readonly #debts: SnapshotDebts;

  constructor(options: {
    url: string;
    names: ServerNames;
    request: ChangesRequest;
    /** Of the tables that the source follows, also of those that come later. */
    patterns: readonly string[];
    source: string;
    kept: Kept;
    signal: AbortSignal;
    /** A server that has not answered for so long is given up, whatever its connections say. */
    silentMs: number;
    /** Text that a chunk of a snapshot has, about. */
    chunkBytes: number;
  }) {
    this.#silentMs = options.silentMs;
    this.#chunkBytes = options.chunkBytes;
    this.#url = options.url;
    this.#names = options.names;
    this.#kept = options.kept;
    this.#request = options.request;
    this.#patterns = options.patterns;
    const memory = new RowMemory(null);
    this.#context = { source: options.source, names: options.names, memory, types: new Map(), streamsGenerated: false };
    this.#debts = new SnapshotDebts(this.#context);
    this.#signal = options.signal;
  }

  async *run(): AsyncGenerator<Batch> {
    const stop = () => {
      this.#stream?.close();
      if (this.#watch) clearInterval(this.#watch);
      if (this.#ping) clearInterval(this.#ping);
      for (const client of this.#clients) void client.end();
    };
    this.#signal.addEventListener('abort', stop, { once: true });
    try {
      yield* this.#changes();
    } catch (error) {
      if (!this.#signal.aborted) throw databaseError(error);
    } finally {
      this.#signal.removeEventListener('abort', stop);
      this.#control = null;
      await this.#chunks?.close();
      stop();
    }
  }

  /** Tells the server, and forgets what is owed to tables whose snapshot is durable by it. */
  async acknowledge(upTo: bigint): Promise<void> {
    this.#stream?.acknowledge(upTo);
    this.#debts.settle(upTo);
    this.#context.memory.shapes.settle(upTo);
    this.#altered?.passed(upTo);
    if (this.#control) await saveMemory(this.#control, this.#names, this.#context.memory);
  }

  async *#changes(): AsyncGenerator<Batch> {
    const control = await this.#connect('query');
    this.#control = control;
    const tables = await this.#prepare(control);
    // From here on nothing on it waits for anybody's lock.
    this.#ping = cutWhenSilent(control, this.#clients, this.#silentMs);
    this.#altered = new AlteredTables(control, this.#context);
    await this.#altered.noteWaiting(tables);
    const identities = new IdentityWatch(tables, this.#names, this.#context.memory);
    const { from } = this.#request;
    const schemas = await SchemaFollower.open(tables, {
      control,
      context: this.#context,
      request: this.#request,
      patterns: this.#patterns,
      onOutdated: (table) => this.#readAgain(control, table),
      onTold: () => void this.#watchIdentities(control, identities),
    });
    this.#schemas = schemas;
    await saveMemory(control, this.#names, this.#context.memory);
    let owed = tables;
    let position: bigint;
    let timeMicros = 0n;
    const replication = await this.#connect('replication');
    await followHistory(replication, this.#kept, from);
    if (from === null) {
      await dropSlot(control, this.#names.slot);
      timeMicros = (await serverHead(control)).timeMicros;
      const exported = await createSlot(replication, this.#names.slot, await isAtLeast(control, 17));
      position = exported.position;
      const keyless = tables.filter((table) => !hasChunks(table));
      const postponed = yield* this.#snapshot(control, keyless, exported, timeMicros);
      owed = [...postponed, ...tables.filter(hasChunks)];
    } else {
      position = parseLsn(from);
      owed = tables.filter(
        (table) => this.#request.tables.get(table.name)?.snapshot || this.#context.memory.owed.has(table.name),
      );
    }
    this.#round = await this.#beginRound(
      control,
      owed.filter((table) => !hasChunks(table)),
    );
    const stream = new ReplicationStream({
      client: replication,
      slot: this.#names.slot,
      publications: [this.#names.publication, this.#names.insertsPublication],
      from: position,
      fromMicros: timeMicros,
      barrier: this.#round,
      resolve: (message, transaction) => this.#resolve(control, message, transaction),
      ...(schemas ? { takeDdl: (content, place) => schemas.take(content, place) } : {}),
      rolledBack: (xids) => rolledBack(control, xids),
      head: () => serverHead(control),
      heartbeat: () => heartbeat(control),
    });
    this.#stream = stream;
    const chunks = await SessionChunks.open({
      control,
      stream,
      tables,
      context: this.#context,
      request: this.#request,
      chunkBytes: this.#chunkBytes,
      connect: () => this.#connect('query'),
    });
    this.#chunks = chunks;
    stream.start();
    for (const table of owed.filter(hasChunks)) {
      this.#debts.begin(table.name);
      chunks.begin(table);
    }
    this.#watch = setInterval(() => void this.#watchIdentities(control, identities), identityEveryMs);
    for (let item = await stream.read(); item !== null; item = await stream.read()) {
      if (item.kind === 'batch') {
        const { batch, incomplete } = item;
        await chunks.takeIn(batch, incomplete);
        yield await this.#remembered(control, batch);
        yield* this.#place(control, chunks, batch);
      } else if (this.#round !== null) {
        const { client, exported, timeMicros: atMicros } = this.#round;
        const postponed = yield* this.#snapshot(control, this.#round.owed, exported, atMicros);
        await this.#end(client);
        const next = new Map([...this.#postponed, ...postponed.map((table) => [table.oid, table] as const)]);
        this.#postponed.clear();
        this.#round = await this.#beginRound(control, [...next.values()]);
        stream.passBarrier(this.#round);
      }
    }
  }

  async *#place(control: pg.Client, chunks: SessionChunks, after: Batch): AsyncGenerator<Batch> {
    for await (const batch of chunks.place(after)) {
      const isAwaited = this.#debts.note(batch.items, parseLsn(batch.position));
      yield await this.#remembered(control, batch);
      // What follows its end is what tells that it is durable.
      if (isAwaited) await heartbeat(control);
    }
  }

  /** Checks, publishes and describes the tables; the slot is not touched but must hold what is asked for. */
  async #prepare(control: pg.Client): Promise<SourceTable[]> {
    const server = (await checkServer(control, this.#names)).find((lack) => lack.isBlocking);
    if (server) throw notReady(server);
    const tables = await findTables(control, [...this.#request.tables.keys()], this.#names, true);
    const [table] = await checkTables(control, tables).then((all) => all.filter((lack) => lack.isBlocking));
    if (table) throw notReady(table);
    if (this.#request.from !== null) await requireSlot(control, this.#names.slot, parseLsn(this.#request.from));
    this.#context.streamsGenerated = await isAtLeast(control, 18);
    const isAsked = (table: string) => {
      const asked = this.#request.tables.get(table);
      // One that goes on is void where changes were missed since.
      return this.#request.from === null || (asked?.snapshot === true && asked.cursor === null);
    };
    const told = { trigger: (await readDdlTrigger(control)).id, isAnew: this.#request.from === null };
    this.#context.memory = await publishTables(control, this.#names, tables, isAsked, told, this.#kept);
    return tables;
  }

  /** Moves a table at once to the publication where it belongs, then has the source begin anew, which reads it again. */
  async #watchIdentities(control: pg.Client, identities: IdentityWatch): Promise<void> {
    if (this.#isWatching) return;
    this.#isWatching = true;
    try {
      if ((await readDdlTrigger(control)).id !== this.#context.memory.shapes.trigger) {
        throw new DailiesError('source_protocol', 'The event triggers that tell of DDL were made, changed or dropped.');
      }
      if (await identities.isReplaced(control)) {
        throw new DailiesError('source_protocol', 'A table was replaced by another of its name, which is read whole.');
      }
      const late = (await this.#altered?.oweSeenLate()) ?? [];
      if (late.length > 0) {
        await saveMemory(control, this.#names, this.#context.memory);
        const told = `${late.join(', ')}: altered by a commit that was seen late; the rows are read again.`;
        throw new DailiesError('source_protocol', told);
      }
      const tables = await identities.changed(control);
      if (tables === null) return;
      const client = await this.#connect('query');
      const told = { trigger: this.#context.memory.shapes.trigger, isAnew: false };
      const memory = await publishTables(client, this.#names, tables, () => false, told, this.#kept);
      await this.#end(client);
      for (const [table, debt] of memory.owed) this.#context.memory.owe(table, debt);
      throw new DailiesError(
        'source_protocol',
        'A table has gained or lost its primary key or replica identity, or is published or printed otherwise; its rows are read again.',
      );
    } catch (error) {
      if (!this.#signal.aborted) this.#stream?.fail(error);
    } finally {
      this.#isWatching = false;
    }
  }

  async #beginRound(control: pg.Client, owed: readonly SourceTable[]): Promise<SnapshotRound | null> {
    if (owed.length === 0) return null;
    const { timeMicros } = await serverHead(control);
    const client = await this.#connect('replication');
    const slot = `${this.#names.slot.slice(0, 50)}_${process.pid}`;
    const exported = await createTemporarySlot(client, slot);
    return {
      owed,
      client,
      exported,
      timeMicros,
      position: exported.position,
      tables: new Set(owed.map((t) => t.name)),
    };
  }

  async *#snapshot(
    control: pg.Client,
    tables: readonly SourceTable[],
    exported: { position: bigint; name: string },
    timeMicros: bigint,
  ): AsyncGenerator<Batch, SourceTable[]> {
    if (tables.length === 0) return [];
    const client = await this.#connect('query');
    const batches = snapshotTables(tables, {
      client,
      catalog: control,
      names: this.#names,
      exported,
      timeMicros,
      generationOf: (table) => this.#generationOf(table),
      relationOf: (table) => {
        this.#context.memory.setImprint(table.name, imprintOf(table));
        return tableRelation(control, table, this.#context);
      },
    });
    for (;;) {
      const next = await batches.next();
      if (next.done) {
        await this.#end(client);
        return next.value;
      }
      this.#debts.note(next.value.items, exported.position);
      yield await this.#remembered(control, next.value);
    }
  }

  #generationOf(table: string): number {
    return this.#request.tables.get(table)?.generation ?? 0;
  }

  /** A text column must be remembered before any event that has it is durable. */
  async #remembered(control: pg.Client, batch: Batch): Promise<Batch> {
    await saveMemory(control, this.#names, this.#context.memory);
    return batch;
  }

  async #resolve(
    control: pg.Client,
    message: RelationMessage,
    { commitLsn, xid }: { commitLsn: bigint; xid: number },
  ): Promise<Relation | null> {
    const asked = this.#request.tables.get(`${message.schemaName}.${message.tableName}`);
    if (asked === undefined) return null;
    const isTold = this.#schemas?.isAsTold(message, commitLsn) ?? false;
    if (!isTold) await this.#altered?.noteCommit(xid, message);
    // Asked each time: columns of the same names and types may be others by now.
    const table =
      (isTold ? this.#schemas?.toldTable(message.oid) : undefined) ??
      (await readTables(control, [message.oid], this.#names))[0];
    const mayBeAltered = table !== undefined && !isTold && !this.#round?.tables.has(table.name);
    if (mayBeAltered && (await this.#altered?.isOutdated(table, message))) await this.#readAgain(control, table);
    const isUnderWay = asked.snapshot && this.#request.from !== null;
    return announcedRelation(control, message, table, this.#context, isUnderWay);
  }

  async #readAgain(control: pg.Client, table: SourceTable): Promise<void> {
    const { memory } = this.#context;
    if (this.#stream === null || this.#round?.tables.has(table.name)) return;
    memory.owe(table.name);
    await saveMemory(control, this.#names, memory);
    if (hasChunks(table)) {
      await this.#chunks?.beginAnew(table);
    } else if (this.#round !== null) {
      this.#postponed.set(table.oid, table);
      this.#stream.leaveOut(table.name);
    } else {
      this.#round = await this.#beginRound(control, [table]);
      if (this.#round) this.#stream.setBarrier(this.#round);
    }
  }

  async #connect(use: 'query' | 'replication'): Promise<pg.Client> {
    const client = await connect(this.#url, use, this.#signal);
    this.#clients.add(client);
    if (this.#signal.aborted) void client.end();
    return client;
  }

  async #end(client: pg.Client): Promise<void> {
    // Until it has ended it is one of those that a silent server is cut off from.
    await client.end();
    this.#clients.delete(client);
  }
}

async function isAtLeast(client: pg.Client, major: number): Promise<boolean> {
  const [row] = await rowsOf(client, 'SHOW server_version_num');
  return Number(row?.server_version_num) >= major * 10_000;
}
