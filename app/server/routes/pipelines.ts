import { replayPipeline } from '#catalog/services/pipeline/replay.ts';
import { pausePipeline, resumePipeline } from '#catalog/services/pipeline/set-desired.ts';
import { json, noContent, readJson } from '../http-message.ts';
import { askRetained } from '../intake-socket.ts';
import { type Route, scopeOf } from '../route.ts';

export const pipelineRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/api/v1/pipelines/:name/pause',
    async handle(call) {
      await pausePipeline(scopeOf(call), call.params.name ?? '');
      return noContent();
    },
  },
  {
    method: 'POST',
    path: '/api/v1/pipelines/:name/resume',
    async handle(call) {
      await resumePipeline(scopeOf(call), call.params.name ?? '');
      return noContent();
    },
  },
  {
    method: 'POST',
    path: '/api/v1/pipelines/:name/replay',
    async handle(call) {
      const { name = '' } = call.params;
      const { environment, now } = call.deps;
      const asked = await replayPipeline(scopeOf(call), name, await readJson(call.request), {
        retained: (key) => askRetained(environment.home, name, key),
        now,
      });
      return json(asked, 202);
    },
  },
];
