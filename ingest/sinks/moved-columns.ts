import { DailiesError } from '#catalog/error.ts';
import type { Rename } from '#catalog/iceberg/metadata/schema-evolution.ts';
import type { Schema } from '#catalog/schemas/schema.ts';

/**
 * What an announced schema says of a table's columns that stay under other names, and of those that are new although it has
 * some of their names. Nothing where the table has come to the schema already, by a snapshot that was begun before. Throws
 * `schema_incompatible` where neither name is there: what the column held would be lost.
 */
export function movedColumns(table: string, held: Schema, announced: Schema): { renames: Rename[]; fresh: string[] } {
  const names = new Set(held.fields.map(({ name }) => name));
  const renames: Rename[] = [];
  const fresh: string[] = [];
  for (const { name, formerName } of announced.fields) {
    if (formerName === null && names.has(name)) fresh.push(name);
    else if (typeof formerName === 'string' && names.has(formerName)) renames.push({ from: [formerName], to: [name] });
    else if (typeof formerName === 'string' && !names.has(name)) throw lost(table, formerName, name);
  }
  return { renames, fresh };
}

/** The same schema for the rows behind it. */
export function withoutFormerNames({ fields, key }: Schema): Schema {
  return { fields: fields.map(({ formerName: _, ...field }) => field), key };
}

function lost(table: string, from: string, to: string): DailiesError {
  return new DailiesError(
    'schema_incompatible',
    `Column "${from}" of ${table} was renamed to "${to}", and the table that it lands in has neither. Take a new snapshot of its table.`,
    { details: { table, column: to } },
  );
}
