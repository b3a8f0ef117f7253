// The event stream: one connection for the page, resumed by cursor, handed to whoever listens in batches of a frame.
//
// fetch() instead of EventSource, because only it can send the token in a header.
import { headers, renew } from './api';
import { session } from './session.svelte';

export type LiveEvent = {
  kind: string; id: number; at_ms: number; node_id?: string; ota_job_id?: string; ota_image_id?: string; group_id?: string; state?: string; status?: string;
  additional_info?: string; percent?: number; description?: string;
};
type Listener = (batch: LiveEvent[], isReset: boolean) => void;

const SILENT_MS = 40_000; // the server breathes every 15 seconds
const LAG_MS = 2_000;
const BATCH_MS = 50;

class Live {
  state = $state<'off' | 'connecting' | 'live' | 'lagging' | 'lost'>('off');
  lagMs = $state(0);
  lastAt = $state(0);
  private cursor: string | null = null;
  private listeners = new Set<Listener>();
  private waiting: LiveEvent[] = [];
  private isReset = false;
  private timer = 0;
  private stop: AbortController | null = null;
  private skew = Infinity; // smallest difference of clocks seen: the server's may be off
  private heardAt = 0;

  on(listener: Listener) {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private flush = () => {
    this.timer = 0;
    const batch = this.waiting;
    const isReset = this.isReset;
    this.waiting = [];
    this.isReset = false;
    for (const listener of this.listeners) listener(batch, isReset);
    if (!batch.length) return;
    const oldest = batch[0].at_ms;
    // After the frame that shows them: how old the oldest of the batch was by then.
    const start = Math.max(0, oldest + (this.skew === Infinity ? 0 : this.skew) - performance.timeOrigin);
    requestAnimationFrame(() =>
      setTimeout(() => {
        performance.clearMeasures('event-to-pixel'); // those who observe have seen it; nothing piles up
        performance.measure('event-to-pixel', { start, end: performance.now(), detail: batch.length });
      }),
    );
  };

  private soon() {
    this.timer ||= window.setTimeout(this.flush, BATCH_MS);
  }

  private take(block: string) {
    const fields: Record<string, string> = {};
    for (const line of block.split('\n')) {
      const at = line.indexOf(': ');
      if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
    }
    if (fields.event === 'reset') this.isReset = true;
    else if (fields.event && fields.data) {
      const event = { ...JSON.parse(fields.data), kind: fields.event, id: Number(fields.id) } as LiveEvent;
      const late = Date.now() - event.at_ms;
      this.skew = Math.min(this.skew, late);
      this.lagMs = late - this.skew;
      this.lastAt = Date.now();
      this.waiting.push(event);
    } else return;
    if (fields.id) this.cursor = fields.id;
    this.state = this.lagMs > LAG_MS ? 'lagging' : 'live';
    this.soon();
  }

  private async read(signal: AbortSignal) {
    const answer = await fetch('/v1/admin/events', { headers: { ...headers(), ...(this.cursor && { 'Last-Event-ID': this.cursor }) }, signal });
    if (answer.status === 401) {
      if (!(await renew())) session.end('Your session has ended. Sign in again.');
      return;
    }
    if (!answer.ok || !answer.body) throw new Error(`the stream answered ${answer.status}`);
    const wasAway = this.state === 'lost';
    this.state = 'live';
    this.lagMs = 0;
    if (wasAway) {
      this.isReset = true; // what no event tells, a restart of the server among it
      this.soon();
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let kept = ''; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      this.heardAt = Date.now();
      const parts = (kept + value).split('\n\n');
      kept = parts.pop()!;
      for (const part of parts) this.take(part);
    }
  }

  async start() {
    this.stop?.abort();
    const mine = (this.stop = new AbortController());
    this.cursor = null;
    this.state = 'connecting';
    for (let wait = 250; session.access && !mine.signal.aborted; wait = Math.min(wait * 2, 5000)) {
      const one = new AbortController();
      const end = () => one.abort();
      mine.signal.addEventListener('abort', end);
      this.heardAt = Date.now();
      const watch = setInterval(() => Date.now() - this.heardAt > SILENT_MS && one.abort(), 5000);
      try {
        await this.read(one.signal);
        wait = 250;
      } catch {
        /* told by the state below */
      }
      clearInterval(watch);
      mine.signal.removeEventListener('abort', end);
      if (mine.signal.aborted) return;
      this.state = 'lost';
      await new Promise((done) => setTimeout(done, wait * (0.5 + Math.random() / 2)));
    }
  }

  end() {
    this.stop?.abort();
    this.state = 'off';
  }
}

export const live = new Live();
