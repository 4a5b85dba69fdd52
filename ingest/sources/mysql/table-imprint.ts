import { createHash } from 'node:crypto';
import { typeName } from '#catalog/schemas/schema.ts';
import { codecOf } from './column-type.ts';
import type { SourceTable, TableColumn } from './discovery.ts';

/**
 * What a table's key and columns looked like, short enough to be kept: `key;name:nullable:type:charset:expression;…` with hashed
 * names and expressions. The two last are not in what was kept before they were looked at.
 */
export function imprintOf(table: SourceTable): string {
  const columns = table.columns.map(
    ({ name, isNullable, columnType, charset, expression }) =>
      `${hash(name)}:${isNullable ? 1 : 0}:${encodeURIComponent(columnType)}:${charset ?? ''}:${hash(expression ?? '')}`,
  );
  return [hash(table.key.join('\0')), ...columns].join(';');
}

export function hasOtherKey(imprint: string, table: SourceTable): boolean {
  return imprint.split(';')[0] !== hash(table.key.join('\0'));
}

/**
 * True if rows that were read before `imprint` was taken, and not changed since, read differently now: a column with a
 * default was added, one no longer takes NULL, a type was changed to one that prints some values otherwise, a character
 * set to one that has not all characters, or what a generated column is made by.
 */
export function isReadingOutdated(imprint: string, table: SourceTable): boolean {
  const before = new Map(
    imprint
      .split(';')
      .slice(1)
      .map((column) => column.split(':'))
      .map(([name, nullable, type, charset, expression]) => [
        name,
        { isNullable: nullable === '1', type: decodeURIComponent(type ?? ''), charset, expression },
      ]),
  );
  return table.columns.some((column) => {
    const old = before.get(hash(column.name));
    if (old === undefined) return column.hasDefault;
    if (old.isNullable && !column.isNullable) return true;
    if (old.expression !== undefined && old.expression !== hash(column.expression ?? '')) return true;
    if (old.charset !== undefined && old.charset !== (column.charset ?? '') && !hasAllCharacters(column)) return true;
    return old.type !== column.columnType && !isWidened(old.type, column);
  });
}

function hasAllCharacters({ charset }: TableColumn): boolean {
  return charset !== null && ['utf8mb4', 'utf32', 'utf16', 'utf16le', 'gb18030'].includes(charset);
}

const integers = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint'];

/** True if every value of the old type reads the same in the new one, and lands as the same or a promoted type. */
function isWidened(old: string, { columnType: now, type }: TableColumn): boolean {
  const [a, b] = [partsOf(old), partsOf(now)];
  if (integers.includes(a.name) && integers.includes(b.name)) {
    const isBigger = integers.indexOf(b.name) >= integers.indexOf(a.name);
    const lands = type === null ? '' : typeName(codecOf(type).type);
    return isBigger && a.isUnsigned === b.isUnsigned && (!a.isUnsigned || lands === 'int' || a.name === b.name);
  }
  if (a.name !== b.name || a.isUnsigned !== b.isUnsigned) return false;
  switch (a.name) {
    case 'varchar':
    case 'varbinary':
      return Number(b.size) >= Number(a.size);
    case 'enum':
    case 'set':
      return b.size.startsWith(a.size);
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
