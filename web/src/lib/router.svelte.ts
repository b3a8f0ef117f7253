// The URL is the state: #/jobs/ID?tab=nodes&state=failed.  In the fragment, so that the server needs no route for pages.

class Route {
  parts = $state<string[]>([]);
  query = $state(new URLSearchParams());

  constructor() {
    this.read();
    addEventListener('hashchange', () => this.read());
  }

  private read() {
    const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?');
    this.parts = path.split('/').filter(Boolean).map(decodeURIComponent);
    this.query = new URLSearchParams(query);
  }

  get(key: string) {
    return this.query.get(key) ?? '';
  }

  /** Changes the query in place; "" takes a key away.  `push`: the back button comes back here. */
  set(change: Record<string, string | undefined>, push = false) {
    const next = new URLSearchParams(this.query);
    for (const [key, value] of Object.entries(change)) {
      if (value) next.set(key, value);
      else next.delete(key);
    }
    const to = href('/' + this.parts.map(encodeURIComponent).join('/'), next);
    if (push) location.hash = to;
    else {
      history.replaceState(null, '', to);
      this.read();
    }
  }
}

export function href(path: string, query?: Record<string, string> | URLSearchParams) {
  const text = query ? new URLSearchParams(query).toString() : '';
  return `#${path}${text ? `?${text}` : ''}`;
}

export const go = (path: string, query?: Record<string, string>) => (location.hash = href(path, query));

export const route = new Route();
