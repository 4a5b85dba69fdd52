import { z } from 'zod';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const count = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number')
  .transform(Number);
const positive = count.refine((value) => value > 0, 'must be more than 0');
const part = z
  .string()
  .regex(/^\d*\.?\d+$/, 'must be a number from 0 to 1')
  .transform(Number)
  .refine((value) => value > 0 && value <= 1, 'must be more than 0 and at most 1');
const flag = z
  .string()
  .regex(/^(true|false)$/i, 'must be true or false')
  .transform((text) => text.toLowerCase() === 'true');

interface PropertyOf<T> {
  key: string;
  default: T;
  /** In plain words, for the documentation and the table's page. */
  meaning: string;
  parse: z.ZodType<T, string>;
}

function property<T>(key: string, parse: z.ZodType<T, string>, standard: T, meaning: string): PropertyOf<T> {
  return { key, parse, default: standard, meaning };
}

/**
 * Table properties that steer maintenance, with what holds where a table does not set them. Names are Iceberg's where it
 * has one for the thing; ages are milliseconds, sizes bytes.
 */
export const maintenanceProperties = {
  isEnabled: property('dailies.maintenance.enabled', flag, true, 'whether the table is maintained by itself'),
  maxSnapshotAgeMs: property(
    'history.expire.max-snapshot-age-ms',
    count,
    hourMs,
    'every state that was current within this time is kept',
  ),
  minSnapshots: property(
    'history.expire.min-snapshots-to-keep',
    positive,
    10,
    'this many of the newest states are kept, however old',
  ),
  maxRefAgeMs: property(
    'history.expire.max-ref-age-ms',
    count,
    Number.POSITIVE_INFINITY,
    'branches and tags that people made are removed beyond this age',
  ),
  maxSnapshots: property(
    'dailies.history.max-snapshots',
    positive,
    4_000,
    'of more states than this within the time above, the older half is thinned evenly',
  ),
  hourlyTags: property('dailies.history.hourly', count, 48, 'for how many hours one state an hour is kept, as a tag'),
  dailyTags: property('dailies.history.daily', count, 30, 'for how many days one state a day is kept, as a tag'),
  fileGraceMs: property(
    'dailies.history.file-grace-ms',
    count,
    10 * minuteMs,
    'files stay this long after the last state that needs them, for queries that still run',
  ),
  targetFileBytes: property(
    'write.target-file-size-bytes',
    positive,
    128 << 20,
    'size that data files are rewritten to',
  ),
  minCompactionFiles: property(
    'dailies.compaction.min-files',
    positive,
    16,
    'this many small files of one partition are rewritten as one',
  ),
  deletedPart: property(
    'dailies.compaction.deleted-part',
    part,
    0.25,
    'a file is rewritten once this part of its rows is deleted',
  ),
  maxCompactionBytes: property(
    'dailies.compaction.max-bytes',
    positive,
    256 << 20,
    'most that one step of compaction reads, in bytes',
  ),
  minManifestsToMerge: property(
    'commit.manifest.min-count-to-merge',
    positive,
    100,
    'this many small manifests are rewritten as one with the next commit; a tenth of it for those of deletes',
  ),
  targetManifestBytes: property(
    'commit.manifest.target-size-bytes',
    positive,
    8 << 20,
    'size that manifests are rewritten to',
  ),
  orphanAgeMs: property(
    'dailies.orphans.older-than-ms',
    count,
    3 * dayMs,
    'files below the table that nothing refers to are removed beyond this age',
  ),
  orphanEveryMs: property('dailies.orphans.every-ms', positive, dayMs, 'how often such files are looked for'),
} as const;

type Properties = typeof maintenanceProperties;
export type MaintenanceSettings = {
  readonly [Name in keyof Properties]: Properties[Name]['default'] extends boolean ? boolean : number;
};

/** Settings of one table. A value that cannot be read counts as not set, and is told in `problems`, a sentence each. */
export function maintenanceSettings(properties: Readonly<Record<string, string>>): {
  settings: MaintenanceSettings;
  problems: string[];
} {
  const problems: string[] = [];
  const entries = Object.entries(maintenanceProperties).map(([name, { key, parse, default: standard }]) => {
    const text = properties[key];
    if (text === undefined) return [name, standard];
    const parsed = parse.safeParse(text);
    if (parsed.success) return [name, parsed.data];
    problems.push(
      `The table property ${key} ${parsed.error.issues[0]?.message ?? 'cannot be read'}; ${standard} holds instead.`,
    );
    return [name, standard];
  });
  return { settings: Object.fromEntries(entries) as MaintenanceSettings, problems };
}
