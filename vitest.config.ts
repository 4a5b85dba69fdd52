import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They have a run of their own: `npm run test:engines`.
    exclude: ['**/node_modules/**', 'test/engines/beyond-ci/**'],
    globalSetup: ['test/fixtures/global-setup.ts'],
    // Two cores: more files at once only make each slower.
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    passWithNoTests: false,
  },
});
