import { ByteReader } from './byte-reader.ts';
import { type JsonTree, readJson } from './json-binary.ts';
import { malformed } from './protocol-error.ts';

/**
 * A document after the changes that a partial update tells (sql/json_diff.cc, Json_diff_vector::read_binary), each with
 * numbers length-encoded:
 *
 *     Int8 operation (0 replace, 1 insert, 2 remove) · length · path `$.a[3]."b c"` · [length · binary JSON]
 *
 * Changes `tree` where it stands. A change that does not fit the document is `source_protocol`: the row before is another
 * one than the server had.
 */
export function applyJsonDiffs(tree: JsonTree, diffs: Buffer): JsonTree {
  const reader = new ByteReader(diffs);
  while (reader.left > 0) {
    const operation = reader.u8();
    const path = parsePath(reader.utf8(reader.lenenc()));
    const value = operation === 2 ? null : readJson(reader.take(reader.lenenc()));
    const last = path.pop();
    if (last === undefined || operation > 2) throw unfitting();
    apply(operation, seek(tree, path), last, value);
  }
  return tree;
}

function apply(operation: number, parent: JsonTree, leg: string | number, value: JsonTree | null): void {
  if (Array.isArray(parent) && typeof leg === 'number') {
    if (operation === 1 && value !== null) parent.splice(leg, 0, value);
    else if (leg >= parent.length) throw unfitting();
    else if (operation === 0 && value !== null) parent[leg] = value;
    else parent.splice(leg, 1);
    return;
  }
  if (!(parent instanceof Map) || typeof leg !== 'string' || parent.has(leg) === (operation === 1)) throw unfitting();
  if (value === null) {
    parent.delete(leg);
    return;
  }
  parent.set(leg, value);
  if (operation === 1) sortMembers(parent);
}

/** The server holds shorter names first, names of one length by their bytes. */
function sortMembers(object: Map<string, JsonTree>): void {
  const members = [...object].map(([key, value]) => ({ bytes: Buffer.from(key), key, value }));
  members.sort((a, b) => a.bytes.length - b.bytes.length || Buffer.compare(a.bytes, b.bytes));
  object.clear();
  for (const { key, value } of members) object.set(key, value);
}

function seek(tree: JsonTree, path: (string | number)[]): JsonTree {
  let place: JsonTree | undefined = tree;
  for (const leg of path) {
    if (Array.isArray(place) && typeof leg === 'number') place = place[leg];
    else if (place instanceof Map && typeof leg === 'string') place = place.get(leg);
    else throw unfitting();
  }
  if (place === undefined) throw unfitting();
  return place;
}

/** `$`, then `.name`, `."name"` as a JSON text, `[n]`; names without quotes are ECMAScript identifiers. */
function parsePath(text: string): (string | number)[] {
  const legs: (string | number)[] = [];
  const leg = /\s*(?:\.\s*("(?:[^"\\]|\\.)*")|\.\s*([^\s."[\]]+)|\[\s*(\d+)\s*\])\s*/uy;
  leg.lastIndex = 1;
  while (leg.lastIndex < text.length) {
    const [, quoted, plain, index] = leg.exec(text) ?? [];
    if (quoted !== undefined) legs.push(String(JSON.parse(quoted)));
    else if (plain !== undefined) legs.push(plain);
    else if (index !== undefined) legs.push(Number(index));
    else throw malformed('a path of a partial JSON update is none');
  }
  if (text[0] !== '$') throw malformed('a path of a partial JSON update is none');
  return legs;
}

function unfitting(): Error {
  return malformed('a partial JSON update does not fit the row before it');
}
