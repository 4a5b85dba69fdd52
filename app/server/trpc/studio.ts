import { router } from './init.ts';

export const studioRouter = router({});
