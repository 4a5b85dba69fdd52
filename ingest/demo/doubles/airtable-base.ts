import { randomBytes } from 'node:crypto';
import { Refusal } from './http-double.ts';

/** A base as Airtable keeps it: typed fields, records that leave out what is empty. */
export interface Base {
  id: string;
  name: string;
  tables: Table[];
  version: number;
}

export interface Table {
  id: string;
  name: string;
  fields: Field[];
  records: BaseRecord[];
}

export interface Field {
  id: string;
  name: string;
  type: string;
  options?: Record<string, unknown>;
}

export interface BaseRecord {
  id: string;
  createdTime: string;
  /** By field id. */
  values: Record<string, unknown>;
}

export const writableTypes = [
  'singleLineText',
  'multilineText',
  'email',
  'url',
  'phoneNumber',
  'richText',
  'number',
  'percent',
  'currency',
  'checkbox',
  'date',
  'dateTime',
  'singleSelect',
  'multipleSelects',
] as const;
const computedTypes = ['formula', 'rollup', 'count', 'autoNumber', 'createdTime', 'lastModifiedTime'];
const textTypes = ['singleLineText', 'multilineText', 'email', 'url', 'phoneNumber', 'richText'];
const charactersPerCell = 100_000;

export function makeId(prefix: string): string {
  return prefix + randomBytes(12).toString('base64url').replace(/[-_]/g, '0').slice(0, 14);
}

export function refuse(status: number, type: string, message: string): Refusal {
  return new Refusal({ status, body: { error: { type, message } } });
}

export function findTable(base: Base, name: string): Table {
  const table = base.tables.find((one) => one.name === name || one.id === name);
  if (table) return table;
  throw refuse(
    403,
    'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND',
    'Invalid permissions, or the requested model was not found. Check that both your user and your token have the required permissions, and that the model names and/or ids are correct.',
  );
}

export function findField(table: Table, name: string): Field {
  const field = table.fields.find((one) => one.name === name || one.id === name);
  if (field) return field;
  throw refuse(422, 'UNKNOWN_FIELD_NAME', `Unknown field name: "${name}"`);
}

/** A record as the API tells it. */
export function recordResource(table: Table, record: BaseRecord): object {
  const fields = table.fields.flatMap((field) => {
    const value = record.values[field.id];
    return isEmpty(value) ? [] : [[field.name, value]];
  });
  return { id: record.id, createdTime: record.createdTime, fields: Object.fromEntries(fields) };
}

function isEmpty(value: unknown): boolean {
  const isEmptyList = Array.isArray(value) && value.length === 0;
  return value === undefined || value === null || value === '' || value === false || isEmptyList;
}

/** The given fields as stored values by field id; refused whole where one is not of its field's type. */
export function storedValues(table: Table, given: Record<string, unknown>, typecast: boolean): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      const field = findField(table, name);
      return [field.id, storedValue(field, value, typecast)];
    }),
  );
}

function storedValue(field: Field, value: unknown, typecast: boolean): unknown {
  if (computedTypes.includes(field.type)) {
    throw refuse(
      422,
      'INVALID_VALUE_FOR_COLUMN',
      `Field "${field.name}" cannot accept a value because the field is computed`,
    );
  }
  if (value === null || value === '') return null;
  const wrong = refuse(422, 'INVALID_VALUE_FOR_COLUMN', `Field "${field.name}" cannot accept the provided value`);
  if (textTypes.includes(field.type)) {
    const text = typecast && typeof value !== 'object' ? String(value) : value;
    if (typeof text !== 'string' || text.length > charactersPerCell) throw wrong;
    return text;
  }
  switch (field.type) {
    case 'number':
    case 'percent':
    case 'currency': {
      const number = typecast && typeof value === 'string' ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isFinite(number)) throw wrong;
      return number;
    }
    case 'checkbox':
      if (typeof value !== 'boolean') throw wrong;
      return value;
    case 'date':
      if (typeof value !== 'string' || Number.isNaN(Date.parse(value))) throw wrong;
      return new Date(value).toISOString().slice(0, 10);
    case 'dateTime':
      if (typeof value !== 'string' || Number.isNaN(Date.parse(value))) throw wrong;
      return new Date(/Z|[+-]\d\d:\d\d$/.test(value) || !value.includes('T') ? value : `${value}Z`).toISOString();
    case 'singleSelect':
      return choice(field, value, typecast);
    case 'multipleSelects':
      if (!Array.isArray(value)) throw wrong;
      return value.map((one) => choice(field, one, typecast));
    default:
      throw wrong;
  }
}

function choice(field: Field, value: unknown, typecast: boolean): unknown {
  const choices = (field.options?.choices ?? []) as { id: string; name: string }[];
  if (choices.some((one) => one.name === value)) return value;
  if (!typecast || typeof value !== 'string') {
    throw refuse(
      422,
      'INVALID_MULTIPLE_CHOICE_OPTIONS',
      `Insufficient permissions to create new select option "${String(value)}"`,
    );
  }
  field.options = { ...field.options, choices: [...choices, { id: makeId('sel'), name: value }] };
  return value;
}

export interface UpsertRow {
  id?: string | undefined;
  fields: Record<string, unknown>;
}

export interface UpsertAnswer {
  createdRecords: string[];
  updatedRecords: string[];
  records: BaseRecord[];
}

/** Records by id, or by one to three fields together; all or none of them. `clears` for PUT, which empties unlisted fields. */
export function writeRecords(
  table: Table,
  rows: readonly UpsertRow[],
  options: { mergeOn: readonly string[] | null; typecast: boolean; clears: boolean; now: number },
): UpsertAnswer {
  const planned = rows.map((row) => {
    const values = storedValues(table, row.fields, options.typecast);
    return { values, record: row.id === undefined ? match(table, values, options.mergeOn) : byId(table, row.id) };
  });
  const answer: UpsertAnswer = { createdRecords: [], updatedRecords: [], records: [] };
  for (const { values, record } of planned) {
    const there = record ?? addRecord(table, options.now);
    there.values = options.clears ? values : { ...there.values, ...values };
    (record === null ? answer.createdRecords : answer.updatedRecords).push(there.id);
    answer.records.push(there);
  }
  return answer;
}

function match(table: Table, values: Record<string, unknown>, mergeOn: readonly string[] | null): BaseRecord | null {
  if (mergeOn === null)
    throw refuse(
      422,
      'INVALID_REQUEST_UNKNOWN',
      'Invalid request: parameter validation failed. Check your request data.',
    );
  const fields = mergeOn.map((name) => findField(table, name));
  for (const field of fields) {
    if (values[field.id] === undefined || values[field.id] === null) {
      throw refuse(
        422,
        'INVALID_VALUE_FOR_COLUMN',
        `Field "${field.name}" to merge on must have a value in each record`,
      );
    }
  }
  const found = table.records.filter((record) => fields.every((field) => record.values[field.id] === values[field.id]));
  if (found.length > 1) {
    throw refuse(
      422,
      'INVALID_REQUEST_UNKNOWN',
      'Cannot update more than one record with matching values for the fields to merge on',
    );
  }
  return found[0] ?? null;
}

export function byId(table: Table, id: string): BaseRecord {
  const record = table.records.find((one) => one.id === id);
  if (record) return record;
  throw refuse(404, 'MODEL_ID_NOT_FOUND', `Record ID ${id} does not exist`);
}

export function addRecord(table: Table, now: number): BaseRecord {
  const record = { id: makeId('rec'), createdTime: new Date(now).toISOString(), values: {} };
  table.records.push(record);
  return record;
}
