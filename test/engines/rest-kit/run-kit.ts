import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where a catalog is, and as what the kit should take it. */
export interface KitRun {
  /** Folder of the kit's jars. */
  lib: string;
  uri: string;
  token: string;
  /** Where the kit's tests put files of their own. */
  temporary: string;
  /** The kit's own switches, `rck.…` without the prefix. */
  switches?: Readonly<Record<string, boolean>>;
  /** Test classes of `java/` here, or null for the kit's own suite. */
  classes?: readonly string[] | null;
}

export interface KitResult {
  /** Class and method of each test. */
  passed: string[];
  failed: { test: string; message: string }[];
  skipped: { test: string; reason: string }[];
}

/** Runs Iceberg's REST compatibility kit against a catalog. Throws where it could not run at all. */
export async function runKit(run: KitRun): Promise<KitResult> {
  const folder = await mkdtemp(join(tmpdir(), 'rest-kit-'));
  try {
    const classes = run.classes ?? null;
    if (classes) {
      const sources = join(import.meta.dirname, 'java/org/apache/iceberg/rest');
      const files = classes.map((name) => join(sources, `${name.split('.').at(-1)}.java`));
      await execute('javac', ['-nowarn', '-cp', `${run.lib}/*`, '-d', join(folder, 'classes'), ...files]);
    }
    const output = await execute('java', [
      '-Xmx1g',
      `-Djava.io.tmpdir=${run.temporary}`,
      `-Duri=${run.uri}`,
      `-Dtoken=${run.token}`,
      '-Dwarehouse=dailies',
      '-Drck.local=false',
      '-Drck.requires-namespace-create=true',
      ...Object.entries(run.switches ?? {}).map(([name, isOn]) => `-Drck.${name}=${isOn}`),
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
      '-cp',
      `${join(folder, 'classes')}:${run.lib}/*`,
      'org.junit.platform.console.ConsoleLauncher',
      'execute',
      ...(classes ?? ['org.apache.iceberg.rest.RESTCompatibilityKitSuite']).map((name) => `--select-class=${name}`),
      '--include-classname=.*',
      '--details=summary',
      '--disable-banner',
      `--reports-dir=${folder}`,
    ]);
    const reports = (await readdir(folder)).filter((file) => file.endsWith('.xml'));
    const results = await Promise.all(
      reports.map(async (file) => readReport(await readFile(join(folder, file), 'utf8'))),
    );
    const whole = results.reduce(
      (all, one) => ({
        passed: [...all.passed, ...one.passed],
        failed: [...all.failed, ...one.failed],
        skipped: [...all.skipped, ...one.skipped],
      }),
      { passed: [], failed: [], skipped: [] },
    );
    if (whole.passed.length + whole.failed.length === 0) throw new Error(`The kit ran no test.\n${output}`);
    return whole;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What a program writes; one that ends with 1 has failing tests, which its report tells. */
async function execute(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const text = Buffer.concat(output).toString();
  if (code !== 0 && code !== 1) throw new Error(`${program} ended with ${code}:\n${text}`);
  if (code === 1 && program === 'javac') throw new Error(text);
  return text;
}

/** JUnit's XML: `<testcase name classname>` with `<failure>`, `<error>` or `<skipped>` inside. */
function readReport(xml: string): KitResult {
  const result: KitResult = { passed: [], failed: [], skipped: [] };
  for (const [, attributes = '', body = ''] of xml.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)) {
    const test = `${attribute(attributes, 'classname').split('.').at(-1)}.${attribute(attributes, 'name')}`;
    const failure = /<(?:failure|error)\b([^>]*)>/.exec(body);
    const skipped = /<skipped>(.*?)<\/skipped>/s.exec(body);
    if (failure) result.failed.push({ test, message: withoutStack(attribute(failure[1] ?? '', 'message')) });
    else if (skipped) result.skipped.push({ test, reason: plain(skipped[1] ?? '').split('\n')[0] ?? '' });
    else result.passed.push(test);
  }
  return result;
}

/** JUnit's messages hold whole stack traces. */
function withoutStack(message: string): string {
  const lines = message.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('\tat '));
  return lines.slice(0, 10).join('\n');
}

function attribute(attributes: string, name: string): string {
  return plain(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? '');
}

function plain(text: string): string {
  return text
    .replaceAll(/<!\[CDATA\[|\]\]>/g, '')
    .replaceAll(/&#(x?)([0-9a-f]+);/gi, (_whole, hex, digits) =>
      String.fromCodePoint(Number.parseInt(digits, hex ? 16 : 10)),
    )
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .trim();
}
