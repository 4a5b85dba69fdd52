import { DailiesError } from '#catalog/error.ts';
import { lineageNames } from '#catalog/iceberg/metadata/row-lineage.ts';
import type { Schema } from '#catalog/schemas/schema.ts';

/** DuckDB's name of a row's position, and those of columns in files of moved rows. */
const reservedNames: readonly string[] = ['file_row_number', ...lineageNames];

/** Engines that take names without their case cannot tell some columns apart, and ours has one name for itself. */
export function refuseNames(table: string, schema: Schema): void {
  const seen = new Map<string, string>();
  const reserved = schema.fields.find(({ name }) => reservedNames.includes(name.toLowerCase()));
  if (reserved) {
    throw new DailiesError(
      'schema_incompatible',
      `The column "${reserved.name}" of ${table} has a name that files of rows cannot be read with. Project it under another name.`,
      { details: { table, columns: [reserved.name] } },
    );
  }
  for (const { name } of schema.fields) {
    const other = seen.get(name.toLowerCase());
    if (other !== undefined) {
      throw new DailiesError(
        'schema_incompatible',
        `Columns "${other}" and "${name}" of ${table} differ in case alone, which a table that every engine can read cannot hold. Project one of them under another name.`,
        { details: { table, columns: [other, name] } },
      );
    }
    seen.set(name.toLowerCase(), name);
  }
}
