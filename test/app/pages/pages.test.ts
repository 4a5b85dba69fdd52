import fs from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeWith } from '#test/fixtures/engine.ts';
import { type Product, startPages, startProduct } from './browser.ts';
import { deals, landTable, movies } from './landed-tables.ts';

const oddName = 'crew "unité" & 100% / 影'.replace('/', '-');

let pages: Awaited<ReturnType<typeof startPages>>;

beforeAll(async () => {
  pages = await startPages();
}, 900_000);

afterAll(() => pages?.close());

describeWith('chromium', 'pages over landed tables', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ isDemo: true, pages });
    const { state, catalog, home } = product;
    for (const role of ['admin', 'analyst', 'owner', 'staff']) {
      await state.person.create({ data: { email: `${role}@studio.example`, roles: [role] } });
    }
    await landTable(movies, catalog, path.join(home, 'index'));
    await landTable(deals, catalog, path.join(home, 'index'));
    await state.pipeline.create({
      data: {
        name: oddName,
        owner: 'owner@studio.example',
        spec: { from: ['production.public.crew'], to: [{ kind: 'iceberg', table: 'production.crew' }] },
        state: 'failed',
        lastError: { code: 'source_refused', message: 'The database refused the password.', details: {} },
      },
    });
  });

  afterEach(() => product.closeWindows());
  afterAll(() => product?.close());

  test('sign-in in the demo is four buttons in order, without a password', async () => {
    const page = await product.open(null);
    await page.goto('/catalog?q=fee');
    await page.getByRole('button', { name: 'Sign in as admin' }).waitFor();
    expect(await page.getByRole('button').allTextContents()).toEqual([
      'Sign in as admin',
      'Sign in as analyst',
      'Sign in as pipeline owner',
      'Sign in as staff',
    ]);
    expect(await page.locator('input[type=password]').count()).toBe(0);
    await page.getByRole('button', { name: 'Sign in as analyst' }).click();
    await page.getByText('matched column').waitFor();
    expect(new URL(page.url()).search).toBe('?q=fee');
  });

  test('a table is found by a column, queried to its last row, and downloaded whole', async () => {
    const page = await product.open('analyst');
    await page.goto('/catalog');
    await page.getByRole('textbox', { name: 'Search tables and columns' }).fill('fee');
    await page.getByText('matched column').waitFor();
    await page.getByRole('link', { name: 'deals.deal' }).click();
    await page.getByText('5,000 rows').first().waitFor();
    await page.getByRole('link', { name: 'Query' }).click();
    await page.locator('.cm-content').getByText('deals.deal').waitFor();
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText('SELECT * FROM deals.deal ORDER BY deal_id');
    await page.keyboard.press('Control+Enter');
    await page.getByText('of 5,000').waitFor();
    const grid = page.getByRole('grid', { name: 'Rows of the result' });
    expect(await grid.getAttribute('aria-rowcount')).toBe('5001');
    await grid.focus();
    await page.keyboard.press('Control+End');
    await grid.getByText('4,999.00').waitFor();
    await page.getByRole('button', { name: 'Download' }).click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('menuitem', { name: 'CSV' }).click(),
    ]);
    const lines = fs
      .readFileSync(await download.path(), 'utf8')
      .trimEnd()
      .split('\n');
    expect(lines.length).toBe(5001);
  });

  test('an error stands at its place in the editor and below in words', async () => {
    const page = await product.open('analyst');
    await page.goto(`/sql?q=${encodeURIComponent('SELECT id,\n  titel\nFROM production.movie')}`);
    await page.locator('.cm-content').getByText('titel').waitFor();
    await page.getByRole('button', { name: /^Run/ }).click();
    await page.getByText('This statement did not run.').waitFor();
    expect(await page.locator('.cm-lintRange-error').textContent()).toBe('titel');
  });

  test('a statement with a parameter becomes a report', async () => {
    const page = await product.open('analyst');
    const sql = 'SELECT id, title FROM production.movie WHERE status = :status';
    await page.goto(`/sql?q=${encodeURIComponent(sql)}`);
    await page.getByLabel('Value of status').fill('shooting');
    await page.getByRole('button', { name: /^Run/ }).click();
    await page.getByText('of 20').waitFor();
    await page.getByRole('button', { name: 'Save as report' }).click();
    const dialog = page.getByRole('dialog', { name: 'Save as a report' });
    await dialog.getByLabel('Name').fill('in-production');
    await dialog.getByRole('button', { name: 'File' }).click();
    await dialog.getByLabel('Path').fill('exports/movies.csv');
    await dialog.getByLabel('Format').selectOption('csv');
    await dialog.getByRole('button', { name: 'Save report' }).click();
    await page.waitForURL('**/reports/in-production');
    await page.getByText('usually shooting').waitFor();
    const saved = await product.state.report.findUniqueOrThrow({ where: { name: 'in-production' } });
    expect(saved).toMatchObject({ owner: 'analyst@studio.example', reads: ['production.movie'] });
  });

  test('any name stands in an address, and a failed pipeline says what to do', async () => {
    const page = await product.open('owner');
    await page.goto(`/pipelines/${encodeURIComponent(oddName)}`);
    await page.getByRole('heading', { level: 1, name: oddName }).waitFor();
    await page.getByText('Check the user and password of the source, then resume.').waitFor();
    await page.getByRole('button', { name: 'Resume pipeline' }).waitFor();
  });

  test('staff see the catalog but no button that is not theirs', async () => {
    const page = await product.open('staff');
    await page.goto(`/pipelines/${encodeURIComponent(oddName)}`);
    await page.getByText('Check the user and password of the source, then resume.').waitFor();
    expect(await page.getByRole('button', { name: 'Resume pipeline' }).count()).toBe(0);
    expect(await page.getByRole('link', { name: 'People & policy' }).count()).toBe(0);
    await page.goto('/people');
    await page.getByText('You may not see this.').waitFor();
  });

  test('Ctrl-K finds a column, and the first Tab offers to skip to the content', async () => {
    const page = await product.open('staff');
    await page.goto('/');
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content');
    await page.keyboard.press('Control+k');
    await page.getByPlaceholder('Tables, columns, reports').fill('fee');
    await page.getByText('in deals.deal').click();
    await page.waitForURL('**/catalog/deals.deal?column=fee');
  });

  test.each([
    { colorScheme: 'light', width: 1440 },
    { colorScheme: 'dark', width: 1440 },
    { colorScheme: 'light', width: 480 },
  ] as const)('every page draws without a complaint: $colorScheme, $width px', async (look) => {
    const page = await product.open('admin', look);
    const before = product.complaints.length;
    for (const address of [
      '/',
      '/catalog',
      '/catalog/deals.deal',
      '/catalog/deals.deal?tab=lineage',
      '/sql',
      '/reports',
      '/pipelines',
      '/people',
      '/system',
    ]) {
      await page.goto(address);
      await page.getByRole('heading', { level: 1 }).first().waitFor({ state: 'attached' });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(overflow, address).toBeLessThanOrEqual(0);
    }
    expect(product.complaints.slice(before)).toEqual([]);
    expect(product.strangers).toEqual([]);
  });
});

describeWith('chromium', 'pages of a product without the sample studio', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ isDemo: false, pages });
  });

  afterAll(() => product?.close());

  test('a wrong password is told in a sentence', async () => {
    const page = await product.open(null);
    await page.goto('/');
    await page.getByLabel('E-mail').fill('nobody@studio.example');
    await page.getByLabel('Password', { exact: true }).fill('not the password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('do not belong together').waitFor();
  });
});
