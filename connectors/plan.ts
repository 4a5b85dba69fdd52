import { createHash } from 'node:crypto';
import type {
  Cell,
  Change,
  DeliveredRecord,
  DeliveryMode,
  Encoded,
  HeldRow,
  ResultColumn,
  ResultRow,
  RowError,
  WantedRow,
} from './destination.ts';

export interface Plan {
  /** In the order in which they are to be applied: changes, additions in the result's order, removals. */
  changes: Change[];
  unchanged: number;
}

/**
 * The least that turns what a destination holds into what a run wants.
 *
 * | mode    | adds                                      | changes            | removes                          |
 * | ------- | ----------------------------------------- | ------------------ | -------------------------------- |
 * | append  | keys neither held nor ever delivered       |                    |                                  |
 * | upsert  | keys not held                              | held and different |                                  |
 * | mirror  | keys not held                              | held and different | ours that the run no longer has  |
 * | replace | places not held (the key is the row's place) | held and different | all others                       |
 */
export function planDelivery(
  mode: DeliveryMode,
  wanted: readonly WantedRow[],
  held: ReadonlyMap<string, HeldRow>,
  delivered: ReadonlyMap<string, DeliveredRecord>,
): Plan {
  const changed: Change[] = [];
  const added: Change[] = [];
  const wantedKeys = new Set<string>();
  let unchanged = 0;
  for (const row of wanted) {
    wantedKeys.add(row.key);
    const there = held.get(row.key);
    if (mode === 'append') {
      if (there || delivered.has(row.key)) unchanged++;
      else added.push({ kind: 'add', row });
    } else if (!there) added.push({ kind: 'add', row });
    else if (there.fingerprint === row.fingerprint) unchanged++;
    else changed.push({ kind: 'change', row, held: there });
  }
  const removed: Change[] = [];
  if (mode === 'mirror' || mode === 'replace') {
    for (const [key, there] of held) {
      if (!wantedKeys.has(key) && there.isOurs) removed.push({ kind: 'remove', key, held: there });
    }
  }
  return { changes: [...changed, ...added, ...removed], unchanged };
}

/**
 * The result's rows as cells with their keys. A row whose key is empty, stands there twice, or holds a value that the
 * destination cannot carry is left out and told in `errors`.
 */
export function encodeRows(
  rows: readonly ResultRow[],
  columns: readonly ResultColumn[],
  key: readonly string[],
  encode: (value: ResultRow[number], type: ResultColumn['type']) => Encoded,
  keyPrefix = '',
): { wanted: WantedRow[]; errors: RowError[] } {
  const keyAt = key.map((name) => columns.findIndex((column) => column.name === name));
  const wanted: WantedRow[] = [];
  const errors: RowError[] = [];
  const seen = new Set<string>();
  rows.forEach((row, place) => {
    const cells: Cell[] = [];
    const refusals: string[] = [];
    columns.forEach((column, index) => {
      const encoded = encode(row[index] ?? null, column.type);
      cells.push('cell' in encoded ? encoded.cell : null);
      if ('refused' in encoded) refusals.push(`${column.name}: ${encoded.refused}`);
    });
    const keyCells = keyAt.map((index) => cells[index] ?? null);
    const text = key.length === 0 ? `${keyPrefix}${place + 1}` : keyText(keyCells);
    if (key.length > 0 && keyCells.some((cell) => cell === null || cell === '')) {
      errors.push({ key: text, message: `Row ${place + 1} has no value in its key (${key.join(', ')}).` });
    } else if (seen.has(text)) {
      errors.push({ key: text, message: `The key (${key.join(', ')}) stands in the result more than once.` });
    } else if (refusals.length > 0) errors.push({ key: text, message: refusals.join('; ') });
    else wanted.push({ key: text, cells, fingerprint: fingerprintOf(cells) });
    seen.add(text);
  });
  return { wanted, errors };
}

/** One key as text: its cells as people read them, joined where there are several. `1` and `"1"` are the same key. */
export function keyText(cells: readonly Cell[]): string {
  const texts = cells.map((cell) => (cell === null ? '' : String(cell)));
  const text = texts.length === 1 ? (texts[0] ?? '') : JSON.stringify(texts);
  if (text.length <= longestKey) return text;
  return `${text.slice(0, 80)}…${createHash('sha256').update(text).digest('base64url')}`;
}

/** Longer keys are told apart by their digest: the note of what was delivered has to fit an index. */
const longestKey = 400;

/** Equal exactly for rows that look the same in the destination; NULL and the empty text do. */
export function fingerprintOf(cells: readonly Cell[]): string {
  const canonical = JSON.stringify(cells.map((cell) => (cell === null ? '' : cell)));
  return createHash('sha256').update(canonical).digest().subarray(0, 16).toString('base64url');
}
