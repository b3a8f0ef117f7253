// Something loaded from REST that stays true: loaded anew when events say that it may have changed, never more often than
// the server answers with ease.
import { untrack } from 'svelte';
import { Failure } from './api';
import { live, type LiveEvent } from './live.svelte';

export class Loader<T> {
  data = $state.raw<T | null>(null);
  error = $state<string | null>(null);
  loading = $state(false);
  private again = false;
  private timer = 0;
  private tookMs = 0;
  private endedAt = 0;
  private stop: AbortController | null = null;
  private isOver = false;

  /** Call in a component's script; `concerns`: whether events are about this. */
  constructor(
    private fetcher: (signal: AbortSignal) => Promise<T>,
    private concerns: (e: LiveEvent) => boolean = () => false,
    private leastMs = 100,
  ) {
    $effect(() => {
      this.isOver = false;
      const off = live.on((batch, isReset) => {
        if (isReset || batch.some(this.concerns)) this.soon();
      });
      return () => {
        off();
        this.isOver = true;
        clearTimeout(this.timer);
        this.timer = 0;
        this.stop?.abort();
      };
    });
  }

  // Called from effects, which must not come to depend on what is loaded.
  soon() {
    untrack(() => this.plan());
  }

  private plan() {
    if (this.loading) this.again = true;
    else if (!this.timer) {
      const wait = Math.max(this.leastMs, 4 * this.tookMs) - (performance.now() - this.endedAt);
      this.timer = window.setTimeout(() => {
        this.timer = 0;
        void this.load();
      }, Math.max(0, wait));
    }
  }

  /** At once, in the place of what is under way. */
  load() {
    return untrack(() => this.fetch());
  }

  private async fetch() {
    this.stop?.abort();
    const mine = (this.stop = new AbortController());
    const at = performance.now();
    this.loading = true;
    try {
      const data = await this.fetcher(mine.signal);
      if (mine.signal.aborted) return;
      this.data = data;
      this.error = null;
    } catch (problem) {
      if (mine.signal.aborted) return;
      this.error = problem instanceof Failure ? problem.message : String(problem);
      if (!(problem instanceof Failure) || problem.status === 0) this.again = true; // the server is away: ask until it is back
    }
    this.loading = false;
    this.endedAt = performance.now();
    this.tookMs = this.error ? 500 : this.endedAt - at;
    if (this.again && !this.isOver) {
      this.again = false;
      this.soon();
    }
  }
}

/** A list in pages, as long as it has been scrolled.  Events change its rows in place or load it anew. */
export class Pages<T> {
  rows = $state.raw<T[]>([]);
  next = $state<string | null>('');
  loading = $state(false);
  error = $state<string | null>(null);
  private run = 0;
  private stop: AbortController | null = null;

  constructor(
    private fetcher: (after: string, signal: AbortSignal) => Promise<{ rows: T[]; next?: string }>,
    private id: (row: T) => string,
  ) {}

  reset() {
    return untrack(() => this.restart());
  }

  more() {
    return untrack(() => this.page(false));
  }

  private async restart() {
    this.stop?.abort();
    this.run++;
    this.loading = false;
    this.next = '';
    await this.page(true);
  }

  private async page(isFresh: boolean) {
    if (this.loading || this.next === null) return;
    const run = this.run;
    const mine = (this.stop = new AbortController());
    this.loading = true;
    try {
      const page = await this.fetcher(this.next, mine.signal);
      if (run !== this.run) return;
      this.rows = isFresh ? page.rows : [...this.rows, ...page.rows];
      this.next = page.next ?? null;
      this.error = null;
    } catch (problem) {
      if (run !== this.run || mine.signal.aborted) return;
      this.error = problem instanceof Failure ? problem.message : String(problem);
      if (isFresh) this.rows = [];
      this.next = null;
    }
    if (run === this.run) this.loading = false;
  }

  /** Replaces rows by others of the same id; rows that are not here stay away. */
  patch(changed: T[]) {
    if (!changed.length) return;
    const byId = new Map(changed.map((row) => [this.id(row), row]));
    if (this.rows.some((row) => byId.has(this.id(row)))) this.rows = this.rows.map((row) => byId.get(this.id(row)) ?? row);
  }

  drop(gone: (row: T) => boolean) {
    this.rows = this.rows.filter((row) => !gone(row));
  }
}
