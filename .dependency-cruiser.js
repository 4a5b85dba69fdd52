/** Who may import whom: app → catalog, connectors, ingest; ingest → catalog; connectors → catalog; catalog → prisma. */
const mayImport = {
  app: ['app', 'catalog', 'connectors', 'ingest'],
  ingest: ['ingest', 'catalog'],
  connectors: ['connectors', 'catalog'],
  catalog: ['catalog', 'prisma'],
  prisma: ['prisma'],
};

const layers = Object.entries(mayImport).map(([folder, targets]) => ({
  name: `${folder}-imports`,
  comment: `${folder}/ imports only ${targets.join(', ')}.`,
  severity: 'error',
  from: { path: `^${folder}/`, pathNot: '^prisma/new-migration\\.ts$' },
  to: { path: '^(app|ingest|connectors|catalog|prisma|test)/', pathNot: `^(${targets.join('|')})/` },
}));

export default {
  forbidden: [
    ...layers,
    {
      name: 'no-cycles',
      comment: 'Two modules that need each other are one module, or miss a third.',
      severity: 'error',
      from: { pathNot: '^prisma/generated/' },
      to: { circular: true, viaOnly: { pathNot: '^prisma/generated/', dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'pages-hold-no-server',
      comment: 'Pages reach the server through tRPC alone, so that the browser bundle holds nothing of it.',
      severity: 'error',
      from: { path: '^app/', pathNot: '^app/(cli|server)/' },
      to: {
        path: '^(app/(cli|server)|catalog|connectors|ingest|prisma)/',
        // Pure text work that browser and server must agree on.
        pathNot: '^catalog/(query/(parameter-marks|sql-name)|services/source/snapshot-text)\\.ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'no-unresolved',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^prisma/generated'] },
    exclude: { path: ['^\\.next/', '\\.css$', '/dist/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
      extensions: ['.ts', '.tsx', '.js', '.json'],
    },
  },
};
