// REST, as docs/api/openapi.yaml describes it.
import { session } from './session.svelte';

export class Failure extends Error {
  constructor(
    message: string,
    public status = 0,
    public code = 0,
  ) {
    super(message);
  }
}

type Query = Record<string, string | number | boolean | undefined | null>;

export function withQuery(path: string, query: Query = {}) {
  const q = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined && value !== null && value !== '') q.set(key, String(value));
  const text = q.toString();
  return text ? `${path}?${text}` : path;
}

export function headers(): Record<string, string> {
  return {
    ...(session.access && { Authorization: session.access }),
    ...(session.organisation && { 'Pluvio-Organisation': session.organisation }),
  };
}

async function send(method: string, path: string, body?: unknown, signal?: AbortSignal) {
  try {
    return await fetch(path, {
      method,
      signal,
      headers: { ...headers(), ...(body !== undefined && { 'Content-Type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (problem) {
    if (signal?.aborted) throw problem;
    throw new Failure('The server cannot be reached. What you see may be old; it is loaded anew when the connection is back.');
  }
}

let renewing: Promise<boolean> | null = null;

async function renewOnce() {
  const used = session.refresh;
  if (!used) return false;
  const answer = await send('POST', '/v1/login2', { refreshtoken: used });
  if (answer.ok) session.take(await answer.json());
  return answer.ok || session.refresh !== used; // another tab was quicker
}

/** One renewal at a time, however many requests met a 401. */
export function renew() {
  renewing ??= renewOnce().finally(() => (renewing = null));
  return renewing;
}

export async function call<T = any>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const had = session.access;
  let answer = await send(method, path, body, signal);
  if (answer.status === 401 && had && (await renew())) answer = await send(method, path, body, signal);
  const json = await answer.json().catch(() => ({}));
  if (answer.ok) return json;
  if (answer.status === 401 && had) session.end('Your session has ended. Sign in again.');
  throw new Failure(json.description || json.message || `The server answered ${answer.status}.`, answer.status, json.error_code);
}

export const get = <T = any>(path: string, query: Query = {}, signal?: AbortSignal) => call<T>('GET', withQuery(path, query), undefined, signal);

/** RainMaker answers 404 where there are no groups; here that is an empty list. */
export const groupPage = (query: Query, signal?: AbortSignal) =>
  get<{ groups: Group[]; next_id?: string }>('/v1/admin/node_group', query, signal).catch((p) => {
    if (p instanceof Failure && p.status === 404) return { groups: [], next_id: undefined };
    throw p;
  });

// --- what comes back -------------------------------------------------------------------------------------------------

export type Image = {
  ota_image_id: string; image_name: string; type: string; model: string; fw_version: string; image_url: string; upload_timestamp: number;
  file_size: number; file_md5: string; file_sha256: string; signed_by?: string; project_name?: string; platform?: string; secure_version?: number;
  archived: boolean;
};

export type Job = {
  ota_job_id: string; ota_job_name: string; ota_image_id: string; description?: string; owner?: string; status: 'active' | 'cancelled' | 'finished' | 'triggered';
  paused: boolean; stop_reason?: string; rollout?: string; exclude?: string; group_query?: string; groups?: string[]; nodes?: string[]; archived?: boolean;
  force_push?: boolean; user_approval?: boolean; continuous?: boolean; notify_flag?: boolean; network_serialised?: boolean; priority: number;
  triggered_timestamp: string; expiry_timestamp_num?: number; metadata?: any; completed_count: number; total_count: number; triggered_count: number;
  started_count: number; in_progress_count: number; success_count: number; rejected_count: number; delayed_count: number; failed_count: number;
  states: Record<string, number>; failures?: Record<string, number>; phase?: { number: number; of: number; nodes: number; started: number; since_ms: number };
};

export type Node = {
  node_id: string; name?: string; fw_version: string; type?: string; model?: string; subtype?: string; project_name?: string; platform?: string;
  node_status: 'not_activated' | 'online' | 'offline' | 'deactivated'; registration_timestamp?: number; activation_timestamp?: number; network_id?: string;
  address?: string; tags: string[]; expected_version?: string; status: { connectivity: { connected: boolean; timestamp: number } };
};

export type Execution = {
  node_id: string; ota_job_id?: string; status: string; state: string; additional_info?: string; timestamp: string; percent?: number; from_version?: string;
  failures?: number; updated_ms?: number; ts_source: string;
};

export type Group = {
  group_id: string; group_name: string; description?: string; type?: string; total: number; group_query?: string; parent_group_id?: string;
  nodes?: string[]; node_details?: string[]; sub_groups?: { group_id: string; group_name: string }[]; next_id?: string;
};
