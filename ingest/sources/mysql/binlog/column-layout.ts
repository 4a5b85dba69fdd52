import { DailiesError } from '#catalog/error.ts';
import type { BinlogColumnType, Flavor } from './binlog-item.ts';
import type { ByteReader } from './byte-reader.ts';
import { malformed } from './protocol-error.ts';

/** What a column's type and the bytes beside it say of its values' bytes; signs, charsets, labels are told elsewhere. */
export interface ColumnLayout {
  /** The type's code, ENUM and SET told from CHAR. */
  type: number;
  shape: ColumnShape;
  /** Bytes of the length that stands before a value; for ENUM and SET of the value itself. */
  lengthBytes: number;
  /** MariaDB's attribute COMPRESSED. */
  isCompressed: boolean;
}

type Bare<T> = T extends { isUnsigned: boolean } ? Omit<T, 'isUnsigned'> : T;

export type ColumnShape =
  | Bare<Extract<BinlogColumnType, { kind: 'integer' | 'decimal' | 'float' | 'double' }>>
  | Extract<BinlogColumnType, { kind: 'year' | 'date' | 'json' | 'bit' | 'time' | 'datetime' | 'timestamp' | 'vector' }>
  | { kind: 'string'; maxBytes: number; isFixed: boolean }
  | { kind: 'enum' | 'set' | 'geometry' };

/**
 * Types and what stands beside them in TABLE_MAP (libs/mysql/binlog/event/rows_event.h):
 *
 *     1 TINY 2 SHORT 3 LONG 8 LONGLONG 9 INT24 10 DATE 13 YEAR          nothing
 *     4 FLOAT 5 DOUBLE 245 JSON 252 BLOB 255 GEOMETRY 242 VECTOR 140 BLOB COMPRESSED   Int8 bytes of the value, or of its length
 *     15 VARCHAR 253 VAR_STRING 141 VARCHAR COMPRESSED                  Int16 bytes at most
 *     16 BIT                                                            Int8 bits beyond whole bytes · Int8 bytes
 *     17 TIMESTAMP 18 DATETIME 19 TIME                                  Int8 digits of the fraction
 *     246 DECIMAL                                                       Int8 precision · Int8 scale
 *     254 CHAR, ENUM, SET                                               Int8 true type · Int8 bytes; CHAR's bytes beyond
 *                                                                       255 turn bits of the type
 *     20 array of a hidden index                                        Int8 true type · what stands beside that, for
 *                                                                       VARCHAR Int24
 */
export function columnLayout(type: number, besides: ByteReader): ColumnLayout {
  const layout = (shape: ColumnShape, lengthBytes = 0): ColumnLayout => ({
    type,
    shape,
    lengthBytes,
    isCompressed: false,
  });
  switch (type) {
    case 1:
      return layout({ kind: 'integer', bytes: 1 });
    case 2:
      return layout({ kind: 'integer', bytes: 2 });
    case 3:
      return layout({ kind: 'integer', bytes: 4 });
    case 8:
      return layout({ kind: 'integer', bytes: 8 });
    case 9:
      return layout({ kind: 'integer', bytes: 3 });
    case 10:
    case 14:
      return layout({ kind: 'date' });
    case 13:
      return layout({ kind: 'year' });
    case 4:
    case 5:
      besides.skip(1);
      return layout({ kind: type === 4 ? 'float' : 'double' });
    case 15:
    case 253:
      return varying(layout, besides.u16());
    case 141:
      return { ...varying(layout, besides.u16()), isCompressed: true };
    case 140:
    case 249:
    case 250:
    case 251:
    case 252: {
      const bytes = lengthOfLength(besides);
      return {
        ...layout({ kind: 'string', maxBytes: 256 ** bytes - 1, isFixed: false }, bytes),
        isCompressed: type === 140,
      };
    }
    case 242:
      return layout({ kind: 'vector' }, lengthOfLength(besides));
    case 245:
      return layout({ kind: 'json' }, lengthOfLength(besides));
    case 255:
      return layout({ kind: 'geometry' }, lengthOfLength(besides));
    case 16: {
      const rest = besides.u8();
      const bits = besides.u8() * 8 + rest;
      if (rest > 7 || bits > 64) throw malformed('a BIT column has too many bits');
      return layout({ kind: 'bit', bits });
    }
    case 17:
      return layout({ kind: 'timestamp', scale: fraction(besides) });
    case 18:
      return layout({ kind: 'datetime', scale: fraction(besides) });
    case 19:
      return layout({ kind: 'time', scale: fraction(besides) });
    case 246: {
      const [precision, scale] = [besides.u8(), besides.u8()];
      if (precision > 65 || scale > precision) throw malformed('a DECIMAL column has too many digits');
      return layout({ kind: 'decimal', precision, scale });
    }
    case 254:
      return charLayout(besides);
    case 20: {
      // A multi-valued index's hidden column holds its array as JSON.
      const element = besides.u8();
      if (element === 15) besides.skip(3);
      else columnLayout(element, besides);
      return layout({ kind: 'json' }, 4);
    }
    case 7:
    case 11:
    case 12:
      throw new DailiesError(
        'type_unsupported',
        'A table has TIME, DATETIME or TIMESTAMP columns in the format of before MySQL 5.6; set mysql56_temporal_format = ON and rebuild it: ALTER TABLE … FORCE.',
        { details: { type } },
      );
    default:
      throw new DailiesError('type_unsupported', `A table has a column of type ${type}, which we do not know.`, {
        details: { type },
      });
  }
}

function varying(layout: (shape: ColumnShape, lengthBytes: number) => ColumnLayout, maxBytes: number): ColumnLayout {
  return layout({ kind: 'string', maxBytes, isFixed: false }, maxBytes > 255 ? 2 : 1);
}

function charLayout(besides: ByteReader): ColumnLayout {
  const [high, low] = [besides.u8(), besides.u8()];
  if (high === 247 || high === 248) {
    return { type: high, shape: { kind: high === 247 ? 'enum' : 'set' }, lengthBytes: low, isCompressed: false };
  }
  const maxBytes = low | (((high & 0x30) ^ 0x30) << 4);
  if ((high | 0x30) !== 254) throw malformed('a CHAR column is of an unknown kind', { type: high });
  const shape = { kind: 'string', maxBytes, isFixed: true } as const;
  return { type: 254, shape, lengthBytes: maxBytes > 255 ? 2 : 1, isCompressed: false };
}

function lengthOfLength(besides: ByteReader): number {
  const bytes = besides.u8();
  if (bytes < 1 || bytes > 4) throw malformed('a BLOB column is of an unknown kind');
  return bytes;
}

function fraction(besides: ByteReader): number {
  const scale = besides.u8();
  if (scale > 6) throw malformed('a column of times has too many digits');
  return scale;
}

/** Whose sign is told. */
export function isNumericLayout(type: number): boolean {
  return type === 1 || type === 2 || type === 3 || type === 4 || type === 5 || type === 8 || type === 9 || type === 246;
}

/** Whose charset is told; the families differ in what is a kind of text. */
export function isCharacterLayout(type: number, flavor: Flavor): boolean {
  if (type === 254 || type === 253 || type === 15 || (type >= 249 && type <= 252)) return true;
  return flavor === 'mariadb' ? type === 255 || type === 140 || type === 141 : type === 242;
}
