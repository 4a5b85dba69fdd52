import { randomInt } from 'node:crypto';
import type { sheets_v4 } from '@googleapis/sheets';
import { DailiesError } from '#catalog/error.ts';
import type {
  Applied,
  Cell,
  Change,
  DeliveryMode,
  DestinationDeps,
  HeldRow,
  KeyedDestination,
  ReadRequest,
  ResultColumn,
  WantedRow,
} from '../destination.ts';
import { fingerprintOf } from '../plan.ts';
import { encodeCell, numberFormat } from './cells.ts';
import { SheetsClient } from './client.ts';
import {
  type Appended,
  a1,
  appendedValue,
  appendMark,
  columnMark,
  freeRows,
  markValue,
  namesSettle,
  ownCells,
  quoted,
  readAppended,
  readTab,
  requireEditable,
  rowKey,
  structureFields,
  type Tab,
} from './tab.ts';

interface SheetConfig {
  spreadsheet: string;
  tab: string;
  credentials: string;
  mode: DeliveryMode;
  key?: string[] | undefined;
}

const cellsPerSpreadsheet = 10_000_000;
/** Google recommends 2 MB; the rest is for the request's own words. */
const bytesPerWrite = 1_800_000;
const rangesPerWrite = 5_000;
const deletionsPerWrite = 10_000;
const rangesPerRead = 50;

/** A tab kept by one report. State: what `read` saw, moved along with what `apply` wrote. */
export class SheetDelivery implements KeyedDestination {
  readonly form = 'keyed';
  readonly mode: DeliveryMode;
  readonly key: readonly string[];
  readonly rowsPerApply = 50_000;
  readonly encode = encodeCell;
  readonly #config: SheetConfig;
  readonly #client: SheetsClient;
  #columns: readonly ResultColumn[] = [];
  #report = '';
  #tab: Tab | null = null;
  #run = '';
  #wantedRows = 0;
  /** What `append` without a key did last. */
  #appended: Appended | null = null;
  /** Row of each key, as an index in the tab's rows. */
  #places = new Map<string, number>();

  constructor(config: SheetConfig, deps: DestinationDeps) {
    this.#config = config;
    this.mode = config.mode;
    this.key = config.mode === 'replace' ? [] : (config.key ?? []);
    this.#client = new SheetsClient(config.spreadsheet, config.credentials, deps);
  }

  get written(): number {
    return this.#client.written;
  }

  async check(signal: AbortSignal): Promise<void> {
    const structure = await this.#readStructure(signal);
    const sheet = structure.find((one) => one.properties?.title === this.#config.tab);
    if (sheet) requireEditable(readTab(this.#config.tab, '', [], [], sheet), sheet, this.#who());
  }

  async read(request: ReadRequest, signal: AbortSignal): Promise<ReadonlyMap<string, HeldRow>> {
    this.#columns = request.columns;
    this.#report = request.report;
    this.#run = request.run;
    this.#wantedRows = request.rows.length;
    const tab = await this.#readTab(request.delivered.size === 0, signal);
    this.#tab = tab;
    const cells = (Math.max(request.rows.length, tab.rows.length) + 1) * Math.max(tab.width, request.columns.length);
    if (cells > cellsPerSpreadsheet) {
      throw new DailiesError(
        'destination_invalid',
        `The report's ${request.rows.length} rows do not fit: a Google spreadsheet holds ${cellsPerSpreadsheet} cells. Deliver fewer rows or columns.`,
        { details: { rows: request.rows.length, columns: request.columns.length } },
      );
    }
    this.#places = new Map();
    const held = new Map<string, HeldRow>();
    if (this.#isLog()) {
      const upTo = this.#appended?.run === request.run ? this.#appended.upTo : 0;
      for (let place = 1; place <= upTo; place++)
        held.set(`${request.run}/${place}`, { fingerprint: '', remoteId: null, isOurs: true });
      return held;
    }
    const keyAt = this.#keyAt();
    const lastOwn = tab.rows.findLastIndex((row) => ownCells(tab, row).some((cell) => cell !== null));
    const isTakenOver = request.delivered.size === 0 && tab.isMarked;
    tab.rows.forEach((row, index) => {
      if (index > lastOwn) return;
      const byPlace = this.mode === 'replace';
      const key = byPlace ? `${index + 1}` : rowKey(tab, row, keyAt);
      if (key === null || (keyAt.length === 0) !== byPlace) return;
      const isOurs = byPlace || request.delivered.has(key) || isTakenOver;
      // A row that people copied: no key of a result holds this separator, and the notes take it.
      const name = held.has(key) ? `${key}\u001f${index}` : key;
      held.set(name, { fingerprint: fingerprintOf(ownCells(tab, row)), remoteId: null, isOurs });
      this.#places.set(name, index);
    });
    return held;
  }

  async apply(changes: readonly Change[], signal: AbortSignal): Promise<Applied> {
    const tab = this.#opened();
    const removes = changes.filter((change) => change.kind === 'remove');
    const writes = changes.filter((change) => change.kind !== 'remove');
    const adds = writes.filter((change) => change.kind === 'add').map((change) => change.row);
    const places = freeRows(tab, adds.length);
    adds.forEach((row, index) => {
      this.#places.set(row.key, places[index] ?? 0);
    });
    try {
      await this.#prepare(tab, Math.max(0, ...places.map((place) => place + 2)), signal);
      const header = this.#headerRanges(tab);
      const changed = writes
        .filter((change) => change.kind === 'change')
        .flatMap((change) => this.#changedRanges(tab, change.row));
      await this.#writeRanges([...header, ...changed, ...(this.#isLog() ? [] : this.#addedRanges(tab, adds))], signal);
      if (this.#isLog() && adds.length > 0) await this.#append(tab, adds, signal);
      for (const { row } of writes) this.#remember(tab, row);
      if (removes.length > 0) await this.#remove(tab, removes, signal);
    } catch (thrown) {
      throw await this.#explain(thrown, signal);
    }
    return {
      done: changes.map((change) => ({ key: change.kind === 'remove' ? change.key : change.row.key, remoteId: null })),
      errors: [],
    };
  }

  async close(): Promise<void> {
    this.#tab = null;
  }

  #opened(): Tab {
    if (this.#tab === null) throw new DailiesError('internal', 'The sheet was written before it was read.');
    return this.#tab;
  }

  #who(): string {
    return this.#client.email ?? 'the person whose token this is';
  }

  /** Every row of every run is added: a row has no identity but its place in its run. */
  #isLog(): boolean {
    return this.mode === 'append' && this.key.length === 0;
  }

  #keyAt(): number[] {
    return this.key.map((name) => this.#columns.findIndex((column) => column.name === name));
  }

  /** One request where the tab is as we left it; the structure is asked for at first and where names don't settle it. */
  async #readTab(isFirst: boolean, signal: AbortSignal): Promise<Tab> {
    const { tab: title } = this.#config;
    const structure = isFirst ? await this.#readStructure(signal) : null;
    let sheet = structure?.find((one) => one.properties?.title === title) ?? null;
    this.#appended = sheet === null ? null : readAppended(sheet, this.#report);
    if (structure !== null && sheet === null) return this.#missingTab();
    let values: unknown[][];
    try {
      values = await this.#readValues([quoted(title)], 'UNFORMATTED_VALUE', signal);
    } catch (thrown) {
      const isGone = thrown instanceof DailiesError && thrown.code === 'destination_invalid' && structure === null;
      if (!isGone || (await this.#findSheet(signal)) !== null) throw thrown;
      return this.#missingTab();
    }
    if (sheet === null && !namesSettle(this.#columns, values[0])) sheet = await this.#findSheet(signal);
    const tab = readTab(title, this.#report, this.#columns, values, sheet);
    if (sheet !== null) requireEditable(tab, sheet, this.#who());
    return tab;
  }

  #missingTab(): Tab {
    const none = {
      title: this.#config.tab,
      sheetId: null,
      grid: { rows: 0, columns: 0 },
      isMarked: false,
      header: [],
      width: 0,
      rows: [],
    };
    return { ...none, columns: this.#columns.map(() => null), unmarked: this.#columns.map((_, index) => index) };
  }

  async #readStructure(signal: AbortSignal): Promise<sheets_v4.Schema$Sheet[]> {
    const { spreadsheet: spreadsheetId } = this.#config;
    const answer = await this.#client.read(
      (api, options) => api.spreadsheets.get({ spreadsheetId, fields: structureFields }, options),
      signal,
    );
    return answer.sheets ?? [];
  }

  async #findSheet(signal: AbortSignal): Promise<sheets_v4.Schema$Sheet | null> {
    const sheets = await this.#readStructure(signal);
    return sheets.find((one) => one.properties?.title === this.#config.tab) ?? null;
  }

  async #readValues(
    ranges: string[],
    valueRenderOption: 'UNFORMATTED_VALUE' | 'FORMULA',
    signal: AbortSignal,
  ): Promise<unknown[][]> {
    const { spreadsheet: spreadsheetId } = this.#config;
    const rows: unknown[][] = [];
    for (let at = 0; at < ranges.length; at += rangesPerRead) {
      const part = ranges.slice(at, at + rangesPerRead);
      const answer = await this.#client.read(
        (api, options) =>
          api.spreadsheets.values.batchGet(
            {
              spreadsheetId,
              ranges: part,
              valueRenderOption,
              dateTimeRenderOption: 'SERIAL_NUMBER',
              majorDimension: 'ROWS',
            },
            options,
          ),
        signal,
      );
      if (ranges.length === 1) return answer.valueRanges?.[0]?.values ?? [];
      for (const range of answer.valueRanges ?? []) rows.push(range.values?.[0] ?? []);
    }
    return rows;
  }

  /** Makes the tab, the columns, the rows, their marks and the formats of dates, as far as they are missing: one request. */
  async #prepare(tab: Tab, rowsNeeded: number, signal: AbortSignal): Promise<void> {
    const isWhole = tab.columns.every((place) => place !== null) && (tab.unmarked?.length ?? 0) === 0;
    if (isWhole && rowsNeeded <= Math.max(tab.grid?.rows ?? 0, tab.rows.length + 1)) return;
    if (tab.grid === null || (tab.sheetId === null && tab.grid.rows > 0)) await this.#learnStructure(tab, signal);
    const grid = tab.grid ?? { rows: 0, columns: 0 };
    const isNew = tab.sheetId === null;
    const sheetId = tab.sheetId ?? randomInt(1, 2 ** 31 - 1);
    const isBare = tab.width === 0;
    let next = tab.width;
    const columns = tab.columns.map((place) => place ?? next++);
    // All that the run adds is made room for at once.
    const rows = rowsNeeded > grid.rows ? Math.max(rowsNeeded, this.#wantedRows + 1) : Math.max(rowsNeeded, 1);
    const requests: sheets_v4.Schema$Request[] = [];
    if (isNew) {
      const gridProperties = { rowCount: Math.max(rows, 1000), columnCount: Math.max(next, 26), frozenRowCount: 1 };
      requests.push({ addSheet: { properties: { sheetId, title: tab.title, gridProperties } } });
      tab.grid = { rows: gridProperties.rowCount, columns: gridProperties.columnCount };
    } else {
      if (next > grid.columns)
        requests.push({ appendDimension: { sheetId, dimension: 'COLUMNS', length: next - grid.columns } });
      if (rows > grid.rows)
        requests.push({ appendDimension: { sheetId, dimension: 'ROWS', length: rows - grid.rows } });
      if (isBare) {
        const properties = { sheetId, gridProperties: { frozenRowCount: 1 } };
        requests.push({ updateSheetProperties: { properties, fields: 'gridProperties.frozenRowCount' } });
      }
      tab.grid = { rows: Math.max(rows, grid.rows), columns: Math.max(next, grid.columns) };
    }
    const unmarked = new Set(tab.unmarked ?? []);
    this.#columns.forEach((column, index) => {
      const place = columns[index] ?? 0;
      if (unmarked.has(index)) requests.push(markColumn(sheetId, place, markValue(this.#report, column.name)));
      const format = numberFormat(column.type);
      const isNewColumn = unmarked.has(index);
      if (format !== null && (isNewColumn || rows > grid.rows)) {
        requests.push(formatColumn(sheetId, place, isNewColumn ? 1 : grid.rows, format));
      }
    });
    if (requests.length > 0) await this.#update(requests, signal);
    tab.sheetId = sheetId;
    tab.columns = columns;
    tab.width = Math.max(next, tab.width);
    tab.unmarked = [];
  }

  async #learnStructure(tab: Tab, signal: AbortSignal): Promise<void> {
    const sheet = await this.#findSheet(signal);
    if (sheet === null) throw moved(tab);
    const known = readTab(tab.title, this.#report, this.#columns, [], sheet);
    requireEditable(tab, sheet, this.#who());
    Object.assign(tab, { sheetId: known.sheetId, grid: known.grid, unmarked: known.unmarked });
  }

  async #update(requests: sheets_v4.Schema$Request[], signal: AbortSignal): Promise<sheets_v4.Schema$Response[]> {
    const { spreadsheet: spreadsheetId } = this.#config;
    const answer = await this.#client.write(
      (api, options) => api.spreadsheets.batchUpdate({ spreadsheetId, requestBody: { requests } }, options),
      signal,
    );
    return answer.replies ?? [];
  }

  /** Names of our columns where nothing stands: of new ones, and of those whose making was answered into the void. */
  #headerRanges(tab: Tab): sheets_v4.Schema$ValueRange[] {
    return tab.columns.flatMap((place, index) => {
      const name = this.#columns[index]?.name ?? '';
      if (place === null || (tab.header[place] ?? '') !== '') return [];
      tab.header[place] = name;
      return [{ range: a1(tab.title, place, 0, place, 0), values: [[name]] }];
    });
  }

  /** Only the cells that differ, neighbours together. */
  #changedRanges(tab: Tab, row: WantedRow): sheets_v4.Schema$ValueRange[] {
    const index = this.#places.get(row.key) ?? 0;
    const there = tab.rows[index] ?? [];
    const cells = row.cells
      .map((cell, at) => ({ place: tab.columns[at] ?? 0, cell }))
      .filter(({ place, cell }) => (there[place] ?? '') !== (cell ?? ''))
      .sort((a, b) => a.place - b.place);
    const groups: { place: number; cell: Cell }[][] = [];
    for (const one of cells) {
      const last = groups.at(-1);
      if (last && (last.at(-1)?.place ?? 0) === one.place - 1) last.push(one);
      else groups.push([one]);
    }
    return groups.map((group) => {
      const from = group[0]?.place ?? 0;
      const range = a1(tab.title, from, index + 1, from + group.length - 1, index + 1);
      return { range, values: [group.map(({ cell }) => cell ?? '')] };
    });
  }

  /** Neighbouring rows as one block; a null in it leaves the people's cell between our columns alone. */
  #addedRanges(tab: Tab, rows: readonly WantedRow[]): sheets_v4.Schema$ValueRange[] {
    const from = Math.min(...tab.columns.map((place) => place ?? 0));
    const to = Math.max(...tab.columns.map((place) => place ?? 0));
    const ranges: { first: number; values: (Cell | null)[][]; bytes: number }[] = [];
    for (const row of rows) {
      const index = this.#places.get(row.key) ?? 0;
      const line: (Cell | null)[] = Array.from({ length: to - from + 1 }, () => null);
      row.cells.forEach((cell, at) => {
        line[(tab.columns[at] ?? 0) - from] = cell ?? '';
      });
      const bytes = JSON.stringify(line).length;
      const last = ranges.at(-1);
      if (last && last.first + last.values.length === index && last.bytes + bytes < bytesPerWrite / 2) {
        last.values.push(line);
        last.bytes += bytes;
      } else ranges.push({ first: index, values: [line], bytes });
    }
    return ranges.map(({ first, values }) => ({
      range: a1(tab.title, from, first + 1, to, first + values.length),
      values,
    }));
  }

  /** Rows and the mark of how far the run has come are one request: its answer may be lost without doubling a row. */
  async #append(tab: Tab, rows: readonly WantedRow[], signal: AbortSignal): Promise<void> {
    for (let at = 0; at < rows.length; ) {
      const requests: sheets_v4.Schema$Request[] = [];
      let bytes = 0;
      let upTo = 0;
      while (at < rows.length && bytes < bytesPerWrite / 2) {
        const row = rows[at];
        if (row === undefined) break;
        const rowIndex = (this.#places.get(row.key) ?? 0) + 1;
        requests.push(...cellRequests(tab, row, rowIndex));
        bytes += JSON.stringify(row.cells).length + 200 * row.cells.length;
        upTo = Number(row.key.slice(row.key.lastIndexOf('/') + 1));
        at++;
      }
      const metadataValue = appendedValue(this.#report, this.#run, upTo);
      const known = this.#appended;
      if (known) requests.push(updateMark(known.metadataId, metadataValue));
      else requests.push(markColumn(tab.sheetId ?? 0, tab.columns[0] ?? 0, metadataValue, appendMark));
      const replies = await this.#update(requests, signal);
      const made = replies.at(-1)?.createDeveloperMetadata?.developerMetadata?.metadataId;
      this.#appended = { metadataId: known?.metadataId ?? made ?? 0, run: this.#run, upTo };
    }
  }

  async #writeRanges(ranges: sheets_v4.Schema$ValueRange[], signal: AbortSignal): Promise<void> {
    const { spreadsheet: spreadsheetId } = this.#config;
    let batch: sheets_v4.Schema$ValueRange[] = [];
    let bytes = 0;
    const flush = async () => {
      if (batch.length === 0) return;
      const data = batch;
      batch = [];
      bytes = 0;
      await this.#client.write(
        (api, options) =>
          api.spreadsheets.values.batchUpdate(
            { spreadsheetId, requestBody: { valueInputOption: 'RAW', data } },
            options,
          ),
        signal,
      );
    };
    for (const range of ranges) {
      const size = Buffer.byteLength(JSON.stringify(range));
      if (bytes + size > bytesPerWrite || batch.length >= rangesPerWrite) await flush();
      batch.push(range);
      bytes += size;
    }
    await flush();
  }

  #remember(tab: Tab, row: WantedRow): void {
    const index = this.#places.get(row.key) ?? 0;
    while (tab.rows.length <= index) tab.rows.push([]);
    const there = tab.rows[index] ?? [];
    row.cells.forEach((cell, at) => {
      const place = tab.columns[at] ?? 0;
      while (there.length < place) there.push(null);
      there[place] = cell;
    });
  }

  /** Rows are looked at again right before they go: people may have sorted since, or written a note into them. */
  async #remove(tab: Tab, removes: readonly Extract<Change, { kind: 'remove' }>[], signal: AbortSignal): Promise<void> {
    const indexes = removes.map((change) => this.#places.get(change.key) ?? 0).sort((a, b) => a - b);
    const own = new Set(tab.columns);
    const isByPlace = this.mode === 'replace';
    const now = isByPlace ? [] : await this.#readRows(tab, indexes, signal);
    const emptied: number[] = [];
    const deleted: number[] = [];
    indexes.forEach((index, at) => {
      if (isByPlace) {
        emptied.push(index);
        return;
      }
      const there = (now[at] ?? []).map((value) => (value === '' || value === undefined ? null : value));
      const keyAt = this.#keyAt();
      if (rowKey(tab, there as Cell[], keyAt) !== rowKey(tab, tab.rows[index] ?? [], keyAt)) throw moved(tab);
      const hasNote = there.some((value, place) => !own.has(place) && isTyped(value));
      (hasNote ? emptied : deleted).push(index);
    });
    const blank = tab.columns.map((place) => place ?? 0);
    await this.#writeRanges(
      emptied.flatMap((index) =>
        blank.map((place) => ({ range: a1(tab.title, place, index + 1, place, index + 1), values: [['']] })),
      ),
      signal,
    );
    for (const index of emptied) for (const place of blank) (tab.rows[index] ?? [])[place] = null;
    if (deleted.length > 0) await this.#deleteRows(tab, deleted, signal);
    for (const change of removes) this.#places.delete(change.key);
  }

  async #readRows(tab: Tab, indexes: readonly number[], signal: AbortSignal): Promise<unknown[][]> {
    if (indexes.length <= rangesPerRead * 2) {
      const width = Math.max(tab.width, 1);
      const ranges = indexes.map((index) => a1(tab.title, 0, index + 1, width - 1, index + 1));
      const rows = await this.#readValues(ranges, 'FORMULA', signal);
      return ranges.length === 1 ? [rows[0] ?? []] : rows;
    }
    const all = await this.#readValues([quoted(tab.title)], 'FORMULA', signal);
    return indexes.map((index) => all[index + 1] ?? []);
  }

  async #deleteRows(tab: Tab, indexes: readonly number[], signal: AbortSignal): Promise<void> {
    if (tab.sheetId === null) await this.#learnStructure(tab, signal);
    const sheetId = tab.sheetId ?? 0;
    const requests: sheets_v4.Schema$Request[] = [];
    for (let end = indexes.length - 1; end >= 0; ) {
      let start = end;
      while (start > 0 && indexes[start - 1] === (indexes[start] ?? 0) - 1) start--;
      const startIndex = (indexes[start] ?? 0) + 1;
      const endIndex = (indexes[end] ?? 0) + 2;
      requests.push({ deleteDimension: { range: { sheetId, dimension: 'ROWS', startIndex, endIndex } } });
      end = start - 1;
    }
    // From the bottom up: what is deleted first moves nothing that is deleted later.
    for (let at = 0; at < requests.length; at += deletionsPerWrite) {
      await this.#update(requests.slice(at, at + deletionsPerWrite), signal);
    }
    const gone = new Set(indexes);
    tab.rows = tab.rows.filter((_, index) => !gone.has(index));
    if (tab.grid) tab.grid = { ...tab.grid, rows: tab.grid.rows - gone.size };
    for (const [key, index] of this.#places) this.#places.set(key, index - countBelow(indexes, index));
  }

  /** A refused write is most often a protected range: say so where it is. */
  async #explain(thrown: unknown, signal: AbortSignal): Promise<unknown> {
    if (!(thrown instanceof DailiesError) || thrown.code !== 'destination_invalid' || this.#tab === null) return thrown;
    const sheet = await this.#findSheet(signal);
    if (sheet === null) return moved(this.#tab);
    try {
      requireEditable(this.#tab, sheet, this.#who());
      return thrown;
    } catch (refused) {
      return refused;
    }
  }
}

/** How many of the sorted numbers are less than the given one. */
function countBelow(sorted: readonly number[], than: number): number {
  let from = 0;
  let to = sorted.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((sorted[middle] ?? 0) < than) from = middle + 1;
    else to = middle;
  }
  return from;
}

function moved(tab: Tab): DailiesError {
  return new DailiesError(
    'destination_unknown',
    `People changed the rows of the tab ${tab.title} while the report was delivered. It is read again before anything more is written.`,
    { details: { tab: tab.title } },
  );
}

/** What a person typed into a cell, a formula or an unticked box aside: those say nothing that would be lost. */
function isTyped(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === false) return false;
  return !(typeof value === 'string' && value.startsWith('='));
}

/** One row's own cells with their types told, so that no text is read as anything else. */
function cellRequests(tab: Tab, row: WantedRow, rowIndex: number): sheets_v4.Schema$Request[] {
  return row.cells.map((cell, at) => ({
    updateCells: {
      start: { sheetId: tab.sheetId ?? 0, rowIndex, columnIndex: tab.columns[at] ?? 0 },
      rows: [{ values: [cell === null || cell === '' ? {} : { userEnteredValue: typedCell(cell) }] }],
      fields: 'userEnteredValue',
    },
  }));
}

function typedCell(cell: string | number | boolean): sheets_v4.Schema$ExtendedValue {
  if (typeof cell === 'number') return { numberValue: cell };
  return typeof cell === 'boolean' ? { boolValue: cell } : { stringValue: cell };
}

function updateMark(metadataId: number, metadataValue: string): sheets_v4.Schema$Request {
  const dataFilters = [{ developerMetadataLookup: { metadataId } }];
  return { updateDeveloperMetadata: { dataFilters, developerMetadata: { metadataValue }, fields: 'metadataValue' } };
}

function markColumn(
  sheetId: number,
  place: number,
  metadataValue: string,
  metadataKey = columnMark,
): sheets_v4.Schema$Request {
  const dimensionRange = { sheetId, dimension: 'COLUMNS', startIndex: place, endIndex: place + 1 };
  const location = { dimensionRange };
  return {
    createDeveloperMetadata: {
      developerMetadata: { metadataKey, metadataValue, location, visibility: 'DOCUMENT' },
    },
  };
}

function formatColumn(
  sheetId: number,
  place: number,
  startRowIndex: number,
  numberFormat: { type: string; pattern: string },
): sheets_v4.Schema$Request {
  const range = { sheetId, startRowIndex, startColumnIndex: place, endColumnIndex: place + 1 };
  return {
    repeatCell: { range, cell: { userEnteredFormat: { numberFormat } }, fields: 'userEnteredFormat.numberFormat' },
  };
}
