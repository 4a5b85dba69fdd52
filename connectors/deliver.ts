import { DailiesError } from '#catalog/error.ts';
import type {
  Applied,
  Change,
  DeliveredRecord,
  DeliveryMode,
  Destination,
  KeyedDestination,
  ReportResult,
  ResultRow,
  RowError,
} from './destination.ts';
import { encodeRows, planDelivery } from './plan.ts';

/** What a report gave a destination before; kept in the state database. */
export interface Ledger {
  read(): Promise<Map<string, DeliveredRecord>>;
  /** Durable when it resolves. */
  record(done: readonly { key: string; fingerprint: string; remoteId: string | null }[]): Promise<void>;
  forget(keys: readonly string[]): Promise<void>;
}

export interface Outcome {
  /** Rows of this run that the destination now holds. */
  delivered: number;
  added: number;
  changed: number;
  removed: number;
  written: number;
  errors: RowError[];
}

/** How often a delivery may find that its write's fate is unknown, or the place changed, before it gives up for now. */
const maxPlans = 4;

/**
 * Brings a destination to what a run wants: reads it, plans the least, applies it in pieces, and notes each piece once it
 * is there. A write whose answer was lost is settled by reading and planning again, never by repeating it. May be
 * called again for the same run after any failure.
 *
 * @throws DailiesError destination_*; `progress` holds what was done until then.
 */
export async function deliver(
  destination: Destination,
  result: ReportResult,
  ledger: Ledger,
  progress: Outcome,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (destination.form === 'keyed') await deliverRows(destination, result, ledger, progress, signal);
    else {
      const { rows, isChanged } = await destination.write(result, signal);
      progress.delivered = rows;
      progress.changed = isChanged ? rows : 0;
    }
  } finally {
    progress.written = destination.written;
  }
}

const noLedger: Ledger = {
  read: async () => new Map(),
  record: async () => {},
  forget: async () => {},
};

export function noProgress(): Outcome {
  return { delivered: 0, added: 0, changed: 0, removed: 0, written: 0, errors: [] };
}

async function deliverRows(
  destination: KeyedDestination,
  result: ReportResult,
  ledger: Ledger,
  progress: Outcome,
  signal: AbortSignal,
): Promise<void> {
  requireKey(destination, result);
  const rows: ResultRow[] = [];
  for await (const batch of result.batches()) rows.push(...batch);
  const prefix = destination.mode === 'append' ? `${result.run}/` : '';
  const encode = destination.encode.bind(destination);
  const { wanted, errors } = encodeRows(rows, result.columns, destination.key, encode, prefix);
  const refused = new Map<string, RowError>();
  // Where a row's place is its identity, notes of rows would say nothing and never end.
  const notes = destination.key.length === 0 ? noLedger : ledger;
  for (let plans = 1; ; plans++) {
    const delivered = await notes.read();
    const request = { report: result.report, run: result.run, columns: result.columns, rows: wanted, delivered };
    const held = await destination.read(request, signal);
    const kept = new Set(errors.map((error) => error.key));
    const { changes } = planDelivery(destination.mode, wanted, held, delivered);
    // A row that cannot be carried, or whose key is not single, is left as it stands there.
    const safe = changes.filter((change) => change.kind !== 'remove' || !kept.has(change.key));
    const open = safe.filter((change) => !refused.has(keyOf(change)));
    await noteUnchanged(notes, delivered, held, wanted);
    await forgetGone(notes, destination.mode, delivered, held, wanted);
    try {
      for (let at = 0; at < open.length; at += destination.rowsPerApply) {
        const chunk = open.slice(at, at + destination.rowsPerApply);
        const applied = await destination.apply(chunk, signal);
        await note(notes, chunk, applied);
        count(progress, chunk, applied);
        for (const error of applied.errors) refused.set(error.key, error);
      }
      break;
    } catch (thrown) {
      if (!(thrown instanceof DailiesError) || thrown.code !== 'destination_unknown' || plans >= maxPlans) throw thrown;
    }
  }
  progress.errors = [...errors, ...refused.values()];
  progress.delivered = wanted.filter((row) => !refused.has(row.key)).length;
}

function requireKey(destination: KeyedDestination, result: ReportResult): void {
  const names = result.columns.map((column) => column.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new DailiesError(
      'destination_invalid',
      `The report's result has two columns named ${twice}. Give one another name with AS, so that each has its own column at the destination.`,
    );
  }
  for (const name of destination.key) {
    if (names.includes(name)) continue;
    throw new DailiesError(
      'destination_invalid',
      `The delivery's key names the column ${name}, which the report's result does not have. It has ${names.join(', ')}.`,
    );
  }
}

function keyOf(change: Change): string {
  return change.kind === 'remove' ? change.key : change.row.key;
}

async function note(ledger: Ledger, chunk: readonly Change[], applied: Applied): Promise<void> {
  const done = new Map(applied.done.map((one) => [one.key, one.remoteId]));
  const records: { key: string; fingerprint: string; remoteId: string | null }[] = [];
  const gone: string[] = [];
  for (const change of chunk) {
    const key = keyOf(change);
    const remoteId = done.get(key);
    if (remoteId === undefined) continue;
    if (change.kind === 'remove') gone.push(key);
    else records.push({ key, fingerprint: change.row.fingerprint, remoteId });
  }
  await ledger.record(records);
  await ledger.forget(gone);
}

/** Rows found as wanted, whose note is missing or older: they arrived by a request whose answer was lost. */
async function noteUnchanged(
  ledger: Ledger,
  delivered: ReadonlyMap<string, DeliveredRecord>,
  held: ReadonlyMap<string, { fingerprint: string; remoteId: string | null }>,
  wanted: readonly { key: string; fingerprint: string }[],
): Promise<void> {
  const found = wanted.flatMap(({ key, fingerprint }) => {
    const there = held.get(key);
    const isNew = there?.fingerprint === fingerprint && delivered.get(key)?.fingerprint !== fingerprint;
    return there && isNew ? [{ key, fingerprint, remoteId: there.remoteId }] : [];
  });
  await ledger.record(found);
}

/** A row that is gone there, and that nobody wants any more, is not ours if people put its key there again. */
async function forgetGone(
  ledger: Ledger,
  mode: DeliveryMode,
  delivered: ReadonlyMap<string, DeliveredRecord>,
  held: ReadonlyMap<string, unknown>,
  wanted: readonly { key: string }[],
): Promise<void> {
  if (mode === 'append') return;
  const keys = new Set(wanted.map((row) => row.key));
  await ledger.forget([...delivered.keys()].filter((key) => !held.has(key) && !keys.has(key)));
}

function count(progress: Outcome, chunk: readonly Change[], applied: Applied): void {
  const done = new Set(applied.done.map((one) => one.key));
  for (const change of chunk) {
    if (!done.has(keyOf(change))) continue;
    if (change.kind === 'add') progress.added++;
    else if (change.kind === 'change') progress.changed++;
    else progress.removed++;
  }
}
