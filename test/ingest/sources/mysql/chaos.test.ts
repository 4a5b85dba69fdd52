import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { DailiesError, errorPolicy } from '#catalog/error.ts';
import type { ServerName } from '#test/fixtures/mysql-programs.ts';
import { describeServers, startServer, type TestServer } from '#test/fixtures/mysql-server.ts';
import { startTcpProxy } from '#test/fixtures/tcp-proxy.ts';
import { Mirror } from './mirror.ts';
import { RandomWork, sortedTexts } from './random-work.ts';

describeServers('random work', ['MariaDB 10.5', 'MariaDB 11.8', 'MySQL 9'], chaosOf);

function chaosOf(name: ServerName): void {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer(name);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const tables = ['movie', 'pair', 'entry'];

  const open = async (title: string, url = server.url()) => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    console.info(`${name}, ${title}: SEED=${seed}`);
    const database = await server.createDatabase();
    const work = new RandomWork(server, database.name, seed);
    await work.create(3_000);
    const mirror = new Mirror(url, [`${database.name}.*`]);
    const close = async () => {
      await mirror.stop();
      await work.close();
      await database[Symbol.asyncDispose]();
    };
    return { work, mirror, database: database.name, [Symbol.asyncDispose]: close };
  };

  /** As the runtime: tried again at once after errors that pass. */
  const keepRunning = async (mirror: Mirror) => {
    if (mirror.failure === null) return;
    const isPassing = mirror.failure instanceof DailiesError && errorPolicy[mirror.failure.code] === 'auto';
    if (!isPassing) throw mirror.failure;
    await mirror.start();
  };

  /** Tables that are read again unasked come to it a little later than the stream. */
  const expectEqual = async ({ work, mirror, database }: { work: RandomWork; mirror: Mirror; database: string }) => {
    await vi.waitFor(
      async () => {
        await keepRunning(mirror);
        await mirror.caughtUp();
      },
      { timeout: 200_000, interval: 20 },
    );
    for (const table of tables) {
      const { columns, rows } = await work.rowsOf(table);
      const differences = () => {
        const mirrored = sortedTexts(columns, mirror.rows(`${database}.${table}`));
        const [here, there] = [new Set(mirrored), new Set(rows)];
        const few = (list: readonly string[]) => list.slice(0, 5);
        return mirrored.length === rows.length && mirrored.every((row, index) => row === rows[index])
          ? null
          : {
              ...{ table, columns, mirrored: mirrored.length, rows: rows.length },
              tooMany: few(mirrored.filter((row) => !there.has(row))),
              missing: few(rows.filter((row) => !here.has(row))),
            };
      };
      await vi.waitFor(
        async () => {
          await keepRunning(mirror);
          expect(differences(), work.done.slice(-40).join('\n')).toBeNull();
        },
        { timeout: 120_000, interval: 20 },
      );
    }
  };

  test('changes and migrations from the first chunk on', async () => {
    await using setup = await open('migrations');
    const { work, mirror } = setup;
    await mirror.start();
    for (let round = 0; round < 6; round++) {
      for (let at = 0; at < 12; at++) await work.transaction();
      await work.alter();
      await keepRunning(mirror);
      for (let at = 0; at < 6; at++) await work.transaction();
      if (round % 3 === 2) await expectEqual(setup);
    }
    await expectEqual(setup);
  });

  test('stopped and started within the chunks and after them', async () => {
    await using setup = await open('restarts');
    const { work, mirror } = setup;
    for (let round = 0; round < 8; round++) {
      await mirror.start();
      const count = mirror.batches.length;
      for (let at = 0; at < 8; at++) await work.transaction();
      if (round > 4) await work.alter();
      await mirror.until(() => mirror.failure !== null || mirror.batches.length > count + round);
      await mirror.stop();
      for (let at = 0; at < 4; at++) await work.transaction();
      if (round > 3) await work.alter();
    }
    await mirror.start();
    await expectEqual(setup);
  });

  test('a server that is killed and restarted, and connections that are cut', async () => {
    await using proxy = await startTcpProxy(server.port);
    await using setup = await open('faults', server.url().replace(`:${server.port}`, `:${proxy.port}`));
    const { work, mirror } = setup;
    await mirror.start();
    for (let round = 0; round < 4; round++) {
      for (let at = 0; at < 8; at++) await work.transaction();
      if (round === 2) {
        await work.close();
        await server.stop('SIGKILL');
        await server.start();
      } else proxy.cut();
      expect(await mirror.untilFailed()).toMatchObject({ code: 'source_unreachable' });
      await mirror.start();
      for (let at = 0; at < 4; at++) await work.transaction();
    }
    await expectEqual(setup);
  });

  test('a log that was purged meanwhile is told, and the tables are read anew', async () => {
    await using setup = await open('purge');
    const { work, mirror } = setup;
    await mirror.start();
    await expectEqual(setup);
    await mirror.stop();
    for (let at = 0; at < 10; at++) await work.transaction();
    await server.purgeLogs();
    for (let at = 0; at < 5; at++) await work.transaction();
    await mirror.start();
    expect(await mirror.untilFailed()).toMatchObject({ code: 'source_slot_lost' });
    mirror.forgetPosition();
    await mirror.start();
    await expectEqual(setup);
  });
}
