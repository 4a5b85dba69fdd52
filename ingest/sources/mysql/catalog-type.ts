import type { ColumnType } from './column-type.ts';

/** What information_schema.columns says of a column's type. */
export interface CatalogType {
  dataType: string;
  /** With length, UNSIGNED and labels: `bigint(20) unsigned`, `enum('a','b')`. */
  columnType: string;
  charset: string | null;
  precision: number | null;
  scale: number | null;
  fraction: number | null;
  maxBytes: number | null;
}

const integerBytes: Readonly<Record<string, 1 | 2 | 3 | 4 | 8>> = {
  tinyint: 1,
  smallint: 2,
  mediumint: 3,
  int: 4,
  integer: 4,
  bigint: 8,
};

const geometryTypes = [
  'geometry',
  'point',
  'linestring',
  'polygon',
  'multipoint',
  'multilinestring',
  'multipolygon',
  'geometrycollection',
];

/** The type that the log tells of the same column; null for one that nobody here knows. */
export function typeOfCatalog(type: CatalogType): ColumnType | null {
  const isUnsigned = /\bunsigned\b/.test(type.columnType);
  const scale = type.fraction ?? 0;
  const { dataType } = type;
  const bytes = integerBytes[dataType];
  if (bytes !== undefined) return { kind: 'integer', bytes, isUnsigned };
  const geometryType = geometryTypes.indexOf(dataType === 'geomcollection' ? 'geometrycollection' : dataType);
  if (geometryType >= 0) return { kind: 'geometry', geometryType };
  switch (dataType) {
    case 'decimal':
    case 'numeric':
      return { kind: 'decimal', precision: type.precision ?? 10, scale: type.scale ?? 0, isUnsigned };
    case 'float':
    case 'double':
      return { kind: dataType, isUnsigned };
    case 'bit':
      return { kind: 'bit', bits: type.precision ?? 1 };
    case 'year':
    case 'date':
    case 'json':
    case 'uuid':
    case 'inet4':
    case 'inet6':
    case 'vector':
      return dataType === 'vector' ? { kind: 'vector' } : { kind: dataType };
    case 'time':
    case 'datetime':
    case 'timestamp':
      return { kind: dataType, scale };
    case 'enum':
    case 'set':
      return { kind: dataType, labels: labelsOf(type.columnType) };
    case 'char':
    case 'varchar':
    case 'tinytext':
    case 'text':
    case 'mediumtext':
    case 'longtext':
      return {
        kind: 'text',
        charset: type.charset ?? 'binary',
        maxBytes: type.maxBytes ?? 0,
        isFixed: dataType === 'char',
      };
    case 'binary':
    case 'varbinary':
    case 'tinyblob':
    case 'blob':
    case 'mediumblob':
    case 'longblob':
      return { kind: 'bytes', maxBytes: type.maxBytes ?? 0, isFixed: dataType === 'binary' };
    default:
      return null;
  }
}

/** The labels of `enum('a','b,c','it''s')`, as the catalog escapes them. */
function labelsOf(columnType: string): string[] {
  const labels = columnType.slice(columnType.indexOf('(') + 1).match(/'(?:[^'\\]|''|\\.)*'/gs) ?? [];
  return labels.map((quoted) =>
    quoted
      .slice(1, -1)
      .replaceAll("''", "'")
      .replace(/\\(.)/gs, (_, letter: string) => ({ n: '\n', r: '\r', '0': '\0' })[letter] ?? letter),
  );
}
