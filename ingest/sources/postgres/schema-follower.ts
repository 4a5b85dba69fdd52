import type pg from 'pg';
import type { Schema } from '#catalog/schemas/schema.ts';
import type { ChangesRequest } from '../../source.ts';
import { parseDdlMessage } from './ddl-message.ts';
import { isWanted, readTables, type SourceTable, withCurrent } from './discovery.ts';
import type { RelationMessage } from './pgoutput.ts';
import { serverHead } from './server-head.ts';
import { imprintOf, isReadingOutdated } from './table-imprint.ts';
import { pastRelation, type ShapeContext, tableRelation } from './table-shape.ts';
import { announcement, movesValues, type ToldChange } from './told-changes.ts';

export interface SchemaFollowerOptions {
  /** Sees the catalogs; never waits for anybody's lock. */
  control: pg.Client;
  context: ShapeContext;
  request: Pick<ChangesRequest, 'tables' | 'onTables'>;
  /** Of the tables that the source follows, also of those that come later. */
  patterns: readonly string[];
  /** Old rows of this table, as it is now, read differently: they are read again. */
  onOutdated(table: SourceTable): Promise<void>;
  /** Something was told of a table that we follow: whether it is in the right publication is to be looked at. */
  onTold(): void;
}

/** A table whose shape is announced. */
export interface Announced {
  /** schema.table */
  table: string;
  /** source.schema.table */
  fullName: string;
  schema: Schema;
}

/**
 * Follows what the event triggers write into the stream: each table's shape as it is known at that place of its transaction.
 * Columns are told apart by their numbers, so that a rename keeps what it holds. Where it is not known what the table was
 * like just before, or where the stream describes a table otherwise than it was told, the rest is as without triggers: old
 * rows are read again where they may read differently.
 */
export class SchemaFollower {
  readonly #options: SchemaFollowerOptions;
  readonly #rewritten = new Set<number>();
  /** As they were told last, or as they were when what is kept of them began. */
  readonly #tables = new Map<number, SourceTable>();

  private constructor(options: SchemaFollowerOptions) {
    this.#options = options;
  }

  /** Null where no event triggers tell. To be opened once the tables are published: all that commits behind it is told. */
  static async open(published: readonly SourceTable[], options: SchemaFollowerOptions): Promise<SchemaFollower | null> {
    const { control, context } = options;
    const { shapes } = context.memory;
    if (shapes.trigger === null) return null;
    const follower = new SchemaFollower(options);
    const unknown = published.filter((table) => !shapes.has(table)).map(({ oid }) => oid);
    const tables = await readTables(control, unknown, context.names);
    // A commit is written before it is visible: one from here on is none that the catalogs have shown.
    const { position } = await serverHead(control);
    for (const table of tables) {
      if (!options.request.tables.has(table.name)) continue;
      shapes.begin(table, position, context.streamsGenerated);
      follower.#tables.set(table.oid, table);
    }
    return follower;
  }

  /** `isPast`: of a transaction that is durable with us. Answers what is to be announced in this place, in order. */
  async take(content: Buffer, place: { commitLsn: bigint; isPast: boolean }): Promise<Announced[]> {
    const message = parseDdlMessage(content);
    if (message === null) return [];
    for (const oid of message.rewritten) this.#rewritten.add(oid);
    const announced: Announced[] = [];
    const others = [...message.names, ...message.gone];
    const { control, context, request, patterns } = this.#options;
    for (const table of await withCurrent(control, message.tables, context.names)) {
      if (request.tables.has(table.name)) {
        const schema = await this.#table(table, place);
        const fullName = `${context.source}.${table.name}`;
        if (schema) announced.push({ table: table.name, fullName, schema });
      } else {
        others.push(table.name);
      }
    }
    if (place.isPast) return [];
    if (message.tables.length > 0) this.#options.onTold();
    // A partition that was attached is a table no more, one that was detached is one.
    const mayDiffer = message.tables.some(({ isPartitioned }) => isPartitioned);
    if (mayDiffer || others.some((name) => request.tables.has(name) || isWanted(name, patterns))) request.onTables?.();
    return announced;
  }

  /**
   * True if the stream describes a table as it was told to be. Where not, nothing that was told of it is relied on until it
   * is told of again.
   */
  isAsTold(message: RelationMessage, commitLsn: bigint): boolean {
    const { shapes } = this.#options.context.memory;
    const name = `${message.schemaName}.${message.tableName}`;
    const shape = shapes.before({ name, oid: message.oid }, commitLsn);
    if (shape === null) return false;
    const known = new Map(shape.columns.map((column) => [column.name, column]));
    const isAsTold = message.columns.every((column) => {
      const told = known.get(column.name);
      return told !== undefined && told.typeOid === column.typeOid && told.typmod === column.typmod;
    });
    if (!isAsTold) shapes.forget(name);
    return isAsTold;
  }

  /** The table as it was told last, or as it was when that began; undefined where an earlier session was told. */
  toldTable(oid: number): SourceTable | undefined {
    return this.#tables.get(oid);
  }

  async #table(table: SourceTable, place: { commitLsn: bigint; isPast: boolean }): Promise<Schema | null> {
    const { control, context, onOutdated } = this.#options;
    const { memory, streamsGenerated } = context;
    const shape = memory.shapes.before(table, place.commitLsn);
    const known = this.#tables.get(table.oid);
    memory.shapes.tell(table, place, streamsGenerated);
    this.#tables.set(table.oid, table);
    const isRewritten = this.#rewritten.delete(table.oid);
    if (place.isPast) return null;
    const imprint = memory.imprint(table.name);
    memory.setImprint(table.name, imprintOf(table));
    if (shape === null) {
      if (imprint !== null && (isRewritten || isReadingOutdated(imprint, table))) await onOutdated(table);
      return (await tableRelation(control, table, context)).schema;
    }
    const past = await pastRelation(control, table.name, shape.columns, context);
    for (const column of table.columns) {
      const old = shape.columns.find(({ attnum }) => attnum === column.attnum)?.name;
      // The old name stays: what comes again after a crash may begin with rows that have it.
      if (old !== undefined && memory.textColumns(table.name).includes(old)) {
        memory.addTextColumn(table.name, column.name);
      }
    }
    const relation = await tableRelation(control, table, context);
    const before = { shape, relation: past, key: known?.key ?? null };
    const change: ToldChange = { before, table, relation, isRewritten, streamsGenerated };
    if (movesValues(change)) await onOutdated(table);
    return announcement(change);
  }
}
