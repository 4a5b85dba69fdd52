import type { Place, QueryProblem } from './child-protocol.ts';

/** Carries a problem of the statement from where it is found to the child's answer. */
export class StatementError extends Error {
  readonly problem: QueryProblem;

  constructor(code: QueryProblem['code'], message: string, at: Place | null = null) {
    super(message);
    this.problem = { code, message, ...at };
  }
}

/** Place of a character, given as an index into the text's UTF-16 units. */
export function placeOf(text: string, index: number): Place {
  const before = text.slice(0, Math.max(0, Math.min(index, text.length)));
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: [...before.slice(lineStart)].length + 1 };
}

/** Place of a byte of the text in UTF-8, as DuckDB's binder counts. */
export function placeOfByte(text: string, byte: number): Place {
  return placeOf(text, Buffer.from(text).subarray(0, byte).toString().length);
}

/** Place of a code point of the text, as DuckDB's parser counts. */
export function placeOfCodePoint(text: string, codePoint: number): Place {
  return placeOf(text, [...text].slice(0, codePoint).join('').length);
}

/** DuckDB's kinds of errors that come from the text; those of all others come from running and may quote cells. */
const textKinds = new Set(['Parser', 'Syntax', 'Binder', 'Catalog', 'Permission']);

const limitKinds = new Set(['Out of Memory', 'OutOfMemory']);

interface DuckdbError {
  exception_type: string;
  exception_message: string;
  position?: string;
}

/**
 * What to tell of an error that DuckDB threw while `errors_as_json` was on. `hidden` are paths and folders that must not
 * be shown. A message about data keeps only those texts and numbers that the statement itself holds.
 */
export function describeDuckdbError(thrown: unknown, sql: string, hidden: readonly string[]): QueryProblem {
  if (thrown instanceof StatementError) return thrown.problem;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const error = parseDuckdbError(text);
  if (error === null) return { code: 'internal', message: withoutPaths(text, hidden) };
  if (limitKinds.has(error.exception_type)) return memoryProblem(error.exception_message);
  let message = withoutPaths(error.exception_message, hidden).trim();
  if (!textKinds.has(error.exception_type)) message = withoutValues(message, sql);
  if (error.exception_type === 'Permission') return { code: 'sql_refused', message };
  if (error.exception_type === 'Internal' || error.exception_type === 'FATAL' || error.exception_type === 'IO') {
    return { code: 'internal', message };
  }
  const position = error.position === undefined ? null : Number(error.position);
  const at =
    position === null
      ? null
      : error.exception_type === 'Parser'
        ? placeOfCodePoint(sql, position)
        : placeOfByte(sql, position);
  return { code: 'sql_invalid', message, ...at };
}

function memoryProblem(message: string): QueryProblem {
  const isDisk = message.includes('max_temp_directory_size');
  return {
    code: 'query_limit',
    message: isDisk
      ? 'The query needs more temporary disk space than a query may use. Read fewer rows or columns, or aggregate earlier.'
      : 'The query needs more memory than a query may use. Read fewer rows or columns, or aggregate earlier.',
  };
}

function parseDuckdbError(text: string): DuckdbError | null {
  const start = text.indexOf('{"exception_type"');
  if (start === -1) return null;
  try {
    return JSON.parse(text.slice(start)) as DuckdbError;
  } catch {
    return null;
  }
}

function withoutPaths(message: string, hidden: readonly string[]): string {
  let clean = message;
  for (const path of hidden) clean = clean.replaceAll(path, 'a data file');
  return clean.replace(/(?<![\w)])(?:file:\/\/)?(?:\/[\w.@~=+%-]+){2,}/g, 'a file');
}

/** DuckDB shows some values once more below its sentence, bare: only the sentence stays. */
function withoutValues(message: string, sql: string): string {
  const [sentence = ''] = withoutQuoted(withoutQuoted(message, '"', sql), "'", sql).split('\n', 1);
  return sentence.replace(/(?<![\w(])-?\d[\d.:-]*\d(?!\w)|(?<=\()-?\d[\d.]*(?= [*+/-])/g, (number) =>
    sql.includes(number) ? number : '…',
  );
}

/**
 * What stands in quotes and is not the statement's own becomes `…`. A value may hold quotes itself: where one piece is
 * strange, or a quote stands alone, all from the first quote to the last is taken for one value.
 */
function withoutQuoted(message: string, quote: string, sql: string): string {
  // The apostrophe of “can't” quotes nothing.
  const parts = message.split(quote === "'" ? /'(?!(?<=n')t\b)/ : quote);
  if (parts.length === 1) return message;
  const quoted = parts.filter((_, index) => index % 2 === 1);
  const isWhole = parts.length % 2 === 1;
  if (isWhole && quoted.every((inner) => inner !== '' && sql.includes(inner))) return message;
  const after = parts.length === 2 ? '' : parts.at(-1);
  return `${parts[0]}${quote}…${quote}${after}`;
}
