import pg from 'pg';
import { chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith } from '#test/fixtures/engine.ts';
import { CommandLine, type StatusDocument, until } from './demo-product.ts';

const film = 12;

describeWith('chromium', 'from a row in a service database to a cell of a sheet', (program) => {
  let product: CommandLine;

  beforeAll(async () => {
    product = await CommandLine.create();
    await product.serve('demo', '--rate', '2');
    await until(
      () => product.json<StatusDocument>('status', '--json'),
      ({ pipelines, sinks }) =>
        Object.values(pipelines).every(({ state }) => state === 'running') &&
        Object.entries(sinks).some(([name, { rows }]) => name.endsWith('/production.movie') && rows >= film),
    );
  }, 300_000);

  afterAll(async () => {
    await product[Symbol.asyncDispose]();
  });

  test('an analyst finds a table by a column, queries it, and a stakeholder’s sheet follows its source', {
    timeout: 300_000,
  }, async () => {
    const browser = await chromium.launch({
      executablePath: program,
      args: ['--no-sandbox', '--disable-background-networking'],
    });
    try {
      const page = await (
        await browser.newContext({ baseURL: product.url, viewport: { width: 1440, height: 900 } })
      ).newPage();
      page.setDefaultTimeout(60_000);
      await page.goto('/sign-in');
      await page.getByText('Sign in as analyst', { exact: true }).click();
      await page.waitForURL((url) => url.pathname === '/');

      await findByColumn(page, 'planned_release', 'production.movie');
      await page.getByRole('link', { name: 'Query', exact: true }).click();
      await page.waitForURL((url) => url.pathname === '/sql');
      await writeSql(page, `SELECT id, title, status FROM production.movie WHERE id <= 20 ORDER BY id`);
      await page.keyboard.press('Control+Enter');
      await page
        .getByRole('grid')
        .getByText('1–20 of 20')
        .or(page.getByText(/of 20 ·/))
        .first()
        .waitFor();

      await saveReport(page);
      await page.getByRole('button', { name: 'Run now' }).click();
      await page.goto('/studio/sheet?spreadsheet=sample-studio-sheet&tab=Story');
      const sheet = page.getByRole('grid');
      const before = await rowOf(page, film);
      await writeNote(page, film, 'call the agent');

      const status = await product.json<StatusDocument>('status', '--json');
      const client = new pg.Client({ connectionString: status.studio.databases.production });
      await client.connect();
      await client.query('UPDATE movie SET title = $1 WHERE id = $2', ['The “Quoted” Étude', film]);
      await client.end();
      await sheet.getByText('The “Quoted” Étude').waitFor();
      const after = await rowOf(page, film);
      expect(after.row).toBe(before.row);
      expect(after.cells).toContain('The “Quoted” Étude');
      expect(after.cells).toContain('call the agent');
    } finally {
      await browser.close();
    }
  });

  async function findByColumn(page: Page, column: string, table: string): Promise<void> {
    await page.goto('/catalog');
    await page.getByLabel('Search tables and columns').fill(column);
    const found = page.getByRole('list', { name: 'Tables' }).getByRole('listitem').filter({ hasText: table });
    await found.filter({ hasText: column }).first().waitFor();
    await found.getByRole('link', { name: table }).first().click();
    await page.waitForURL((url) => url.pathname.endsWith(table));
  }

  async function writeSql(page: Page, sql: string): Promise<void> {
    const editor = page.locator('.cm-content');
    await editor.click();
    await page.keyboard.press('Control+A');
    await page.keyboard.insertText(sql);
  }

  async function saveReport(page: Page): Promise<void> {
    await page.getByRole('button', { name: 'Save as report' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name', { exact: true }).fill('story');
    await dialog.getByLabel('When it runs').selectOption('new-data');
    await dialog.getByRole('combobox', { name: 'Table' }).fill('production.movie');
    await page.getByRole('option', { name: 'production.movie' }).click();
    await dialog.getByRole('button', { name: 'Google Sheets' }).click();
    await dialog.getByLabel('Spreadsheet').fill('sample-studio-sheet');
    await dialog.getByLabel('Tab', { exact: true }).fill('Story');
    await dialog.getByRole('combobox', { name: 'Credential' }).fill(`\${secret:GOOGLE_CREDENTIALS}`);
    await dialog.getByLabel('Mode').selectOption('mirror');
    await dialog.getByRole('combobox', { name: 'Key' }).fill('id');
    await page.keyboard.press('Enter');
    await dialog.getByRole('button', { name: 'Save report' }).click();
    await page.waitForURL((url) => url.pathname === '/reports/story');
  }

  /** The sheet's row that holds a film, as the stakeholder sees it. */
  async function rowOf(page: Page, id: number): Promise<{ row: number; cells: string[] }> {
    const row = page.getByRole('row').filter({ has: page.getByRole('gridcell', { name: String(id), exact: true }) });
    await row.first().waitFor();
    const cells = await row.first().getByRole('gridcell').allTextContents();
    return { row: Number(await row.first().getAttribute('aria-rowindex')), cells };
  }

  async function writeNote(page: Page, id: number, text: string): Promise<void> {
    const row = page.getByRole('row').filter({ has: page.getByRole('gridcell', { name: String(id), exact: true }) });
    await row.first().getByRole('gridcell').nth(4).dblclick();
    await page.keyboard.insertText(text);
    await page.keyboard.press('Enter');
    await row.first().getByText(text).waitFor();
  }
});
