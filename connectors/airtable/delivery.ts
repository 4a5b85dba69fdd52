import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import type {
  Applied,
  Cell,
  Change,
  DeliveryMode,
  DestinationDeps,
  HeldRow,
  KeyedDestination,
  ReadRequest,
  ResultColumn,
  RowError,
  WantedRow,
} from '../destination.ts';
import { cellForField, encodeCell, fieldFor, isComputed, needsTypecast } from './cells.ts';
import { AirtableClient } from './client.ts';

interface AirtableConfig {
  base: string;
  table: string;
  credentials: string;
  mode: DeliveryMode;
  key: string[];
}

const recordsPerWrite = 10;

const tablesAnswer = z.object({
  tables: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      fields: z.array(z.object({ id: z.string(), name: z.string(), type: z.string() })),
    }),
  ),
});
const fieldAnswer = z.object({ id: z.string(), name: z.string(), type: z.string() });
const upsertAnswer = z.object({ records: z.array(z.object({ id: z.string() })) });
const deleteAnswer = z.object({ records: z.array(z.object({ id: z.string() })) });

interface Upsert {
  row: WantedRow;
  fields: Record<string, Cell | string[]>;
}

/**
 * A table kept by one report. Airtable's reads leave out what is empty and cost a call for each 100 records, so what it
 * holds is known from our own notes; only a row whose fingerprint differs is written. An upsert by key may be repeated.
 */
export class AirtableDelivery implements KeyedDestination {
  readonly form = 'keyed';
  readonly mode: DeliveryMode;
  readonly key: readonly string[];
  /** Small, so that what arrived is noted soon. */
  readonly rowsPerApply = 100;
  readonly encode = encodeCell;
  readonly #config: AirtableConfig;
  readonly #client: AirtableClient;
  #columns: readonly ResultColumn[] = [];
  #rows: readonly WantedRow[] = [];
  /** Field type by column name, once asked for. */
  #fields: Map<string, string> | null = null;

  constructor(config: AirtableConfig, deps: DestinationDeps) {
    this.#config = config;
    this.mode = config.mode;
    this.key = config.key;
    this.#client = new AirtableClient(config.base, config.credentials, deps);
  }

  get written(): number {
    return this.#client.written;
  }

  async check(signal: AbortSignal): Promise<void> {
    await this.#findTable(signal);
  }

  async read(request: ReadRequest): Promise<ReadonlyMap<string, HeldRow>> {
    this.#columns = request.columns;
    this.#rows = request.rows;
    return new Map([...request.delivered].map(([key, record]) => [key, { ...record, isOurs: true }]));
  }

  async apply(changes: readonly Change[], signal: AbortSignal): Promise<Applied> {
    const types = await this.#prepare(signal);
    const done: Applied['done'] = [];
    const errors: RowError[] = [];
    const upserts: Upsert[] = [];
    for (const change of changes) {
      if (change.kind === 'remove') continue;
      const fields: Upsert['fields'] = {};
      const refusals: string[] = [];
      this.#columns.forEach((column, at) => {
        const encoded = cellForField(change.row.cells[at] ?? null, types.get(column.name) ?? '');
        if ('refused' in encoded) refusals.push(`${column.name}: ${encoded.refused}`);
        else fields[column.name] = encoded.cell;
      });
      if (refusals.length > 0) errors.push({ key: change.row.key, message: refusals.join('; ') });
      else upserts.push({ row: change.row, fields });
    }
    for (let at = 0; at < upserts.length; at += recordsPerWrite) {
      await this.#upsert(upserts.slice(at, at + recordsPerWrite), types, done, errors, signal);
    }
    const removes = changes.filter((change) => change.kind === 'remove');
    for (let at = 0; at < removes.length; at += recordsPerWrite) {
      await this.#remove(removes.slice(at, at + recordsPerWrite), done, signal);
    }
    return { done, errors };
  }

  async close(): Promise<void> {}

  /** Where Airtable refuses ten records for the sake of one, each is sent alone, so that only that one stays behind. */
  async #upsert(
    upserts: readonly Upsert[],
    types: ReadonlyMap<string, string>,
    done: Applied['done'],
    errors: RowError[],
    signal: AbortSignal,
  ): Promise<void> {
    const body = {
      performUpsert: { fieldsToMergeOn: [...this.key] },
      records: upserts.map(({ fields }) => ({ fields })),
      ...([...types.values()].some(needsTypecast) ? { typecast: true } : {}),
    };
    try {
      const answer = await this.#client.records({ method: 'PATCH', path: this.#path(), body }, upsertAnswer, signal);
      upserts.forEach(({ row }, index) => {
        done.push({ key: row.key, remoteId: answer.records[index]?.id ?? null });
      });
    } catch (thrown) {
      if (!(thrown instanceof DailiesError) || thrown.details.status !== 422) throw thrown;
      if (upserts.length > 1) {
        for (const one of upserts) await this.#upsert([one], types, done, errors, signal);
        return;
      }
      const key = upserts[0]?.row.key ?? '';
      const names = this.key.join(', ');
      errors.push({
        key,
        message: `Airtable refused this record (${String(thrown.details.type)}): more than one record has this key (${names}), or a field does not take its value.`,
      });
    }
  }

  async #remove(
    removes: readonly Extract<Change, { kind: 'remove' }>[],
    done: Applied['done'],
    signal: AbortSignal,
  ): Promise<void> {
    const ids = removes.flatMap((change) => (change.held.remoteId === null ? [] : [change.held.remoteId]));
    try {
      if (ids.length > 0) {
        await this.#client.records(
          { method: 'DELETE', path: this.#path(), qs: { records: ids } },
          deleteAnswer,
          signal,
        );
      }
      for (const change of removes) done.push({ key: change.key, remoteId: null });
    } catch (thrown) {
      const isGone = thrown instanceof DailiesError && [403, 404, 422].includes(Number(thrown.details.status));
      if (!isGone) throw thrown;
      if (removes.length > 1) {
        for (const one of removes) await this.#remove([one], done, signal);
        return;
      }
      const [change] = removes;
      if (change === undefined || (await this.#exists(change.held.remoteId ?? '', signal))) throw thrown;
      done.push({ key: change.key, remoteId: null });
    }
  }

  /** A record that people deleted, or that a deletion whose answer was lost took away, needs no more. */
  async #exists(id: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#client.records(
        { method: 'GET', path: `${this.#path()}/${encodeURIComponent(id)}` },
        z.unknown(),
        signal,
      );
      return true;
    } catch (thrown) {
      const isGone = thrown instanceof DailiesError && [403, 404].includes(Number(thrown.details.status));
      if (!isGone) throw thrown;
      await this.#findTable(signal);
      return false;
    }
  }

  #path(): string {
    return `/${encodeURIComponent(this.#config.table)}`;
  }

  async #findTable(signal: AbortSignal): Promise<z.output<typeof tablesAnswer>['tables'][number]> {
    const { tables } = await this.#client.schema({ method: 'GET', path: '/tables' }, tablesAnswer, signal);
    const { base, table: wanted } = this.#config;
    const table = tables.find((one) => one.name === wanted || one.id === wanted);
    if (table) return table;
    throw new DailiesError(
      'destination_not_found',
      `The Airtable base ${base} has no table ${wanted}. It has ${tables.map((one) => one.name).join(', ') || 'none'}: name one of them, or make the table.`,
      { details: { base, table: wanted } },
    );
  }

  /** Makes the fields that are missing, and finds out what the others can hold. Once per delivery, and only before a write. */
  async #prepare(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    if (this.#fields !== null) return this.#fields;
    const table = await this.#findTable(signal);
    const fields = new Map(table.fields.map((field) => [field.name, field.type]));
    for (const [at, column] of this.#columns.entries()) {
      const type = fields.get(column.name);
      if (type !== undefined && isComputed(type)) {
        throw new DailiesError(
          'destination_invalid',
          `The field ${column.name} of the Airtable table ${table.name} is computed (${type}) and cannot be written. Rename it there, or give the report's column another name with AS.`,
          { details: { field: column.name, type } },
        );
      }
      if (type !== undefined) continue;
      const body = {
        ...fieldFor(
          column.name,
          column.type,
          this.#rows.map((row) => row.cells[at] ?? null),
        ),
      };
      const path = `/tables/${table.id}/fields`;
      const made = await this.#makeField(path, body, table.id, signal);
      fields.set(made.name, made.type);
    }
    this.#fields = new Map(this.#columns.map((column) => [column.name, fields.get(column.name) ?? '']));
    return this.#fields;
  }

  async #makeField(
    path: string,
    body: { name: string; type: string },
    tableId: string,
    signal: AbortSignal,
  ): Promise<z.output<typeof fieldAnswer>> {
    try {
      return await this.#client.schema({ method: 'POST', path, body }, fieldAnswer, signal);
    } catch (thrown) {
      if (!(thrown instanceof DailiesError) || thrown.details.status !== 422) throw thrown;
      // An answer that was lost: the field is there by now.
      const { tables } = await this.#client.schema({ method: 'GET', path: '/tables' }, tablesAnswer, signal);
      const field = tables.find((one) => one.id === tableId)?.fields.find((one) => one.name === body.name);
      if (field) return field;
      throw thrown;
    }
  }
}
