import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { BinlogItem } from '#ingest/sources/mysql/binlog/binlog-item.ts';
import { parseGtidSet } from '#ingest/sources/mysql/binlog/gtid.ts';
import { Random } from '#test/engines/matrix/random.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { startMariadb } from '#test/fixtures/mariadb.ts';
import { endOf, openReader, queriesOf, readAll, rowsOf } from './reader.ts';

/** Listens on a port of its own; `relay` gets each client and its connection to the server. */
async function startProxy(serverPort: number, relay: (client: net.Socket, upstream: net.Socket) => void) {
  const proxy = net.createServer((client) => {
    const upstream = net.connect(serverPort, '127.0.0.1');
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    client.on('error', end).on('close', end);
    upstream.on('error', end).on('close', end);
    relay(client, upstream);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = proxy.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  return {
    address: { host: '127.0.0.1', port, user: 'root', password: '', tls: null },
    [Symbol.dispose]: () => void proxy.close(),
  };
}

describeWith('mariadb', "a binary log in a server's worse days", () => {
  it('a purged log, or another history, is a lost one', async () => {
    await using server = await startMariadb('10.11');
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int)');
    const early = await endOf(server);
    await database.query('INSERT INTO t VALUES (1)');
    await server.purgeLogs();
    const late = await endOf(server);
    await database.query('INSERT INTO t VALUES (2)');
    // Too old, from the beginning, beyond the end, another domain, another server's transaction.
    for (const from of [early, '', '0-1-9999', '7-1-3', '0-5-3']) {
      const stream = await openReader(server, { from });
      await expect(stream.read(), from).rejects.toMatchObject({ code: 'source_slot_lost', details: { from } });
      await stream.close();
    }
    expect(rowsOf(await readAll(server, { from: late }))).toHaveLength(1);
  });

  it('a log without the names of its columns is refused with the setting that mends it', async () => {
    await using server = await startMariadb('11.4', { 'binlog-row-metadata': 'NO_LOG' });
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int)');
    await database.query('INSERT INTO t VALUES (1)');
    await expect(readAll(server)).rejects.toMatchObject({
      code: 'source_not_ready',
      message: expect.stringContaining('SET GLOBAL binlog_row_metadata = FULL'),
    });
  });

  it('compressed and encrypted logs read as others do', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-keys-'));
    const keys = path.join(folder, 'keys');
    fs.writeFileSync(keys, '1;a7addd9adea9978fda19f21e6be987880e68ac92632ca052e5bb42b1a506939a\n');
    for (const options of [
      { 'log-bin-compress': 'ON', 'log-bin-compress-min-len': '10' },
      {
        'plugin-load-add': 'file_key_management',
        'file-key-management-filename': keys,
        'encrypt-binlog': 'ON',
      },
    ]) {
      await using server = await startMariadb('10.11', options);
      await using database = await server.createDatabase();
      await database.query('CREATE TABLE t (n int PRIMARY KEY, a text, b text)');
      await database.query("INSERT INTO t VALUES (1, REPEAT('a', 5000), NULL), (2, REPEAT('b', 5000), 'x')");
      await database.query('UPDATE t SET b = a');
      await database.query('DELETE FROM t WHERE n = 1');
      const items = await readAll(server);
      const [a, b] = ['a'.repeat(5000), 'b'.repeat(5000)];
      expect(rowsOf(items).flatMap(({ op, rows }) => rows.map((row) => ({ op, ...row })))).toEqual([
        { op: 'insert', before: null, after: [1, a, null] },
        { op: 'insert', before: null, after: [2, b, 'x'] },
        { op: 'update', before: [1, a, null], after: [1, a, a] },
        { op: 'update', before: [2, b, 'x'], after: [2, b, b] },
        { op: 'delete', before: [1, a, a], after: null },
      ]);
      expect(queriesOf(items).at(-1)?.sql).toBe('CREATE TABLE t (n int PRIMARY KEY, a text, b text)');
    }
    fs.rmSync(folder, { recursive: true });
  });

  it('values of 40 MB, in packets that are continued, come whole', async () => {
    await using server = await startMariadb('11.4');
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int PRIMARY KEY, a longblob)');
    await database.query("INSERT INTO t VALUES (1, REPEAT('x', 40000000)), (2, 'small')");
    // Exactly at the bounds of a packet's length.
    for (let extra = 0; extra < 3; extra++) {
      await database.query(`INSERT INTO t VALUES (${10 + extra}, REPEAT('y', ${0xffffff - 50 + extra * 8}))`);
    }
    await database.query("UPDATE t SET a = 'less' WHERE n = 1");
    const all = rowsOf(await readAll(server)).flatMap(({ rows }) => rows);
    const size = (value: unknown) => (value instanceof Uint8Array ? value.length : null);
    expect(all.map(({ before, after }) => [size(before?.[1]), size(after?.[1])])).toEqual([
      [null, 40_000_000],
      [null, 5],
      [null, 0xffffff - 50],
      [null, 0xffffff - 42],
      [null, 0xffffff - 34],
      [40_000_000, 4],
    ]);
    const big = all[0]?.after?.[1];
    expect(big instanceof Uint8Array && big.every((byte) => byte === 120)).toBe(true);
  });

  it('a reader slower than net_write_timeout holds the server back, not more than a few MB, and loses nothing', async () => {
    await using server = await startMariadb('10.11', { 'net-write-timeout': '1' });
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int PRIMARY KEY, a longtext)');
    let relayed = 0;
    using proxy = await startProxy(server.port, (client, upstream) => {
      upstream.on('data', (chunk) => {
        relayed += chunk.length;
      });
      client.pipe(upstream).pipe(client);
    });
    for (let n = 0; n < 60; n++) await database.query(`INSERT INTO t VALUES (${n}, REPEAT('z', 1000000))`);
    const stream = await openReader(server, { server: proxy.address });
    const items: BinlogItem[] = [...((await stream.read()) ?? [])];
    // Three times the server's own patience, with nothing read.
    const until = performance.now() + 3_500;
    while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(relayed).toBeLessThan(40_000_000);
    while (rowsOf(items).length < 60) items.push(...((await stream.read()) ?? []));
    expect(rowsOf(items).map(({ rows }) => rows[0]?.after?.[0])).toEqual([...Array(60).keys()]);
    await stream.close();
  });

  it('a log that is cut at any byte gives whole transactions up to there, and the rest from there', async () => {
    await using server = await startMariadb('11.4');
    await using database = await server.createDatabase();
    await database.query('CREATE TABLE t (n int PRIMARY KEY AUTO_INCREMENT, a text)');
    for (let n = 0; n < 120; n++) {
      await database.query(`INSERT INTO t (a) VALUES (REPEAT('c', ${(n * 37) % 3000})), ('${n}'), (NULL)`);
    }
    const whole = rowsOf(await readAll(server)).flatMap(({ rows }) => rows);
    expect(whole).toHaveLength(360);
    const seed = Number(process.env.BINLOG_SEED ?? Date.now() % 1_000_000);
    console.log(`BINLOG_SEED=${seed}`);
    const random = new Random(seed);
    using proxy = await startProxy(server.port, (client, upstream) => {
      let left = random.below(2) === 0 ? 500 + random.below(2_000) : 5_000 + random.below(90_000);
      client.on('data', (chunk) => upstream.write(chunk));
      upstream.on('data', (chunk: Buffer) => {
        client.write(chunk.subarray(0, left));
        left -= chunk.length;
        if (left <= 0) client.end();
      });
    });
    const kept: unknown[] = [];
    let position = '';
    let attempts = 0;
    const end = parseGtidSet('mariadb', await endOf(server));
    while (!parseGtidSet('mariadb', position).contains(end)) {
      attempts += 1;
      let open: unknown[] = [];
      try {
        const stream = await openReader(server, { from: position, server: proxy.address });
        for (
          let read = await stream.read();
          read !== null && !parseGtidSet('mariadb', position).contains(end);
          read = await stream.read()
        ) {
          for (const item of read) {
            if (item.kind === 'begin') open = [];
            else if (item.kind === 'rows') open.push(...item.rows);
            else if (item.kind === 'commit') {
              kept.push(...open);
              position = item.position;
            }
          }
        }
        await stream.close();
      } catch (error) {
        expect(error).toMatchObject({ code: 'source_unreachable' });
      }
    }
    expect(attempts).toBeGreaterThan(1);
    expect(kept).toEqual(whole);
  });
});
