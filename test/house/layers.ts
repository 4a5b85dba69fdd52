// Holds the layers of .dependency-cruiser.js. Fails if it looked at nothing.
import { cruise } from 'dependency-cruiser';
import configuration from '../../.dependency-cruiser.js';

const folders = ['app', 'catalog', 'connectors', 'ingest', 'prisma', 'test'];
const { forbidden, options } = configuration as { forbidden: object[]; options: object };
const { output } = await cruise(folders, { ...options, ruleSet: { forbidden }, validate: true } as Parameters<
  typeof cruise
>[1]);
if (typeof output === 'string') throw new Error(`dependency-cruiser gave text: ${output}`);
const { totalCruised, violations } = output.summary;
for (const violation of violations) console.error(`${violation.rule.name}: ${violation.from} → ${violation.to}`);
console.log(`${totalCruised} modules, ${violations.length} violations`);
if (violations.length > 0 || totalCruised === 0) process.exitCode = 1;
