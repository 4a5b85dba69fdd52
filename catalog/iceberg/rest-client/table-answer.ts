import { z } from 'zod';
import { DailiesError } from '../../error.ts';
import { checkTableMetadata, rememberTableMetadata, type TableMetadata } from '../metadata/table-metadata.ts';
import type { TableEntry } from '../tables/table-catalog.ts';
import type { RestAnswer } from './http.ts';

const tableAnswer = z.object({
  'metadata-location': z.string().nullish(),
  metadata: z.looseObject({ location: z.string() }),
});

/** The table of LoadTableResult and CommitTableResponse. Throws `catalog_refused` for what is no such answer, `table_corrupt`. */
export function entryOf(name: string, answer: RestAnswer): TableEntry {
  const parsed = tableAnswer.safeParse(answer.json);
  const metadataLocation = parsed.data?.['metadata-location'];
  if (!parsed.success || !metadataLocation) throw notATable(name, parsed.error);
  const metadata = checkTableMetadata(parsed.data.metadata, metadataLocation);
  // Who reads the table by its location needs not read the file that says the same.
  rememberTableMetadata(metadataLocation, metadata, answer.length);
  return { metadataLocation, metadata };
}

/** The same of a table that is staged: it has no metadata file yet. */
export function stagedOf(name: string, answer: RestAnswer): TableMetadata {
  const parsed = tableAnswer.safeParse(answer.json);
  if (!parsed.success) throw notATable(name, parsed.error);
  return checkTableMetadata(parsed.data.metadata, `the staged table ${name}`);
}

function notATable(name: string, cause: unknown): DailiesError {
  return new DailiesError(
    'catalog_refused',
    `The catalog's answer about ${name} is not that of an Iceberg REST catalog.`,
    { cause, details: { table: name } },
  );
}
