import type { BinlogColumn, BinlogColumnType, BinlogTable, Flavor } from './binlog-item.ts';
import { ByteReader } from './byte-reader.ts';
import { decoderOf } from './charsets.ts';
import { type ColumnLayout, columnLayout, isCharacterLayout, isNumericLayout } from './column-layout.ts';
import { malformed } from './protocol-error.ts';

/** A table with what its rows' bytes mean. */
export interface MappedTable {
  table: BinlogTable;
  layouts: readonly ColumnLayout[];
}

export interface TableNames {
  id: number;
  database: string;
  name: string;
  /** What follows the names. */
  rest: ByteReader;
}

/**
 * TABLE_MAP, which stands before a statement's rows (libs/mysql/binlog/event/rows_event.h, Table_map_event):
 *
 *     Int48 id · Int16 flags · Int8 length · database · 0 · Int8 length · table · 0 · count · count × Int8 type
 *     length · what each type needs besides · bits: nullable · optional: (Int8 kind · length · value) …
 *
 * Counts, lengths of the second line are length-encoded.
 */
export function readTableNames(reader: ByteReader): TableNames {
  const id = reader.u48();
  reader.skip(2);
  const database = reader.utf8(reader.u8());
  reader.skip(1);
  const name = reader.utf8(reader.u8());
  reader.skip(1);
  return { id, database, name, rest: reader };
}

/** `charsets` has each collation's id with its charset. Null if the log does not tell the columns' names, types in full. */
export function readTableMap(
  { database, name, rest }: TableNames,
  flavor: Flavor,
  charsets: ReadonlyMap<number, string>,
): MappedTable | null {
  const count = rest.lenenc();
  const types = rest.take(count);
  const besides = new ByteReader(rest.take(rest.lenenc()));
  const layouts = [...types].map((type) => columnLayout(type, besides));
  if (besides.left > 0) throw malformed("a tableMap event's types are not what they say");
  const nullable = rest.take((count + 7) >> 3);
  const told = readOptional(
    rest,
    layouts.map((layout) => layout.type),
    flavor,
  );
  if (told.names.length !== count) return null;
  const columns = layouts.map(
    (layout, index): BinlogColumn => ({
      name: told.names[index] ?? '',
      type: describe(layout, index, told, charsets),
      isNullable: ((nullable[index >> 3] ?? 0) & (1 << (index & 7))) !== 0,
      isVisible: told.visible === null || isSet(told.visible, index),
    }),
  );
  if (told.key.some((index) => index >= count)) throw malformed("a tableMap event's key is none of its columns");
  return { table: { database, name, columns, key: told.key, keyPrefixes: told.keyPrefixes }, layouts };
}

interface Told {
  names: string[];
  /** Of each column: null where nothing is told. */
  unsigned: (boolean | null)[];
  collations: (number | null)[];
  labels: (Buffer[] | null)[];
  geometryTypes: (number | null)[];
  key: number[];
  keyPrefixes: number[];
  visible: Buffer | null;
}

function readOptional(reader: ByteReader, types: readonly number[], flavor: Flavor): Told {
  const told: Told = {
    names: [],
    unsigned: types.map(() => null),
    collations: types.map(() => null),
    labels: types.map(() => null),
    geometryTypes: types.map(() => null),
    key: [],
    keyPrefixes: [],
    visible: null,
  };
  const indexesOf = (is: (type: number) => boolean) => types.flatMap((type, index) => (is(type) ? [index] : []));
  const characters = indexesOf((type) => isCharacterLayout(type, flavor));
  const choices = indexesOf((type) => type === 247 || type === 248);
  while (reader.left > 0) {
    const kind = reader.u8();
    const value = new ByteReader(reader.take(reader.lenenc()));
    switch (kind) {
      case 1:
        for (const [place, index] of indexesOf(isNumericLayout).entries())
          told.unsigned[index] = isSet(value.bytes, place);
        break;
      case 2:
        readDefaultCharset(value, characters, told.collations);
        break;
      case 3:
        for (const index of characters) told.collations[index] = value.lenenc();
        break;
      case 4:
        while (value.left > 0) told.names.push(value.utf8(value.lenenc()));
        break;
      case 5:
      case 6:
        for (const index of indexesOf((type) => type === (kind === 5 ? 248 : 247))) {
          told.labels[index] = readLabels(value);
        }
        break;
      case 7:
        for (const index of indexesOf((type) => type === 255)) told.geometryTypes[index] = value.lenenc();
        break;
      case 8:
        while (value.left > 0) addKey(told, value.lenenc(), 0);
        break;
      case 9:
        while (value.left > 0) addKey(told, value.lenenc(), value.lenenc());
        break;
      case 10:
        readDefaultCharset(value, choices, told.collations);
        break;
      case 11:
        for (const index of choices) told.collations[index] = value.lenenc();
        break;
      case 12:
        told.visible = value.bytes;
        break;
      // Others tell nothing that changes what the rows mean.
    }
  }
  return told;
}

function readLabels(value: ByteReader): Buffer[] {
  const labels: Buffer[] = [];
  for (let left = value.lenenc(); left > 0; left--) labels.push(value.take(value.lenenc()));
  return labels;
}

function addKey(told: Told, index: number, prefix: number): void {
  told.key.push(index);
  told.keyPrefixes.push(prefix);
}

/** The collation of most, then (place among these columns, collation) of the others. */
function readDefaultCharset(value: ByteReader, indexes: readonly number[], collations: (number | null)[]): void {
  const usual = value.lenenc();
  for (const index of indexes) collations[index] = usual;
  while (value.left > 0) {
    const index = indexes[value.lenenc()];
    const collation = value.lenenc();
    if (index !== undefined) collations[index] = collation;
  }
}

/** Bits from the highest of the first byte on. */
function isSet(bits: Buffer, index: number): boolean {
  return ((bits[index >> 3] ?? 0) & (0x80 >> (index & 7))) !== 0;
}

function describe(
  layout: ColumnLayout,
  index: number,
  told: Told,
  charsets: ReadonlyMap<number, string>,
): BinlogColumnType {
  const { shape } = layout;
  const isUnsigned = told.unsigned[index] ?? false;
  const collation = told.collations[index] ?? 63;
  const charset = collation === 63 ? 'binary' : (charsets.get(collation) ?? `unknown (collation ${collation})`);
  switch (shape.kind) {
    case 'integer':
    case 'decimal':
    case 'float':
    case 'double':
      return { ...shape, isUnsigned };
    case 'string': {
      const { maxBytes, isFixed } = shape;
      if (charset === 'binary') return { kind: 'bytes', maxBytes, isFixed };
      return { kind: 'text', charset, maxBytes, isFixed };
    }
    case 'enum':
    case 'set': {
      const decode = decoderOf(charset) ?? decoderOf('utf8mb4');
      const labels = (told.labels[index] ?? []).map(
        (bytes) => decode?.(bytes, 0, bytes.length) ?? bytes.toString('latin1'),
      );
      return { kind: shape.kind, labels };
    }
    case 'geometry':
      return { kind: 'geometry', geometryType: told.geometryTypes[index] ?? 0 };
    default:
      return shape;
  }
}
