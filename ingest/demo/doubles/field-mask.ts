/** Google's partial responses: `sheets(properties(title),data.rowData)` keeps those fields and nothing else. */
type Mask = Map<string, Mask>;

export function applyFieldMask(value: unknown, text: string | null): unknown {
  if (text === null || text === '' || text === '*') return value;
  return keep(value, parseMask(text));
}

function parseMask(text: string): Mask {
  let at = 0;
  const list = (): Mask => {
    const mask: Mask = new Map();
    for (;;) {
      const name = /^[\w*]+/.exec(text.slice(at))?.[0] ?? '';
      at += name.length;
      let inner: Mask = new Map();
      if (text[at] === '(') {
        at++;
        inner = list();
        at++;
      } else if (text[at] === '.' || text[at] === '/') {
        at++;
        inner = single();
      }
      mask.set(name, new Map([...(mask.get(name) ?? []), ...inner]));
      if (text[at] !== ',') return mask;
      at++;
    }
  };
  const single = (): Mask => {
    const name = /^[\w*]+/.exec(text.slice(at))?.[0] ?? '';
    at += name.length;
    if (text[at] === '.' || text[at] === '/') {
      at++;
      return new Map([[name, single()]]);
    }
    if (text[at] !== '(') return new Map([[name, new Map()]]);
    at++;
    const inner = list();
    at++;
    return new Map([[name, inner]]);
  };
  return list();
}

function keep(value: unknown, mask: Mask): unknown {
  if (mask.size === 0 || mask.has('*')) return value;
  if (Array.isArray(value)) return value.map((element) => keep(element, mask));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) => {
      const own = mask.get(name);
      return own === undefined ? [] : [[name, keep(inner, own)]];
    }),
  );
}
