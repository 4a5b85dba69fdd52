import { defineConfig } from 'vitest/config';

/** Tests of engines that are too much for every change: `npm run test:engines`. */
export default defineConfig({
  test: {
    include: ['test/engines/beyond-ci/**/*.test.ts'],
    globalSetup: ['test/fixtures/global-setup.ts'],
    maxWorkers: 1,
    testTimeout: 300_000,
    hookTimeout: 600_000,
    passWithNoTests: false,
    env: { DAILIES_TEST_ENGINES: 'all' },
  },
});
