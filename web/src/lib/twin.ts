// Every action as a command: the twin of what a click does.
export type Twin = { cli?: string; method?: string; path?: string; body?: unknown };

/** Quoted for a POSIX shell where need be. */
export const quote = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

export function curl(t: Twin) {
  if (!t.path) return '';
  const body = t.body === undefined ? '' : ` -d ${quote(JSON.stringify(t.body))}`;
  return `curl -X ${t.method ?? 'GET'} -H "Authorization: $TOKEN"${body} ${quote(location.origin + t.path)}`;
}
