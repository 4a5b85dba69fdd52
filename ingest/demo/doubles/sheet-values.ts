import { type Area, badRequest, type CellFormat, type Entered, getCell, type SheetCell } from './sheet-model.ts';

export type Render = 'FORMATTED_VALUE' | 'UNFORMATTED_VALUE' | 'FORMULA';

const dayMs = 86_400_000;
/** Serial 0 is 1899-12-30. */
const epochSerial = 25_569;

/** What `values.get` tells of one cell. */
export function renderCell(
  cell: SheetCell | null,
  render: Render,
  dates: 'SERIAL_NUMBER' | 'FORMATTED_STRING',
): unknown {
  const value = cell?.value;
  if (cell === null || value === undefined) return '';
  if (typeof value === 'object') return render === 'FORMULA' ? value.formula : '#NAME?';
  const isDate = typeof value === 'number' && isTemporal(cell.format);
  if (render === 'FORMATTED_VALUE' || (render === 'UNFORMATTED_VALUE' && isDate && dates === 'FORMATTED_STRING')) {
    return shownText(value, cell.format);
  }
  return value;
}

/** A cell as its readers see it. Of Google's patterns those are known that dates, times and plain numbers use. */
export function shownText(value: Entered, format: CellFormat | undefined): string {
  if (typeof value === 'object') return '#NAME?';
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE';
  if (typeof value === 'string') return value;
  const pattern = format?.numberFormat?.pattern;
  if (pattern === undefined || !isTemporal(format)) return String(Number(value.toPrecision(15)));
  const date = new Date(Math.round((value - epochSerial) * dayMs));
  const two = (number: number) => String(number).padStart(2, '0');
  const parts: Record<string, string> = {
    yyyy: String(date.getUTCFullYear()).padStart(4, '0'),
    mm: two(date.getUTCMonth() + 1),
    dd: two(date.getUTCDate()),
    hh: two(date.getUTCHours()),
    ss: two(date.getUTCSeconds()),
  };
  return pattern
    .replace(/:mm/g, `:${two(date.getUTCMinutes())}`)
    .replace(/yyyy|mm|dd|hh|ss|"([^"]*)"/g, (part, literal: string | undefined) => literal ?? parts[part] ?? part);
}

function isTemporal(format: CellFormat | undefined): boolean {
  return ['DATE', 'TIME', 'DATE_TIME'].includes(format?.numberFormat?.type ?? '');
}

/** RAW stores what is given; USER_ENTERED reads it as if it were typed. `undefined` for null, which is skipped. */
export function enteredValue(
  given: unknown,
  option: string,
): { value: Entered | null; format?: CellFormat } | undefined {
  if (given === null) return undefined;
  if (typeof given === 'number' || typeof given === 'boolean') return { value: given };
  if (typeof given !== 'string') throw badRequest(`Invalid values[0][0]: ${typeof given}_value is not a cell's value.`);
  if (option === 'RAW') return { value: given };
  if (option === 'USER_ENTERED') return typedValue(given);
  throw badRequest("'valueInputOption' is required but not specified");
}

function typedValue(text: string): { value: Entered | null; format?: CellFormat } {
  if (text.startsWith('=') && text.length > 1) return { value: { formula: text } };
  if (text.startsWith("'")) return { value: text.slice(1) };
  if (/^(true|false)$/i.test(text)) return { value: text.toLowerCase() === 'true' };
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim())) return { value: Number(text) };
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))) {
    return {
      value: Date.parse(text) / dayMs + epochSerial,
      format: { numberFormat: { type: 'DATE', pattern: 'yyyy-mm-dd' } },
    };
  }
  return { value: text };
}

/** Rows of an area without the empty cells and rows at their ends, as Google answers. */
export function readArea(area: Area, render: Render, dates: 'SERIAL_NUMBER' | 'FORMATTED_STRING'): unknown[][] {
  const { sheet } = area;
  const endRow = Math.min(area.endRow ?? sheet.rowCount, sheet.rows.length);
  const rows: unknown[][] = [];
  for (let row = area.row; row < endRow; row++) {
    const endColumn = Math.min(area.endColumn ?? sheet.columnCount, sheet.rows[row]?.length ?? 0);
    const line: unknown[] = [];
    for (let column = area.column; column < endColumn; column++) {
      line.push(renderCell(getCell(sheet, row, column), render, dates));
    }
    while (line.length > 0 && line.at(-1) === '') line.pop();
    rows.push(line);
  }
  while (rows.length > 0 && rows.at(-1)?.length === 0) rows.pop();
  return rows;
}
