import { find } from './find.ts';
import { homeRouter } from './home.ts';
import { router } from './init.ts';
import { peopleRouter } from './people.ts';
import { pipelinesRouter } from './pipelines.ts';
import { reportsRouter } from './reports.ts';
import { sessionRouter } from './session.ts';
import { sqlRouter } from './sql.ts';
import { studioRouter } from './studio.ts';
import { systemRouter } from './system.ts';
import { tablesRouter } from './tables.ts';

/** Everything that the pages ask. Pages import its type alone. */
export const appRouter = router({
  session: sessionRouter,
  find,
  home: homeRouter,
  tables: tablesRouter,
  sql: sqlRouter,
  reports: reportsRouter,
  pipelines: pipelinesRouter,
  people: peopleRouter,
  system: systemRouter,
  studio: studioRouter,
});

export type AppRouter = typeof appRouter;
