import { rm } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#catalog/state/embedded-postgres.ts';
import { dealsRows, dealsTables } from './deals-database.ts';
import { startAirtableDouble } from './doubles/airtable.ts';
import { startGoogleSheetsDouble } from './doubles/google-sheets.ts';
import { startEdge } from './edge.ts';
import { fillDatabase } from './fill-database.ts';
import { readFilms } from './films.ts';
import { keepPorts, readKeptPorts } from './kept-ports.ts';
import { type PeopleAtWork, startPeopleAtWork } from './people-at-work.ts';
import { productionRows, productionTables } from './production-database.ts';
import { Random } from './random.ts';
import { removeStudioDocument, type StudioDocument, writeStudioDocument } from './studio-document.ts';

export interface StudioOptions {
  /** Home folder of the product; the studio keeps its own under `studio/` there. */
  home: string;
  /** Row changes a second by people at work; 0 for nobody. */
  rate: number;
  /** Forgets what an earlier studio left in this home. */
  fresh: boolean;
  seed?: number;
  log: (line: string) => void;
}

export interface Studio extends StudioDocument {
  /** What demo.yaml reads as `${NAME}`. */
  env: Record<string, string>;
  people: PeopleAtWork;
  /** Resolves with a sentence if the studio's Postgres ends by itself. */
  ended: Promise<string>;
  close(): Promise<void>;
}

const defaultSeed = 20_261_125;
const spreadsheet = { id: 'sample-studio-sheet', title: 'Studio operations', tabs: ['In production'] };
const base = {
  id: 'appSampleStudio01',
  name: 'Deals desk',
  tables: [
    {
      name: 'Open deals',
      fields: [
        { name: 'title', type: 'singleLineText' },
        { name: 'Comments', type: 'multilineText' },
      ],
    },
  ],
};

/**
 * Starts the sample studio: two services' databases on a Postgres of their own, filled at the first start; the Edge graph
 * over both; people at work; and stand-ins for Google Sheets and Airtable. Resolves when all of it answers, with its
 * addresses also in `<home>/studio.json`. What was changed in an earlier run is still there unless `fresh`.
 */
export async function startStudio(options: StudioOptions): Promise<Studio> {
  const { home, rate, fresh, seed = defaultSeed, log } = options;
  const dir = path.join(home, 'studio');
  if (fresh) await rm(dir, { recursive: true, force: true });
  const stops: (() => Promise<void>)[] = [];
  const close = async () => {
    await removeStudioDocument(home);
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  try {
    const ports = await readKeptPorts(dir);
    const postgres = await startEmbeddedPostgres({
      dir: path.join(dir, 'postgres'),
      settings: { wal_level: 'logical', max_replication_slots: '20', max_wal_senders: '20', max_connections: '120' },
    });
    stops.push(postgres.close);
    const databases = await openDatabases(postgres);
    await fill(databases, seed, log);
    const edge = await startEdge(databases, ports.edge);
    stops.push(edge.close);
    const sheets = await startGoogleSheetsDouble({ port: ports.sheets, dataDir: dir, spreadsheets: [spreadsheet] });
    stops.push(sheets.close);
    const airtable = await startAirtableDouble({ port: ports.airtable, dataDir: dir, bases: [base] });
    stops.push(airtable.close);
    await keepPorts(dir, { edge: edge.url, sheets: sheets.url, airtable: airtable.url });
    const people = startPeopleAtWork({ databases, rate, random: new Random(seed ^ Date.now()), log });
    stops.push(people.close);
    const document = { databases, edge: edge.url, sheets: sheets.url, airtable: airtable.url };
    await writeStudioDocument(home, document);
    const env = {
      PRODUCTION_DATABASE_URL: databases.production,
      DEALS_DATABASE_URL: databases.deals,
      STUDIO_EDGE_URL: edge.url,
      GOOGLE_CREDENTIALS: sheets.serviceAccount,
      AIRTABLE_TOKEN: airtable.token,
    };
    return { ...document, env, people, ended: postgres.ended, close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Databases = StudioDocument['databases'];

/** The services' databases, owned by `studio`, who may write and replicate but is no superuser, as at a real studio. */
async function openDatabases(postgres: EmbeddedPostgres): Promise<Databases> {
  const admin = new pg.Client({ connectionString: postgres.url('postgres') });
  await admin.connect();
  try {
    const { rowCount } = await admin.query("SELECT 1 FROM pg_roles WHERE rolname = 'studio'");
    if (rowCount === 0) {
      await admin.query(`CREATE ROLE studio LOGIN REPLICATION PASSWORD ${pg.escapeLiteral(postgres.password)}`);
      await admin.query('GRANT pg_monitor, pg_signal_backend TO studio');
    }
    for (const name of ['production', 'deals']) {
      await postgres.ensureDatabase(name);
      await admin.query(`ALTER DATABASE ${name} OWNER TO studio`);
    }
  } finally {
    await admin.end();
  }
  const url = (name: string) => postgres.url(name).replace('//dailies:', '//studio:');
  return { production: url('production'), deals: url('deals') };
}

async function fill(databases: Databases, seed: number, log: (line: string) => void): Promise<void> {
  const films = await readFilms();
  const today = new Date().toISOString().slice(0, 10);
  const [isNew] = await Promise.all([
    fillDatabase(databases.production, productionTables, () => productionRows(films, new Random(seed), today)),
    fillDatabase(databases.deals, dealsTables, () => dealsRows(films.length, new Random(seed + 1), today)),
  ]);
  if (isNew) log(`the sample studio was filled with ${films.length} films (seed ${seed}, ${today})`);
}
