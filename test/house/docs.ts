// Fails where a README names a file or folder that is not there.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const documents = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter(Boolean);
const folders = /^(app|catalog|connectors|ingest|prisma|test|\.ci)\//;
let named = 0;
const missing: string[] = [];

for (const document of documents) {
  const text = fs.readFileSync(path.join(root, document), 'utf8');
  const quoted = [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '').filter((name) => folders.test(name));
  const linked = [...text.matchAll(/\]\(([^)#:]+)\)/g)].map((match) =>
    path.join(path.dirname(document), match[1] ?? ''),
  );
  for (const name of [...quoted, ...linked]) {
    if (/[<>*{} ]/.test(name)) continue;
    named += 1;
    if (!fs.existsSync(path.join(root, name))) missing.push(`${document} names ${name}, which is not there`);
  }
}
for (const line of missing) console.error(line);
console.log(`${documents.length} documents, ${named} paths, ${missing.length} missing`);
if (missing.length > 0 || named === 0) process.exitCode = 1;
