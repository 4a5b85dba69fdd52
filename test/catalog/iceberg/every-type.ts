import type { FieldType, Row } from '#catalog/schemas/schema.ts';
import { schemaOf } from './warehouse.ts';

const person: FieldType = {
  kind: 'struct',
  fields: [
    { name: 'name', type: { kind: 'string' }, required: false },
    { name: 'born', type: { kind: 'date' }, required: false },
    {
      name: 'roles',
      type: {
        kind: 'list',
        element: {
          kind: 'struct',
          fields: [
            { name: 'title', type: { kind: 'string' }, required: false },
            { name: 'fee', type: { kind: 'decimal', precision: 20, scale: 3 }, required: false },
          ],
        },
      },
      required: false,
    },
  ],
};

/** A table of every type, with a key. */
export const everyType = schemaOf(
  {
    id: 'long',
    'a "quoted" näme': 'string',
    flag: 'boolean',
    small: 'int',
    single: 'float',
    twice: 'double',
    price: { kind: 'decimal', precision: 9, scale: 2 },
    budget: { kind: 'decimal', precision: 18, scale: 0 },
    vast: { kind: 'decimal', precision: 38, scale: 10 },
    day: 'date',
    hour: 'time',
    local: 'timestamp',
    instant: 'timestamptz',
    ref: 'uuid',
    raw: 'binary',
    director: person,
    tags: { kind: 'list', element: { kind: 'string' } },
    grid: { kind: 'list', element: { kind: 'list', element: { kind: 'int' } } },
  },
  ['id'],
);

/** Ordinary values, the extremes of each type, and nulls everywhere. */
export const everyTypeRows: Row[] = [
  [
    1n,
    'Plain “title”, ünïcode 🎬',
    true,
    42,
    1.5,
    Math.PI,
    1230n,
    -7n,
    12345678901234567890123456789012345678n,
    19_700,
    45_296_123_456n,
    1_700_000_000_123_456n,
    -1_234_567n,
    'c0ffee00-1234-4bcd-8def-0123456789ab',
    Uint8Array.of(0, 255, 10),
    ['Ada', 3, [['Writer', 1_500n], null]],
    ['drama', '', null],
    [[1, 2], [], null],
  ],
  [
    -9_223_372_036_854_775_808n,
    '',
    false,
    -2_147_483_648,
    -0,
    Number.NaN,
    -999_999_999n,
    999_999_999_999_999_999n,
    -99999999999999999999999999999999999999n,
    -719_162,
    0n,
    -62_135_596_800_000_000n,
    253_402_300_799_999_999n,
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    new Uint8Array(),
    [null, null, []],
    [],
    [],
  ],
  [
    9_223_372_036_854_775_807n,
    'x'.repeat(5000),
    null,
    2_147_483_647,
    Number.POSITIVE_INFINITY,
    -0,
    0n,
    0n,
    0n,
    2_932_896,
    86_399_999_999n,
    253_402_300_799_999_999n,
    0n,
    '00000000-0000-0000-0000-000000000000',
    new Uint8Array(300).fill(7),
    null,
    null,
    null,
  ],
  [4n, ...new Array(17).fill(null)] as Row,
];
