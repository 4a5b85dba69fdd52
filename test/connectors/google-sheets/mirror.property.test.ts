import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ResultColumn, ResultRow } from '#connectors/destination.ts';
import { googleSheets } from '#connectors/google-sheets/google-sheets.ts';
import { Pace } from '#connectors/pace.ts';
import { startGoogleSheetsDouble } from '#ingest/demo/doubles/google-sheets.ts';
import { QuickClock, Way } from '../delivery-harness.ts';

const columns: ResultColumn[] = [
  { name: 'id', type: { kind: 'int' } },
  { name: 'title', type: { kind: 'string' } },
  { name: 'gross', type: { kind: 'double' } },
];

const titles = fc.constantFrom('', 'Dune', '=HEAT()', '007', 'Ran');
const films = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 9 }), titles, fc.constantFrom(null, 0, 1.5, -3)), {
  selector: ([id]) => id,
  maxLength: 9,
});
const edit = fc.oneof(
  fc.record({ kind: fc.constant('note' as const), at: fc.nat(8) }),
  fc.record({ kind: fc.constant('spoil' as const), at: fc.nat(8), column: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ kind: fc.constant('sort' as const), column: fc.nat(3), isDown: fc.boolean() }),
  fc.record({ kind: fc.constant('move' as const), from: fc.nat(3), to: fc.nat(3) }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(3) }),
  fc.record({ kind: fc.constant('lost' as const), after: fc.nat(2) }),
);
const rounds = fc.array(fc.record({ films, edits: fc.array(edit, { maxLength: 4 }) }), { minLength: 1, maxLength: 5 });

const lostAnswers = 'POST /v4/*atchUpdate';

/** The tab as people see it: our columns by their marks, everything else theirs. */
interface Shown {
  values: unknown[][];
  marks: (string | null)[];
}

it('whatever people do between runs, our columns equal the result and their notes stay beside their rows', async () => {
  const clock = new QuickClock();
  const google = await startGoogleSheetsDouble({ now: () => clock.now() });
  google.signIn.refreshTokens.set('ann', 'ann@studio.example');
  let sample = 0;
  try {
    await fc.assert(
      fc.asyncProperty(fc.option(fc.nat(2)), rounds, async (lostFirst, given) => {
        google.faults.clear();
        if (lostFirst !== null) google.faults.add({ match: lostAnswers, kind: 'lost-answer', after: lostFirst });
        const id = `s${sample++}`;
        const spreadsheet = google.addSpreadsheet({
          id,
          title: id,
          tabs: ['Films'],
          editors: [...google.signIn.accounts.keys(), 'ann@studio.example'],
        });
        const [sheet] = spreadsheet.sheets;
        const sheetId = sheet?.sheetId ?? 0;
        const config = {
          spreadsheet: id,
          tab: 'Films',
          credentials: google.serviceAccount,
          mode: 'mirror',
          key: ['id'],
        };
        const movies = new Way(googleSheets, config, { googleUrl: google.url, pace: new Pace(clock) });
        const shown = async () => (await (await fetch(`${google.url}/__sheet/${id}/Films`)).json()) as Shown;
        const type = (row: number, column: number, value: string) =>
          fetch(`${google.url}/__sheet/${id}/Films/cells`, {
            method: 'POST',
            body: JSON.stringify({ row, column, value }),
          });
        const asAnn = async (request: object) => {
          clock.advance(61_000);
          const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'ann' });
          const answer = await (await fetch(`${google.url}/token`, { method: 'POST', body: form })).json();
          const response = await fetch(`${google.url}/v4/spreadsheets/${id}:batchUpdate`, {
            method: 'POST',
            headers: { authorization: `Bearer ${(answer as { access_token: string }).access_token}` },
            body: JSON.stringify({ requests: [request] }),
          });
          expect(response.status).toBe(200);
        };
        const notes = new Map<string, string>();
        let written = 0;
        for (const round of given) {
          const result: ResultRow[] = round.films.map((film) => [...film]);
          await movies.run(columns, result);
          const now = await shown();
          for (const [at, mark] of now.marks.entries()) {
            if (mark !== null && result.length > 0) expect(now.values[0]?.[at]).toBe((JSON.parse(mark) as string[])[1]);
          }
          const place = Object.fromEntries(
            now.marks.flatMap((mark, at) => (mark === null ? [] : [[(JSON.parse(mark) as string[])[1] ?? '', at]])),
          );
          const mine = now.values
            .slice(1)
            .map((row) => columns.map((column) => row[place[column.name] ?? 0] ?? ''))
            .filter((row) => row[0] !== '');
          const order = (a: unknown[], b: unknown[]) => Number(a[0]) - Number(b[0]);
          expect(mine.sort(order)).toEqual(result.map((row) => row.map((cell) => cell ?? '')).sort(order));
          const theirs = now.marks.findIndex((mark, at) => mark === null && now.values[0]?.[at] === 'notes');
          for (const [film, note] of notes) {
            const row = now.values.slice(1).find((one) => String(one[place.id ?? 0]) === film);
            if (row) expect(row[theirs] ?? '').toBe(note);
            else expect(now.values.some((one) => one[theirs] === note)).toBe(true);
            if (!row) notes.delete(film);
          }
          google.faults.clear();
          const lost: number[] = [];
          for (const one of round.edits) {
            const { values, marks } = await shown();
            const idAt = marks.findIndex((mark) => mark?.includes('"id"'));
            const rowAt = values.findIndex(
              (row, at) =>
                at >= 1 + ('at' in one ? one.at % Math.max(values.length - 1, 1) : 0) && typeof row[idAt] === 'number',
            );
            switch (one.kind) {
              case 'note': {
                let noteAt = (values[0] ?? []).indexOf('notes');
                if (noteAt < 0) {
                  noteAt = (values[0] ?? []).length;
                  await type(0, noteAt, 'notes');
                }
                if (rowAt > 0) {
                  const note = `note ${written++} of ${sample}`;
                  await type(rowAt, noteAt, note);
                  notes.set(String(values[rowAt]?.[idAt]), note);
                }
                break;
              }
              case 'spoil': {
                const spoiled = marks.findIndex((mark) => mark?.includes(columns[one.column]?.name ?? ''));
                if (rowAt > 0) await type(rowAt, spoiled, 'spoiled');
                break;
              }
              case 'sort': {
                const sortSpecs = [{ dimensionIndex: one.column, sortOrder: one.isDown ? 'DESCENDING' : 'ASCENDING' }];
                await asAnn({ sortRange: { range: { sheetId, startRowIndex: 1 }, sortSpecs } });
                break;
              }
              case 'move':
                await asAnn({
                  moveDimension: {
                    source: { sheetId, dimension: 'COLUMNS', startIndex: one.from, endIndex: one.from + 1 },
                    destinationIndex: one.to,
                  },
                });
                break;
              case 'insert':
                await asAnn({
                  insertDimension: {
                    range: { sheetId, dimension: 'COLUMNS', startIndex: one.at, endIndex: one.at + 1 },
                  },
                });
                break;
              case 'lost':
                lost.push(one.after);
                break;
              default:
                one satisfies never;
            }
          }
          for (const after of lost) google.faults.add({ match: lostAnswers, kind: 'lost-answer', after });
        }
      }),
      { numRuns: 40, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
    );
  } finally {
    await google.close();
  }
});
