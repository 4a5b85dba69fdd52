import { Refusal } from './http-double.ts';

/** A spreadsheet as Google keeps it: cells with what was entered and how it is shown, and grids with bounds. */
export type Entered = number | string | boolean | { formula: string };

export interface SheetCell {
  value?: Entered;
  format?: CellFormat;
  note?: string;
}

export interface CellFormat {
  numberFormat?: { type?: string; pattern?: string };
  [other: string]: unknown;
}

export interface Metadata {
  metadataId: number;
  metadataKey: string;
  metadataValue: string;
  visibility: string;
}

export interface GridRange {
  sheetId: number;
  startRowIndex?: number;
  endRowIndex?: number;
  startColumnIndex?: number;
  endColumnIndex?: number;
}

export interface ProtectedRange {
  protectedRangeId: number;
  range: GridRange;
  warningOnly: boolean;
  editors: string[];
}

export interface Sheet {
  sheetId: number;
  title: string;
  rowCount: number;
  columnCount: number;
  frozenRowCount: number;
  rows: (SheetCell | null)[][];
  columnMetadata: Metadata[][];
  rowMetadata: Record<number, Metadata[]>;
  protectedRanges: ProtectedRange[];
}

export interface Spreadsheet {
  id: string;
  title: string;
  editors: string[];
  readers: string[];
  sheets: Sheet[];
  version: number;
  nextId: number;
}

export const limits = { cells: 10_000_000, columns: 18_278, charactersPerCell: 50_000, tabs: 200 };

export function newSheet(sheetId: number, title: string, rowCount = 1000, columnCount = 26): Sheet {
  return {
    sheetId,
    title,
    rowCount,
    columnCount,
    frozenRowCount: 0,
    rows: [],
    columnMetadata: Array.from({ length: columnCount }, () => []),
    rowMetadata: {},
    protectedRanges: [],
  };
}

export function badRequest(message: string): Refusal {
  return new Refusal({ status: 400, body: { error: { code: 400, message, status: 'INVALID_ARGUMENT' } } });
}

export function getCell(sheet: Sheet, row: number, column: number): SheetCell | null {
  return sheet.rows[row]?.[column] ?? null;
}

export function touchCell(sheet: Sheet, row: number, column: number): SheetCell {
  while (sheet.rows.length <= row) sheet.rows.push([]);
  const line = sheet.rows[row] ?? [];
  while (line.length <= column) line.push(null);
  const cell = line[column] ?? {};
  line[column] = cell;
  return cell;
}

export function requireFits(value: Entered | null): void {
  if (typeof value !== 'string' || value.length <= limits.charactersPerCell) return;
  throw badRequest(
    `Your input contains more than the maximum of ${limits.charactersPerCell} characters in a single cell.`,
  );
}

export function setValue(sheet: Sheet, row: number, column: number, value: Entered | null): void {
  requireFits(value);
  if (value === null || value === '') {
    const cell = getCell(sheet, row, column);
    if (cell) delete cell.value;
  } else touchCell(sheet, row, column).value = value;
}

export function requireRoom(spreadsheet: Spreadsheet): void {
  const cells = spreadsheet.sheets.reduce((sum, sheet) => sum + sheet.rowCount * sheet.columnCount, 0);
  if (cells > limits.cells) {
    throw badRequest(
      `This action would increase the number of cells in the workbook above the limit of ${limits.cells} cells.`,
    );
  }
  if (spreadsheet.sheets.some((sheet) => sheet.columnCount > limits.columns)) {
    throw badRequest(`This action would increase the number of columns above the limit of ${limits.columns}.`);
  }
}

/** An area of one tab, zero-based, ends excluded; bounds null where the range names none. */
export interface Area {
  sheet: Sheet;
  row: number;
  column: number;
  endRow: number | null;
  endColumn: number | null;
}

/** A1 notation: `Tab`, `Tab!A1`, `'A tab'!B2:C`, `Tab!2:5`, `A1:B2` of the first tab. */
export function parseRange(spreadsheet: Spreadsheet, text: string): Area {
  const quotedTab = /^'((?:[^']|'')*)'(?:!(.*))?$/.exec(text);
  const plainTab = /^([^!']+)!(.*)$/.exec(text);
  const title = quotedTab ? (quotedTab[1] ?? '').replaceAll("''", "'") : plainTab?.[1];
  const rest = quotedTab ? quotedTab[2] : plainTab?.[2];
  const unparsable = badRequest(`Unable to parse range: ${text}`);
  if (title === undefined) {
    const whole = spreadsheet.sheets.find((sheet) => sheet.title === text);
    if (whole) return { sheet: whole, row: 0, column: 0, endRow: null, endColumn: null };
    const first = spreadsheet.sheets[0];
    if (first === undefined) throw unparsable;
    return { sheet: first, ...parseCells(text, unparsable) };
  }
  const sheet = spreadsheet.sheets.find((one) => one.title === title);
  if (sheet === undefined) throw unparsable;
  if (rest === undefined) return { sheet, row: 0, column: 0, endRow: null, endColumn: null };
  return { sheet, ...parseCells(rest, unparsable) };
}

function parseCells(text: string, unparsable: Refusal): Omit<Area, 'sheet'> {
  const match = /^\$?([A-Za-z]{1,3})?\$?(\d+)?(?::\$?([A-Za-z]{1,3})?\$?(\d+)?)?$/.exec(text);
  if (!match || text === '') throw unparsable;
  const [, c1, r1, c2, r2] = match;
  const isSingle = !text.includes(':');
  const column = c1 === undefined ? 0 : columnIndex(c1);
  const row = r1 === undefined ? 0 : Number(r1) - 1;
  if (isSingle) return { row, column, endRow: row + 1, endColumn: column + 1 };
  return {
    row,
    column,
    endRow: r2 === undefined ? null : Number(r2),
    endColumn: c2 === undefined ? null : columnIndex(c2) + 1,
  };
}

function columnIndex(letters: string): number {
  return [...letters.toUpperCase()].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 64, 0) - 1;
}

export function columnLetters(index: number): string {
  let text = '';
  for (let rest = index + 1; rest > 0; rest = Math.floor((rest - 1) / 26)) {
    text = String.fromCharCode(65 + ((rest - 1) % 26)) + text;
  }
  return text;
}

/** A range that begins outside the grid, or a write that ends there. */
export function requireInGrid(area: Area, rows: number, columns: number): void {
  const { sheet } = area;
  if (area.row + rows > sheet.rowCount || area.column + columns > sheet.columnCount) {
    const name = `'${sheet.title}'!${columnLetters(area.column)}${area.row + 1}`;
    throw badRequest(
      `Range (${name}) exceeds grid limits. Max rows: ${sheet.rowCount}, max columns: ${sheet.columnCount}`,
    );
  }
}

export function requireEditable(sheet: Sheet, who: string, range: Omit<GridRange, 'sheetId'>): void {
  for (const one of sheet.protectedRanges) {
    if (one.warningOnly || one.editors.includes(who)) continue;
    const overlaps =
      (range.startRowIndex ?? 0) < (one.range.endRowIndex ?? Number.POSITIVE_INFINITY) &&
      (range.endRowIndex ?? Number.POSITIVE_INFINITY) > (one.range.startRowIndex ?? 0) &&
      (range.startColumnIndex ?? 0) < (one.range.endColumnIndex ?? Number.POSITIVE_INFINITY) &&
      (range.endColumnIndex ?? Number.POSITIVE_INFINITY) > (one.range.startColumnIndex ?? 0);
    if (overlaps) {
      throw badRequest(
        'You are trying to edit a protected cell or object. Please contact the spreadsheet owner to remove protection if you need to edit.',
      );
    }
  }
}

/** Rows or columns go; everything behind them moves up with its values, formats, notes, metadata and protection. */
export function deleteSpan(sheet: Sheet, dimension: 'ROWS' | 'COLUMNS', start: number, end: number): void {
  const count = end - start;
  if (dimension === 'ROWS') {
    if (count >= sheet.rowCount) throw badRequest("You can't delete all the rows on the sheet.");
    sheet.rows.splice(start, count);
    sheet.rowCount -= count;
    const moved = Object.entries(sheet.rowMetadata).flatMap(([at, metadata]) => {
      const row = Number(at);
      if (row >= start && row < end) return [];
      return [[row >= end ? row - count : row, metadata] as const];
    });
    sheet.rowMetadata = Object.fromEntries(moved);
  } else {
    if (count >= sheet.columnCount) throw badRequest("You can't delete all the columns on the sheet.");
    for (const row of sheet.rows) row.splice(start, count);
    sheet.columnMetadata.splice(start, count);
    sheet.columnCount -= count;
  }
  moveProtection(sheet, dimension, (at) => (at <= start ? at : Math.max(start, at - count)));
}

export function insertSpan(sheet: Sheet, dimension: 'ROWS' | 'COLUMNS', start: number, count: number): void {
  if (dimension === 'ROWS') {
    if (start < sheet.rows.length) sheet.rows.splice(start, 0, ...Array.from({ length: count }, () => []));
    sheet.rowCount += count;
    sheet.rowMetadata = Object.fromEntries(
      Object.entries(sheet.rowMetadata).map(([at, metadata]) => [
        Number(at) >= start ? Number(at) + count : at,
        metadata,
      ]),
    );
  } else {
    for (const row of sheet.rows) {
      if (start < row.length) row.splice(start, 0, ...Array.from({ length: count }, () => null));
    }
    sheet.columnMetadata.splice(start, 0, ...Array.from({ length: count }, () => []));
    sheet.columnCount += count;
  }
  moveProtection(sheet, dimension, (at) => (at < start ? at : at + count));
}

/** Columns [start, end) go to before `to`, counted as the columns stand now. */
export function moveColumns(sheet: Sheet, start: number, end: number, to: number): void {
  const target = to > start ? to - (end - start) : to;
  for (const row of sheet.rows) {
    while (row.length < sheet.columnCount) row.push(null);
    row.splice(target, 0, ...row.splice(start, end - start));
  }
  sheet.columnMetadata.splice(target, 0, ...sheet.columnMetadata.splice(start, end - start));
}

function moveProtection(sheet: Sheet, dimension: 'ROWS' | 'COLUMNS', move: (at: number) => number): void {
  for (const { range } of sheet.protectedRanges) {
    if (dimension === 'ROWS') {
      if (range.startRowIndex !== undefined) range.startRowIndex = move(range.startRowIndex);
      if (range.endRowIndex !== undefined) range.endRowIndex = move(range.endRowIndex);
    } else {
      if (range.startColumnIndex !== undefined) range.startColumnIndex = move(range.startColumnIndex);
      if (range.endColumnIndex !== undefined) range.endColumnIndex = move(range.endColumnIndex);
    }
  }
}
