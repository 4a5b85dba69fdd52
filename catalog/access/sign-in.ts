import { randomUUID } from 'node:crypto';
import type { BetterAuthPlugin } from 'better-auth';
import { betterAuth } from 'better-auth';
import { prismaAdapter } from 'better-auth/adapters/prisma';
import { createAuthEndpoint } from 'better-auth/api';
import { setSessionCookie } from 'better-auth/cookies';
import { hashPassword } from 'better-auth/crypto';
import { z } from 'zod';
import { DailiesError } from '../error.ts';
import { parseInput } from '../services/parse-input.ts';
import { acceptLink } from '../services/person/accept-link.ts';
import { principalOf } from '../services/person/principal.ts';
import { deriveKey, type SecretKey } from '../services/secret/secret-key.ts';
import type { State } from '../state/state.ts';
import type { Principal } from './principal.ts';

export interface SignInDeps {
  state: State;
  secretKey: SecretKey;
  /** Public address, without a slash at its end. */
  url: string;
  now: () => Date;
}

const minPasswordLength = 10;

const welcome = z.strictObject({
  token: z.string().min(1, 'is missing').max(200),
  name: z.string().trim().min(1, 'is empty').max(120),
  email: z.email('is not an e-mail address').toLowerCase(),
  password: z.string().min(minPasswordLength, `needs at least ${minPasswordLength} characters`).max(128),
});

/** Only the server itself calls it: it signs in whoever it is told to. */
const openSession = createAuthEndpoint(
  '/open-session',
  { method: 'POST', body: z.object({ email: z.string() }), metadata: { SERVER_ONLY: true } },
  async (ctx) => {
    const found = await ctx.context.internalAdapter.findUserByEmail(ctx.body.email);
    if (!found) throw ctx.error('NOT_FOUND');
    const session = await ctx.context.internalAdapter.createSession(found.user.id);
    await setSessionCookie(ctx, { session, user: found.user });
    return ctx.json({ email: found.user.email });
  },
);

const sessions = { id: 'dailies-sessions', endpoints: { openSession } } satisfies BetterAuthPlugin;

function createAuth({ state, secretKey, url }: SignInDeps) {
  return betterAuth({
    appName: 'Dailies',
    baseURL: url,
    basePath: '/api/auth',
    secret: deriveKey(secretKey, 'dailies.sessions').toString('base64url'),
    database: prismaAdapter(state, { provider: 'postgresql' }),
    emailAndPassword: { enabled: true, disableSignUp: true, minPasswordLength },
    session: { expiresIn: 30 * 86_400, updateAge: 86_400 },
    // Ours count wrong passwords; theirs would count every request of an address.
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    // A wrong password is no event for the operator's log.
    logger: { level: 'error' },
    advanced: {
      cookiePrefix: 'dailies',
      useSecureCookies: url.startsWith('https:'),
      defaultCookieAttributes: { sameSite: 'lax', httpOnly: true },
      // The server checks the origin of every request that comes with a cookie, whatever it is for.
      disableCSRFCheck: true,
      disableOriginCheck: true,
    },
    plugins: [sessions],
  });
}

/** People's sign-in: passwords, sessions, one-time links. */
export class SignIn {
  readonly #deps: SignInDeps;
  readonly #auth: ReturnType<typeof createAuth>;

  constructor(deps: SignInDeps) {
    this.#deps = deps;
    this.#auth = createAuth(deps);
  }

  /** Answers `/api/auth/…`. */
  handle(request: Request): Promise<Response> {
    return this.#auth.handler(request);
  }

  /** Whose session cookie this is, with their roles as of now; null for none that holds. */
  async personOf(headers: Headers): Promise<{ who: Principal; name: string } | null> {
    if (!headers.has('cookie')) return null;
    const session = await this.#auth.api.getSession({ headers });
    if (session === null) return null;
    return { who: await principalOf(this.#deps.state, session.user.email), name: session.user.name };
  }

  /** A session for this address, whose user is made at first need. Answers the cookies to set. */
  async signInAs(email: string, name: string): Promise<string[]> {
    const address = email.toLowerCase();
    const user = { name, emailVerified: true };
    await this.#deps.state.user.upsert({
      where: { email: address },
      create: { id: randomUUID(), email: address, ...user },
      update: {},
    });
    return this.#open(address);
  }

  /** Uses a one-time link up: sets the password, ends other sessions, signs in. Answers the cookies to set. */
  async welcome(raw: unknown): Promise<{ email: string; cookies: string[] }> {
    const { token, name, email, password } = parseInput(welcome, raw);
    const hash = await hashPassword(password);
    const now = this.#deps.now();
    const address = await this.#deps.state.$transaction(async (tx) => {
      const owner = await acceptLink(tx, token, email, now);
      const user = await tx.user.upsert({
        where: { email: owner },
        create: { id: randomUUID(), email: owner, name, emailVerified: true },
        update: { name, emailVerified: true },
      });
      await tx.session.deleteMany({ where: { userId: user.id } });
      await tx.account.deleteMany({ where: { userId: user.id, providerId: 'credential' } });
      await tx.account.create({
        data: { id: randomUUID(), accountId: user.id, providerId: 'credential', userId: user.id, password: hash },
      });
      return owner;
    });
    return { email: address, cookies: await this.#open(address) };
  }

  async #open(email: string): Promise<string[]> {
    const response = await this.#auth.api.openSession({ body: { email }, asResponse: true });
    const cookies = response.headers.getSetCookie();
    if (cookies.length === 0) throw new DailiesError('internal', `No session could be opened for ${email}.`);
    return cookies;
  }
}
