import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ReportResult, WholeDestination } from '#connectors/destination.ts';
import { file } from '#connectors/file/file.ts';
import { Pace } from '#connectors/pace.ts';

let home: string;
const signal = new AbortController().signal;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dailies-file-'));
});

afterEach(() => rm(home, { recursive: true, force: true }));

function open(target: string): WholeDestination {
  const config = file.config.parse({ path: target, format: 'csv' });
  return file.open(config, { home, googleUrl: null, airtableUrl: null, pace: new Pace() }) as WholeDestination;
}

async function resultOf(text: string): Promise<ReportResult> {
  const source = path.join(home, 'result.csv');
  await writeFile(source, text);
  const none = async function* () {};
  return { report: 'r', run: '1', columns: [], rowCount: 2, batches: none, file: async () => source };
}

it('replaces the file whole, leaves nothing beside it, and leaves an equal one alone', async () => {
  const result = await resultOf('id\n1\n2\n');
  const first = open('exports/films.csv');
  expect(await first.write(result, signal)).toEqual({ rows: 2, isChanged: true });
  expect(first.written).toBe(1);
  const again = open('exports/films.csv');
  expect(await again.write(result, signal)).toEqual({ rows: 2, isChanged: false });
  expect(again.written).toBe(0);
  await open(path.join(home, 'exports/films.csv')).write(await resultOf('id\n3\n'), signal);
  expect(await readFile(path.join(home, 'exports/films.csv'), 'utf8')).toBe('id\n3\n');
  expect(await readdir(path.join(home, 'exports'))).toEqual(['films.csv']);
});

it('says what is wrong with a path', async () => {
  await mkdir(path.join(home, 'folder'));
  await writeFile(path.join(home, 'plain'), '');
  await expect(open('folder').check(signal)).rejects.toThrow('is not a file');
  await expect(open('plain/films.csv').check(signal)).rejects.toThrow('part of its path');
});

it('refuses by name a format that is not supported', () => {
  const parsed = file.config.safeParse({ path: 'a', format: 'xlsx' });
  expect(parsed.error?.issues[0]?.message).toContain('xlsx is not supported yet');
});
