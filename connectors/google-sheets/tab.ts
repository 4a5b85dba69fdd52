import type { sheets_v4 } from '@googleapis/sheets';
import { DailiesError } from '#catalog/error.ts';
import type { Cell, ResultColumn } from '../destination.ts';
import { keyText } from '../plan.ts';

/**
 * One tab of a spreadsheet as this report sees it: which of its columns are the report's, which of its rows hold which
 * key. Everything else on it is people's.
 *
 *              ours   people's   ours            A report's column is found by its name in the first row; where people
 *     row 1    id     notes      title           renamed it, by the DeveloperMetadata that we put on it. Neither
 *     row 2    7      "ask Ann"  Dune            sorting nor moving or adding columns or rows disturbs that.
 */
export interface Tab {
  title: string;
  sheetId: number | null;
  grid: { rows: number; columns: number } | null;
  /** Zero-based place of each of the report's columns; null where the tab has none yet. */
  columns: (number | null)[];
  /** True where a delivery of this report marked its columns before. */
  isMarked: boolean;
  /** Columns, as indexes in the report's result, that carry no mark yet; null where nobody has looked. */
  unmarked: number[] | null;
  /** The first row. */
  header: string[];
  /** Zero-based first place to the right of everything that the tab holds. */
  width: number;
  /** All cells below the header, as read. */
  rows: Cell[][];
}

export const columnMark = 'dailies.column';
/** On one of the report's columns: which run's rows were appended last, and how many. Written with the rows, as one. */
export const appendMark = 'dailies.appended';

export interface Appended {
  metadataId: number;
  run: string;
  upTo: number;
}

export const structureFields =
  'sheets(properties(sheetId,title,gridProperties(rowCount,columnCount)),' +
  'protectedRanges(range,unprotectedRanges,warningOnly,requestingUserCanEdit),' +
  'data(startColumn,columnMetadata(developerMetadata(metadataId,metadataKey,metadataValue))))';

/** Lays the report's columns over what was read of the tab. `structure` is null where names alone may settle it. */
export function readTab(
  title: string,
  report: string,
  columns: readonly ResultColumn[],
  values: readonly (readonly unknown[])[],
  structure: sheets_v4.Schema$Sheet | null,
): Tab {
  const header = (values[0] ?? []).map((value) => String(value ?? ''));
  const marks = structure === null ? new Map<string, number>() : readMarks(structure, report);
  const taken = new Set(marks.values());
  const places = columns.map((column) => {
    const marked = marks.get(column.name);
    if (marked !== undefined) return marked;
    const at = header.findIndex((name, index) => name === column.name && !taken.has(index));
    if (at < 0) return null;
    taken.add(at);
    return at;
  });
  const width = Math.max(0, ...values.map((row) => row.length), ...places.map((place) => (place ?? -1) + 1));
  return {
    title,
    sheetId: structure?.properties?.sheetId ?? null,
    grid: structure === null ? null : gridOf(structure),
    columns: places,
    isMarked: marks.size > 0,
    unmarked: structure === null ? null : columns.flatMap((column, index) => (marks.has(column.name) ? [] : [index])),
    header,
    width,
    rows: values.slice(1).map((row) => row.map(readCell)),
  };
}

/** True if names alone show where each of the report's columns is. */
export function namesSettle(columns: readonly ResultColumn[], header: readonly unknown[] | undefined): boolean {
  return columns.every((column) => (header ?? []).filter((name) => name === column.name).length === 1);
}

function gridOf(structure: sheets_v4.Schema$Sheet): { rows: number; columns: number } {
  const grid = structure.properties?.gridProperties;
  return { rows: grid?.rowCount ?? 1000, columns: grid?.columnCount ?? 26 };
}

function readMarks(structure: sheets_v4.Schema$Sheet, report: string): Map<string, number> {
  const marks = new Map<string, number>();
  for (const part of structure.data ?? []) {
    (part.columnMetadata ?? []).forEach((column, index) => {
      for (const mark of column.developerMetadata ?? []) {
        const name = mark.metadataKey === columnMark ? readMark(mark.metadataValue ?? '', report) : null;
        if (name !== null && !marks.has(name)) marks.set(name, (part.startColumn ?? 0) + index);
      }
    });
  }
  return marks;
}

/** What `append` without a key did last; null where it never did. */
export function readAppended(structure: sheets_v4.Schema$Sheet, report: string): Appended | null {
  for (const part of structure.data ?? []) {
    for (const column of part.columnMetadata ?? []) {
      for (const mark of column.developerMetadata ?? []) {
        if (mark.metadataKey !== appendMark || typeof mark.metadataId !== 'number') continue;
        const parsed: unknown = JSON.parse(mark.metadataValue ?? 'null');
        if (!Array.isArray(parsed) || parsed[0] !== report) continue;
        return { metadataId: mark.metadataId, run: String(parsed[1]), upTo: Number(parsed[2]) };
      }
    }
  }
  return null;
}

export function appendedValue(report: string, run: string, upTo: number): string {
  return JSON.stringify([report, run, upTo]);
}

export function markValue(report: string, column: string): string {
  return JSON.stringify([report, column]);
}

function readMark(value: string, report: string): string | null {
  const parsed: unknown = value.startsWith('["') ? JSON.parse(value) : null;
  return Array.isArray(parsed) && parsed[0] === report && typeof parsed[1] === 'string' ? parsed[1] : null;
}

function readCell(value: unknown): Cell {
  if (value === '' || value === null || value === undefined) return null;
  return typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
}

/** The report's own cells of a row, NULL where the tab lacks the column. */
export function ownCells(tab: Tab, row: readonly Cell[]): Cell[] {
  return tab.columns.map((place) => (place === null ? null : (row[place] ?? null)));
}

/** A row's key as text; null where one of its cells is empty, so that the row is people's. */
export function rowKey(tab: Tab, row: readonly Cell[], keyAt: readonly number[]): string | null {
  const cells = keyAt.map((index) => {
    const place = tab.columns[index];
    return place === null || place === undefined ? null : (row[place] ?? null);
  });
  return cells.some((cell) => cell === null) ? null : keyText(cells);
}

/** Zero-based indexes (in `tab.rows`) of `count` rows to fill: the first wholly empty ones below the report's last row. */
export function freeRows(tab: Tab, count: number): number[] {
  const lastOwn = tab.rows.findLastIndex((row) => ownCells(tab, row).some((cell) => cell !== null));
  const free: number[] = [];
  for (let index = lastOwn + 1; free.length < count; index++) {
    if ((tab.rows[index] ?? []).every((cell) => cell === null)) free.push(index);
  }
  return free;
}

/** @throws DailiesError destination_forbidden where a protected range covers a column of the report that we may not edit. */
export function requireEditable(tab: Tab, structure: sheets_v4.Schema$Sheet, who: string): void {
  for (const range of structure.protectedRanges ?? []) {
    if (range.warningOnly || range.requestingUserCanEdit !== false || (range.unprotectedRanges ?? []).length > 0)
      continue;
    const from = range.range?.startColumnIndex ?? 0;
    const to = range.range?.endColumnIndex ?? Number.POSITIVE_INFINITY;
    if (!tab.columns.some((place) => place === null || (place >= from && place < to))) continue;
    throw new DailiesError(
      'destination_forbidden',
      `A protected range of the tab ${tab.title} covers columns that this report fills, and ${who} may not edit it. Let ${who} edit that range, then run the report again.`,
      { details: { tab: tab.title } },
    );
  }
}

/** `'Movies'!C5:E5`; rows and columns zero-based, the end included. */
export function a1(title: string, fromColumn: number, fromRow: number, toColumn: number, toRow: number): string {
  return `${quoted(title)}!${letters(fromColumn)}${fromRow + 1}:${letters(toColumn)}${toRow + 1}`;
}

export function quoted(title: string): string {
  return `'${title.replaceAll("'", "''")}'`;
}

function letters(column: number): string {
  let text = '';
  for (let rest = column + 1; rest > 0; rest = Math.floor((rest - 1) / 26)) {
    text = String.fromCharCode(65 + ((rest - 1) % 26)) + text;
  }
  return text;
}
