import { z } from 'zod';
import {
  badRequest,
  type CellFormat,
  deleteSpan,
  type Entered,
  type GridRange,
  getCell,
  insertSpan,
  limits,
  moveColumns,
  newSheet,
  requireEditable,
  requireRoom,
  type Sheet,
  type SheetCell,
  type Spreadsheet,
  setValue,
  touchCell,
} from './sheet-model.ts';

const gridRange = z.object({
  sheetId: z.number().default(0),
  startRowIndex: z.number().optional(),
  endRowIndex: z.number().optional(),
  startColumnIndex: z.number().optional(),
  endColumnIndex: z.number().optional(),
});
const dimension = z.enum(['ROWS', 'COLUMNS']);
const dimensionRange = z.object({
  sheetId: z.number().default(0),
  dimension,
  startIndex: z.number().default(0),
  endIndex: z.number().optional(),
});
const extendedValue = z.strictObject({
  numberValue: z.number().optional(),
  stringValue: z.string().optional(),
  boolValue: z.boolean().optional(),
  formulaValue: z.string().optional(),
});
const cellData = z.object({
  userEnteredValue: extendedValue.optional(),
  userEnteredFormat: z.record(z.string(), z.unknown()).optional(),
  note: z.string().optional(),
});
const properties = z.object({
  sheetId: z.number().optional(),
  title: z.string().optional(),
  gridProperties: z
    .object({
      rowCount: z.number().optional(),
      columnCount: z.number().optional(),
      frozenRowCount: z.number().optional(),
    })
    .optional(),
});
const location = z.object({ dimensionRange: dimensionRange.optional(), sheetId: z.number().optional() });
const cellRows = z.array(z.object({ values: z.array(cellData).default([]) }));

/** The kinds of requests that this double carries out; any other is refused by its name. */
const requests = {
  addSheet: z.object({ properties: properties.default({}) }),
  deleteSheet: z.object({ sheetId: z.number() }),
  updateSheetProperties: z.object({ properties, fields: z.string() }),
  appendDimension: z.object({ sheetId: z.number().default(0), dimension, length: z.number().int().min(1) }),
  insertDimension: z.object({ range: dimensionRange }),
  deleteDimension: z.object({ range: dimensionRange }),
  moveDimension: z.object({ source: dimensionRange, destinationIndex: z.number() }),
  updateCells: z.object({
    rows: cellRows.default([]),
    fields: z.string(),
    start: z
      .object({ sheetId: z.number().default(0), rowIndex: z.number().default(0), columnIndex: z.number().default(0) })
      .optional(),
    range: gridRange.optional(),
  }),
  repeatCell: z.object({ range: gridRange, cell: cellData, fields: z.string() }),
  sortRange: z.object({
    range: gridRange,
    sortSpecs: z.array(
      z.object({ dimensionIndex: z.number(), sortOrder: z.enum(['ASCENDING', 'DESCENDING']).optional() }),
    ),
  }),
  createDeveloperMetadata: z.object({
    developerMetadata: z.object({
      metadataKey: z.string(),
      metadataValue: z.string().default(''),
      visibility: z.enum(['DOCUMENT', 'PROJECT']),
      location,
    }),
  }),
  updateDeveloperMetadata: z.object({
    dataFilters: z.array(z.object({ developerMetadataLookup: z.object({ metadataId: z.number() }) })).min(1),
    developerMetadata: z.object({ metadataValue: z.string() }),
    fields: z.literal('metadataValue'),
  }),
  addProtectedRange: z.object({
    protectedRange: z.object({
      range: gridRange,
      warningOnly: z.boolean().default(false),
      editors: z.object({ users: z.array(z.string()).default([]) }).default({ users: [] }),
    }),
  }),
} as const;

type Requests = { [Kind in keyof typeof requests]: z.output<(typeof requests)[Kind]> };

/** Carries out one request on a copy of the spreadsheet, and gives its reply. */
export function carryOut(spreadsheet: Spreadsheet, request: unknown, index: number, who: string): object {
  const entries = Object.entries((request ?? {}) as Record<string, unknown>);
  const [kind, given] = entries[0] ?? [];
  if (entries.length !== 1 || kind === undefined || !isKind(kind)) {
    throw badRequest(
      `Invalid JSON payload received. Unknown name "${kind ?? ''}" at 'requests[${index}]': Cannot find field.`,
    );
  }
  const parsed = requests[kind].safeParse(given);
  if (!parsed.success) throw badRequest(`Invalid requests[${index}].${kind}: ${parsed.error.issues[0]?.message ?? ''}`);
  const run = handlers[kind] as (on: Spreadsheet, what: unknown, who: string) => object;
  return run(spreadsheet, parsed.data, who);
}

function isKind(name: string): name is keyof Requests {
  return Object.hasOwn(requests, name);
}

const handlers: { [Kind in keyof Requests]: (on: Spreadsheet, what: Requests[Kind], who: string) => object } = {
  addSheet(on, { properties: given }) {
    const sheetId = given.sheetId ?? on.nextId++;
    const title = given.title ?? `Sheet${on.sheets.length + 1}`;
    if (on.sheets.some((sheet) => sheet.title === title)) {
      throw badRequest(`A sheet with the name "${title}" already exists. Please enter another name.`);
    }
    if (on.sheets.some((sheet) => sheet.sheetId === sheetId))
      throw badRequest(`A sheet with the id ${sheetId} already exists.`);
    if (on.sheets.length >= limits.tabs) throw badRequest(`A spreadsheet holds at most ${limits.tabs} sheets.`);
    const grid = given.gridProperties ?? {};
    const sheet = newSheet(sheetId, title, grid.rowCount, grid.columnCount);
    sheet.frozenRowCount = grid.frozenRowCount ?? 0;
    on.sheets.push(sheet);
    requireRoom(on);
    return { addSheet: { properties: sheetProperties(sheet, on.sheets.length - 1) } };
  },
  deleteSheet(on, { sheetId }) {
    const at = on.sheets.indexOf(sheetOf(on, sheetId));
    if (on.sheets.length === 1) throw badRequest("You can't remove all the sheets in a document.");
    on.sheets.splice(at, 1);
    return {};
  },
  updateSheetProperties(on, { properties: given, fields }) {
    const sheet = sheetOf(on, given.sheetId ?? 0);
    for (const field of fields.split(',')) {
      if (field === 'title') sheet.title = given.title ?? sheet.title;
      else if (field === 'gridProperties.frozenRowCount')
        sheet.frozenRowCount = given.gridProperties?.frozenRowCount ?? 0;
      else throw badRequest(`This double does not change ${field} of a sheet.`);
    }
    return {};
  },
  appendDimension(on, { sheetId, dimension: which, length }) {
    const sheet = sheetOf(on, sheetId);
    insertSpan(sheet, which, which === 'ROWS' ? sheet.rowCount : sheet.columnCount, length);
    requireRoom(on);
    return {};
  },
  insertDimension(on, { range }) {
    const { sheet, start, end } = spanOf(on, range);
    insertSpan(sheet, range.dimension, start, end - start);
    requireRoom(on);
    return {};
  },
  deleteDimension(on, { range }, who) {
    const { sheet, start, end } = spanOf(on, range);
    const area =
      range.dimension === 'ROWS'
        ? { startRowIndex: start, endRowIndex: end }
        : { startColumnIndex: start, endColumnIndex: end };
    requireEditable(sheet, who, area);
    deleteSpan(sheet, range.dimension, start, end);
    return {};
  },
  moveDimension(on, { source, destinationIndex }) {
    const { sheet, start, end } = spanOf(on, source);
    if (source.dimension === 'ROWS') throw badRequest('This double moves columns only.');
    moveColumns(sheet, start, end, destinationIndex);
    return {};
  },
  updateCells(on, what, who) {
    const sheet = sheetOf(on, what.start?.sheetId ?? what.range?.sheetId ?? 0);
    const row = what.start?.rowIndex ?? what.range?.startRowIndex ?? 0;
    const column = what.start?.columnIndex ?? what.range?.startColumnIndex ?? 0;
    what.rows.forEach((line, down) => {
      line.values.forEach((cell, right) => {
        writeCell(sheet, row + down, column + right, cell, what.fields, who);
      });
    });
    return {};
  },
  repeatCell(on, { range, cell, fields }, who) {
    const sheet = sheetOf(on, range.sheetId);
    const endRow = Math.min(range.endRowIndex ?? sheet.rowCount, sheet.rowCount);
    const endColumn = Math.min(range.endColumnIndex ?? sheet.columnCount, sheet.columnCount);
    for (let row = range.startRowIndex ?? 0; row < endRow; row++) {
      for (let column = range.startColumnIndex ?? 0; column < endColumn; column++) {
        writeCell(sheet, row, column, cell, fields, who);
      }
    }
    return {};
  },
  sortRange(on, { range, sortSpecs }) {
    const sheet = sheetOf(on, range.sheetId);
    const start = range.startRowIndex ?? 0;
    const end = Math.min(range.endRowIndex ?? sheet.rowCount, sheet.rows.length);
    const from = range.startColumnIndex ?? 0;
    const to = range.endColumnIndex ?? sheet.columnCount;
    const lines = sheet.rows.slice(start, end).map((row) => {
      const cells = Array.from({ length: to - from }, (_, at) => row[from + at] ?? null);
      return { cells };
    });
    lines.sort((a, b) => {
      for (const spec of sortSpecs) {
        const order = compareCells(a.cells[spec.dimensionIndex - from], b.cells[spec.dimensionIndex - from]);
        if (order !== 0) return spec.sortOrder === 'DESCENDING' ? -order : order;
      }
      return 0;
    });
    lines.forEach(({ cells }, at) => {
      cells.forEach((cell, right) => {
        const line = sheet.rows[start + at] ?? [];
        while (line.length <= from + right) line.push(null);
        line[from + right] = cell;
      });
    });
    return {};
  },
  createDeveloperMetadata(on, { developerMetadata: given }) {
    const range = given.location.dimensionRange;
    if (range === undefined) throw badRequest('This double keeps metadata of rows and columns only.');
    const { sheet, start, end } = spanOf(on, range);
    if (end - start !== 1) throw badRequest('Developer metadata can be on one row or column only.');
    const { metadataKey, metadataValue, visibility } = given;
    const made = { metadataId: on.nextId++, metadataKey, metadataValue, visibility };
    if (range.dimension === 'COLUMNS') sheet.columnMetadata[start]?.push(made);
    else sheet.rowMetadata[start] = [...(sheet.rowMetadata[start] ?? []), made];
    return { createDeveloperMetadata: { developerMetadata: { ...made, location: given.location } } };
  },
  updateDeveloperMetadata(on, { dataFilters, developerMetadata: given }) {
    const ids = dataFilters.map((filter) => filter.developerMetadataLookup.metadataId);
    const all = on.sheets.flatMap((sheet) => [
      ...sheet.columnMetadata.flat(),
      ...Object.values(sheet.rowMetadata).flat(),
    ]);
    const found = all.filter((one) => ids.includes(one.metadataId));
    if (found.length === 0) throw badRequest(`No developer metadata with the ids ${ids.join(', ')}`);
    for (const one of found) one.metadataValue = given.metadataValue;
    return { updateDeveloperMetadata: { developerMetadata: found } };
  },
  addProtectedRange(on, { protectedRange: given }, who) {
    const sheet = sheetOf(on, given.range.sheetId);
    const made = {
      protectedRangeId: on.nextId++,
      range: withoutUndefined(given.range),
      warningOnly: given.warningOnly,
      editors: given.editors.users.length > 0 ? given.editors.users : [who],
    };
    sheet.protectedRanges.push(made);
    return { addProtectedRange: { protectedRange: { ...made, editors: { users: made.editors } } } };
  },
};

function withoutUndefined(range: z.output<typeof gridRange>): GridRange {
  return Object.fromEntries(Object.entries(range).filter(([, value]) => value !== undefined)) as unknown as GridRange;
}

function sheetOf(on: Spreadsheet, sheetId: number): Sheet {
  const sheet = on.sheets.find((one) => one.sheetId === sheetId);
  if (sheet === undefined) throw badRequest(`No grid with id: ${sheetId}`);
  return sheet;
}

function spanOf(on: Spreadsheet, range: z.output<typeof dimensionRange>): { sheet: Sheet; start: number; end: number } {
  const sheet = sheetOf(on, range.sheetId);
  const size = range.dimension === 'ROWS' ? sheet.rowCount : sheet.columnCount;
  const end = range.endIndex ?? size;
  if (range.startIndex < 0 || end <= range.startIndex || range.startIndex > size) {
    throw badRequest(`Invalid range: ${range.dimension} ${range.startIndex} to ${end}`);
  }
  return { sheet, start: range.startIndex, end };
}

function writeCell(
  sheet: Sheet,
  row: number,
  column: number,
  cell: z.output<typeof cellData>,
  fields: string,
  who: string,
): void {
  if (row >= sheet.rowCount || column >= sheet.columnCount) {
    throw badRequest(
      `Attempting to write column: ${column}, row: ${row}, beyond the grid of the sheet "${sheet.title}".`,
    );
  }
  requireEditable(sheet, who, {
    startRowIndex: row,
    endRowIndex: row + 1,
    startColumnIndex: column,
    endColumnIndex: column + 1,
  });
  for (const field of fields.split(',')) {
    if (field === '*' || field.startsWith('userEnteredValue'))
      setValue(sheet, row, column, entered(cell.userEnteredValue));
    if (field === '*' || field.startsWith('userEnteredFormat')) {
      const there = touchCell(sheet, row, column);
      const part = field.split('.')[1];
      const given: CellFormat = cell.userEnteredFormat ?? {};
      there.format = part === undefined ? given : { ...there.format, [part]: given[part] };
    }
    if (field === '*' || field === 'note') {
      const there = touchCell(sheet, row, column);
      if (cell.note === undefined) delete there.note;
      else there.note = cell.note;
    }
  }
}

function entered(value: z.output<typeof extendedValue> | undefined): Entered | null {
  if (value === undefined) return null;
  if (value.formulaValue !== undefined) return { formula: value.formulaValue };
  return value.numberValue ?? value.stringValue ?? value.boolValue ?? null;
}

/** Google's order: numbers, texts, TRUE and FALSE, then empty cells whichever way. */
function compareCells(a: SheetCell | null | undefined, b: SheetCell | null | undefined): number {
  const rank = (cell: SheetCell | null | undefined) => {
    const value = cell?.value;
    if (value === undefined || value === null) return 3;
    return typeof value === 'number' ? 0 : typeof value === 'boolean' ? 2 : 1;
  };
  const [rankA, rankB] = [rank(a), rank(b)];
  if (rankA !== rankB) return rankA - rankB;
  if (rankA === 0) return Number(a?.value) - Number(b?.value);
  return String(a?.value ?? '').localeCompare(String(b?.value ?? ''));
}

export function sheetProperties(sheet: Sheet, index: number): object {
  const { sheetId, title, rowCount, columnCount, frozenRowCount } = sheet;
  return {
    sheetId,
    title,
    index,
    sheetType: 'GRID',
    gridProperties: { rowCount, columnCount, ...(frozenRowCount > 0 ? { frozenRowCount } : {}) },
  };
}

/** The whole resource, before a field mask; cells only where the mask or `includeGridData` asks for them. */
export function spreadsheetResource(
  spreadsheet: Spreadsheet,
  who: string,
  withCells: boolean,
  withColumns: boolean,
): object {
  return {
    spreadsheetId: spreadsheet.id,
    properties: { title: spreadsheet.title, locale: 'en_US', timeZone: 'Etc/GMT' },
    sheets: spreadsheet.sheets.map((sheet, index) => ({
      properties: sheetProperties(sheet, index),
      protectedRanges: sheet.protectedRanges.map((one) => ({
        protectedRangeId: one.protectedRangeId,
        range: one.range,
        warningOnly: one.warningOnly,
        requestingUserCanEdit: one.warningOnly || one.editors.includes(who),
      })),
      ...(withColumns || withCells ? { data: [gridData(sheet, withCells)] } : {}),
    })),
  };
}

function gridData(sheet: Sheet, withCells: boolean): object {
  const columnMetadata = sheet.columnMetadata.map((developerMetadata) => ({
    pixelSize: 100,
    ...(developerMetadata.length > 0 ? { developerMetadata } : {}),
  }));
  if (!withCells) return { columnMetadata };
  const rowData = sheet.rows.map((row, at) => ({
    values: row.map((_, column) => {
      const cell = getCell(sheet, at, column);
      return {
        ...(cell?.value === undefined
          ? {}
          : { userEnteredValue: asExtended(cell.value), effectiveValue: asExtended(cell.value) }),
        ...(cell?.format === undefined ? {} : { userEnteredFormat: cell.format }),
        ...(cell?.note === undefined ? {} : { note: cell.note }),
      };
    }),
  }));
  return { rowData, columnMetadata };
}

function asExtended(value: Entered): object {
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return typeof value === 'string' ? { stringValue: value } : { formulaValue: value.formula };
}
