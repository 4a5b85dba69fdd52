import { mkdir, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { z } from 'zod';

const portsSchema = z.object({ edge: z.number(), sheets: z.number(), airtable: z.number() });
type Ports = z.infer<typeof portsSchema>;

/** The ports of the last start, so that addresses stay what they were; 0 (any) for one that is new or taken by now. */
export async function readKeptPorts(dir: string): Promise<Ports> {
  await mkdir(dir, { recursive: true });
  const text = await readFile(file(dir), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw error;
  });
  const known = portsSchema.partial().parse(JSON.parse(text));
  const [edge, sheets, airtable] = await Promise.all([known.edge, known.sheets, known.airtable].map(ifFree));
  return { edge: edge ?? 0, sheets: sheets ?? 0, airtable: airtable ?? 0 };
}

export async function keepPorts(dir: string, urls: Record<keyof Ports, string>): Promise<void> {
  const port = (url: string) => Number(new URL(url).port);
  const ports: Ports = { edge: port(urls.edge), sheets: port(urls.sheets), airtable: port(urls.airtable) };
  await writeFile(file(dir), JSON.stringify(ports));
}

function file(dir: string): string {
  return path.join(dir, 'ports.json');
}

function ifFree(port: number | undefined): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(0));
    server.listen(port ?? 0, '127.0.0.1', () => server.close(() => resolve(port ?? 0)));
  });
}
