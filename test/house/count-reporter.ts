import { stripVTControlCharacters } from 'node:util';
import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node';

/** Of a failure: the whole of it stands further up, out of which not all may be kept. */
const maxLines = 30;

interface Reason {
  message: string;
  stack?: string;
  diff?: string;
}

/** Ends a run's output with what was skipped, by name, then what failed, by name and with its reason, and a line that counts them. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    const failures: string[] = [];
    const failed = (name: string, reasons: readonly Reason[]) => {
      const texts = reasons.map(({ message, stack, diff }) => [placeOf(stack), message, diff].join('\n'));
      failures.push(`failed: ${name}\n${indented(texts.join('\n'))}`);
    };
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        const name = `${module.relativeModuleId} > ${test.fullName}`;
        if (state === 'skipped') console.log(`skipped: ${name}`);
        if (state === 'failed') failed(name, test.result().errors ?? []);
        if (state !== 'pending') counts[state] += 1;
      }
      counts.failed += module.errors().length;
      if (module.errors().length > 0) failed(module.relativeModuleId, module.errors());
    }
    for (const failure of failures) console.log(failure);
    if (reason !== 'passed' && counts.failed === 0) counts.failed = 1;
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  }
}

/** The first line of ours. */
function placeOf(stack = ''): string {
  return stack.split('\n').find((line) => line.includes('/test/')) ?? '';
}

function indented(text: string): string {
  return stripVTControlCharacters(text)
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, maxLines)
    .map((line) => `    ${line.trimEnd().slice(0, 400)}`)
    .join('\n');
}
