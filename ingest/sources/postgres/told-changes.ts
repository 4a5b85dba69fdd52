import { type Field, type FieldType, type Schema, typeName } from '#catalog/schemas/schema.ts';
import { carriedColumns, type SourceTable } from './discovery.ts';
import type { Relation } from './relation.ts';
import type { PastShape } from './shape-history.ts';

/** A table before and after a change that the event triggers told. */
export interface ToldChange {
  /** `key`: null where it is not known. */
  before: { shape: PastShape; relation: Relation; key: readonly string[] | null };
  table: SourceTable;
  relation: Relation;
  /** The statement has written all rows anew, each with a default of its own or in another type. */
  isRewritten: boolean;
  /** Postgres 18 and later stream stored generated columns. */
  streamsGenerated: boolean;
}

/** True if rows from before the change read differently after it, beyond names: they have to be read again. */
export function movesValues({ before, table, relation, isRewritten, streamsGenerated }: ToldChange): boolean {
  if (isRewritten) return true;
  const known = new Set(before.shape.columns.map(({ attnum }) => attnum));
  const was = placesOf(before.shape);
  return carriedColumns(table, streamsGenerated).some((column, index) => {
    const place = was.get(column.attnum);
    // One that was there, but left out of the stream, has values that nobody was told.
    if (place === undefined) return column.hasMissing || known.has(column.attnum);
    return !isSame(typeAt(before.relation, place), typeAt(relation, index));
  });
}

/**
 * The table's schema with what became of its columns, `formerName`: another name, or nothing that the old values could be
 * read as. Null where nothing that a schema has is another.
 */
export function announcement(change: ToldChange): Schema | null {
  const { before, table, relation, streamsGenerated } = change;
  const was = placesOf(before.shape);
  const old = before.relation;
  const names = new Set(old.columns.map(({ name }) => name));
  const columns = carriedColumns(table, streamsGenerated);
  const fields = relation.schema.fields.map((field): Field => ({ ...field }));
  const setFormer = (name: string | null, formerName: string | null) => {
    const field = fields.find((candidate) => candidate.name === name);
    if (field && formerName !== name) field.formerName = formerName;
  };
  for (const [index, column] of columns.entries()) {
    const place = was.get(column.attnum);
    const text = relation.textFieldOf(index);
    const oldText = place === undefined ? null : old.textFieldOf(place);
    if (text !== null && oldText !== null) setFormer(text, oldText);
    // Texts of another column that had the name.
    else if (text !== null && old.schema.fields.some(({ name }) => name === text)) setFormer(text, null);
    if (place !== undefined)
      setFormer(column.name, isFollowed(typeAt(old, place), typeAt(relation, index)) ? nameAt(old, place) : null);
    else if (names.has(column.name)) setFormer(column.name, null);
  }
  const isMoved = fields.some(({ formerName }) => formerName !== undefined);
  const isAlike =
    old.schema.fields.length === fields.length &&
    old.schema.fields.every(
      ({ name, type }, at) => fields[at]?.name === name && typeName(fields[at].type) === typeName(type),
    ) &&
    String(before.key) === String(relation.key);
  return isAlike && !isMoved ? null : { fields, key: relation.key };
}

/** Index of the column in the relation, by its number. */
function placesOf({ columns }: PastShape): Map<number, number> {
  return new Map(columns.filter(({ isCarried }) => isCarried).map(({ attnum }, index) => [attnum, index]));
}

function typeAt({ columns }: Relation, index: number): FieldType | undefined {
  return columns[index]?.type;
}

function nameAt({ columns }: Relation, index: number): string {
  return columns[index]?.name ?? '';
}

/** True if values of the one are those of the other, written alike. */
function isSame(from: FieldType | undefined, to: FieldType | undefined): boolean {
  if (from?.kind === 'decimal' && to?.kind === 'decimal')
    return from.scale === to.scale && from.precision <= to.precision;
  return from !== undefined && to !== undefined && typeName(from) === typeName(to);
}

/** True if a column that holds values of the one may come to hold the other (iceberg.apache.org/spec, Schema Evolution). */
function isFollowed(from: FieldType | undefined, to: FieldType | undefined): boolean {
  if (from?.kind === 'int' && to?.kind === 'long') return true;
  if (from?.kind === 'float' && to?.kind === 'double') return true;
  return isSame(from, to);
}
