/** Signs in with address and password; answers a sentence for the person when that is refused, null when it worked. */
export async function signInWithPassword(email: string, password: string): Promise<string | null> {
  const response = await post('/api/auth/sign-in/email', { email, password });
  if (response.ok) return null;
  if (response.status === 401 || response.status === 403) {
    return 'That e-mail address and password do not belong together. Check both, or ask an admin for a new link.';
  }
  if (response.status === 429) return 'Too many tries. Wait a minute and try again.';
  if (response.status === 400) return 'Write your whole e-mail address and your password.';
  return `Dailies could not check the password (HTTP ${response.status}). Try again in a moment.`;
}

/** Uses a one-time link; answers a sentence where it is refused, null when the person is in. */
export async function acceptInvitation(invitation: {
  token: string;
  name: string;
  email: string;
  password: string;
}): Promise<string | null> {
  const response = await post('/api/auth/welcome', invitation);
  if (response.ok) return null;
  const answer: unknown = await response.json().catch(() => null);
  const detail = answer !== null && typeof answer === 'object' && 'detail' in answer ? answer.detail : null;
  return typeof detail === 'string' ? detail : 'This link was used already or has expired. Ask an admin for a new one.';
}

export async function signOut(): Promise<void> {
  await post('/api/auth/sign-out', {});
  // A full load drops everything that the last person's pages had fetched.
  window.location.assign('/sign-in');
}

function post(path: string, body: unknown): Promise<Response> {
  return fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}
