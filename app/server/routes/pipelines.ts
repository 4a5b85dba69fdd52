import { pausePipeline, resumePipeline } from '#catalog/services/pipeline/set-desired.ts';
import { noContent } from '../http-message.ts';
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
];
