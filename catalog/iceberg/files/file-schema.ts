import { DailiesError } from '../../error.ts';
import { ByteCache } from '../manifests/byte-cache.ts';
import { holdLocal } from '../storage.ts';
import { connectDuckdb } from './duckdb-engine.ts';
import { pathList } from './read-parquet.ts';

/** A column of a Parquet file as DuckDB shows it: its own name, and its field id where the file has one. */
export interface FileField {
  name: string;
  id: number | null;
  type:
    | { kind: 'leaf' }
    | { kind: 'struct'; fields: FileField[] }
    | { kind: 'list'; element: FileField }
    | { kind: 'map'; key: FileField; value: FileField };
}

const cache = new ByteCache<readonly FileField[]>(16 << 20);
const filesAtOnce = 200;

/** The columns of Parquet files, from their footers, by location. Throws `table_corrupt` for a file that is gone or torn. */
export async function readFileSchemas(locations: readonly string[]): Promise<Map<string, readonly FileField[]>> {
  const schemas = new Map<string, readonly FileField[]>();
  const missing: string[] = [];
  for (const location of new Set(locations)) {
    const known = cache.get(location);
    if (known) schemas.set(location, known);
    else missing.push(location);
  }
  for (let start = 0; start < missing.length; start += filesAtOnce) {
    for (const [location, fields] of await readFooters(missing.slice(start, start + filesAtOnce))) {
      cache.set(location, fields, 200 + fields.length * 400);
      schemas.set(location, fields);
    }
  }
  return schemas;
}

interface Element {
  name: string;
  id: number | null;
  children: number;
  isRepeated: boolean;
  converted: string;
}

async function readFooters(locations: readonly string[]): Promise<Map<string, FileField[]>> {
  using held = await holdLocal(locations);
  const connection = await connectDuckdb();
  try {
    const reader = await connection.runAndReadAll(
      `SELECT file_name, name, field_id, coalesce(num_children, 0), repetition_type, coalesce(converted_type, '') || coalesce(logical_type, '') FROM parquet_schema(${pathList(held.paths)})`,
    );
    const elements = new Map<string, Element[]>(held.paths.map((path) => [path, []]));
    for (const [path, name, id, children, repetition, converted] of reader.getRows()) {
      elements.get(String(path))?.push({
        name: String(name),
        id: id === null ? null : Number(id),
        children: Number(children),
        isRepeated: repetition === 'REPEATED',
        converted: String(converted),
      });
    }
    return new Map(
      locations.map((location, index) => {
        const [root, ...rest] = elements.get(held.paths[index] ?? '') ?? [];
        return [location, takeFields(rest, root?.children ?? 0)];
      }),
    );
  } catch (cause) {
    throw new DailiesError('table_corrupt', 'The footer of a data file cannot be read: the file is gone or torn.', {
      cause,
      details: { locations: locations.slice(0, 20) },
    });
  } finally {
    connection.closeSync();
  }
}

/** Takes the next fields off the list: elements come depth first. */
function takeFields(elements: Element[], count: number): FileField[] {
  const fields: FileField[] = [];
  for (let index = 0; index < count; index++) {
    const element = elements.shift();
    if (element) fields.push(takeField(element, elements));
  }
  return fields;
}

// parquet-format, LogicalTypes.md: a list is LIST { repeated list { element } }, older ones LIST { repeated element }; a map
// is MAP { repeated key_value { key, value } }.
function takeField(element: Element, rest: Element[]): FileField {
  const { name, id, children, converted } = element;
  if (children === 0) return { name, id, type: { kind: 'leaf' } };
  const fields = takeFields(rest, children);
  const [group] = fields;
  if (/MAP/.test(converted) && group?.type.kind === 'struct') {
    const [key, value] = group.type.fields;
    if (key && value) return { name, id, type: { kind: 'map', key, value } };
  }
  if (/LIST/.test(converted) && group) {
    const inner = group.type.kind === 'struct' && group.type.fields.length === 1 ? group.type.fields[0] : undefined;
    const isOld = group.name === 'array' || group.name === `${name}_tuple`;
    return { name, id, type: { kind: 'list', element: inner && !isOld ? inner : group } };
  }
  return { name, id, type: { kind: 'struct', fields } };
}
