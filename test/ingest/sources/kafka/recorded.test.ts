import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { UNKNOWN } from '#catalog/schemas/schema.ts';
import { passingMemory } from '#ingest/pipeline/source-memory.ts';
import { Follower, requestFor } from '../postgres/follower.ts';
import { envelope, followTopics, known, line, openTopics, readAll, recordings, topicFolder } from './topics.ts';

const { signal } = new AbortController();
const fileOf = (folder: string, topic = 'pf.public.t', partition = 0) =>
  path.join(folder, `${topic}-${partition}.ndjson`);
const created = (offset: number, id: number, more: object = {}) =>
  line({ offset, key: { id }, value: envelope('c', { after: { id, ...more } }) });

describe('a folder of recorded topics', () => {
  test('is followed as it grows, a line that is not whole waits, and lines in the form of kcat are read', async () => {
    using held = topicFolder();
    const folder = held.path;
    const file = fileOf(folder);
    fs.writeFileSync(file, created(0, 1));
    const source = openTopics(folder);
    const follower = await followTopics(source);
    const second = created(1, 2);
    fs.appendFileSync(file, second.slice(0, 40));
    await follower.caughtUp();
    expect(follower.rowsOf('t')).toHaveLength(1);
    const kcat = JSON.stringify({
      ...{ topic: 'pf.public.t', partition: 0, offset: 5, tstype: 'create', ts: 1_700_000_000_000, broker: 1 },
      headers: ['__debezium.context.taskId', '0'],
      key: JSON.stringify({ id: 3 }),
      payload: JSON.stringify(envelope('c', { after: { id: 3 } })),
    });
    const base64 = JSON.stringify({
      offset: 6,
      keyBase64: Buffer.from(JSON.stringify({ id: 4 })).toString('base64'),
      valueBase64: Buffer.from(JSON.stringify(envelope('c', { after: { id: 4 } }))).toString('base64'),
      headers: { any: 'thing' },
    });
    fs.appendFileSync(file, `${second.slice(40)}${kcat}\n${base64}\n`);
    await follower.until(() => follower.rowsOf('t').length === 4);
    expect(follower.position).toBe('pf.public.t:0=7');
    await follower.stop();
    await source.close();
  });

  test('goes on exactly where any batch ended, whatever the place in its file', async () => {
    using held = topicFolder();
    const folder = held.path;
    const records = 3000;
    // Gaps, as compaction leaves them, and lines of very different lengths.
    const offsets = Array.from({ length: records }, (_, index) => index * 3 + (index % 2));
    const text = offsets.map((offset, index) =>
      created(offset, index, { text: 'x'.repeat(index % 97 === 0 ? 20_000 : index % 50) }),
    );
    fs.writeFileSync(fileOf(folder), text.join(''));
    for (const from of [0, 1, 2, 3, 2999, 4500, 8996, 8998, 8999]) {
      const source = openTopics(folder, { memory: passingMemory() });
      const request = await requestFor(source, `pf.public.t:0=${from}`, () => false);
      const follower = await followTopics(source, request);
      await follower.stop();
      await source.close();
      const wanted = offsets.flatMap((offset, index) => (offset >= from ? [BigInt(index)] : []));
      expect(
        follower.seen.map(({ event }) => event.after?.[0]),
        `from ${from}`,
      ).toEqual(wanted);
    }
  });

  test('a snapshot is gone on with at its cursor, and ends where the topic ended when it began', async () => {
    using held = topicFolder();
    const folder = held.path;
    const lines = Array.from({ length: 40_000 }, (_, id) => created(id, id % 10_000, { text: 'x'.repeat(30) }));
    fs.writeFileSync(fileOf(folder), lines.join(''));
    const first = openTopics(folder);
    const request = await requestFor(first, null);
    let cursor = '';
    let rows = 0;
    const stop = new AbortController();
    for await (const batch of first.changes(request, stop.signal)) {
      const chunk = batch.items.find((item) => item.kind === 'snapshot-chunk');
      if (chunk?.kind !== 'snapshot-chunk') throw new Error('the first batches are chunks');
      cursor = chunk.cursor;
      rows = chunk.rows;
      if (rows > 5_000) break;
    }
    expect(rows).toBeLessThan(40_000);
    fs.appendFileSync(fileOf(folder), created(40_000, 77_777));
    const second = openTopics(folder);
    const follower = new Follower(second, await requestFor(second, null, () => true, new Map([['public.t', cursor]])));
    await follower.caughtUp();
    await follower.stop();
    expect(follower.seen[0]?.event.after?.[0]).toBe(BigInt(rows % 10_000));
    expect(follower.seen).toHaveLength(40_001 - rows);
    expect(follower.ended).toHaveLength(1);
  });

  test('a topic that no longer holds what comes next is told, as is one that was made anew', async () => {
    using held = topicFolder();
    const folder = held.path;
    fs.writeFileSync(fileOf(folder), [10, 11, 12].map((offset) => created(offset, offset)).join(''));
    const source = openTopics(folder);
    for (const [from, words] of [
      ['pf.public.t:0=4', 'now begins at offset 10, and 6 offsets behind 4 are gone unread'],
      ['pf.public.t:0=99', 'ends at offset 13, before 99'],
    ] as const) {
      const follower = new Follower(source, await requestFor(source, from, () => false));
      expect(await follower.untilFailed()).toMatchObject({
        code: 'source_slot_lost',
        message: expect.stringContaining(words),
        details: { topic: 'pf.public.t', partition: 0 },
      });
    }
    await source.close();
  });

  test('what cannot be read names topic, partition, offset, field and table, and no value; it can be left out', async () => {
    const secret = 'Sunset-Boulevard';
    const cases: [string, RegExp, string?][] = [
      [created(1, 1, { n: secret }), /offset 1: n must be a whole number/, 'n'],
      [line({ offset: 1, key: { id: 1 }, value: secret }), /offset 1, is no change event/],
      [
        `${JSON.stringify({ offset: 1, key: '{"id":1}', payload: `{"op": ${secret}` })}\n`,
        /offset 1, is neither JSON nor Avro/,
      ],
      [
        line({ offset: 1, key: secret, value: envelope('c', { after: { id: 1 } }) }),
        /offset 1: has a key that is no struct/,
      ],
      [
        line({ offset: 1, key: { id: 1 }, value: envelope('c', { after: { id: null, x: secret } }) }),
        /offset 1: id is of the key/,
        'id',
      ],
      [line({ offset: 1, value: envelope('d', {}) }), /offset 1: is a delete that tells neither/],
      [`${JSON.stringify({ offset: 1, keyBase64: 'AAAAAAE=', payload: null })}\n`, /schema 1/],
      [`${secret}\n`, /begins at byte \d+ of its file is not JSON/],
      [`{"payload": "${secret}"}\n`, /has no "offset"/],
      [`{"offset": 1, "payload": {"a": "${secret}"}}\n`, /has a "payload" that is neither a text nor null/],
    ];
    for (const [bad, words, field] of cases) {
      using held = topicFolder();
      const folder = held.path;
      fs.writeFileSync(fileOf(folder), `${created(0, 0, { n: 1 })}${bad}${created(2, 2, { n: 2 })}`);
      const source = openTopics(folder);
      const [table] = await source.discover(signal);
      if (table?.refusal) {
        // A line that tells no offset is met before anything is followed.
        expect(table).toMatchObject({ name: 'public.t', refusal: expect.stringMatching(words) });
        expect(table.refusal).not.toContain(secret);
        await source.close();
        continue;
      }
      const failure = (await new Follower(source, await requestFor(source, null)).untilFailed()) as Error & {
        details: object;
      };
      expect(failure.message).toMatch(words);
      expect(failure).toMatchObject({ details: { table: 's.public.t', topic: 'pf.public.t', partition: 0 } });
      if (field !== undefined) expect(failure).toMatchObject({ details: { offset: 1, field } });
      expect(JSON.stringify([failure.message, failure.details])).not.toContain(secret);
      await source.close();
      const patient = await readAll(folder, { skip: ['pf.public.t:0=1'] });
      expect(patient.rowsOf('t').map(({ id }) => id)).toEqual([0n, 2n]);
    }
  });

  test('a tombstone alone is a delete: compaction leaves no more of one', async () => {
    using held = topicFolder();
    const folder = held.path;
    fs.writeFileSync(
      fileOf(folder),
      `${created(0, 1)}${created(1, 2)}${line({ offset: 4, key: { id: 1 } })}${line({ offset: 5, key: { id: 2 }, value: envelope('d', { before: { id: 2 } }) })}${line({ offset: 6, key: { id: 2 } })}`,
    );
    const follower = await readAll(folder);
    expect(follower.eventsOf('t').map(({ event }) => event.op)).toEqual(['c', 'c', 'd', 'd']);
    expect(follower.rowsOf('t')).toEqual([]);
  });

  test('of a delete by Postgres only the key is taken, of others the whole old row', async () => {
    for (const [connector, wanted] of [
      ['postgresql', { id: 1n }],
      ['mysql', { id: 1n, x: null }],
    ] as const) {
      using held = topicFolder();
      const folder = held.path;
      const removal = line({
        offset: 1,
        key: { id: 1 },
        value: envelope('d', { before: { id: 1, x: null } }, connector),
      });
      fs.writeFileSync(fileOf(folder), `${created(0, 1, { x: 'a' })}${removal}`);
      const follower = await readAll(folder);
      const last = follower.eventsOf('t').at(-1);
      expect(last && known(last, last.event.before)).toEqual(wanted);
    }
  });

  test('both halves of a key change come in one batch, also where the second is written later', async () => {
    using held = topicFolder();
    const folder = held.path;
    const placeholder = '__debezium_unavailable_value';
    const removal = line({
      offset: 1,
      key: { id: 1 },
      value: envelope('d', { before: { id: 1 } }),
      headers: ['__debezium.newkey'],
    });
    const tombstone = line({ offset: 2, key: { id: 1 }, headers: ['__debezium.newkey'] });
    const create = line({
      ...{ offset: 3, key: { id: 2 }, headers: ['__debezium.oldkey'] },
      value: envelope('c', { after: { id: 2, x: placeholder } }),
    });
    fs.writeFileSync(fileOf(folder), `${created(0, 1, { x: 'kept' })}`);
    // Its patience with the second half never ends.
    const source = openTopics(folder, { now: () => new Date(0) });
    const follower = await followTopics(source);
    fs.appendFileSync(fileOf(folder), removal + tombstone);
    const batches = follower.batches.length;
    await follower.until(() => follower.batches.length > batches + 1);
    expect(follower.eventsOf('t')).toHaveLength(1);
    fs.appendFileSync(fileOf(folder), create);
    await follower.until(() => follower.eventsOf('t').length === 3);
    const [, moved, made] = follower.eventsOf('t');
    expect(moved?.batch).toBe(made?.batch);
    expect(made?.event.after).toEqual([2n, UNKNOWN]);
    // Read again by key, the value is that of the row before.
    const schema = made?.changes.schema ?? { fields: [], key: [] };
    const readAgain = async (...keys: bigint[]) =>
      [
        ...(await source.readRows(
          's.public.t',
          schema,
          [keys].flat().map((key) => [key]),
          signal,
        )),
      ].map(([, row]) => row);
    expect(await readAgain(2n, 1n, 9n)).toEqual([[2n, 'kept']]);
    expect(await readAgain(2n)).toEqual([[2n, 'kept']]);
    // Once more under another key, and beside it a row that is made by itself, in a shape without this column.
    const keyChange = (offset: number, from: number, to: number) =>
      line({
        offset,
        key: { id: from },
        value: envelope('d', { before: { id: from } }),
        headers: ['__debezium.newkey'],
      }) +
      line({
        ...{ offset: offset + 1, key: { id: to }, headers: ['__debezium.oldkey'] },
        value: envelope('c', { after: { id: to, x: placeholder } }),
      });
    fs.appendFileSync(fileOf(folder), keyChange(4, 2, 3));
    fs.appendFileSync(fileOf(folder), line({ offset: 6, key: { id: 3 }, value: envelope('d', { before: { id: 3 } }) }));
    fs.appendFileSync(fileOf(folder), created(7, 4) + created(8, 5, { x: 'other' }) + keyChange(9, 5, 6));
    await follower.until(() => follower.eventsOf('t').length === 10);
    expect(await readAgain(6n)).toEqual([[6n, 'other']]);
    expect(await readAgain(4n)).toEqual([[4n, null]]);
    await follower.stop();
    await source.close();
  });

  test('partitions have places of their own, one that is added is read, and a torn key change is refused by field', async () => {
    using held = topicFolder();
    const folder = held.path;
    fs.writeFileSync(fileOf(folder, 'pf.public.t', 0), created(0, 1, { x: 'a' }));
    fs.writeFileSync(fileOf(folder, 'pf.public.t', 1), created(4, 2) + created(5, 3));
    const source = openTopics(folder);
    const follower = await followTopics(source);
    expect(follower.position).toBe('pf.public.t:0=1,1=6');
    fs.writeFileSync(fileOf(folder, 'pf.public.t', 2), created(0, 4));
    await follower.until(() => follower.rowsOf('t').length === 4);
    const value = envelope('c', { after: { id: 5, x: '__debezium_unavailable_value' } });
    fs.appendFileSync(
      fileOf(folder, 'pf.public.t', 1),
      line({ offset: 6, key: { id: 5 }, value, headers: ['__debezium.oldkey'] }),
    );
    expect(await follower.untilFailed()).toMatchObject({
      code: 'value_unsupported',
      details: { field: 'x', partition: 1, offset: 6 },
    });
    await source.close();
  });

  test('a folder that goes away is told as unreachable, and found again', async () => {
    using held = topicFolder();
    const folder = path.join(held.path, 'topics');
    fs.mkdirSync(folder);
    fs.writeFileSync(fileOf(folder), created(0, 1));
    const source = openTopics(folder);
    const follower = await followTopics(source);
    fs.renameSync(folder, `${folder}.away`);
    expect(await follower.untilFailed()).toMatchObject({ code: 'source_unreachable' });
    await expect(source.discover(signal)).rejects.toMatchObject({ code: 'source_unreachable' });
    fs.renameSync(`${folder}.away`, folder);
    fs.appendFileSync(fileOf(folder), created(1, 2));
    const again = await followTopics(source, await requestFor(source, follower.position, () => false));
    await again.stop();
    await source.close();
    expect(again.seen.map(({ event }) => event.after?.[0])).toEqual([2n]);
  });

  test('check says what is lacking: no folder, no topic, no table, another form, two topics of one table', async () => {
    using held = topicFolder();
    const folder = held.path;
    const problems = async (where: string) => (await openTopics(where).check(signal)).map(({ problem }) => problem);
    expect(await problems(path.join(folder, 'nowhere'))).toEqual([expect.stringContaining('cannot be read: ENOENT')]);
    expect(await problems(folder)).toEqual([expect.stringContaining('holds no recorded topic')]);
    fs.writeFileSync(
      fileOf(folder, 'pf.transaction'),
      line({ offset: 0, value: { status: 'BEGIN', id: '1', event_count: null } }),
    );
    expect(await problems(folder)).toEqual([expect.stringContaining('none tells of a table')]);
    fs.writeFileSync(fileOf(folder, 'orders'), line({ offset: 3, value: { id: 1, name: 'flat' } }));
    expect(await problems(folder)).toEqual([
      expect.stringMatching(/orders, partition 0, offset 3, is no change event of Debezium/),
    ]);
    fs.rmSync(fileOf(folder, 'orders'));
    const other = {
      ...(envelope('c', { after: { id: 1 } }) as object),
      source: { name: 'other', schema: 'public', table: 't' },
    };
    fs.writeFileSync(fileOf(folder), created(0, 1));
    fs.writeFileSync(fileOf(folder, 'other.public.t'), line({ offset: 0, key: { id: 1 }, value: other }));
    expect(await problems(folder)).toEqual([
      expect.stringContaining('other.public.t and pf.public.t both tell of s.public.t'),
    ]);
    await expect(openTopics(folder, { tables: ['public.s'] }).discover(signal)).rejects.toMatchObject({
      code: 'table_unknown',
    });
  });

  test('fields that nobody typed are remembered over restarts, and grow by those that come', async () => {
    using held = topicFolder();
    const folder = held.path;
    const memory = passingMemory();
    fs.writeFileSync(
      fileOf(folder),
      created(0, 1, { a: 1, s: { k: 'x', m: null } }) + created(1, 2, { a: 1.5, s: { m: 1 } }),
    );
    const first = await readAll(folder, { memory });
    expect(first.eventsOf('t').map(({ event }) => event.after)).toEqual([
      [1n, 1, ['x', null]],
      [2n, 1.5, [null, 1n]],
    ]);
    fs.appendFileSync(fileOf(folder), created(2, 3, { b: 'new' }));
    const source = openTopics(folder, { memory });
    const follower = await followTopics(source, await requestFor(source, first.position, () => false));
    await follower.stop();
    await source.close();
    expect(follower.eventsOf('t')[0]?.fields).toEqual(['id', 'a', 's', 'b']);
  });
});

test('schemas come from a registry with Confluent’s API, with user and password', async () => {
  using held = topicFolder();
  const folder = held.path;
  const avro = path.join(recordings, 'mariadb-avro');
  for (const file of fs.readdirSync(avro))
    if (file.endsWith('.ndjson')) fs.copyFileSync(path.join(avro, file), path.join(folder, file));
  const asked: string[] = [];
  const server = http.createServer((request, response) => {
    asked.push(request.url ?? '');
    const id = /^\/base\/schemas\/ids\/(\d+)$/.exec(request.url ?? '')?.[1];
    const file = path.join(avro, 'schemas', `${id}.avsc`);
    if (request.headers.authorization !== `Basic ${Buffer.from('me:pass word').toString('base64')}`)
      response.writeHead(401).end();
    else if (id === undefined || !fs.existsSync(file)) response.writeHead(404).end('{"error_code":40403}');
    else response.writeHead(200).end(JSON.stringify({ schema: fs.readFileSync(file, 'utf8') }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const follower = await readAll(folder, { registry: `http://me:pass%20word@127.0.0.1:${port}/base` });
    expect(follower.rowsOf('matrix')).toHaveLength(2);
    expect(new Set(asked).size).toBeGreaterThan(2);
    const refused = openTopics(folder, { registry: `http://me:wrong@127.0.0.1:${port}/base` });
    await expect(refused.discover(signal)).rejects.toMatchObject({ code: 'source_refused' });
    const away = openTopics(folder, { registry: 'http://127.0.0.1:1/' });
    await expect(away.discover(signal)).rejects.toMatchObject({ code: 'source_unreachable' });
    const lacking = openTopics(folder);
    expect((await lacking.check(signal)).map(({ problem }) => problem)).toContainEqual(
      expect.stringContaining('.avsc'),
    );
  } finally {
    server.close();
  }
});
