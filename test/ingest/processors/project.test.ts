import { describe, expect, test } from 'vitest';
import { type Row, type Schema, UNKNOWN } from '#catalog/schemas/schema.ts';
import { project } from '#ingest/processors/project.ts';
import { change, never, sourceOf, tableChanges } from './table-changes.ts';

const string = { kind: 'string' } as const;
const schema: Schema = {
  key: ['id'],
  fields: [
    { name: 'id', required: true, type: { kind: 'long' } },
    { name: 'title', required: true, type: string },
    { name: 'status', required: false, type: string },
    {
      name: 'edge',
      required: false,
      type: {
        kind: 'struct',
        fields: [
          {
            name: 'director',
            required: false,
            type: {
              kind: 'struct',
              fields: [
                { name: 'name', required: false, type: string },
                { name: 'country', required: false, type: string },
              ],
            },
          },
          {
            name: 'credits',
            required: false,
            type: {
              kind: 'list',
              element: {
                kind: 'struct',
                fields: [
                  { name: 'part', required: false, type: string },
                  { name: 'who', required: false, type: string },
                ],
              },
            },
          },
        ],
      },
    },
  ],
};
const row: Row = [
  1n,
  'A',
  'post',
  [
    ['Xanthe Zigzag', 'FR'],
    [['cast', 'Yorick'], null],
  ],
];

async function bind(config: { fields?: (string | { path: string; as: string })[]; evolve?: boolean }, input = schema) {
  return project.open({ fields: [], evolve: false, ...config }, sourceOf(input, []).deps).bind(input, never);
}

async function shape(config: Parameters<typeof bind>[0], value: Row = row) {
  const bound = await bind(config);
  const { changes } = await bound.apply(tableChanges([change('u', value, value)], schema), never);
  expect(changes.schema).toBe(bound.output);
  expect(changes.events[0]?.before).toEqual(changes.events[0]?.after);
  return { names: bound.output.fields.map(({ name }) => name), row: changes.events[0]?.after, output: bound.output };
}

describe('without evolution only what is listed flows on', () => {
  test('in the listed order; nested fields keep their nesting', async () => {
    const {
      names,
      row: projected,
      output,
    } = await shape({ fields: ['title', 'edge.director.name', 'id', 'edge.credits.who'] });
    expect(names).toEqual(['title', 'edge', 'id']);
    expect(projected).toEqual(['A', [['Xanthe Zigzag'], [['Yorick'], null]], 1n]);
    expect(output.key).toEqual(['id']);
    expect(output.fields[1]?.type).toEqual({
      kind: 'struct',
      fields: [
        {
          name: 'director',
          required: false,
          type: { kind: 'struct', fields: [{ name: 'name', required: false, type: string }] },
        },
        {
          name: 'credits',
          required: false,
          type: { kind: 'list', element: { kind: 'struct', fields: [{ name: 'who', required: false, type: string }] } },
        },
      ],
    });
  });

  test('`as` puts a field elsewhere, the key too, out of structs and lists', async () => {
    const fields = [
      { path: 'id', as: 'movie_id' },
      { path: 'edge.director.name', as: 'director' },
      { path: 'edge.credits.part', as: 'parts' },
    ];
    const { names, row: projected, output } = await shape({ fields });
    expect(names).toEqual(['movie_id', 'director', 'parts']);
    expect(projected).toEqual([1n, 'Xanthe Zigzag', ['cast', null]]);
    expect(output.key).toEqual(['movie_id']);
    expect(output.fields[0]?.required).toBe(true);
    expect(output.fields[2]?.type).toEqual({ kind: 'list', element: string });
    expect((await shape({ fields }, [1n, 'A', null, null])).row).toEqual([1n, null, null]);
    expect((await shape({ fields: ['id', { path: 'edge.director.name', as: 'edge.by' }] })).row).toEqual([
      1n,
      ['Xanthe Zigzag'],
    ]);
  });

  test('what an event does not carry stays unknown', async () => {
    const value: Row = [1n, 'A', UNKNOWN, UNKNOWN];
    expect((await shape({ fields: ['id', 'status', 'edge.director.name'] }, value)).row).toEqual([
      1n,
      UNKNOWN,
      UNKNOWN,
    ]);
  });

  test('a new upstream field changes nothing, and only listed fields are consumed', async () => {
    const wider = {
      ...schema,
      fields: [...schema.fields, { name: 'fee', required: false, type: { kind: 'int' } as const }],
    };
    const bound = await bind({ fields: ['id', 'title'] }, wider);
    expect(bound.output).toEqual((await bind({ fields: ['id', 'title'] })).output);
    expect(bound.consumes).toEqual([
      { path: 'id', required: true },
      { path: 'title', required: true },
    ]);
  });
});

describe('with evolution everything flows on', () => {
  test('listed fields are renamed in place, and what is taken out of a struct comes last', async () => {
    const fields = ['title', { path: 'status', as: 'state' }, { path: 'edge.director.name', as: 'director' }];
    const { names, row: projected } = await shape({ fields, evolve: true });
    expect(names).toEqual(['id', 'title', 'state', 'edge', 'director']);
    expect(projected).toEqual([...row, 'Xanthe Zigzag']);
  });

  test('a listed field that is gone is named, an unlisted one is not missed', async () => {
    const without = { ...schema, fields: schema.fields.filter(({ name }) => name !== 'status') };
    expect((await bind({ evolve: true }, without)).output.fields.map(({ name }) => name)).toEqual([
      'id',
      'title',
      'edge',
    ]);
    await expect(bind({ fields: ['status'], evolve: true }, without)).rejects.toMatchObject({
      code: 'schema_incompatible',
    });
  });
});

describe('what cannot be is refused by name', () => {
  const cases: [Parameters<typeof bind>[0], string, RegExp][] = [
    [{ fields: ['title'] }, 'definition_invalid', /drops the key field "id"/],
    [{ fields: ['id', 'titel'] }, 'schema_incompatible', /no field "titel" \(did you mean title\?\)/],
    [
      { fields: ['id', 'edge.director.nam'] },
      'schema_incompatible',
      /no field "edge\.director\.nam" \(did you mean name\?\)/,
    ],
    [{ fields: ['id', 'edge', 'edge.director'] }, 'definition_invalid', /"edge" is selected twice/],
    [
      { fields: ['id', 'status', { path: 'title', as: 'status' }] },
      'definition_invalid',
      /"status" cannot be put together/,
    ],
    [
      { evolve: true, fields: [{ path: 'title', as: 'status' }] },
      'definition_invalid',
      /"status" cannot be put together/,
    ],
    [{}, 'definition_invalid', /lists no fields/],
  ];
  test.each(cases)('%o', async (config, code, message) => {
    await expect((async () => bind(config))()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
