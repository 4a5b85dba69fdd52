import { createHash } from 'node:crypto';
import { typeName } from '#catalog/schemas/schema.ts';
import { columnType, isBuiltInType } from './column-type.ts';
import type { SourceTable, TableColumn } from './discovery.ts';
import { hasOtherTypes, typesImprint } from './made-types.ts';

const mostFiles = 4;

/**
 * What a table's columns and storage looked like, short enough to be kept: `files;attnum:name:type:xid;…` with hashes of
 * files and names and the transaction that altered the column last, and behind the files `!` and a hash of the row filter
 * and column list, if any; last, behind `@`, the types that columns are made of (made-types.ts). Postgres never gives a column's attnum to another.
 */
export function imprintOf(table: SourceTable): string {
  const columns = table.columns.map(
    ({ attnum, name, typeOid, typmod, alteredBy }) => `${attnum}:${hash(name)}:${typeOid}.${typmod}:${alteredBy}`,
  );
  return [`${filesPart(table)}${publishedPart(table)}`, ...columns, ...typesPart(table)].join(';');
}

/**
 * True if rows that were read before `imprint` was taken, and not changed since, read differently now: a column with a
 * default was added, or one with the name of a dropped one, one was renamed, or a type was changed with a rewrite (to
 * another one or, by USING, to the same) or to one that we carry otherwise, or as `isReadOtherwise` says.
 * Truncations and VACUUM FULL alone are none: they alter no column, but for the first one after a column came with a default.
 */
export function isReadingOutdated(imprint: string, table: SourceTable): boolean {
  if (isReadOtherwise(imprint, table)) return true;
  const isRewritten = hasOtherFiles(imprint, table);
  const before = columnsOf(imprint);
  const names = new Set([...before.values()].map(({ name }) => name));
  return table.columns.some((column) => {
    const old = before.get(column.attnum);
    if (old === undefined) return column.hasMissing || isRewritten || names.has(hash(column.name));
    if (old.name !== hash(column.name)) return true;
    const type = `${column.typeOid}.${column.typmod}`;
    if (isRewritten) return old.type !== type || isAltered(old, column);
    return old.type !== type && isCarriedOtherwise(old.type, type);
  });
}

/**
 * True if the table had, since `imprint` was taken, one of these columns under another name or in another type that we carry
 * otherwise, and has it again as it was: `announced` is the shape that the stream has come to.
 */
export function hasComeBack(
  imprint: string,
  columns: readonly TableColumn[],
  announced: readonly Pick<TableColumn, 'name' | 'typeOid' | 'typmod'>[],
): boolean {
  const before = columnsOf(imprint);
  return columns.some((column) => {
    const old = before.get(column.attnum);
    if (old === undefined || old.name !== hash(column.name) || !isAltered(old, column)) return false;
    const then = announced.find(({ name }) => name === column.name);
    if (then === undefined) return true;
    const type = `${then.typeOid}.${then.typmod}`;
    return old.type !== type && isCarriedOtherwise(old.type, type);
  });
}

interface OldColumn {
  /** A hash of it. */
  name: string;
  type: string;
  /** Undefined where the imprint is of a version that did not note it. */
  alteredBy: string | undefined;
}

function isAltered(old: OldColumn, { alteredBy }: TableColumn): boolean {
  return old.alteredBy !== undefined && old.alteredBy !== alteredBy;
}

/** By attnum. */
function columnsOf(imprint: string): Map<number, OldColumn> {
  const [, ...parts] = imprint.split(';');
  return new Map(
    parts
      .filter((part) => !part.startsWith('@'))
      .map((part) => {
        const [attnum, name = '', type = '', alteredBy] = part.split(':');
        return [Number(attnum), { name, type, alteredBy }];
      }),
  );
}

/**
 * True if rows read differently though no column was altered: our publications carried other rows or columns of the table,
 * or the label of an enum was another, or a composite had other attributes.
 */
export function isReadOtherwise(imprint: string, table: SourceTable): boolean {
  if (/^[^;!]*(![^;]*)?/.exec(imprint)?.[1] !== (publishedPart(table) || undefined)) return true;
  const types = typesPartOf(imprint);
  return types !== undefined && hasOtherTypes(types, table);
}

/** The imprint with the types that the table's columns are made of now. */
export function withTypesOf(table: SourceTable, imprint: string): string {
  const others = imprint.split(';').filter((part) => part !== typesPartOf(imprint));
  return [...others, ...typesPart(table)].join(';');
}

/** Of a partitioned table's many files a few that stand for all: partitions come and go, a rewrite leaves none as it was. */
function filesPart(table: SourceTable): string {
  return filesOf(table).sort().slice(0, mostFiles).join('.');
}

function hasOtherFiles(imprint: string, table: SourceTable): boolean {
  // In an older version one hash stood for all of them.
  const now = new Set([...filesOf(table), hash(table.files)]);
  const [before = ''] = /^[^;!]*/.exec(imprint) ?? [];
  return before.split('.').every((file) => !now.has(file));
}

/** Hashes of their numbers; what only holds partitions has 0 for its own. */
function filesOf({ files }: SourceTable): string[] {
  const own = files.split(',').filter((file) => file !== '0');
  return (own.length > 0 ? own : ['0']).map(hash);
}

function typesPartOf(imprint: string): string | undefined {
  return imprint.split(';').find((part) => part.startsWith('@'));
}

function typesPart(table: SourceTable): string[] {
  const types = typesImprint(table);
  return types === '' ? [] : [types];
}

function publishedPart({ published: { filter, columns } }: SourceTable): string {
  return filter === null && columns === null ? '' : `!${hash(JSON.stringify([filter, columns]))}`;
}

/** True unless values of both types read alike: the same type with us, or a decimal that has only more digits. */
function isCarriedOtherwise(old: string, now: string): boolean {
  const [from, to] = [old, now].map((type) => {
    const [oid = 0, typmod = -1] = type.split('.').map(Number);
    // What arrays and domains are made of is not at hand here; they are read again to be sure.
    return isBuiltInType(oid) ? columnType(oid, typmod, new Map()).type : null;
  });
  if (!from || !to) return true;
  if (from.kind === 'decimal' && to.kind === 'decimal') return from.scale !== to.scale || from.precision > to.precision;
  return typeName(from) !== typeName(to);
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 6);
}
