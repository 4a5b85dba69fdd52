import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import { requireSameOrigin } from '../caller.ts';
import { json, readJson, readText } from '../http-message.ts';
import type { Call, Route } from '../route.ts';
import { demoEmail, demoRoles } from '../studio.ts';

const attempt = z.looseObject({ email: z.string().default(''), password: z.string().default('') });
const maxBytes = 64 << 10;

/** Sign-in by one-time link, by password (counted), and in the demo by role. What else is below `/api/auth` is better-auth's. */
export const signInRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/sign-in/demo/:role',
    async handle({ deps, params, url }) {
      const role = demoRoles.find((known) => known === params.role);
      if (!deps.isDemo || role === undefined) throw new DailiesError('not_found', 'There is no such page.');
      const cookies = await deps.signIn.signInAs(
        demoEmail(role),
        `Sample ${role === 'owner' ? 'pipeline owner' : role}`,
      );
      return withCookies(
        new Response(null, { status: 303, headers: { location: ownPath(url.searchParams.get('next')) } }),
        cookies,
      );
    },
  },
  {
    method: 'POST',
    path: '/api/auth/welcome',
    async handle({ deps, request }) {
      requireSameOrigin(request);
      const { email, cookies } = await deps.signIn.welcome(await readJson(request, maxBytes));
      return withCookies(json({ email }), cookies);
    },
  },
  { method: 'POST', path: '/api/auth/sign-in/email', handle: signInByPassword },
];

async function signInByPassword({ deps, request, params }: Call): Promise<Response> {
  requireSameOrigin(request);
  const text = await readText(request, maxBytes);
  const { email } = attempt.catch({ email: '', password: '' }).parse(tryJson(text));
  const address = email.toLowerCase();
  const from = params.address ?? '';
  const counted = deps.wrongPasswords.begin(address, from);
  let isWrong = false;
  try {
    const answer = await deps.signIn.handle(
      new Request(request.url, { method: 'POST', headers: request.headers, body: text }),
    );
    isWrong = answer.status === 401;
    if (answer.ok) deps.wrongPasswords.right(address);
    return answer;
  } finally {
    if (!isWrong) counted.takeBack();
  }
}

/** A path of our own to go on to; anything that leads elsewhere is `/`. */
function ownPath(next: string | null): string {
  if (next === null || !/^\/(?![/\\])/.test(next)) return '/';
  const target = URL.parse(next, 'http://here.invalid');
  return target?.host === 'here.invalid' ? target.pathname + target.search + target.hash : '/';
}

function withCookies(answer: Response, cookies: readonly string[]): Response {
  for (const cookie of cookies) answer.headers.append('set-cookie', cookie);
  answer.headers.set('cache-control', 'no-store');
  return answer;
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // better-auth refuses it in its own words.
    return {};
  }
}
