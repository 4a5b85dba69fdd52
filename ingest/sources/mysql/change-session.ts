import { randomInt } from 'node:crypto';
import { DailiesError } from '#catalog/error.ts';
import type { Batch, SourcePosition } from '../../event.ts';
import type { ChangesRequest, SourceMemory } from '../../source.ts';
import type { BinlogOptions, BinlogStream, ServerAddress } from './binlog/binlog-stream.ts';
import { openBinlog } from './binlog/binlog-stream.ts';
import { Cascades } from './cascades.ts';
import { requireReady } from './check.ts';
import { RowCompleter } from './complete-rows.ts';
import { type Connection, connect, cut, type ServerVersion, versionOf } from './connection.ts';
import { statementError } from './connection-error.ts';
import { findTables, type SourceTable } from './discovery.ts';
import { LogFollower } from './log-follower.ts';
import { type Position, parsePosition } from './position.ts';
import { knownGtids, seenWithinMs, serverHead, untilTrue } from './server-head.ts';
import { Snapshots } from './snapshots.ts';
import { TableMemory } from './table-memory.ts';
import type { ShapeContext } from './table-shape.ts';
import { TableWatch } from './table-watch.ts';

const heartbeatMs = 500;

/**
 * One run of `Source.changes`: the stream from `from`, or from where the log ends now, and snapshots beside it. The log tells
 * each table's shape with its rows, so that no history of shapes is kept; what is remembered between runs is which columns
 * have their text beside them, what each table looked like when it was last read, and which tables are to be read again.
 */
export class ChangeSession {
  readonly #address: ServerAddress;
  readonly #request: ChangesRequest;
  readonly #source: string;
  readonly #store: SourceMemory;
  readonly #maxChunkRows: number;
  readonly #signal: AbortSignal;
  readonly #stop = new AbortController();
  readonly #connections = new Set<Connection>();
  #memory = new TableMemory(null);
  #stream: BinlogStream | null = null;
  #snapshots: Snapshots | null = null;
  #follower: LogFollower | null = null;

  constructor(options: {
    address: ServerAddress;
    request: ChangesRequest;
    source: string;
    memory: SourceMemory;
    maxChunkRows: number;
    signal: AbortSignal;
  }) {
    this.#address = options.address;
    this.#request = options.request;
    this.#source = options.source;
    this.#store = options.memory;
    this.#maxChunkRows = options.maxChunkRows;
    this.#signal = options.signal;
  }

  async *run(): AsyncGenerator<Batch> {
    const stop = () => {
      this.#stop.abort();
      this.#follower?.wake();
      void this.#stream?.close();
    };
    this.#signal.addEventListener('abort', stop, { once: true });
    try {
      if (this.#signal.aborted) return;
      const follower = await this.#open();
      yield* follower.follow();
    } catch (thrown) {
      if (!this.#signal.aborted) throw statementError(thrown);
    } finally {
      this.#signal.removeEventListener('abort', stop);
      stop();
      await this.#snapshots?.close();
      await this.#stream?.close();
      for (const connection of this.#connections) cut(connection);
    }
  }

  /** Forgets what is owed to tables whose snapshot is durable. */
  async acknowledge(upTo: SourcePosition): Promise<void> {
    this.#snapshots?.settle(upTo);
    await this.#saveMemory();
  }

  /** Tables without a key that are changed too often to be read whole, with how often that was tried. */
  restless(): { table: SourceTable; tries: number }[] {
    return this.#snapshots?.restless() ?? [];
  }

  async #open(): Promise<LogFollower> {
    const control = await this.#connect();
    const version = await versionOf(control);
    const tables = await findTables(control, [...this.#request.tables.keys()], true);
    await requireReady(control, version, tables);
    this.#memory = new TableMemory(await this.#store.read());
    const context: ShapeContext = { source: this.#source, memory: this.#memory };
    const start = await this.#startFrom(control, version);
    const saveMemory = () => this.#saveMemory();
    const snapshots = new Snapshots({
      version,
      context,
      request: this.#request,
      maxChunkRows: this.#maxChunkRows,
      control,
      connect: () => this.#connect(),
      expect: (place) => this.#follower?.expect(place),
      saveMemory,
      signal: this.#stop.signal,
    });
    this.#snapshots = snapshots;
    const cascades = { current: await Cascades.read(control) };
    const isFollowed = (table: string) => this.#request.tables.has(table);
    const isWanted = (database: string, table: string) =>
      isFollowed(`${database}.${table}`) || cascades.current.isParent(`${database}.${table}`);
    const optionsFrom = (from: string): BinlogOptions => ({
      flavor: version.flavor,
      server: this.#address,
      // One of its own: a second reader of the same number would end the first.
      serverId: randomInt(2 ** 31, 2 ** 32 - 1),
      from,
      heartbeatMs,
      wants: isWanted,
    });
    const stream = await openBinlog(optionsFrom(start.position.gtids.toString()), this.#stop.signal);
    this.#stream = stream;
    const followed = new Set(this.#request.tables.keys());
    const { signal } = this.#stop;
    const watch = new TableWatch({ connection: control, version, followed, memory: this.#memory, signal });
    const follower = new LogFollower({
      version,
      context,
      control,
      stream,
      optionsFrom,
      snapshots,
      watch,
      completer: new RowCompleter(() => this.#connect(), version, context, this.#stop.signal),
      cascades,
      isFollowed,
      start,
      saveMemory,
      signal: this.#signal,
    });
    this.#follower = follower;
    this.#addOwed(snapshots, tables);
    // Later the log says what a snapshot has to see: more may have been told before than can be seen yet.
    if (this.#request.from === null) await snapshots.begin(null);
    return follower;
  }

  #addOwed(snapshots: Snapshots, tables: readonly SourceTable[]): void {
    const memory = this.#memory;
    memory.keepOnly(new Set(this.#request.tables.keys()));
    for (const table of tables) {
      const { snapshot = false, cursor = null } = this.#request.tables.get(table.name) ?? {};
      const isAsked = snapshot || this.#request.from === null;
      // Without a memory of what it looked like nobody can tell whether its rows still read the same.
      const isOwed = memory.isOwed(table.name) || memory.imprint(table.name) === null;
      if (isOwed && !isAsked) memory.owe(table.name);
      if (isAsked || isOwed) snapshots.add(table, isOwed || this.#request.from === null ? null : cursor);
    }
  }

  /** What was read last may be in the log before the server counts it as made, and on a replica that takes over later still. */
  async #startFrom(control: Connection, version: ServerVersion): Promise<{ position: Position; timeMicros: bigint }> {
    const { from } = this.#request;
    if (from === null) return serverHead(control, version);
    const position = parsePosition(version.flavor, from);
    const isKnown = async () => (await knownGtids(control, version)).gtids.contains(position.gtids);
    if (await untilTrue(isKnown, { limitMs: seenWithinMs, signal: this.#stop.signal }))
      return { position, timeMicros: 0n };
    throw new DailiesError(
      'source_slot_lost',
      'The server does not know the transactions that were read last: it is another one, or was set back to an older state; resume to read the tables anew.',
    );
  }

  async #connect(): Promise<Connection> {
    const connection = await connect(this.#address, this.#stop.signal);
    this.#connections.add(connection);
    connection.once('end', () => this.#connections.delete(connection));
    return connection;
  }

  /** What an event relies on must be remembered before that is durable. */
  async #saveMemory(): Promise<void> {
    const memory = this.#memory;
    if (memory.isSaved) return;
    const { version } = memory;
    await this.#store.write(memory.toText());
    memory.markSaved(version);
  }
}
