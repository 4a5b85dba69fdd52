import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import next from 'next';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { buildPages, root } from '#app/cli/build-pages.ts';
import { startServer } from '#app/server/server.ts';
import { readEnvironment } from '#catalog/environment.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import { loadSecretKey } from '#catalog/services/secret/secret-key.ts';
import { freePort } from '#catalog/state/embedded-postgres.ts';
import type { State } from '#catalog/state/state.ts';
import { destinations } from '#connectors/modules.ts';
import { processors, sinks, sources } from '#ingest/modules.ts';
import { findEngine } from '#test/fixtures/engine.ts';
import { createState } from '#test/fixtures/postgres.ts';

export interface Product {
  url: string;
  home: string;
  state: State;
  catalog: IcebergCatalog;
  /** A window of its own, signed in by the demo's button. */
  open(role: 'admin' | 'analyst' | 'owner' | 'staff' | null, options?: WindowOptions): Promise<Page>;
  /** Closes all that were opened: pages ask again by themselves, and would complain while others are looked at. */
  closeWindows(): Promise<void>;
  /** Addresses outside the product that any page asked for. */
  strangers: string[];
  /** What pages threw or wrote to the console as errors. */
  complaints: string[];
  close(): Promise<void>;
}

export interface WindowOptions {
  width?: number;
  colorScheme?: 'light' | 'dark';
}

/** The built pages: one for all products of a process, since Next serves only one build at a time. */
export async function startPages() {
  if (!fs.existsSync(path.join(root, '.next/BUILD_ID'))) await buildPages();
  const pages = next({ dev: false, dir: root, quiet: true });
  await pages.prepare();
  return { handle: pages.getRequestHandler(), close: () => pages.close() };
}

interface ProductOptions {
  isDemo: boolean;
  pages: Awaited<ReturnType<typeof startPages>>;
}

/** The web part of the product over a fresh state database, with Chromium beside it. */
export async function startProduct({ isDemo, pages }: ProductOptions): Promise<Product> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dailies-pages-'));
  const { state, drop } = await createState();
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const catalog = new IcebergCatalog(state, path.join(home, 'warehouse'));
  const queries = new QueryService({ state, catalog, resultsDir: path.join(home, 'results') });
  const environment = { ...readEnvironment({ DAILIES_HOME: home, DAILIES_PORT: String(port) }), url };
  const server = await startServer({
    environment,
    state,
    catalog,
    queries,
    secretKey: await loadSecretKey(environment),
    modules: { sources, processors, sinks, destinations },
    isDemo,
    pages: pages.handle,
    now: () => new Date(),
    report: () => undefined,
  });
  const browser = await chromium.launch({ executablePath: findEngine('chromium') ?? '', args: ['--no-sandbox'] });
  const strangers: string[] = [];
  const complaints: string[] = [];
  return {
    url,
    home,
    state,
    catalog,
    strangers,
    complaints,
    async open(role, options = {}) {
      const context = await openWindow(browser, url, options);
      const page = await context.newPage();
      page.setDefaultTimeout(60_000);
      page.on('request', (request) => {
        if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) strangers.push(request.url());
      });
      page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`));
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(`${page.url()}: ${message.text()}`);
      });
      if (role !== null) await page.goto(`${url}/sign-in/demo/${role}`);
      return page;
    },
    async closeWindows() {
      for (const context of browser.contexts()) await context.close();
    },
    async close() {
      await browser.close();
      await server.close();
      await queries.close();
      await drop();
      fs.rmSync(home, { recursive: true, force: true });
    },
  };
}

function openWindow(browser: Browser, baseURL: string, options: WindowOptions): Promise<BrowserContext> {
  return browser.newContext({
    baseURL,
    viewport: { width: options.width ?? 1440, height: 900 },
    colorScheme: options.colorScheme ?? 'light',
  });
}
