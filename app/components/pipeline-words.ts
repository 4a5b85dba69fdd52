import { duration } from './when.tsx';

interface Wish {
  state: string;
  desired: string;
}

/** What a pipeline does, or is about to do once the worker has taken up what people asked for. */
export function pipelineState({ state, desired }: Wish): { state: string; word?: string } {
  if (desired === 'paused' && state !== 'paused' && state !== 'failed') return { state: 'paused', word: 'Pausing' };
  if (desired === 'running' && state === 'paused') return { state: 'snapshotting', word: 'Starting' };
  return { state };
}

/** How far the table is behind its source: "0.4 s". */
export function lagWords(freshAsOf: Date | null, now: Date): string {
  if (freshAsOf === null) return '–';
  return duration(Math.max(0, now.getTime() - freshAsOf.getTime()));
}

/** What a person can do about an error of each kind; the message says what happened. */
const advice: Record<string, string> = {
  source_unreachable: 'It is tried again by itself. Check that the database runs and can be reached from here.',
  source_refused: 'Check the user and password of the source, then resume.',
  source_not_ready:
    'Run “dailies check” with the database’s address: it names each statement that is missing. Then resume.',
  source_slot_lost: 'Resume: the tables are copied again without being emptied.',
  table_unknown: 'Check the name under “from” in the definition, apply it, then resume.',
  type_unsupported: 'Leave that column out in the definition, or change its type at the source, then resume.',
  value_unsupported: 'Change that value at the source, then resume.',
  schema_incompatible:
    'Nothing is lost: it stands before the first event of the new shape. Adapt the steps that use the field, apply, and resume.',
  graphql_refused: 'Correct the query in the definition, apply it, then resume.',
  graphql_unreachable: 'It is tried again by itself. Check that Studio Edge runs.',
  graphql_no_answer: 'See the rejected events below for the entities that the graph does not know.',
  log_full: 'Free disk space, or raise the log’s cap, then resume.',
  disk_full: 'Free disk space; then resume.',
  catalog_refused: 'Mend what the Iceberg catalog says, or the variables DAILIES_CATALOG…; then resume.',
  catalog_unreachable: 'It is tried again by itself. Check that the Iceberg catalog runs and can be reached from here.',
  storage_refused: 'Mend the credentials, the bucket or its rights as the message says; then resume.',
  storage_throttled: 'It is tried again by itself.',
  storage_unreachable: 'It is tried again by itself. Check that the S3 server runs and can be reached from here.',
  table_corrupt: 'The table’s files are damaged: ask whoever operates Dailies, and keep the folder as it is.',
  commit_conflict: 'It is tried again by itself.',
};

export function adviceFor(code: string): string | undefined {
  return advice[code];
}
