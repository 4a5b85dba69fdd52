import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { z } from 'zod';
import {
  addRecord,
  type Base,
  byId,
  type Field,
  findField,
  findTable,
  makeId,
  recordResource,
  refuse,
  storedValues,
  writableTypes,
  writeRecords,
} from './airtable-base.ts';
import {
  type DoubleRequest,
  type DoubleResponse,
  type HttpDouble,
  Quota,
  Refusal,
  send,
  startHttpDouble,
  Watchers,
} from './http-double.ts';
import { KeptDocument, readKept } from './kept-document.ts';

export interface AirtableDoubleOptions {
  port?: number;
  /** Where bases are kept; in memory only without it. */
  dataDir?: string;
  /** Made where they are not there yet. */
  bases?: BaseGiven[];
  /** Personal access tokens that may do everything; one is made up where none is given. */
  tokens?: string[];
  /** Requests a second for one base, and how long one too many shuts it. */
  quota?: { perSecond: number; lockOutMs: number };
  now?: () => number;
}

export interface BaseGiven {
  id: string;
  name: string;
  tables: { name: string; fields: { name: string; type: string; options?: Record<string, unknown> }[] }[];
}

export interface AirtableDouble extends HttpDouble {
  /** A personal access token, as a credential for deliveries. */
  token: string;
  addBase(given: BaseGiven): Base;
  base(id: string): Base | undefined;
}

const recordsPerWrite = 10;
const fieldsGiven = z.record(z.string(), z.unknown());
const writeBody = z.object({
  records: z.array(z.object({ id: z.string().optional(), fields: fieldsGiven })),
  performUpsert: z.object({ fieldsToMergeOn: z.array(z.string()) }).optional(),
  typecast: z.boolean().default(false),
});
const oneBody = z.object({ fields: fieldsGiven, typecast: z.boolean().default(false) });
const fieldBody = z.strictObject({
  name: z.string().min(1).max(255),
  type: z.string(),
  description: z.string().optional(),
  options: z.record(z.string(), z.unknown()).optional(),
});

/**
 * Airtable's Web API over real HTTP, as far as a careful client needs it: the same paths, JSON, errors, lock-outs and
 * limits. `GET /__base/{id}/{table}` shows a table to people, `POST …/cells {record, field, value}` types into it,
 * `GET /__base/{id}/events` tells each change.
 */
export async function startAirtableDouble(options: AirtableDoubleOptions = {}): Promise<AirtableDouble> {
  const now = options.now ?? Date.now;
  const limits = options.quota ?? { perSecond: 5, lockOutMs: 30_000 };
  const file = options.dataDir === undefined ? null : path.join(options.dataDir, 'airtable.json');
  const kept = file === null ? null : ((await readKept(file)) as { token: string; bases: Base[] } | null);
  const bases = new Map<string, Base>((kept?.bases ?? []).map((one) => [one.id, one]));
  const tokens = options.tokens ?? [kept?.token ?? `${makeId('pat')}.${makeId('')}${makeId('')}`];
  const token = tokens[0] ?? '';
  const document = new KeptDocument(file, () => ({ token, bases: [...bases.values()] }));
  const quota = new Quota(now);
  const shutUntil = new Map<string, number>();
  const watchers = new Watchers();

  const changed = (base: Base) => {
    base.version++;
    document.changed();
    watchers.tell(base.id, base.version);
  };
  const addBase = ({ id, name, tables }: BaseGiven): Base => {
    const made: Base = {
      id,
      name,
      version: 0,
      tables: tables.map((table) => ({
        id: makeId('tbl'),
        name: table.name,
        fields: table.fields.map((field) => ({ id: makeId('fld'), ...field })),
        records: [],
      })),
    };
    bases.set(id, made);
    changed(made);
    return made;
  };
  for (const one of options.bases ?? []) if (!bases.has(one.id)) addBase(one);

  /** 429 shuts the base for a while, whatever comes then. */
  const meter = (id: string) => {
    const isShut = (shutUntil.get(id) ?? 0) > now();
    const isOver = !isShut && quota.exceeds(id, { count: limits.perSecond, perMs: 1_000 });
    if (isOver) shutUntil.set(id, now() + limits.lockOutMs);
    if (isShut || isOver) throw new Refusal({ status: 429, body: airtableErrorBody(429) });
  };

  const open = (id: string): Base => {
    const base = bases.get(id);
    if (base === undefined) throw new Refusal({ status: 404, body: { error: 'NOT_FOUND' } });
    meter(id);
    return base;
  };

  const handle = (request: DoubleRequest): DoubleResponse => {
    const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (!tokens.includes(given)) throw refuse(401, 'AUTHENTICATION_REQUIRED', 'Authentication required');
    const [version, root = '', ...rest] = request.parts;
    if (version !== 'v0') throw new Refusal({ status: 404, body: { error: 'NOT_FOUND' } });
    if (root === 'meta') return handleSchema(request, rest);
    const [table = '', id] = rest;
    return handleRecords(request, open(root), table, id);
  };

  const handleSchema = (request: DoubleRequest, [word, id = '', tables, tableId, fields]: string[]): DoubleResponse => {
    if (word === 'bases' && id === '') {
      const list = [...bases.values()].map((base) => ({ id: base.id, name: base.name, permissionLevel: 'create' }));
      return { status: 200, body: { bases: list } };
    }
    const base = open(id);
    if (word !== 'bases' || tables !== 'tables') throw new Refusal({ status: 404, body: { error: 'NOT_FOUND' } });
    if (request.method === 'GET' && tableId === undefined)
      return { status: 200, body: { tables: base.tables.map(tableResource) } };
    if (request.method !== 'POST' || fields !== 'fields')
      throw new Refusal({ status: 404, body: { error: 'NOT_FOUND' } });
    const table = findTable(base, tableId ?? '');
    const body = parse(fieldBody, request.body);
    if (!(writableTypes as readonly string[]).includes(body.type)) {
      throw refuse(
        422,
        'UNSUPPORTED_FIELD_TYPE_FOR_CREATE',
        `Creating ${body.type} fields is not supported at this time`,
      );
    }
    if (table.fields.some((one) => one.name.toLowerCase() === body.name.toLowerCase())) {
      throw refuse(422, 'DUPLICATE_OR_EMPTY_FIELD_NAME', `Field with name "${body.name}" already exists`);
    }
    requireOptions(body);
    const { name, type } = body;
    const made: Field = {
      id: makeId('fld'),
      name,
      type,
      ...(body.options === undefined ? {} : { options: body.options }),
    };
    table.fields.push(made);
    changed(base);
    return { status: 200, body: made };
  };

  const handleRecords = (request: DoubleRequest, base: Base, name: string, id: string | undefined): DoubleResponse => {
    const table = findTable(base, name);
    const query = request.url.searchParams;
    const put = request.method === 'PUT';
    if (request.method === 'GET' && id !== undefined)
      return { status: 200, body: recordResource(table, byId(table, id)) };
    if (request.method === 'GET') return listRecords(table, query);
    if (request.method === 'DELETE') {
      const ids = id === undefined ? query.getAll('records[]') : [id];
      requireCount(ids.length);
      for (const one of ids) byId(table, one);
      table.records = table.records.filter((record) => !ids.includes(record.id));
      changed(base);
      const gone = ids.map((one) => ({ id: one, deleted: true }));
      return { status: 200, body: id === undefined ? { records: gone } : gone[0] };
    }
    if (request.method === 'POST') {
      const body = parse(writeBody, request.body);
      requireCount(body.records.length);
      const values = body.records.map((record) => storedValues(table, record.fields, body.typecast));
      const records = values.map((one) => Object.assign(addRecord(table, now()), { values: one }));
      changed(base);
      return { status: 200, body: { records: records.map((record) => recordResource(table, record)) } };
    }
    if (request.method !== 'PATCH' && !put) throw new Refusal({ status: 404, body: { error: 'NOT_FOUND' } });
    if (id !== undefined) {
      const body = parse(oneBody, request.body);
      const options = { mergeOn: null, typecast: body.typecast, clears: put, now: now() };
      const { records } = writeRecords(table, [{ id, fields: body.fields }], options);
      changed(base);
      return { status: 200, body: records.map((record) => recordResource(table, record))[0] };
    }
    const body = parse(writeBody, request.body);
    requireCount(body.records.length);
    const mergeOn = body.performUpsert?.fieldsToMergeOn ?? null;
    if (mergeOn !== null && (mergeOn.length < 1 || mergeOn.length > 3)) {
      throw refuse(422, 'INVALID_REQUEST_UNKNOWN', 'fieldsToMergeOn must have between one and three fields');
    }
    const answer = writeRecords(table, body.records, { mergeOn, typecast: body.typecast, clears: put, now: now() });
    changed(base);
    const records = answer.records.map((record) => recordResource(table, record));
    const { createdRecords, updatedRecords } = answer;
    return { status: 200, body: mergeOn === null ? { records } : { createdRecords, updatedRecords, records } };
  };

  const admin = (request: DoubleRequest, response: ServerResponse): boolean => {
    const [root, id = '', name, tail] = request.parts;
    if (root !== '__base') return false;
    const base = bases.get(id);
    const table = base?.tables.find((one) => one.name === name || one.id === name);
    if (base === undefined) send(response, { status: 404, body: { error: `no base ${id}` } });
    else if (name === undefined) {
      send(response, {
        status: 200,
        body: { id, name: base.name, version: base.version, tables: base.tables.map(tableResource) },
      });
    } else if (name === 'events' && request.method === 'GET') watchers.watch(id, base.version, request, response);
    else if (table === undefined) send(response, { status: 404, body: { error: `no table ${name}` } });
    else if (request.method === 'POST') {
      try {
        if (tail === 'fields') table.fields.push({ id: makeId('fld'), ...parse(fieldBody, request.body) } as Field);
        else {
          const given = z
            .object({ record: z.string(), field: z.string(), value: z.unknown() })
            .parse(JSON.parse(request.body));
          const values = storedValues(table, { [given.field]: given.value }, true);
          Object.assign(byId(table, given.record).values, values);
        }
        changed(base);
        send(response, { status: 200, body: { version: base.version } });
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown;
        send(response, thrown.response);
      }
    } else {
      const records = table.records.map((record) => recordResource(table, record));
      send(response, {
        status: 200,
        body: { base: id, name: base.name, table: table.name, version: base.version, fields: table.fields, records },
      });
    }
    return true;
  };

  const http = await startHttpDouble({ port: options.port, handle, admin, errorBody: airtableErrorBody });
  return {
    ...http,
    token,
    addBase,
    base: (id) => bases.get(id),
    async close() {
      await http.close();
      await document.flush();
    },
  };
}

function tableResource(table: Base['tables'][number]): object {
  return { id: table.id, name: table.name, primaryFieldId: table.fields[0]?.id, fields: table.fields, views: [] };
}

function listRecords(table: Base['tables'][number], query: URLSearchParams): DoubleResponse {
  for (const name of ['filterByFormula', 'sort[0][field]', 'view']) {
    if (query.has(name)) throw refuse(422, 'INVALID_REQUEST_UNKNOWN', `This double does not know ${name}.`);
  }
  const pageSize = Number(query.get('pageSize') ?? 100);
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > 100) {
    throw refuse(422, 'INVALID_PAGE_SIZE', 'pageSize must be between 1 and 100');
  }
  const wanted = query.getAll('fields[]').map((name) => findField(table, name).id);
  const start = Number(query.get('offset')?.replace('itr', '') ?? 0);
  const page = table.records.slice(start, start + pageSize);
  const shown =
    wanted.length === 0 ? table : { ...table, fields: table.fields.filter((field) => wanted.includes(field.id)) };
  const next = start + pageSize;
  const records = page.map((record) => recordResource(shown, record));
  return { status: 200, body: { records, ...(next < table.records.length ? { offset: `itr${next}` } : {}) } };
}

/** Options that Airtable asks for when a field of the kind is made. */
function requireOptions(body: z.output<typeof fieldBody>): void {
  const needed: Record<string, string[]> = {
    number: ['precision'],
    percent: ['precision'],
    currency: ['precision', 'symbol'],
    checkbox: ['icon', 'color'],
    date: ['dateFormat'],
    dateTime: ['dateFormat', 'timeFormat', 'timeZone'],
    singleSelect: ['choices'],
    multipleSelects: ['choices'],
  };
  const missing = (needed[body.type] ?? []).find((name) => body.options?.[name] === undefined);
  const isPrecise = body.options?.precision === undefined || Number(body.options.precision) <= 8;
  if (missing !== undefined || !isPrecise) {
    throw refuse(
      422,
      'INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE',
      `Invalid options for ${body.type}: ${missing ?? 'precision'}`,
    );
  }
}

function requireCount(count: number): void {
  if (count >= 1 && count <= recordsPerWrite) return;
  throw refuse(422, 'INVALID_REQUEST_UNKNOWN', `A request holds 1 to ${recordsPerWrite} records, not ${count}`);
}

function parse<T extends z.ZodType>(schema: T, body: string): z.output<T> {
  const parsed = schema.safeParse(JSON.parse(body === '' ? '{}' : body));
  if (parsed.success) return parsed.data;
  throw refuse(
    422,
    'INVALID_REQUEST_UNKNOWN',
    'Invalid request: parameter validation failed. Check your request data.',
  );
}

function airtableErrorBody(status: number): unknown {
  switch (status) {
    case 401:
      return { error: { type: 'AUTHENTICATION_REQUIRED', message: 'Authentication required' } };
    case 403:
      return { error: { type: 'INVALID_PERMISSIONS', message: 'You are not permitted to perform this operation' } };
    case 404:
      return { error: 'NOT_FOUND' };
    case 429:
      return { errors: [{ error: 'RATE_LIMIT_REACHED', message: 'Rate limit exceeded. Please try again later' }] };
    default:
      return { error: { type: 'SERVER_ERROR', message: 'Internal error' } };
  }
}
