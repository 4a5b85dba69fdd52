import { DailiesError } from '#catalog/error.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { Batch, SourcePosition } from '../../event.ts';
import type {
  ChangesRequest,
  DiscoveredTable,
  Reached,
  Requirement,
  Source,
  SourceDeps,
  SourceWarning,
} from '../../source.ts';
import { Questions } from '../questions.ts';
import { parseAddress } from './address.ts';
import type { ServerAddress } from './binlog/binlog-stream.ts';
import { Cascades } from './cascades.ts';
import { ChangeSession } from './change-session.ts';
import { checkServer, checkTables } from './check.ts';
import { type Connection, connect, cut, versionOf } from './connection.ts';
import { statementError } from './connection-error.ts';
import { findTables, type SourceTable } from './discovery.ts';
import { logThreats } from './log-watch.ts';
import { flavorOf, formatPosition, logDistance, parsePosition } from './position.ts';
import { readRowsByKey } from './read-rows.ts';
import { readLogBytes, serverHead } from './server-head.ts';
import { quoteTable } from './sql.ts';
import { TableMemory } from './table-memory.ts';
import { catalogShape, notesOf, refusalOf } from './table-shape.ts';

export interface MysqlConfig {
  url: string;
  tables: readonly string[];
}

const withinMs = 60_000;
/** A table that is being altered keeps its readers waiting. */
const patientMs = 600_000;

/** A MySQL or MariaDB server followed through its binary log; nothing is made or written there. */
export class MysqlSource implements Source {
  readonly #config: MysqlConfig;
  readonly #deps: SourceDeps;
  readonly #maxChunkRows: number;
  readonly #closing = new AbortController();
  readonly #questions: Questions<Connection>;
  #session: ChangeSession | null = null;
  /** Sizes of the server's logs when its head was last asked. */
  #logBytes: ReadonlyMap<string, number> = new Map();

  constructor(config: MysqlConfig, deps: SourceDeps, maxChunkRows = 500_000) {
    this.#config = config;
    this.#deps = deps;
    this.#maxChunkRows = maxChunkRows;
    const driver = {
      connect: async (signal: AbortSignal) => connect(this.#address(), signal),
      cut,
      // A session that only asked loses nothing.
      end: async (connection: Connection) => cut(connection),
      errorOf: statementError,
    };
    this.#questions = new Questions(driver, withinMs);
  }

  async discover(signal: AbortSignal): Promise<DiscoveredTable[]> {
    return this.#questions.ask(signal, async (connection) => {
      const memory = new TableMemory(await this.#deps.memory.read());
      const context = { source: this.#deps.name, memory };
      const cascaded = await Cascades.unseen(connection);
      return (await findTables(connection, this.#config.tables)).map((table) => {
        const refusal = refusalOf(table);
        const schema = refusal === null ? catalogShape(table, context).schema : { fields: [], key: [] };
        const notes = notesOf(table, memory.textColumns(table.name), cascaded.has(table.name));
        const doc = table.comment === null ? {} : { doc: table.comment };
        return { name: table.name, schema, refusal, notes, ...doc };
      });
    });
  }

  async check(signal: AbortSignal): Promise<Requirement[]> {
    return this.#questions.ask(signal, async (connection) => {
      const version = await versionOf(connection);
      const server = await checkServer(connection, version);
      const tables = await checkTables(connection, version, await findTables(connection, this.#config.tables));
      return [...server, ...tables].map(({ problem, statement }) => ({ problem, statement }));
    });
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Batch> {
    if (this.#session !== null) {
      throw new DailiesError('conflict', `The changes of source ${this.#deps.name} are already being read.`);
    }
    const session = new ChangeSession({
      address: this.#address(),
      request,
      source: this.#deps.name,
      memory: this.#deps.memory,
      maxChunkRows: this.#maxChunkRows,
      signal: AbortSignal.any([signal, this.#closing.signal]),
    });
    this.#session = session;
    try {
      yield* session.run();
    } finally {
      this.#session = null;
    }
  }

  async ack(upTo: SourcePosition): Promise<void> {
    await this.#session?.acknowledge(upTo);
  }

  async head(signal: AbortSignal): Promise<SourcePosition> {
    return this.#questions.ask(signal, async (connection) => {
      const { position } = await serverHead(connection, await versionOf(connection));
      this.#logBytes = await readLogBytes(connection);
      return formatPosition(position);
    });
  }

  distance(from: SourcePosition, to: SourcePosition): number {
    const flavor = flavorOf(from) ?? flavorOf(to);
    if (flavor === null) return 0;
    return logDistance(parsePosition(flavor, from), parsePosition(flavor, to), this.#logBytes);
  }

  async readRows(table: string, schema: Schema, keys: readonly Row[], signal: AbortSignal): Promise<Map<number, Row>> {
    const read = async (connection: Connection) => {
      const prefix = `${this.#deps.name}.`;
      const name = table.startsWith(prefix) ? table.slice(prefix.length) : table;
      const [found] = await findTables(connection, [name], true);
      if (!found) return new Map<number, Row>();
      const memory = new TableMemory(await this.#deps.memory.read());
      const shape = catalogShape(found, { source: this.#deps.name, memory });
      return readRowsByKey(connection, found, shape, schema, keys);
    };
    return this.#questions.ask(signal, read, patientMs);
  }

  async warnings(reached: Reached, signal: AbortSignal): Promise<SourceWarning[]> {
    const threats = await this.#questions.ask(signal, async (connection) =>
      logThreats(connection, await versionOf(connection), reached, this.#deps.now()),
    );
    return [...threats, ...restlessTables(this.#session?.restless() ?? [])];
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#questions.close();
  }

  /** Nothing was made. */
  async drop(): Promise<void> {}

  #address(): ServerAddress {
    return parseAddress(this.#config.url);
  }
}

function restlessTables(tables: readonly { table: SourceTable; tries: number }[]): SourceWarning[] {
  return tables.map(({ table: { name, database, tableName }, tries }) => ({
    code: 'table_restless',
    message: `${name} has no primary key, so it is read as of one moment, and all ${tries} tries met a change that was just being committed. Until one does not, nothing of it lands. With a primary key it is read in chunks instead: ALTER TABLE ${quoteTable(database, tableName)} ADD PRIMARY KEY (…);`,
  }));
}
