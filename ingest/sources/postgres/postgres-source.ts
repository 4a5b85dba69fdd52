import type pg from 'pg';
import { DailiesError } from '#catalog/error.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { Batch, SourcePosition } from '../../event.ts';
import type {
  ChangesRequest,
  DiscoveredTable,
  Offer,
  Reached,
  Requirement,
  Source,
  SourceDeps,
  SourceWarning,
} from '../../source.ts';
import { Questions } from '../questions.ts';
import { ChangeSession } from './change-session.ts';
import { checkServer, checkTables } from './check.ts';
import type { TypeRow } from './column-type.ts';
import { connect, databaseError, rowsOf, wire } from './connection.ts';
import { triggerOffer } from './ddl-trigger.ts';
import { findTables } from './discovery.ts';
import { Kept } from './kept.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import { type ServerNames, serverNames } from './names.ts';
import { readProvider } from './provider.ts';
import { dropPublications, readMemory } from './publication.ts';
import { readRowsByKey } from './read-rows.ts';
import { serverHead } from './server-head.ts';
import { dropSlot } from './slot.ts';
import { orphanedSlots, slotThreats } from './slot-watch.ts';
import { checkStandby } from './standby.ts';
import { notesOf, refusalOf, type ShapeContext, tableRelation } from './table-shape.ts';

const patientMs = 600_000;

export interface PostgresConfig {
  url: string;
  tables: readonly string[];
}

/** A Postgres database followed through logical replication; see README.md beside for what is made there and why. */
export class PostgresSource implements Source {
  readonly #config: PostgresConfig;
  readonly #name: string;
  readonly #names: ServerNames;
  readonly #kept: Kept;
  /** Of all sources that are defined, where that is known. */
  readonly #known: readonly ServerNames[] | null;
  readonly #types = new Map<number, TypeRow>();
  readonly #closing = new AbortController();
  readonly #silentMs: number;
  readonly #chunkBytes: number;
  readonly #questions: Questions<pg.Client>;
  #session: ChangeSession | null = null;

  constructor(config: PostgresConfig, deps: SourceDeps, { silentMs = 60_000, chunkBytes = 32 << 20 } = {}) {
    this.#silentMs = silentMs;
    this.#chunkBytes = chunkBytes;
    this.#config = config;
    this.#name = deps.name;
    this.#names = serverNames(deps.name);
    this.#kept = new Kept(deps.memory);
    this.#known = deps.known ? deps.known.map(serverNames) : null;
    const driver = {
      connect: (signal: AbortSignal) => connect(config.url, 'query', signal),
      cut: (client: pg.Client) => void wire(client).stream.destroy(),
      end: (client: pg.Client) => client.end(),
      errorOf: databaseError,
    };
    this.#questions = new Questions(driver, silentMs);
  }

  async discover(signal: AbortSignal): Promise<DiscoveredTable[]> {
    return this.#questions.ask(signal, async (client) => {
      const context = await this.#context(client);
      const found: DiscoveredTable[] = [];
      for (const table of await findTables(client, this.#config.tables, this.#names)) {
        const { schema } = await tableRelation(client, table, context);
        const refusal = refusalOf(table, context.streamsGenerated);
        const notes = notesOf(table, context.streamsGenerated, context.memory.textColumns(table.name));
        const doc = table.comment === null ? {} : { doc: table.comment };
        found.push({ name: table.name, schema, refusal, notes, ...doc });
      }
      return found;
    });
  }

  async check(signal: AbortSignal): Promise<Requirement[]> {
    return this.#questions.ask(signal, async (client) => {
      const server = await checkServer(client, this.#names);
      const found = await findTables(client, this.#config.tables, this.#names);
      const tables = await checkTables(client, found);
      // Of a source that is not defined yet nobody knows the name.
      const isDefined = this.#known?.some(({ slot }) => slot === this.#names.slot) ?? true;
      const standby = await checkStandby(client, isDefined ? this.#names : null, found);
      const orphans = this.#known ? await orphanedSlots(client, [...this.#known, this.#names]) : [];
      return [...server, ...tables, ...standby, ...orphans].map(({ problem, statement }) => ({ problem, statement }));
    });
  }

  async offers(signal: AbortSignal): Promise<Offer[]> {
    return this.#questions.ask(signal, async (client) => {
      const offer = await triggerOffer(client);
      return offer === null ? [] : [offer];
    });
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Batch> {
    if (this.#session !== null) {
      throw new DailiesError('conflict', `The changes of source ${this.#name} are already being read.`);
    }
    const session = new ChangeSession({
      url: this.#config.url,
      names: this.#names,
      request,
      patterns: this.#config.tables,
      source: this.#name,
      kept: this.#kept,
      silentMs: this.#silentMs,
      chunkBytes: this.#chunkBytes,
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
    await this.#session?.acknowledge(parseLsn(upTo));
  }

  async head(signal: AbortSignal): Promise<SourcePosition> {
    return this.#questions.ask(signal, async (client) => formatLsn((await serverHead(client)).position));
  }

  distance(from: SourcePosition, to: SourcePosition): number {
    const bytes = parseLsn(to) - parseLsn(from);
    return bytes > 0n ? Number(bytes) : 0;
  }

  async readRows(table: string, schema: Schema, keys: readonly Row[], signal: AbortSignal): Promise<Map<number, Row>> {
    const read = async (client: pg.Client) => {
      const prefix = `${this.#name}.`;
      const name = table.startsWith(prefix) ? table.slice(prefix.length) : table;
      const [found] = await findTables(client, [name], this.#names, true);
      if (!found) return new Map<number, Row>();
      const relation = await tableRelation(client, found, await this.#context(client));
      return readRowsByKey(client, found, relation, schema, keys);
    };
    // A table that is being altered keeps its readers waiting.
    return this.#questions.ask(signal, read, patientMs);
  }

  async warnings(_reached: Reached, signal: AbortSignal): Promise<SourceWarning[]> {
    return this.#questions.ask(signal, async (client) => {
      const threats = await slotThreats(client, this.#names, await readProvider(client));
      return threats.map(({ code, problem, statement }) => ({
        code,
        message: statement === null ? problem : `${problem} To make room: ${statement}`,
      }));
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#questions.close();
  }

  async drop(signal: AbortSignal): Promise<void> {
    await this.#questions.ask(signal, async (client) => {
      await dropSlot(client, this.#names.slot);
      await dropPublications(client, this.#names);
    });
  }

  async #context(client: pg.Client): Promise<ShapeContext> {
    const [row] = await rowsOf(client, 'SHOW server_version_num');
    return {
      source: this.#name,
      names: this.#names,
      memory: await readMemory(client, this.#names, this.#kept),
      types: this.#types,
      streamsGenerated: Number(row?.server_version_num) >= 180_000,
    };
  }
}
