import { createHash } from 'node:crypto';
import type { Alteration } from './alteration.ts';
import type { SourceTable, TableColumn } from './discovery.ts';
import { type MadeColumn, plainCharset, plainType, sizedType } from './made-column.ts';

/**
 * What a table's key and columns looked like, short enough to be kept: `key;name:nullable:type:charset:expression;…` with hashed
 * names and expressions. The two last are not in what was kept before they were looked at.
 */
export function imprintOf(table: SourceTable): string {
  return [hash(table.key.join('\0')), ...table.columns.map((column) => partOf(column, column))].join(';');
}

function partOf({ name, expression }: TableColumn, form: Pick<TableColumn, 'isNullable' | 'columnType' | 'charset'>) {
  const { isNullable, columnType, charset } = form;
  const type = encodeURIComponent(columnType);
  return `${hash(name)}:${isNullable ? 1 : 0}:${type}:${charset ?? ''}:${hash(expression ?? '')}`;
}

export function hasOtherKey(imprint: string, table: SourceTable): boolean {
  return imprint.split(';')[0] !== hash(table.key.join('\0'));
}

/**
 * The imprint of a table behind a statement by which its rows read no differently. What the catalog says of columns that the
 * statement has not made is left to statements that the log has not told yet.
 */
export function imprintAfter(alteration: Alteration, before: string, table: SourceTable): string {
  const [, ...parts] = before.split(';');
  const known = new Map(parts.map((part) => [part.split(':')[0], part]));
  const columns = table.columns.flatMap((column) => {
    const kept = known.get(hash(column.name));
    const made = madeOf(alteration, column);
    if (made !== undefined && !isIdle(made, kept !== undefined)) {
      const { type, charset = '', isNullable } = formMadeBy(made, table, column);
      return [partOf(column, { columnType: type, charset, isNullable })];
    }
    if (kept === undefined) return [];
    return [alteration.convertsTo === null ? kept : partOf(column, column)];
  });
  return [hash(table.key.join('\0')), ...columns].join(';');
}

/**
 * True if rows that were read before `imprint` was taken, and not changed since, read differently now: a column with a
 * default was added, one no longer takes NULL, a type was changed to one that prints some values otherwise, a character
 * set to one that has not all characters, or what a generated column is made by.
 */
export function isReadingOutdated(imprint: string, table: SourceTable): boolean {
  const before = columnsOf(imprint);
  return table.columns.some((column) => {
    const old = before.get(hash(column.name));
    if (old === undefined) return column.hasDefault;
    if (old.expression !== undefined && old.expression !== hash(column.expression ?? '')) return true;
    return readsOtherwise(old, formOf(column));
  });
}

/**
 * True if a statement has made something of a table's columns by which rows read differently, whether or not `table`, as it
 * is now, has been made otherwise since: from `imprint` to what the statement says, or from there to now.
 */
export function isOutdatedBy(alteration: Alteration, imprint: string, table: SourceTable): boolean {
  const before = columnsOf(imprint);
  const { convertsTo, defaultCharset } = alteration;
  if (defaultCharset !== null && table.charset !== null && defaultCharset !== plainCharset(table.charset)) return true;
  return table.columns.some((column) => {
    const old = before.get(hash(column.name));
    const now = formOf(column);
    if (convertsTo !== null && now.charset !== '') {
      if (old?.charset && losesCharacters(old.charset, convertsTo)) return true;
      if (losesCharacters(convertsTo, now.charset)) return true;
    }
    const made = madeOf(alteration, column);
    if (made === undefined || isIdle(made, old !== undefined)) return false;
    const then = formMadeBy(made, table, column);
    if (readsOtherwise(then, now)) return true;
    if (made.isAdded) return made.hasDefault || made.isGenerated || !then.isNullable;
    return made.isGenerated || old === undefined || readsOtherwise(old, then);
  });
}

function madeOf({ columns }: Alteration, { name }: TableColumn): MadeColumn | undefined {
  return columns.find((made) => made.name === name.toLowerCase());
}

/** True for `IF EXISTS` of a column that was not there, and for `IF NOT EXISTS` of one that was. */
function isIdle({ isConditional, isAdded }: MadeColumn, wasThere: boolean): boolean {
  return isConditional && isAdded === wasThere;
}

/** `column`: as it is now, for what the statement leaves open. */
function formMadeBy(made: MadeColumn, table: SourceTable, column: TableColumn): Form {
  const now = formOf(column);
  // MariaDB's JSON is a text.
  const isJsonText = made.type === 'json' && now.type === 'longtext';
  const charset = isJsonText ? 'utf8mb4' : plainCharset(made.charset ?? table.charset ?? now.charset);
  const type = isJsonText ? now.type : sizedType(made.type, charset);
  const isNullable = made.isNullable ?? now.isNullable;
  return {
    type,
    charset: isText(type) ? charset : '',
    isNullable: isNullable && !table.key.includes(column.name),
  };
}

/** What of a column tells how its values read. */
interface Form {
  isNullable: boolean;
  /** As `plainType` has it. */
  type: string;
  /** Empty for none; undefined where it was not noted. */
  charset: string | undefined;
}

function formOf({ isNullable, columnType, charset }: TableColumn): Form & { charset: string } {
  return { isNullable, type: plainType(columnType), charset: plainCharset(charset ?? '') };
}

/** By the hash of their names. */
function columnsOf(imprint: string): Map<string, Form & { expression: string | undefined }> {
  const [, ...columns] = imprint.split(';');
  return new Map(
    columns.map((column) => {
      const [name = '', nullable, type = '', charset, expression] = column.split(':');
      const form = {
        isNullable: nullable === '1',
        type: plainType(decodeURIComponent(type)),
        charset: charset === undefined ? undefined : plainCharset(charset),
      };
      return [name, { ...form, expression }];
    }),
  );
}

/** True if values of a column may read, or land, differently once it has the other form. */
function readsOtherwise(old: Form, now: Form): boolean {
  if (old.isNullable && !now.isNullable) return true;
  if (old.charset !== undefined && losesCharacters(old.charset, now.charset ?? '')) return true;
  return old.type !== now.type && !isWidened(old.type, now.type);
}

function losesCharacters(old: string, now: string): boolean {
  return old !== now && !['utf8mb4', 'utf32', 'utf16', 'utf16le', 'gb18030'].includes(now);
}

function isText(type: string): boolean {
  return /^(char|varchar|tinytext|text|mediumtext|longtext|enum|set)\b/.test(type);
}

const integers = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint'];
const large = ['text', 'blob'].map((kind) => ['tiny', '', 'medium', 'long'].map((size) => `${size}${kind}`));

/** True if every value of the old type reads the same in the new one, and lands as the same or a promoted type. */
function isWidened(old: string, now: string): boolean {
  const [a, b] = [partsOf(old), partsOf(now)];
  if (a.isUnsigned !== b.isUnsigned) return false;
  if (integers.includes(a.name) && integers.includes(b.name)) {
    const isBigger = integers.indexOf(b.name) >= integers.indexOf(a.name);
    const landsAsInt = b.name !== 'bigint' && b.name !== 'int';
    return isBigger && (!a.isUnsigned || landsAsInt || a.name === b.name);
  }
  if (large.some((sizes) => sizes.includes(a.name) && sizes.indexOf(b.name) >= sizes.indexOf(a.name))) return true;
  if (a.name !== b.name) return false;
  switch (a.name) {
    case 'varchar':
    case 'varbinary':
      return Number(b.size) >= Number(a.size);
    case 'enum':
    case 'set':
      return b.size.startsWith(`${a.size},`);
    case 'decimal': {
      const [digitsBefore = 0, scaleBefore = 0] = a.size.split(',').map(Number);
      const [digits = 0, scale = 0] = b.size.split(',').map(Number);
      return scale === scaleBefore && digits >= digitsBefore && digits <= 38 === digitsBefore <= 38;
    }
    default:
      return false;
  }
}

/** `bigint(20) unsigned` in its parts. */
function partsOf(columnType: string): { name: string; size: string; isUnsigned: boolean } {
  const [, name = '', size = ''] = /^(\w+)(?:\((.*)\))?/s.exec(columnType) ?? [];
  return { name, size, isUnsigned: /\)? unsigned\b/.test(columnType.replace(/\(.*\)/s, '')) };
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 6);
}
