import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { z } from 'zod';
import { applyFieldMask } from './field-mask.ts';
import { GoogleSignIn, makeServiceAccount, type ServiceAccount, serviceAccountJson } from './google-sign-in.ts';
import {
  type DoubleRequest,
  type DoubleResponse,
  type HttpDouble,
  Quota,
  Refusal,
  send,
  startHttpDouble,
  Watchers,
} from './http-double.ts';
import { KeptDocument, readKept } from './kept-document.ts';
import {
  type Area,
  badRequest,
  columnLetters,
  getCell,
  newSheet,
  parseRange,
  requireEditable,
  requireFits,
  requireInGrid,
  type Sheet,
  type Spreadsheet,
  setValue,
  touchCell,
} from './sheet-model.ts';
import { carryOut, spreadsheetResource } from './sheet-requests.ts';
import { enteredValue, type Render, readArea, renderCell, shownText } from './sheet-values.ts';

export interface GoogleSheetsDoubleOptions {
  port?: number;
  /** Where spreadsheets and the service account are kept; in memory only without it. */
  dataDir?: string;
  /** Made where they are not there yet, shared with the service account as an editor. */
  spreadsheets?: { id: string; title: string; tabs?: string[] }[];
  /** Requests in 60 s: for one account, and for all of them; reads and writes apart. */
  quota?: { perUser: number; perProject: number };
  now?: () => number;
}

export interface GoogleSheetsDouble extends HttpDouble {
  /** The service account's JSON file, as a credential for deliveries. */
  serviceAccount: string;
  signIn: GoogleSignIn;
  addSpreadsheet(given: { id: string; title: string; tabs?: string[]; editors?: string[] }): Spreadsheet;
}

const accountEmail = 'dailies@studio-sample.iam.gserviceaccount.com';
const valueRange = z.object({
  range: z.string().optional(),
  majorDimension: z.enum(['ROWS', 'COLUMNS', 'DIMENSION_UNSPECIFIED']).optional(),
  values: z.array(z.array(z.unknown())).default([]),
});
const humanCell = z.strictObject({
  row: z.int().min(0),
  column: z.int().min(0),
  value: z.union([z.string(), z.number(), z.boolean(), z.null()]),
});

/**
 * Google Sheets and its sign-in over real HTTP, as far as a careful client needs them: the same paths, JSON, errors, quotas
 * and bounds. `GET /__sheet/{id}/{tab}` shows a tab to people, `POST …/cells {row, column, value}` types into a cell
 * (row 0 is the header), `GET /__sheet/{id}/events` tells each change.
 */
export async function startGoogleSheetsDouble(options: GoogleSheetsDoubleOptions = {}): Promise<GoogleSheetsDouble> {
  const now = options.now ?? Date.now;
  const limits = options.quota ?? { perUser: 60, perProject: 300 };
  const file = options.dataDir === undefined ? null : path.join(options.dataDir, 'google-sheets.json');
  const kept = file === null ? null : ((await readKept(file)) as Kept | null);
  const account = kept?.account ?? makeServiceAccount(accountEmail);
  const spreadsheets = new Map<string, Spreadsheet>((kept?.spreadsheets ?? []).map((one) => [one.id, one]));
  const document = new KeptDocument(file, () => ({ account, spreadsheets: [...spreadsheets.values()] }) satisfies Kept);
  const signIn = new GoogleSignIn(now);
  signIn.accounts.set(account.email, account);
  const quota = new Quota(now);
  const watchers = new Watchers();

  const changed = (spreadsheet: Spreadsheet) => {
    spreadsheet.version++;
    document.changed();
    watchers.tell(spreadsheet.id, spreadsheet.version);
  };
  const addSpreadsheet: GoogleSheetsDouble['addSpreadsheet'] = ({ id, title, tabs, editors }) => {
    const sheets = (tabs ?? ['Sheet1']).map((tab, index) => newSheet(index, tab));
    const made = { id, title, editors: editors ?? [account.email], readers: [], sheets, version: 0, nextId: 1_000 };
    spreadsheets.set(id, made);
    changed(made);
    return made;
  };
  for (const one of options.spreadsheets ?? []) if (!spreadsheets.has(one.id)) addSpreadsheet(one);

  const meter = (kind: 'Read' | 'Write', who: string) => {
    const isOver =
      quota.exceeds(`${kind}/${who}`, { count: limits.perUser, perMs: 60_000 }) ||
      quota.exceeds(kind, { count: limits.perProject, perMs: 60_000 });
    if (isOver) throw new Refusal({ status: 429, body: quotaExceeded(kind, limits.perUser) });
  };

  const open = (id: string, who: string, kind: 'Read' | 'Write'): Spreadsheet => {
    meter(kind, who);
    const spreadsheet = spreadsheets.get(id);
    if (spreadsheet === undefined) throw refusal(404, 'NOT_FOUND', 'Requested entity was not found.');
    const may = kind === 'Read' ? [...spreadsheet.readers, ...spreadsheet.editors] : spreadsheet.editors;
    if (!may.includes(who)) throw refusal(403, 'PERMISSION_DENIED', 'The caller does not have permission');
    return spreadsheet;
  };

  /** All or nothing: a request that fails leaves the spreadsheet as it was. */
  const change = <T>(spreadsheet: Spreadsheet, work: (draft: Spreadsheet) => T): T => {
    const draft = structuredClone(spreadsheet);
    const answer = work(draft);
    Object.assign(spreadsheet, draft);
    changed(spreadsheet);
    return answer;
  };

  const handle = (request: DoubleRequest): DoubleResponse => {
    if (request.method === 'POST' && request.url.pathname === '/token') return signIn.token(request);
    const match = /^\/v4\/spreadsheets(?:\/([^/:]+))?(.*)$/.exec(request.url.pathname);
    if (!match) throw refusal(404, 'NOT_FOUND', 'Method not found.');
    const who = signIn.whose(request);
    const [, id, rest = ''] = match;
    const json = () => JSON.parse(request.body === '' ? '{}' : request.body) as Record<string, unknown>;
    const query = request.url.searchParams;
    const ok = (body: unknown): DoubleResponse => ({ status: 200, body: applyFieldMask(body, query.get('fields')) });
    if (id === undefined) {
      meter('Write', who);
      if (signIn.accounts.has(who)) throw storageQuotaExceeded();
      const title = z.object({ properties: z.object({ title: z.string() }) }).parse(json()).properties.title;
      const made = addSpreadsheet({ id: `new-${spreadsheets.size}-${now()}`, title, editors: [who] });
      return ok(spreadsheetResource(made, who, false, false));
    }
    const tail = decodeURIComponent(rest);
    switch (`${request.method} ${tail.replace(/^\/values\/.*?(:append|:clear)?$/, '/values/*$1')}`) {
      case 'GET ': {
        const fields = query.get('fields') ?? '';
        const withCells =
          fields === '' ? query.get('includeGridData') === 'true' : /rowData|data(?![\w(.])/.test(fields);
        const withColumns = fields.includes('columnMetadata') || fields.includes('data(');
        return ok(spreadsheetResource(open(id, who, 'Read'), who, withCells, withColumns));
      }
      case 'POST :batchUpdate': {
        const requests = z.array(z.unknown()).min(1).safeParse(json().requests);
        const spreadsheet = open(id, who, 'Write');
        if (!requests.success) throw badRequest('Must specify at least one request.');
        const replies = change(spreadsheet, (draft) => requests.data.map((one, at) => carryOut(draft, one, at, who)));
        return ok({ spreadsheetId: id, replies });
      }
      case 'GET /values:batchGet': {
        const spreadsheet = open(id, who, 'Read');
        const valueRanges = query.getAll('ranges').map((range) => readRange(spreadsheet, range, query));
        return ok({ spreadsheetId: id, valueRanges });
      }
      case 'GET /values/*':
        return ok(readRange(open(id, who, 'Read'), tail.slice('/values/'.length), query));
      case 'PUT /values/*': {
        const given = valueRange.parse(json());
        const range = tail.slice('/values/'.length);
        const option = query.get('valueInputOption') ?? '';
        const answer = change(open(id, who, 'Write'), (draft) => writeRange(draft, { ...given, range }, option, who));
        return ok({ spreadsheetId: id, ...answer });
      }
      case 'POST /values:batchUpdate': {
        const body = json();
        const data = z.array(valueRange).parse(body.data ?? []);
        const option = String(body.valueInputOption ?? '');
        const spreadsheet = open(id, who, 'Write');
        for (const one of data) writeRange(spreadsheet, one, option, who, false);
        const responses = data.map((one) => writeRange(spreadsheet, one, option, who, true));
        changed(spreadsheet);
        const total = (name: 'updatedRows' | 'updatedColumns' | 'updatedCells') =>
          responses.reduce((sum, one) => sum + one[name], 0);
        return ok({
          spreadsheetId: id,
          totalUpdatedRows: total('updatedRows'),
          totalUpdatedColumns: total('updatedColumns'),
          totalUpdatedCells: total('updatedCells'),
          responses: responses.map((one) => ({ spreadsheetId: id, ...one })),
        });
      }
      case 'POST /values/*:append': {
        const given = valueRange.parse(json());
        const range = tail.slice('/values/'.length, -':append'.length);
        const option = query.get('valueInputOption') ?? '';
        const updates = change(open(id, who, 'Write'), (draft) => appendRange(draft, range, given.values, option, who));
        return ok({ spreadsheetId: id, updates: { spreadsheetId: id, ...updates } });
      }
      case 'POST /values/*:clear': {
        const range = tail.slice('/values/'.length, -':clear'.length);
        change(open(id, who, 'Write'), (draft) => clearRange(draft, range, who));
        return ok({ spreadsheetId: id, clearedRange: range });
      }
      case 'POST /values:batchClear': {
        const ranges = z.array(z.string()).parse(json().ranges ?? []);
        change(open(id, who, 'Write'), (draft) => {
          for (const range of ranges) clearRange(draft, range, who);
        });
        return ok({ spreadsheetId: id, clearedRanges: ranges });
      }
      default:
        throw refusal(404, 'NOT_FOUND', 'Method not found.');
    }
  };

  const admin = (request: DoubleRequest, response: ServerResponse): boolean => {
    const [root, id = '', tab, tail] = request.parts;
    if (root === '__spreadsheets' && request.method === 'POST') {
      const given = z
        .object({
          id: z.string(),
          title: z.string(),
          tabs: z.array(z.string()).optional(),
          editors: z.array(z.string()).optional(),
        })
        .parse(JSON.parse(request.body));
      addSpreadsheet({
        id: given.id,
        title: given.title,
        ...(given.tabs === undefined ? {} : { tabs: given.tabs }),
        ...(given.editors === undefined ? {} : { editors: given.editors }),
      });
      send(response, { status: 201, body: { id: given.id } });
      return true;
    }
    if (root !== '__sheet') return false;
    const spreadsheet = spreadsheets.get(id);
    const sheet = spreadsheet?.sheets.find((one) => one.title === tab);
    if (spreadsheet === undefined) send(response, { status: 404, body: { error: `no spreadsheet ${id}` } });
    else if (tab === undefined) {
      const { title, version, sheets } = spreadsheet;
      send(response, { status: 200, body: { id, title, version, tabs: sheets.map((one) => one.title) } });
    } else if (tab === 'events' && request.method === 'GET') watchers.watch(id, spreadsheet.version, request, response);
    else if (sheet === undefined) send(response, { status: 404, body: { error: `no tab ${tab}` } });
    else if (request.method === 'POST' && tail === 'cells') {
      const given = humanCell.safeParse(JSON.parse(request.body));
      const problem = given.success ? outside(sheet, given.data) : given.error.issues[0]?.message;
      if (!given.success || problem !== null) send(response, { status: 400, body: { error: problem } });
      else {
        typeInto(sheet, given.data);
        changed(spreadsheet);
        send(response, { status: 200, body: { version: spreadsheet.version } });
      }
    } else send(response, { status: 200, body: sheetForPeople(spreadsheet, sheet) });
    return true;
  };

  const http = await startHttpDouble({ port: options.port, handle, admin, errorBody: googleErrorBody });
  return {
    ...http,
    serviceAccount: serviceAccountJson(account),
    signIn,
    addSpreadsheet,
    async close() {
      await http.close();
      await document.flush();
    },
  };
}

interface Kept {
  account: ServiceAccount;
  spreadsheets: Spreadsheet[];
}

function readRange(spreadsheet: Spreadsheet, range: string, query: URLSearchParams): object {
  const area = parseRange(spreadsheet, range);
  requireInGrid(area, 1, 1);
  const render = (query.get('valueRenderOption') ?? 'FORMATTED_VALUE') as Render;
  const dates = query.get('dateTimeRenderOption') === 'FORMATTED_STRING' ? 'FORMATTED_STRING' : 'SERIAL_NUMBER';
  const rows = readArea(area, render, dates);
  const isByColumn = query.get('majorDimension') === 'COLUMNS';
  const values = isByColumn ? transpose(rows) : rows;
  return {
    range: areaName(area),
    majorDimension: isByColumn ? 'COLUMNS' : 'ROWS',
    ...(values.length > 0 ? { values } : {}),
  };
}

function areaName({ sheet, row, column, endRow, endColumn }: Area): string {
  const end = `${columnLetters((endColumn ?? sheet.columnCount) - 1)}${endRow ?? sheet.rowCount}`;
  const title = /^\w+$/.test(sheet.title) ? sheet.title : `'${sheet.title.replaceAll("'", "''")}'`;
  return `${title}!${columnLetters(column)}${row + 1}:${end}`;
}

function transpose(rows: unknown[][]): unknown[][] {
  const width = Math.max(0, ...rows.map((row) => row.length));
  return Array.from({ length: width }, (_, column) => rows.map((row) => row[column] ?? ''));
}

/** `isReal` false only finds out whether all of it can be written. */
function writeRange(
  spreadsheet: Spreadsheet,
  given: z.output<typeof valueRange>,
  option: string,
  who: string,
  isReal = true,
) {
  const area = parseRange(spreadsheet, given.range ?? '');
  const values = given.majorDimension === 'COLUMNS' ? transpose(given.values) : given.values;
  const width = Math.max(0, ...values.map((row) => row.length));
  const height = values.length;
  // One cell is where the values begin; a wider range is their bound.
  const isAnchor = area.endRow === area.row + 1 && area.endColumn === area.column + 1;
  const isOutside =
    (area.endRow !== null && height > area.endRow - area.row) ||
    (area.endColumn !== null && width > area.endColumn - area.column);
  if (isOutside && !isAnchor) {
    throw badRequest(`Requested writing within range [${areaName(area)}], but tried writing outside of it.`);
  }
  requireInGrid(area, height, width);
  let updatedCells = 0;
  values.forEach((row, down) => {
    row.forEach((value, right) => {
      const entered = enteredValue(value, option);
      if (entered === undefined) return;
      const [at, across] = [area.row + down, area.column + right];
      requireEditable(area.sheet, who, {
        startRowIndex: at,
        endRowIndex: at + 1,
        startColumnIndex: across,
        endColumnIndex: across + 1,
      });
      updatedCells++;
      requireFits(entered.value);
      if (!isReal) return;
      setValue(area.sheet, at, across, entered.value);
      if (entered.format) touchCell(area.sheet, at, across).format = entered.format;
    });
  });
  return { updatedRange: areaName(area), updatedRows: height, updatedColumns: width, updatedCells };
}

/** Below the last row of the tab with anything in it: where Google finds a table by itself, a careful client does not rely on it. */
function appendRange(spreadsheet: Spreadsheet, range: string, values: unknown[][], option: string, who: string) {
  const area = parseRange(spreadsheet, range);
  const { sheet } = area;
  const last = sheet.rows.findLastIndex((row) => row.some((cell) => cell?.value !== undefined));
  const row = last + 1;
  if (row + values.length > sheet.rowCount) sheet.rowCount = row + values.length;
  const width = Math.max(1, ...values.map((line) => line.length));
  const name = `'${sheet.title.replaceAll("'", "''")}'!${columnLetters(area.column)}${row + 1}:${columnLetters(area.column + width - 1)}${row + values.length}`;
  return writeRange(spreadsheet, { range: name, values }, option, who);
}

function clearRange(spreadsheet: Spreadsheet, range: string, who: string): void {
  const { sheet, row, column, endRow, endColumn } = parseRange(spreadsheet, range);
  const toRow = Math.min(endRow ?? sheet.rowCount, sheet.rows.length);
  const toColumn = endColumn ?? sheet.columnCount;
  requireEditable(sheet, who, {
    startRowIndex: row,
    endRowIndex: toRow,
    startColumnIndex: column,
    endColumnIndex: toColumn,
  });
  for (let at = row; at < toRow; at++)
    for (let across = column; across < toColumn; across++) setValue(sheet, at, across, null);
}

function outside(sheet: Sheet, { row, column }: { row: number; column: number }): string | null {
  if (row < sheet.rowCount && column < sheet.columnCount) return null;
  return `the tab has ${sheet.rowCount} rows and ${sheet.columnCount} columns`;
}

function typeInto(sheet: Sheet, { row, column, value }: z.output<typeof humanCell>): void {
  const entered = enteredValue(value ?? '', 'USER_ENTERED');
  setValue(sheet, row, column, entered?.value ?? null);
  if (entered?.format) touchCell(sheet, row, column).format = entered.format;
}

/** `cells` as they are shown, `values` as they are stored; `marks` names the report's column that a column carries. */
function sheetForPeople(spreadsheet: Spreadsheet, sheet: Sheet): object {
  const area = { sheet, row: 0, column: 0, endRow: null, endColumn: null };
  const values = readArea(area, 'UNFORMATTED_VALUE', 'SERIAL_NUMBER');
  const cells = values.map((row, at) =>
    row.map((_, column) => {
      const cell = getCell(sheet, at, column);
      return cell?.value === undefined ? '' : shownText(cell.value, cell.format);
    }),
  );
  const formulas = values.map((row, at) =>
    row.map((_, column) => renderCell(getCell(sheet, at, column), 'FORMULA', 'SERIAL_NUMBER')),
  );
  return {
    spreadsheet: spreadsheet.id,
    title: spreadsheet.title,
    tab: sheet.title,
    tabs: spreadsheet.sheets.map((one) => one.title),
    version: spreadsheet.version,
    rowCount: sheet.rowCount,
    columnCount: sheet.columnCount,
    frozenRows: sheet.frozenRowCount,
    cells,
    values,
    formulas,
    marks: sheet.columnMetadata.map(
      (metadata) => metadata.find((one) => one.metadataKey === 'dailies.column')?.metadataValue ?? null,
    ),
  };
}

function refusal(status: number, name: string, message: string): Refusal {
  return new Refusal({ status, body: { error: { code: status, message, status: name } } });
}

function storageQuotaExceeded(): Refusal {
  return new Refusal({
    status: 403,
    body: {
      error: {
        code: 403,
        message: "The user's Drive storage quota has been exceeded.",
        errors: [
          {
            domain: 'usageLimits',
            reason: 'storageQuotaExceeded',
            message: "The user's Drive storage quota has been exceeded.",
          },
        ],
      },
    },
  });
}

function quotaExceeded(kind: 'Read' | 'Write', perUser: number): object {
  return {
    error: {
      code: 429,
      message: `Quota exceeded for quota metric '${kind} requests' and limit '${kind} requests per minute per user' of service 'sheets.googleapis.com' for consumer 'project_number:1'.`,
      status: 'RESOURCE_EXHAUSTED',
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
          reason: 'RATE_LIMIT_EXCEEDED',
          domain: 'googleapis.com',
          metadata: { quota_limit: `${kind}RequestsPerMinutePerUser`, quota_limit_value: String(perUser) },
        },
      ],
    },
  };
}

function googleErrorBody(status: number): unknown {
  const names: Record<number, [string, string]> = {
    400: ['INVALID_ARGUMENT', 'Request contains an invalid argument.'],
    401: ['UNAUTHENTICATED', 'Request had invalid authentication credentials.'],
    403: ['PERMISSION_DENIED', 'The caller does not have permission'],
    404: ['NOT_FOUND', 'Requested entity was not found.'],
    500: ['INTERNAL', 'Internal error encountered.'],
    503: ['UNAVAILABLE', 'The service is currently unavailable.'],
  };
  if (status === 429) return quotaExceeded('Read', 60);
  const [name, message] = names[status] ?? ['UNKNOWN', 'Unknown error.'];
  return { error: { code: status, message, status: name } };
}
